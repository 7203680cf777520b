"""``gradbench baseline``."""

from pathlib import Path

import click

from gradbench.gate import baseline
from gradbench.results import store
from gradbench.show import comparison as table


@click.group("baseline")
def command() -> None:
    """Save runs as baselines in results/baselines/, which later ones are compared with."""


@command.command("save")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("name")
@click.option("--replace", is_flag=True, help="Overwrite a baseline of this name.")
def save(run: Path, name: str, replace: bool) -> None:
    """Keep RUN, a run's folder, as the baseline NAME."""
    table.baseline(baseline.save(store.outline(run), name, replace=replace))


@command.command("list")
def list_() -> None:
    """List the baselines."""
    table.baselines([baseline.load(name) for name in baseline.names()])


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show what the baseline NAME can gate, and how small a loss it catches."""
    table.baseline(baseline.load(name))
