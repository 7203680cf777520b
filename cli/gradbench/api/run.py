"""Runs from Python: start one, load one, and have its numbers as frames, text or draws."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradbench import compat
from gradbench.api.frames import frame
from gradbench.api.model_files import with_paths
from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark
from gradbench.errors import StoreError, did_you_mean
from gradbench.measure.result import CellResult
from gradbench.results import execute, store
from gradbench.results.curves import Point, curves, points
from gradbench.results.parameters import ParameterRow, parameter_rows
from gradbench.results.rows import Row, rows
from gradbench.results.store import Stored
from gradbench.results.summarize import of_stored
from gradbench.results.summary import Summary
from gradbench.results.times import GOAL
from gradbench.show import html
from gradbench.show.console import PIPE_WIDTH, text
from gradbench.show.progress import display
from gradbench.show.results import results as show_results

if TYPE_CHECKING:
    import pandas as pd

Config = str | os.PathLike[str] | Mapping[str, Any]
"""A config's path, the name of a shipped one, or its keys and values."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Run:
    """A run's results as they are in its folder, finished or not.

    In a notebook it shows its table. Times are in the unit that a column's name ends in; what is
    NaN or None has no number, and the ``status`` and ``reason`` beside it say why.

    Example:
        >>> run = gb.load("results/gaussian50/2026-11-21T10-13-45Z")
        >>> run.to_frame()[["sampler", "ms_per_ess", "ms_per_ess_low", "ms_per_ess_high"]]

    Attributes:
        path: its folder.
    """

    path: Path
    _stored: Stored = field(hash=False)
    _found: list[Summary] = field(hash=False)

    @property
    def n_finished(self) -> int:
        """How many of its cells are done: one cell is one replicate of a sampler on a model."""
        return len(self._stored.results)

    @property
    def n_planned(self) -> int:
        """How many cells it has, finished or not."""
        return planning.size(self._stored.benchmark)

    @property
    def is_finished(self) -> bool:
        """Whether all cells are done; of those that are not ``resume`` runs each."""
        return self.n_finished == self.n_planned

    def to_frame(self) -> "pd.DataFrame":
        """Return the table: one row for each model and sampler, intervals as ``_low``, ``_high``.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Row, rows(self._found))

    def cells(self) -> "pd.DataFrame":
        """Return one row for each finished cell, the columns those of ``results.csv``.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Summary, self._found)

    def parameters(self) -> "pd.DataFrame":
        """Return one row for each finished cell and parameter, as in ``parameters.csv``.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(ParameterRow, parameter_rows(self._stored.results))

    def curves(self) -> "pd.DataFrame":
        """Return the error against the cost: one row for each point of each sampler's curve.

        ``b2`` is the squared error of the worst parameter in units of one independent draw's,
        ``mean_b2`` its mean over parameters; ``_low`` and ``_high`` are 10 % and 90 % of the
        replicates. Empty where there are neither known moments nor samplers that agree.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Point, points(curves(self._stored.results, self._found)))

    def draws(self, model: str, sampler: str, replicate: int = 0) -> Any:
        """Return a cell's draws as the installed ArviZ has them: InferenceData or DataTree.

        Only a run with ``save_draws=True`` has them.

        Example:
            >>> az.summary(run.draws("normal", "nuts", 0))

        Raises:
            StoreError: there is no such cell, or no draws of it.
        """
        result = self._result(model, sampler, replicate)
        path = self.path / "draws" / f"{result.cell.id}.nc"
        if result.measured is None:
            raise StoreError(f"{self.path}: no draws: {result.status}: {result.reason}")
        if not path.is_file():
            raise StoreError(
                f"{self.path}: its draws were not saved; gradbench.run(..., save_draws=True)"
                " and gradbench run --save-draws do that"
            )
        try:
            return compat.load_draws(path)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: can't be read as netCDF: {error}") from error

    def table(self, *, width: int = PIPE_WIDTH) -> str:
        """Return what ``gradbench show`` prints, in so many columns of text."""
        shown = text(
            lambda to: show_results(self._found, published=self._stored.benchmark.published, to=to),
            width=width,
        )
        return "\n\n".join(part for part in (shown.strip("\n"), *self._notes()) if part)

    def resume(self, *, save_draws: bool = False, progress: bool = True) -> "Run":
        """Run what is missing, and return the whole.

        Raises:
            GradbenchError: as in ``gradbench.run``, or because a model has changed since.
        """
        with display(is_quiet=not progress) as shown:
            outcome = execute.resume(self.path, shown, save_draws=save_draws)
        return load(outcome.folder)

    def __repr__(self) -> str:
        unfinished = "" if self.is_finished else ", unfinished"
        return f"<Run {self.path}: {self.n_finished} of {self.n_planned} cells{unfinished}>"

    def _repr_html_(self) -> str:
        return html.results(
            self._found, published=self._stored.benchmark.published, notes=self._notes()
        )

    def _notes(self) -> list[str]:
        if self.is_finished:
            return []
        return [
            f"unfinished: {self.n_finished} of {self.n_planned} cells are done;"
            " run.resume() runs the others"
        ]

    def _result(self, model: str, sampler: str, replicate: int) -> CellResult:
        place = (model, sampler, replicate)
        for result in self._stored.results:
            if result.cell.place == place:
                return result
        models, samplers = planning.places(self._stored.benchmark)
        for kind, label, known in (("model", model, models), ("sampler", sampler, samplers)):
            if label not in known:
                raise StoreError(
                    f"{self.path}: no {kind} {label!r}{did_you_mean(label, list(known))}"
                    f" (there are: {', '.join(known)})"
                )
        n = self._stored.benchmark.replicates
        is_planned = 0 <= replicate < n
        raise StoreError(
            f"{self.path}: replicate {replicate} of {sampler} on {model} "
            + ("is not finished" if is_planned else f"does not exist (there are: 0 to {n - 1})")
        )


