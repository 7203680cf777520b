"""Flags that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def results_option(kept: str) -> Callable[[Command], Command]:
    """Return the flag of the folder that results go to, handed over as ``root``.

    Args:
        kept: what of it help says, as ``The run is kept here, in NAME/TIME/.``
    """
    return click.option(
        "--results",
        "root",
        type=click.Path(path_type=Path),
        default="results",
        show_default=True,
        help=kept,
    )


def source_options(command: Command) -> Command:
    """Add the flags of what belongs to a model beside its file."""
    data = click.option("--data", metavar="FILE", help="A Stan program's data, as JSON.")
    database = click.option("--posteriordb", metavar="PATH", help="A copy of posteriordb.")
    return data(database(command))
