"""A sampler checked: its promises, and its moments on models where these are known exactly.

Moments are judged by what judges a run: statuses, agreement of replicates, errors against known
moments. What contradicts them is asked again of twice as many fresh replicates, so that chance
alone fails hardly any sampler; and a check that would have overlooked a wrong reference has more
replicates, or fails itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark, Gates
from gradbench.config.planning import Cell
from gradbench.measure import statuses
from gradbench.measure.check_sampler import Line
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import COSTED, CellResult, Status, counted
from gradbench.measure.runner import Runner
from gradbench.results.execute import Display
from gradbench.results.replicates import against_reference, agreement, claims
from gradbench.stats import diagnostics

# Small, so that a random walk can be checked as well, and each with another difficulty. The funnel
# is in the form that is easy to sample.
MODELS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "constrained": {"use": "constrained"},
        "correlated": {"use": "correlated_gaussian", "params": {"dim": 3, "rho": 0.8}},
        "heavy-tailed": {"use": "student_t", "params": {"dim": 3, "nu": 7.0}},
        "funnel": {"use": "funnel", "params": {"dim": 3, "centered": False}},
    }
)
LABEL = "sampler"
MAX_REPLICATES = 1000  # planned, never all run: each number has its seeds
LONGER = 4  # times as many steps, where chains are too short to be judged
ESS = 200  # of a replicate at least: eight of them tell a mean to 0.025 sd
ENOUGH = 1.25  # times the ESS that a run must have: who has so much now has it another time
SHIFT = 0.33  # sds by which the control's reference is wrong: what must not be overlooked
SHORT: frozenset[Status] = frozenset({"too_few_draws", "not_converged", "unreliable"})


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run.

    Attributes:
        n_pilot: replicates that tell whether chains are long enough.
        n_first: replicates that are judged first.
        n_most: replicates at most, where fewer would overlook a wrong reference.
        n_lengths: how many lengths are tried, each ``LONGER`` than the one before.
    """

    n_pilot: int
    n_first: int
    n_most: int
    n_lengths: int


FULL = Effort(n_pilot=2, n_first=8, n_most=32, n_lengths=4)
QUICK = Effort(n_pilot=1, n_first=4, n_most=8, n_lengths=4)


@dataclass(frozen=True, slots=True)
class Contract:
    """A sampler's contract, a line for each promise.

    Attributes:
        use: what loads the sampler.
        options: with all defaults.
        lines: in the order in which they are shown.
    """

    use: str
    options: Mapping[str, Any]
    lines: tuple[Line, ...]

    @property
    def is_passed(self) -> bool:
        """Whether no line failed."""
        return not self.failed

    @property
    def failed(self) -> dict[str, str]:
        """The reasons of the lines that failed, by their names."""
        return {line.name: line.reason for line in self.lines if line.outcome == "failed"}


def check(
    use: str,
    display: Display,
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    models: Sequence[str] = (),
    seed: int = 0,
    effort: Effort = FULL,
) -> Contract:
    """Return a sampler's contract.

    Args:
        use: a shipped name, the path of a file, or ``package:name``.
        display: is told what is under way.
        options: those that are not to have their defaults.
        models: what it is run on, as ``use:`` has it; by default four with exact moments.
        seed: all other seeds come from it.
        effort: how much is run.

    Raises:
        ConfigError: there is no such sampler, model or option.
        SamplerError, ModelError: it can't be run on the first model, or on none.
    """
    entries = {Path(model).stem: {"use": model} for model in models} or MODELS
    text = {
        "name": "check-sampler",
        "models": {label: dict(entry) for label, entry in entries.items()},
        "samplers": {LABEL: {"use": use, **options}},
        "gates": {"ess": ESS},
        "replicates": MAX_REPLICATES,
        "seed": seed,
    }
    benchmark = loading.of_values(text, name="check-sampler")
    cells = planning.cells(benchmark)
    with Runner(benchmark, display) as runner:
        display.planned(len(entries) + 1)
        firsts = [cell for cell in cells if cell.replicate == 0]
        runner.preflight(firsts, must_suit="any")
        suited = next(cell for cell in firsts if runner.suits(cell))
        lines = runner.promises(suited)
        display.finished()
        if lines[0].outcome == "passed":
            lines += _moments(runner, benchmark, cells, effort, display)
    return Contract(use, cells[0].options, tuple(lines))


def _moments(
    runner: Runner,
    benchmark: Benchmark,
    cells: Sequence[Cell],
    effort: Effort,
    display: Display,
) -> list[Line]:
    """Return a line for each model, and one for the control that would overlook nothing."""
    lines, blind = [], []
    n_judged = 0
    for label in dict.fromkeys(cell.model for cell in cells):
        replicates = Replicates(runner, [cell for cell in cells if cell.model == label])
        line, is_seen = of_model(label, replicates, benchmark.gates, effort)
        lines.append(line)
        n_judged += is_seen is not None
        blind += [label] if is_seen is False else []
        display.finished()
        runner.cool()
    if blind:
        said = f"a reference {SHIFT} sd off would have passed on {', '.join(blind)}: draw more"
        return [*lines, Line("control", "failed", said)]
    if not n_judged:
        return [*lines, Line("control", "skipped", "no moments were judged")]
    return [*lines, Line("control", "passed", f"a reference {SHIFT} sd off is found out")]


