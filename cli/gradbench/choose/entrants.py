"""Who takes part: each sampler's cells, a round each, and what its runs say so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gradbench import samplers
from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark, Limits, ModelEntry
from gradbench.config.patterns import label_of
from gradbench.config.planning import Cell
from gradbench.measure.check_model import Examination
from gradbench.measure.result import COSTED, CellResult, Measured, counted
from gradbench.results.parameters import smallest_ess
from gradbench.results.times import Line
from gradbench.sampler import Options
from gradbench.timing import Timing

ROUNDS = 6  # each of LONGER times the draws of the one before
LONGER = 4
# Draws of the first round, of each chain or walker: as many as warm-up has steps by default. Of
# fewer the worst R-hat of many parameters is above its gate by chance, and warm-up is paid again.
FIRST = 1000
N_CONFIRMING = 3  # fresh replicates of the winner

# Log sds of a single run's seconds per effective draw. ESS.md's runs of one cell vary by 0.04 in
# evaluations and by 0.23 in time on a machine that others use too.
TIME_NOISE = 0.2
# An autocorrelation time is estimated with the variance 2 (2 M + 1) / T, where the window M is five
# of them (Sokal 1997, section 3): of T / (2 tau) effective draws that is 10 / ESS.
ESS_NOISE = 10.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The seconds to n effective draws, from one run.

    Attributes:
        line: what is expected.
        sd: of the log of its seconds per effective draw.
        ess: the run's own, of its worst parameter.
    """

    line: Line
    sd: float
    ess: float

    def seconds(self, n: float, z: float = 0.0) -> float:
        """Return the seconds to n effective draws, or a bound z standard deviations off."""
        slope = self.line.s_per_draw * math.exp(z * self.sd)
        return Line(self.line.fixed_s, slope).seconds(n)

    def log_sd(self, n: float) -> float:
        """Return the sd of the log of the seconds to n effective draws."""
        return self.sd * n * self.line.s_per_draw / self.line.seconds(n)


@dataclass(slots=True)
class Entrant:
    """A sampler in the race.

    Attributes:
        sampler: its label, which its warm worker has.
        cells: planned, the first replicate of each round.
        fresh: planned, the other replicates of each round.
        results: of the rounds it ran.
        ended: why it is in no further round; empty while it is in.
        ended_in: the round, from 1.
    """

    sampler: str
    cells: Sequence[Cell]
    fresh: Sequence[Sequence[Cell]]
    results: list[CellResult] = field(default_factory=list)
    ended: str = ""
    ended_in: int = 0

    @property
    def is_in(self) -> bool:
        """Whether it takes part in the next round."""
        return not self.ended and len(self.results) < len(self.cells)

    @property
    def next_cell(self) -> Cell:
        """The next round's."""
        return self.cells[len(self.results)]

    @property
    def longest(self) -> CellResult | None:
        """The longest run that was finished, or what the first one came to; None before that."""
        finished = [result for result in self.results if result.measured is not None]
        return next(reversed(finished or self.results), None)

    @property
    def length(self) -> int:
        """The round of the longest run, from 0."""
        return max(0, sum(result.measured is not None for result in self.results) - 1)

    @property
    def timings(self) -> list[Timing]:
        """Of the runs that were finished."""
        return [result.measured.timing for result in self.results if result.measured is not None]

    @property
    def next_s(self) -> float:
        """The seconds that the next round is expected to take; 0 before the first one."""
        if not (timings := self.timings):
            return 0.0
        return timings[-1].warmup.wall_s + LONGER * timings[-1].sampling.wall_s

    @property
    def prediction(self) -> Prediction | None:
        """What its longest run foretells; None where that run is not to be believed."""
        if self.longest is None or self.longest.status not in COSTED:
            return None
        return predicted(self.longest.measured, self.compile_s)

    @property
    def compile_s(self) -> float:
        """What it took to compile, once."""
        return max((timing.compile.wall_s for timing in self.timings), default=0.0)

    @property
    def fixed_s(self) -> float:
        """What it takes before the first kept draw: compile and warm-up."""
        return self.compile_s + (self.timings[-1].warmup.wall_s if self.timings else 0.0)

    @property
    def spent_s(self) -> float:
        """What all of its runs took, and compiling."""
        phases = ((timing.warmup + timing.sampling).wall_s for timing in self.timings)
        return self.compile_s + sum(phases)

    def as_planned(self, found: CellResult, cell: Cell) -> CellResult:
        """Return a result under its planned cell, with the compile time of the first of all.

        A warm worker compiles once, for all lengths: each is told what it would have paid alone.
        """
        if found.measured is None or not (timings := self.timings):
            return replace(found, cell=cell)
        timing = replace(found.measured.timing, compile=timings[0].compile)
        return replace(found, cell=cell, measured=replace(found.measured, timing=timing))

    def end(self, why: str) -> None:
        """Let it take no further part."""
        self.ended, self.ended_in = why, len(self.results)


