"""``gradbench history``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gradbench.errors import StoreError, did_you_mean
from gradbench.gate import baseline, course, history, repository
from gradbench.gate.history import History, Stop
from gradbench.gate.repository import Repository
from gradbench.gate.sides import Side
from gradbench.results import store
from gradbench.show import history as table

Command = Callable[..., Any]


@click.group("history")
def command() -> None:
    """Keep what each commit or release costs an effective sample, and see its course.

    A history is a folder of small text files, made for git. What it shows is never an exit code.
    """


folder_option = click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    default=history.ROOT,
    show_default=True,
    help="The folder of the history.",
)
to_option = click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    default=history.ROOT,
    show_default=True,
    help="The folder of the history; it is made where there is none.",
)
library_option = click.option(
    "--library",
    metavar="NAME",
    help="What is under test: its version doesn't count as environment; the project's by default.",
)
against_option = click.option(
    "--against",
    metavar="COMMIT|TAG|RELEASE",
    help="Hold every point against this one, too; or against a baseline:NAME.",
)


@command.command("add")
@click.argument("run", metavar="RESULTS", type=click.Path(path_type=Path))
@to_option
@click.option("--commit", metavar="SHA", help="What was measured; HEAD by default.")
@click.option("--dirty", is_flag=True, help="Accept a tree that is not as committed, and mark it.")
@library_option
@click.option("--replace", is_flag=True, help="Overwrite what there is of this commit here.")
def add(
    run: Path,
    folder: Path,
    commit: str | None,
    dirty: bool,
    library: str | None,
    replace: bool,
) -> None:
    """Keep RESULTS, a run's folder, as what the current commit costs.

    The file has what a baseline has; its environment is the run's processor, system, Python and
    versions. It is printed.
    """
    stored = store.read(run)
    here = repository.find(Path())
    point = history.measured(stored, here, commit, folder, is_dirty=dirty)
    under_test = library or ("" if here is None else here.project())
    path = history.add(stored, point, folder, library=under_test, is_new=not replace)
    click.echo(path)


@command.command("list")
@folder_option
def list_(folder: Path) -> None:
    """List what a history has, and the environments it was measured in."""
    table.points(history.read(folder, repository.find(Path())))


@command.command("show")
@click.argument("sampler", required=False)
@folder_option
@against_option
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N points only.")
def show(sampler: str | None, folder: Path, against: str | None, last: int | None) -> None:
    """Show the course of each model and sampler, or of one SAMPLER: costs, verdicts and steps.

    The verdicts are the gate's, of each point against the one before it. Commits stand in the order
    of first parents from HEAD; a step of the cost is marked with ▲.
    """
    here = repository.find(Path())
    found = history.read(folder, here)
    _require_known(sampler, found)
    pinned = None if against is None else _pinned(against, found, here)
    shown = course.courses(found, pinned=pinned, sampler=sampler, last=last)
    table.courses(shown, found, pinned=against or "")


def _require_known(sampler: str | None, found: History) -> None:
    known = course.samplers(found)
    if sampler is not None and sampler not in known:
        raise StoreError(
            f"{sampler}: no such sampler in {found.folder}{did_you_mean(sampler, known)}"
            f" (there are: {', '.join(known)})"
        )


def _pinned(name: str, found: History, here: Repository | None) -> Stop | Side:
    """Return what every point is held against.

    Raises:
        StoreError: there is nothing of this name.
    """
    if name.startswith(baseline.PREFIX):
        return baseline.side(name)
    return found.find(name, here)