class Runs(Protocol):
    """What runs cells: a ``Runner``, or what stands in for it."""

    def run(
        self, cells: Sequence[Cell], *, stays_warm: bool = False
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield each cell's result as it is finished."""


class Replicates:
    """The replicates of a sampler on a model, run as they are asked for, at one length."""

    def __init__(self, runner: Runs, cells: Sequence[Cell], times: int = 1) -> None:
        self._runner = runner
        self._cells = cells
        self._times = times
        self._done: dict[int, CellResult] = {}

    def __getitem__(self, asked: range) -> list[CellResult]:
        todo = [self._longer(self._cells[i]) for i in asked if i not in self._done]
        for found in self._runner.run(todo, stays_warm=True):
            if isinstance(found, CellResult):
                self._done[found.cell.replicate] = found
        return [self._done[i] for i in asked]

    def times(self, factor: int) -> "Replicates":
        """Return replicates with so many times the draws, and more warm-up up to a point."""
        return Replicates(self._runner, self._cells, self._times * factor)

    def _longer(self, cell: Cell) -> Cell:
        times = {"tune": min(self._times, LONGER), "draws": self._times}
        steps = {name: cell.options[name] * factor for name, factor in times.items()}
        return replace(cell, options={**cell.options, **steps})


def of_model(
    label: str, replicates: Replicates, gates: Gates, effort: Effort
) -> tuple[Line, bool | None]:
    """Return a model's line, and whether a wrong reference would be found; None if not judged."""
    n = effort.n_first
    for _ in range(effort.n_lengths - 1):
        pilot = replicates[range(effort.n_pilot)]
        if (factor := max(_lacking(result, gates) for result in pilot)) == 1:
            break
        replicates = replicates.times(factor)
    pilot = replicates[range(effort.n_pilot)]
    if (line := _given_up(label, pilot)) is not None:
        return line, None
    first = replicates[range(n)]
    if (said := _contradiction(first, gates)) is not None:
        again = _contradiction(replicates[range(n, 3 * n)], gates)
        if again is not None:
            return Line(label, "failed", again), None
        return Line(label, "passed", f"{2 * n} replicates; {n} others by chance: {said}"), None
    if _has_no_reference(first):
        return Line(label, "passed", f"{n} replicates agree; no reference"), None
    for more in count(2):
        if (is_seen := _is_wrong_one_seen(first)) or more * effort.n_first > effort.n_most:
            break
        first = replicates[range(more * effort.n_first)]
    said = _contradiction(first, gates)
    if said is not None:
        return Line(label, "failed", said), None
    return Line(label, "passed", f"means and squares by chance, {len(first)} replicates"), is_seen


def _lacking(result: CellResult, gates: Gates) -> int:
    """Return how many times as long a run must be to be judged, or at least may be tried."""
    if result.measured is None or result.status not in {"ok", *SHORT}:
        return 1
    (measured,) = counted([result.measured])
    if result.status == "not_converged" or measured.is_ensemble:
        return 1 if result.status == "ok" else LONGER
    found = measured.diagnostics
    ess = float(np.fmin.reduce([*found.ess_bulk, *found.ess_square]))
    return int(np.clip(np.ceil(ENOUGH * gates.ess / ess), 1, LONGER**2))


def _given_up(label: str, pilot: Sequence[CellResult]) -> Line | None:
    """Return the line of a model on which runs can't be judged, or None."""
    worst = next((result for result in pilot if result.status not in COSTED), None)
    if worst is None:
        return None
    said = f"{worst.status}: {worst.reason}" if worst.reason else worst.status
    if worst.status == "approximate":
        return Line(label, "skipped", "an approximation: its moments are near, no more")
    return Line(label, "skipped" if worst.status == "unsuited" else "failed", said)


def _contradiction(group: Sequence[CellResult], gates: Gates) -> str | None:
    """Return what contradicts replicates, as in a run's table, or None."""
    known = statuses.existing(group)
    for shared in (agreement(known, gates), against_reference(known)):
        if shared.status is not None and shared.status not in COSTED:
            return f"{shared.status}: {shared.reason}"
    broken = [r for r in group if r.status not in {*COSTED, "too_few_draws"}]
    if 2 * len(broken) >= len(group):
        return f"{broken[0].status}: {broken[0].reason}"
    return None


def _has_no_reference(group: Sequence[CellResult]) -> bool:
    return not any(True for _ in claims(counted(statuses.believed(group))))


def _is_wrong_one_seen(group: Sequence[CellResult]) -> bool:
    """Return whether each parameter's reference, moved by ``SHIFT`` sds, would be called wrong."""
    for claim in claims(counted(statuses.believed(statuses.existing(group)))):
        for shift in (-SHIFT, SHIFT):
            off = diagnostics.bounded(claim.error + shift, claim.spread, claim.heaviness)
            if not np.all(diagnostics.is_biased(off, claim.ess, reference_se=claim.error_se)):
                return False
    return True