def predicted(measured: Measured | None, compile_s: float) -> Prediction | None:
    """Return what a run foretells, or None where its worst parameter has no ESS."""
    if measured is None:
        return None
    (judged,) = counted([measured])
    ess = float(np.min(smallest_ess(judged.diagnostics), initial=math.inf))
    if not (0 < ess < math.inf):
        return None
    timing = measured.timing
    line = Line(compile_s + timing.warmup.wall_s, timing.sampling.wall_s / ess)
    return Prediction(line, math.hypot(TIME_NOISE, math.sqrt(ESS_NOISE / ess)), ess)


def planned(
    name: str, model: ModelEntry, uses: Sequence[str], found: Examination, limits: Limits
) -> Benchmark:
    """Return the benchmark of a race: each sampler at its defaults, swept over the rounds' draws.

    Args:
        name: of the results folder, and the model's label.
        model: what is sampled.
        uses: samplers, as ``use:`` has them, in the order of the first round.
        found: what is known of the model.
        limits: the budget is one run's limit, too.

    Raises:
        ConfigError, SamplerError: a sampler can't be loaded, or lacks an option.
    """
    start = found.starts[0] if found.starts else "uniform"
    plain = {
        "name": f"choose-{name}",
        "models": {name: {**model.model_dump(exclude_defaults=True), "init": start}},
        "samplers": {label_of(use): _entry(use, found.ndim) for use in uses},
        "replicates": 1 + N_CONFIRMING,
        "limits": {"timeout": limits.timeout},
    }
    return loading.of_values(plain, name="gradbench choose")


def _entry(use: str, ndim: int) -> dict[str, object]:
    """Return a sampler's entry: defaults, as many walkers as it needs, a round to each length."""
    if use not in samplers.names():
        return {"use": use, "sweep": {"draws": _lengths(FIRST)}}
    options = samplers.load(use).options()
    first = FIRST if options.tune else options.draws
    return {"use": use, **fitting(options, ndim), "sweep": {"draws": _lengths(first)}}


def fitting(options: Options, ndim: int) -> dict[str, object]:
    """Return those of the options that a dimension decides."""
    fitted = options.fitted(ndim).model_dump()
    return {name: value for name, value in fitted.items() if value != getattr(options, name)}


def _lengths(first: int) -> list[int]:
    return [first * LONGER**i for i in range(ROUNDS)]


def entered(benchmark: Benchmark) -> list[Entrant]:
    """Return the entrants of a planned race, in the config's order."""
    rounds: dict[str, dict[str, list[Cell]]] = {}
    for cell in planning.cells(benchmark):
        plain, _ = planning.split(cell.sampler)
        rounds.setdefault(plain, {}).setdefault(cell.sampler, []).append(cell)
    return [
        Entrant(
            sampler,
            [cells[0] for cells in lengths.values()],
            [cells[1:] for cells in lengths.values()],
        )
        for sampler, lengths in rounds.items()
    ]


def under_one_label(cell: Cell, sampler: str) -> Cell:
    """Return a cell as the warm worker of its sampler runs it, whatever its length."""
    return replace(cell, sampler=sampler)
