"""Cells in, results out: preflight, density check and cells, and nothing lost to a crash."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark, Limits
from gradbench.config.planning import Cell, Key
from gradbench.errors import BudgetError, ModelError
from gradbench.measure import check_sampler, density_check, machine, preflight, statuses, workers
from gradbench.measure.check_model import Examination
from gradbench.measure.check_sampler import Line
from gradbench.measure.density_check import DensityCheck, Probe
from gradbench.measure.preflight import MustSuit, first_of_each
from gradbench.measure.result import CellResult, Measured
from gradbench.measure.slowdown import Planted
from gradbench.measure.workers import Observer, Stopped, Workers
from gradbench.models import Source
from gradbench.records import from_plain


class Runner:
    """Runs a benchmark's cells, one model after another, its samplers' replicates in turn.

    A worker stays warm for its model and sampler, so that compilation is paid once in each call of
    ``run``; where all of them together take too much memory, those used least recently are closed.

    Args:
        benchmark: threads, limits and gates.
        observer: is told what is under way.
        python: the interpreter of the workers.
        planted: makes a model more expensive to a sampler on purpose, by their labels.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        observer: Observer,
        *,
        python: str = sys.executable,
        planted: Mapping[Key, Planted] = MappingProxyType({}),
    ) -> None:
        self._benchmark = benchmark
        self._observer = observer
        self._python = python
        self._workers = Workers(
            benchmark.threads, benchmark.limits, observer, python=python, planted=planted
        )
        self._checked: dict[Key, Stopped | None] = {}
        self._targets: dict[str, tuple[list[list[float]], Probe]] = {}  # by a model's label
        self._unsuited: dict[Key, Stopped] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()

    def preflight(self, cells: Sequence[Cell], *, must_suit: MustSuit = "any") -> None:
        """Build every model once and ask every sampler whether it can run on it.

        A sampler that can't has the status ``unsuited`` on that model. A worker that dies or passes
        a limit here is no mistake of the user's: it becomes the status of its cells later on.

        Args:
            cells: those that will be run.
            must_suit: how many of the samplers must suit their model, or nothing is run.

        Raises:
            ModelError: a model file raises, or returns something that can't be sampled.
            SamplerError: a sampler isn't installed, or too few suit their model.
        """
        if cells:
            models = self._benchmark.models
            may_fail = {c.model for c in cells if models[planning.split(c.model)[0]].may_fail}
            self._unsuited |= preflight.unsuited(
                self._workers, cells, self._observer, may_fail=may_fail
            )
            preflight.require_suited(cells, self._unsuited, must_suit)

    @property
    def until(self) -> float:
        """When whatever runs is ended, on the monotonic clock; never, unless it is set."""
        return self._workers.until

    @until.setter
    def until(self, until: float) -> None:
        self._workers.until = until

    def machine(self) -> dict[str, Any]:
        """Return what the workers run on, with the versions of their interpreter's packages."""
        if self._python == sys.executable:
            return machine.describe()
        described: dict[str, Any] = self._workers.ask("machine")
        return described

    def shapes(self, cell: Cell) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of a cell's model, deterministics too, by name.

        Raises:
            ModelError: the model can't be built or compiled.
        """
        try:
            found = self._workers.ask("shapes", cell=cell.to_json())
        except Stopped as stopped:
            raise ModelError(f"models.{cell.model}: {stopped.said}") from stopped
        return {name: tuple(shape) for name, shape in found.items()}

    def longer(self, cells: Sequence[Cell], share: float) -> dict[Key, Planted]:
        """Return the work to plant so that each cell's evaluations take longer by this share.

        Raises:
            ModelError: that can't be measured.
        """
        planted = {}
        for label, group in groupby(cells, key=lambda cell: cell.model):
            suited = [cell for cell in group if cell.key not in self._unsuited]
            for sampler, cell in first_of_each(suited).items():
                try:
                    work = self._workers.ask("calibrate", cell=cell.to_json(), share=share)
                except Stopped as stopped:
                    raise ModelError(f"{sampler} on {label}: {stopped.said}") from stopped
                planted[cell.key] = Planted(work=work)
        return planted

    def suits(self, cell: Cell) -> bool:
        """Return whether a cell's sampler can run on its model, as far as a preflight told."""
        return cell.key not in self._unsuited

    def given_up(self, cell: Cell) -> CellResult | None:
        """Return the result of a cell that a preflight found not to run, None of others."""
        stopped = self._unsuited.get(cell.key)
        return None if stopped is None else stopped.of(cell)

    def promises(self, cell: Cell) -> list[Line]:
        """Return what becomes of each promise of a cell's sampler, from its worker."""
        try:
            found = self._workers.warm(cell).call("promises", cell=cell.to_json())
        except Stopped as stopped:
            return [Line(check_sampler.RUNS, "failed", f"{stopped.status}: {stopped.said}")]
        return [from_plain(Line, line) for line in found]

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None, *, stays_warm: bool = False
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield each model's density check, then each cell's result as it is finished.

        May be called again with more replicates: what was checked is not checked again. Workers
        that stay warm are for those of the same model; ``cool`` ends them.
        """
        for label, group in groupby(cells, key=lambda cell: cell.model):
            yield from self._run_model(label, list(group), save_to)
            if not stays_warm:
                self.cool()

    def cool(self) -> None:
        """End the workers of a model that is done."""
        self._workers.close_all()

    def _run_model(
        self, label: str, cells: list[Cell], save_to: Path | None
    ) -> Iterator[DensityCheck | CellResult]:
        given_up = {
            cell.sampler: self._unsuited[cell.key] for cell in cells if cell.key in self._unsuited
        }
        firsts = first_of_each([cell for cell in cells if cell.sampler not in given_up])
        with suppress(Stopped):
            self._workers.start(len(firsts))
        probes = {}
        for sampler, cell in firsts.items():
            try:
                self._workers.warm(cell)
            except Stopped as stopped:
                given_up[sampler] = stopped
                continue
            if cell.key not in self._checked:
                try:
                    probes[sampler] = workers.twice(partial(self._probe, cell))
                except Stopped as stopped:
                    self._checked[cell.key] = stopped
        if probes:
            yield self._judged(label, probes)
        for sampler, cell in firsts.items():
            if refusal := self._checked.get(cell.key):
                given_up[sampler] = refusal
        for cell in cells:
            if cell.sampler in given_up:
                yield given_up[cell.sampler].of(cell)
            else:
                yield self._run_cell(cell, save_to)

    def _probe(self, cell: Cell) -> Probe:
        """Return what a cell's worker finds at its model's points, and at first of the target."""
        worker = self._workers.warm(cell)
        if cell.model in self._targets:
            at, _ = self._targets[cell.model]
            return from_plain(Probe, worker.call("probe", at=at, with_target=False))
        at = worker.call("points")
        found = from_plain(Probe, worker.call("probe", at=at, with_target=True))
        self._targets[cell.model] = at, found
        return found

    def _judged(self, label: str, probes: Mapping[str, Probe]) -> DensityCheck:
        """Return whether a model's samplers agree at its points, and note who doesn't."""
        at, truth = self._targets[label]
        check = density_check.check_density(label, np.array(at), probes, truth=truth)
        for sampler in probes:
            reason = check.refused.get(sampler)
            refusal = None if reason is None else Stopped("refused", reason)
            self._checked[label, sampler] = refusal
        return check

    def _run_cell(self, cell: Cell, save_to: Path | None) -> CellResult:
        save = None if save_to is None else str(save_to / f"{cell.id}.nc")
        try:
            worker = self._workers.warm(cell)
            self._observer.sampling(cell)
            answer = worker.call("sample", cell=cell.to_json(), save=save)
        except Stopped as stopped:
            return stopped.of(cell)
        measured = Measured.from_json(answer)
        self._workers.told_compile(cell.sampler)
        status, reason = statuses.status_of(measured, self._benchmark.gates)
        return CellResult(cell, status, reason, measured)


def examine(
    source: Source,
    params: Mapping[str, Any],
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Examination:
    """Return what there is to say of a model, from a worker of one thread.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
        BudgetError: its evaluations take longer than the limit.
    """
    with closing(workers.lone(limits)) as worker:
        try:
            found = worker.call("examine", source=source.to_json(), params=dict(params))
        except Stopped as stopped:
            if stopped.status == "timeout":
                raise BudgetError(
                    f"{source.path}: looking at it took all the time that was given: {stopped.said}"
                ) from stopped
            raise ModelError(stopped.said) from stopped
    return Examination.from_json(found)
