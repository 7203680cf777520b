"""Flags that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from gradbench.config.benchmark import Limits
from gradbench.errors import ConfigError
from gradbench.results.times import GOAL

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


parquet_option = click.option(
    "--parquet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the columns of results.csv there as Parquet.",
)


def ess_option(command: Command) -> Command:
    """Add the flag of how many effective draws the time is told to."""
    return click.option(
        "--ess",
        type=click.IntRange(min=1),
        default=GOAL,
        show_default=True,
        metavar="N",
        help="Tell the time to N effective draws of the worst parameter.",
    )(command)


def limits_of(flag: str, time: str) -> Limits:
    """Return limits with the time that a flag gives.

    Raises:
        ConfigError: it isn't written as 90s or 10min.
    """
    try:
        return Limits.model_validate({"timeout": time})
    except ValidationError as error:
        raise ConfigError(f"{flag} {time}: must be a time such as 90s or 10min") from error
