"""Summaries to lines: how long a sampler takes to so many effective draws, all included."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradbench.measure.result import COSTED
from gradbench.results.rows import is_priced
from gradbench.results.summary import Summary, by_model, is_spread, numbers
from gradbench.stats import diagnostics

GOAL = 1000  # effective draws, where nobody asks for another number
FEWEST = 100  # effective draws: fewer are not worth asking who is the fastest to them
CLOSE = 1.5  # times as long: without an interval that may be the noise of a machine
ROUNDING = 1e-9  # relative: slopes that differ by less are the same
BEYOND = 10.0  # times the last crossing: as far out the last ones are compared


@dataclass(frozen=True, slots=True)
class Line:
    """The time a run takes to n effective draws of its worst parameter: a line in n.

    Attributes:
        fixed_s: compile and warm-up, which don't depend on n.
        s_per_draw: of sampling, for one effective draw.
    """

    fixed_s: float
    s_per_draw: float

    def seconds(self, n: float) -> float:
        """Return the seconds to n effective draws."""
        return self.fixed_s + n * self.s_per_draw

    def overtakes(self, other: "Line") -> float:
        """Return from how many effective draws on this one is faster; infinity where never."""
        saved = other.s_per_draw - self.s_per_draw
        is_flatter = saved > ROUNDING * other.s_per_draw
        return (self.fixed_s - other.fixed_s) / saved if is_flatter else math.inf


@dataclass(frozen=True, slots=True)
class Lead:
    """Who is the fastest up to how many effective draws.

    Attributes:
        sampler: its label.
        until: effective draws, infinity for the last one.
        ties: labels of those that can't be told from it there.
    """

    sampler: str
    until: float
    ties: tuple[str, ...] = ()


Lines = Mapping[str, Sequence[Line]]
"""The line of each replicate, by sampler."""


def with_times(found: Sequence[Summary], goal: int) -> list[Summary]:
    """Return summaries with the seconds that each cell takes to ``goal`` effective draws.

    Those of the worst parameter. A worker compiles once for all replicates, so that each has the
    compile time of the model and sampler. None where a cell has no cost, or an unknown phase.
    """
    made = {
        id(summary): line.seconds(goal)
        for group in _grouped(found)
        for summary, line in _lines(group)
    }
    return [
        replace(summary, ess_goal=goal, seconds_to_ess_goal=made.get(id(summary)))
        for summary in found
    ]


def leads(found: Iterable[Summary]) -> dict[str, list[Lead]]:
    """Return, per model where two samplers measured here have a price, who is the fastest."""
    models = _priced(found)
    return {model: list(fastest(lines)) for model, lines in models.items() if len(lines) > 1}


def mean_lines(found: Iterable[Summary]) -> dict[str, dict[str, Line]]:
    """Return, per model, the mean line of each sampler measured here that has a price."""
    return {
        model: {sampler: _mean(of_one) for sampler, of_one in lines.items()}
        for model, lines in _priced(found).items()
    }


def fastest(lines: Lines) -> Iterator[Lead]:
    """Yield who is the fastest by mean lines, from ``FEWEST`` effective draws to infinity.

    What can't be told from it halfway through is named with it: the 95 % interval of their ratio
    has 1 in it, or there is none and the ratio is below ``CLOSE``.

    Args:
        lines: of one model, of one sampler at least.
    """
    means = {sampler: _mean(of_one) for sampler, of_one in lines.items()}
    leader = min(means, key=lambda name: (means[name].seconds(FEWEST), means[name].s_per_draw))
    start, until = float(FEWEST), 0.0
    while not math.isinf(until):
        overtaking = {name: line.overtakes(means[leader]) for name, line in means.items()}
        follower = min(means, key=lambda name: (overtaking[name], means[name].s_per_draw))
        until = overtaking[follower]
        halfway = BEYOND * start if math.isinf(until) else math.sqrt(start * until)
        yield Lead(leader, until, tuple(_ties(lines, leader, halfway)))
        leader, start = follower, until


def _ties(lines: Lines, leader: str, n: float) -> Iterator[str]:
    best = np.array([line.seconds(n) for line in lines[leader]])
    for name, of_one in lines.items():
        ratio, low, _ = diagnostics.ratio_interval(np.array([x.seconds(n) for x in of_one]), best)
        is_tied = ratio < CLOSE if math.isnan(low) else low <= 1
        if name != leader and is_tied:
            yield name


def _priced(found: Iterable[Summary]) -> dict[str, dict[str, list[Line]]]:
    """Return, per model and sampler measured here that has a price, its replicates' lines.

    Of a model whose cells ran on several machines there are none: their seconds can't be one line.
    """
    models: dict[str, dict[str, list[Line]]] = {}
    for model, cells in by_model(s for s in found if not s.is_elsewhere).items():
        for group in [] if is_spread(cells) else _grouped(cells):
            if is_priced(group) and (made := [line for _, line in _lines(group)]):
                models.setdefault(model, {})[group[0].sampler] = made
    return models


def compile_s(group: Sequence[Summary]) -> float:
    """Return the seconds of compiling one model for one sampler, 0 where nothing was compiled."""
    # What was compiled again only where nothing else was.
    compiled = numbers(group, "compile_s") or numbers(group, "recompile_s") or [0.0]
    return float(np.mean(compiled))


def _grouped(found: Iterable[Summary]) -> Iterable[list[Summary]]:
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in found:
        groups.setdefault((summary.model, summary.sampler), []).append(summary)
    return groups.values()


def _lines(group: Sequence[Summary]) -> Iterator[tuple[Summary, Line]]:
    """Yield the replicates of one model and sampler that have a line, and it."""
    spent_s = compile_s(group)
    for summary in group:
        spent = (summary.warmup_s, summary.sampling_s, summary.ess_worst)
        if summary.status in COSTED and None not in spent:
            warmup_s, sampling_s, ess = (float(number or 0) for number in spent)
            yield summary, Line(spent_s + warmup_s, sampling_s / ess)


def _mean(lines: Sequence[Line]) -> Line:
    return Line(
        float(np.mean([line.fixed_s for line in lines])),
        float(np.mean([line.s_per_draw for line in lines])),
    )
