"""``gradbench history``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gradbench.cli import INTERRUPTED
from gradbench.cli.verdict import config_options
from gradbench.config.benchmark import Benchmark
from gradbench.errors import StoreError, did_you_mean
from gradbench.gate import backfill as filling
from gradbench.gate import baseline, course, history, repository
from gradbench.gate.course import Course
from gradbench.gate.history import History, Stop
from gradbench.gate.repository import Repository
from gradbench.gate.sides import Side
from gradbench.results import store
from gradbench.show import history as table
from gradbench.show.progress import Display

Command = Callable[..., Any]


@click.group("history")
def command() -> None:
    """Keep what each commit or release costs an effective sample, and see its course.

    A history is a folder of small text files, made for git. What it shows is never an exit code.
    """


def _folder(flag: str, told: str) -> Callable[[Command], Command]:
    """Return the flag of the history's folder, handed over as ``folder``."""
    return click.option(
        flag,
        "folder",
        type=click.Path(path_type=Path),
        default=history.ROOT,
        show_default=True,
        help=told,
    )


from_option = _folder("--from", "The folder of the history.")
to_option = _folder("--to", "The folder of the history; it is made where there is none.")
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
repository_option = click.option(
    "--repository",
    "tree",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    metavar="FOLDER",
    help="Whose commits they are; the current folder's by default.",
)
last_option = click.option(
    "--last", type=click.IntRange(1), metavar="N", help="The last N points only."
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
    found = store.outline(run)
    here = repository.find(Path())
    point = history.measured(found, here, commit, folder, is_dirty=dirty)
    under_test = library or ("" if here is None else here.project())
    path = history.add(found, point, folder, library=under_test, is_new=not replace)
    click.echo(path)


@command.command("list")
@from_option
@repository_option
def list_(folder: Path, tree: Path) -> None:
    """List what a history has, and the environments it was measured in."""
    table.points(history.read(folder, repository.find(tree)))


@command.command("show")
@click.argument("sampler", required=False)
@from_option
@against_option
@last_option
@repository_option
def show(
    sampler: str | None, folder: Path, against: str | None, last: int | None, tree: Path
) -> None:
    """Show the course of each model and sampler, or of one SAMPLER: costs, verdicts and steps.

    The verdicts are the gate's, of each point against the one before it. Commits stand in the order
    of first parents from HEAD; a step of the cost is marked with ▲.
    """
    found, shown = _courses(folder, tree, against, last=last, sampler=sampler)
    table.courses(shown, found, pinned=against or "")


@command.command("report")
@from_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="history.html",
    show_default=True,
    help="The page.",
)
@against_option
@last_option
@repository_option
@click.option("--title", metavar="TEXT", help="What stands above the page.")
def report(
    folder: Path,
    output: Path,
    against: str | None,
    last: int | None,
    tree: Path,
    title: str | None,
) -> None:
    """Make a page of a history, with a picture of each course; it needs no network.

    Needs the extra report.
    """
    from gradbench.report import files
    from gradbench.report.history import page

    files.require_file(output)
    found, shown = _courses(folder, tree, against, last=last)
    files.write_page(output, page(found, shown, title=title, pinned=against or ""))
    click.echo(f"report: {output}", err=True)


@command.command("backfill")
@click.argument("points", metavar="RANGE")
@config_options
@to_option
@click.option(
    "--python",
    default="",
    metavar="COMMAND",
    help="Runs a Python that has gradbench and the point, {version}, {commit}, {tree} … filled in;"
    " by default an environment is made with pip for each.",
)
@repository_option
@library_option
@click.option("--replace", is_flag=True, help="Measure again what is there.")
def backfill(
    points: str,
    benchmark: Benchmark,
    folder: Path,
    python: str,
    tree: Path,
    library: str | None,
    replace: bool,
    root: Path,
    quiet: bool,
) -> int:
    """Run CONFIG on each point of RANGE that the history doesn't have, and keep it there.

    RANGE is LIBRARY==VERSION,VERSION or LIBRARY==OLD..NEW for releases, or OLD..NEW for commits of
    a repository. Each is installed into an environment of its own. What fails is told, and the
    others go on: exit code 1.
    """
    wanted = filling.asked(points, repository.find(tree), library or "")
    found = filling.fill(
        benchmark,
        wanted,
        folder,
        root,
        python=python,
        is_new=not replace,
        show=lambda: Display(is_quiet=quiet),
        tell=lambda line: click.echo(line, err=True),
    )
    if found.is_interrupted:
        click.echo("interrupted; the same command goes on with what is missing", err=True)
        return INTERRUPTED
    return 1 if found.failed else 0


def _courses(
    folder: Path,
    tree: Path,
    against: str | None,
    *,
    last: int | None,
    sampler: str | None = None,
) -> tuple[History, list[Course]]:
    """Return a history, and what of it is shown."""
    here = repository.find(tree)
    found = history.read(folder, here)
    _require_known(sampler, found)
    pinned = None if against is None else _pinned(against, found, here)
    return found, course.courses(found, pinned=pinned, sampler=sampler, last=last)


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
