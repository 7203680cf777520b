"""``gradbench check-model``."""

from collections.abc import Sequence
from pathlib import Path

import click

from gradbench.cli.flags import source_options
from gradbench.config import loading
from gradbench.measure import runner
from gradbench.show import examination as shown


@click.command("check-model")
@click.argument("use", metavar="MODEL")
@source_options
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Set a parameter.")
def command(use: str, data: str | None, posteriordb: str | None, params: Sequence[str]) -> int:
    """Check MODEL: a shipped name, ./my_model.py, ./model.stan or posteriordb:NAME.

    Prints its parameters, holds its gradient against finite differences, times one evaluation,
    and says which samplers suit it. Exit code 1 if a check fails or none suits it.
    """
    entry = loading.model(use, data=data, posteriordb=posteriordb, params=params)
    found = runner.examine(entry.source(Path()), entry.params)
    shown.examination(use, found)
    return int(not found.is_passed)