def run(
    config: Config,
    overrides: Mapping[str, Any] | None = None,
    *,
    only: str | Iterable[str] = (),
    results: str | os.PathLike[str] = "results",
    save_draws: bool = False,
    skip_missing: bool = False,
    progress: bool = True,
    ess: int = GOAL,
    **keys: Any,
) -> Run:
    """Run a benchmark, as ``gradbench run`` does, and return its results.

    They are in a new folder ``results/NAME/TIME/``, each from the moment it is there. Ctrl-C (in a
    notebook, its stop button) ends the run early and keeps what was finished.

    Example:
        >>> import gradbench as gb
        >>> gb.run("gaussian50", replicates=2, only="nuts")
        >>> gb.run("gaussian50", {"samplers.nuts.draws": 500, "models.gauss.params.dim": 10})
        >>> gb.run({
        ...     "name": "mine",
        ...     "models": {"mine": {"use": "./my_model.py"}},
        ...     "samplers": {"nuts": {"use": "pymc_nuts", "tune": 500, "draws": 1000}},
        ... })

    Args:
        config: a config's path, the name of a shipped one, or its keys and values. Paths in a
            config's file start at its folder, others in the current one. A model's ``use`` may be
            the function ``model`` of an imported file.
        overrides: keys of the config, written as ``path.to.key``, and what replaces their values.
        only: labels of models and samplers; the others are left out.
        results: where the run's folder is made.
        save_draws: whether to keep every cell's draws.
        skip_missing: whether to leave out samplers that aren't installed.
        progress: whether to show on stderr what is under way.
        ess: how many effective draws of the worst parameter the time is told to.
        **keys: overrides of the config's top level, as ``replicates=2``; they come before those of
            ``overrides``.

    Raises:
        ConfigError: the config can't be used as it is.
        ModelError, SamplerError: a model or a sampler can't be run; nothing was written.
        SaveError: a result can't be written; those before it are kept.
    """
    benchmark = loading.only(
        _benchmark(config, with_paths({**keys, **(overrides or {})})),
        [only] if isinstance(only, str) else [*only],
    )
    if skip_missing:
        benchmark, remedies = loading.installed(benchmark)
        for label, remedy in remedies.items():
            _say(f"left out, not installed: {label}: {remedy}")
    with display(is_quiet=not progress) as shown:
        outcome = execute.start(
            benchmark, Path(results), shown, save_draws=save_draws, ess_goal=ess
        )
    done = load(outcome.folder, ess=ess)
    if outcome.is_interrupted:
        _say(f"interrupted; {done.n_finished} of {done.n_planned} cells are kept")
    return done


def load(path: str | os.PathLike[str], *, ess: int = GOAL) -> Run:
    """Return the run of a folder, finished or not, with the times to so many effective draws.

    Example:
        >>> gb.load("results/gaussian50/2026-11-21T10-13-45Z")

    Raises:
        StoreError: it is no run's folder, or a file in it is damaged.
    """
    stored = store.read(Path(path))
    return Run(Path(path), stored, of_stored(stored, ess))


def _benchmark(config: Config, overrides: Mapping[str, Any]) -> Benchmark:
    if isinstance(config, Mapping):
        return loading.of_values(with_paths(config), overrides)
    return loading.load(os.fspath(config), overrides)


def _say(words: str) -> None:
    print(words, file=sys.stderr)
