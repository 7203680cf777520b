"""From a plan to a results folder: every finished cell is on disk before the next one starts."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gradbench import export, grid, machine, models, report, store
from gradbench.config import Benchmark
from gradbench.density import DensityCheck
from gradbench.errors import StoreError
from gradbench.models import Source
from gradbench.report import Summary
from gradbench.result import CellResult, Status
from gradbench.runner import Observer, Runner
from gradbench.store import RunFolder


class Display(Observer, Protocol):
    """An observer that also counts cells."""

    def planned(self, n: int) -> None:
        """So many more cells will be run."""

    def finished(self, n: int = 1) -> None:
        """So many more cells are done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the results are, what they say, and whether the run was interrupted."""

    folder: Path
    found: Sequence[Summary]
    is_interrupted: bool


def start(
    benchmark: Benchmark, base: Path, root: Path, display: Display, *, save_draws: bool
) -> Outcome:
    """Run a benchmark into a new folder below ``root``; ``base`` is where its paths start.

    Raises:
        ModelError, SamplerError: the plan can't be run; nothing was written.
        SaveError: a result can't be written; those before it are kept.
    """
    models_at = sources(benchmark, base)
    cells = grid.cells(benchmark)
    display.planned(len(cells))
    with Runner(benchmark, models_at, display) as runner:
        runner.preflight(cells)
        about = {"machine": machine.describe(), "models": fingerprints(models_at)}
        folder = store.create(root, benchmark, about)
        with store.locked(folder):
            return _run(runner, cells, folder, display, save_draws=save_draws)


def resume(
    path: Path, display: Display, *, save_draws: bool, retry: Set[Status] = frozenset()
) -> Outcome:
    """Run what is missing in a run's folder, and again the cells of these statuses.

    What a cell that is run again had is kept until its new result is there.

    Raises:
        StoreError: it is no run's folder, another process writes there, or a model has changed.
        ModelError, SamplerError, SaveError: as in ``start``.
    """
    stored = store.read(path)
    benchmark = stored.benchmark
    models_at = sources(benchmark, path)
    for label, fingerprint in fingerprints(models_at).items():
        if stored.models.get(label) != fingerprint:
            raise StoreError(
                f"{path}: {models_at[label].path} has changed since this run began;"
                " restore the model, or start a new run"
            )
    done = {result.cell.id for result in stored.results if result.status not in retry}
    todo = [cell for cell in grid.cells(benchmark) if cell.id not in done]
    folder = RunFolder(path)
    display.planned(len(todo) + len(done))
    display.finished(len(done))
    with store.locked(folder), Runner(benchmark, models_at, display) as runner:
        runner.preflight(todo, must_suit="none")
        return _run(runner, todo, folder, display, save_draws=save_draws)


def _run(
    runner: Runner,
    cells: Sequence[grid.Cell],
    folder: RunFolder,
    display: Display,
    *,
    save_draws: bool,
) -> Outcome:
    is_interrupted = False
    try:
        for found in runner.run(cells, folder.draws if save_draws else None):
            keep(found, folder, display)
    except KeyboardInterrupt:
        is_interrupted = True
    return Outcome(folder.path, tabulate(folder), is_interrupted)


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


def tabulate(folder: RunFolder) -> list[Summary]:
    """Write a folder's ``results.csv`` and ``parameters.csv``, and return the former's rows."""
    stored = store.read(folder.path)
    summaries = report.summaries(stored.results, stored.checks, gates=stored.benchmark.gates)
    store.write(folder.path / "results.csv", export.to_csv(summaries))
    parameters = report.parameter_rows(stored.results)
    store.write(folder.path / "parameters.csv", export.to_csv(parameters))
    return summaries


def sources(benchmark: Benchmark, base: Path) -> dict[str, Source]:
    """Return where each model is, by its label with the sweep's point."""
    return {
        label + suffix: entry.source(base)
        for label, entry in benchmark.models.items()
        for suffix, _ in grid.points(entry.sweep)
    }


def fingerprints(models_at: Mapping[str, Source]) -> dict[str, str]:
    """Return the fingerprint of each model's files."""
    return {label: models.fingerprint(source) for label, source in models_at.items()}
