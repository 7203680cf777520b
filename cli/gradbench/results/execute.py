"""From a plan to a results folder: every finished cell is on disk before the next one starts."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell
from gradbench.errors import LostError, ModelError, StoreError
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.preflight import MustSuit
from gradbench.measure.result import CellResult, Status
from gradbench.measure.runner import Runner
from gradbench.measure.workers import Observer
from gradbench.models import Source
from gradbench.results import store, tables
from gradbench.results.store import RunFolder
from gradbench.results.summary import Summary
from gradbench.results.times import GOAL


class Display(Observer, Protocol):
    """An observer that also counts cells."""

    def planned(self, n: int) -> None:
        """So many more cells will be run."""

    def finished(self, n: int = 1) -> None:
        """So many more cells are done."""

    def doing(self, words: str) -> None:
        """This is under way."""


class Runs(Protocol):
    """What runs cells: ``measure.runner.Runner`` here, or one that has them run elsewhere."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def preflight(self, cells: Sequence[Cell], *, must_suit: MustSuit = "any") -> None:
        """Raise where these cells can't be run."""

    def machine(self) -> dict[str, Any]:
        """Return what the run's machine is."""

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield density checks and results as they are there."""


Make = Callable[[Benchmark, Display], Runs]


class Silent:
    """A display that shows nothing."""

    def planned(self, n: int) -> None:
        """Show nothing."""

    def finished(self, n: int = 1) -> None:
        """Show nothing."""

    def compiling(self, model: str, sampler: str) -> None:
        """Show nothing."""

    def sampling(self, cell: Cell) -> None:
        """Show nothing."""

    def doing(self, words: str) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the results are, what they say, and whether the run was interrupted.

    ``lost`` says what interrupted it, if nobody did.
    """

    folder: Path
    found: Sequence[Summary]
    is_interrupted: bool
    lost: str = ""


def start(
    benchmark: Benchmark,
    root: Path,
    display: Display,
    *,
    save_draws: bool = False,
    ess_goal: int = GOAL,
    make: Make = Runner,
) -> Outcome:
    """Run a benchmark into a new folder below ``root``, by a runner that ``make`` makes.

    Raises:
        ModelError, SamplerError, ClusterError: the plan can't be run; nothing was written.
        SaveError: a result can't be written; those before it are kept.
    """
    cells = planning.cells(benchmark)
    display.planned(len(cells))
    with make(benchmark, display) as runner:
        runner.preflight(cells)
        about = {"machine": runner.machine(), "models": fingerprints(cells)}
        folder = store.create(root, benchmark, about)
        with store.locked(folder):
            return _run(runner, cells, folder, display, save_draws=save_draws, ess_goal=ess_goal)


def resume(
    path: Path,
    display: Display,
    *,
    save_draws: bool,
    retry: Set[Status] = frozenset(),
    ess_goal: int = GOAL,
    make: Make = Runner,
) -> Outcome:
    """Run what is missing in a run's folder, and again the cells of these statuses.

    What a cell that is run again had is kept until its new result is there. Of a run that is
    finished neither samplers nor models are asked for.

    Raises:
        StoreError: it is no run's folder or a race's, another process writes there, or a model has
            changed.
        ModelError, SamplerError, ClusterError, SaveError: as in ``start``.
    """
    run = store.outline(path)
    if run.is_race:
        raise StoreError(
            f"{path}: a race is not resumed, as time decides who runs; run gradbench choose again"
        )
    benchmark = run.benchmark
    kept = set(run.ids)
    if retry:
        kept -= {s.place for s in tables.summaries(run) if s.status in retry}
    is_finished = len(kept) == planning.size(benchmark)
    for label, source in _sources(benchmark, are_needed=not is_finished):
        if run.sources.get(label) != source.digest:
            raise StoreError(
                f"{path}: {source.path} has changed since this run began;"
                " restore the model, or start a new run"
            )
    cells = [] if is_finished else planning.cells(benchmark)
    todo = [cell for cell in cells if cell.place not in kept]
    folder = RunFolder(path, run.ids)
    display.planned(len(todo) + len(kept))
    display.finished(len(kept))
    with store.locked(folder), make(benchmark, display) as runner:
        runner.preflight(todo, must_suit="none")
        return _run(runner, todo, folder, display, save_draws=save_draws, ess_goal=ess_goal)


def _sources(benchmark: Benchmark, *, are_needed: bool) -> Iterator[tuple[str, Source]]:
    """Yield each model's files as they are now, by label; those that are gone only if needed."""
    for label, entry in benchmark.models.items():
        try:
            source = entry.pinned()
        except ModelError:
            if are_needed:
                raise
            continue
        for suffix, _ in planning.points(entry.sweep):
            yield label + suffix, source


def _run(
    runner: Runs,
    cells: Sequence[Cell],
    folder: RunFolder,
    display: Display,
    *,
    save_draws: bool,
    ess_goal: int,
) -> Outcome:
    is_interrupted, lost = False, ""
    try:
        for found in runner.run(cells, folder.draws if save_draws else None):
            keep(found, folder, display)
    except KeyboardInterrupt:
        is_interrupted = True
    except LostError as error:
        is_interrupted, lost = True, str(error)
    return Outcome(folder.path, tabulate(folder, ess_goal), is_interrupted, lost)


def keep(found: DensityCheck | CellResult, folder: RunFolder, display: Display) -> None:
    """Write what was just found.

    Raises:
        SaveError: it can't be written; what was there before is untouched.
    """
    if isinstance(found, DensityCheck):
        folder.add_check(found)
    else:
        folder.add(found)
        display.finished()


def tabulate(folder: RunFolder, ess_goal: int = GOAL) -> list[Summary]:
    """Write a folder's ``results.csv`` and ``parameters.csv``, and return the former's rows.

    Raises:
        SaveError: one can't be written.
    """
    return tables.write(store.outline(folder.path), ess_goal)


def fingerprints(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the fingerprint of each model's files, by label."""
    return {cell.model: cell.source.digest for cell in cells if cell.source is not None}
