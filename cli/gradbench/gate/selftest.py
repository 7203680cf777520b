"""A gate tried on its own machine: how often is it wrong here, and what does it catch?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.gate import gate, rule, sides
from gradbench.gate.gate import PER_PROCESS, Variant
from gradbench.gate.sides import Series, Side
from gradbench.gate.verdict import Compared, Comparison
from gradbench.gate.words import percent
from gradbench.measure.runner import Runner
from gradbench.measure.slowdown import Planted
from gradbench.results.execute import Display
from gradbench.stats.interval import Interval

SHARE = 0.3  # by which an evaluation is made longer
SLOWDOWNS = (1.10, 1.15)  # that the resampled gates are to catch
BLUR = 0.2  # of the noise's sd: resampled values are not to be the very same


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened: a share of ``n``, with its exact 95 % interval."""

    what: str
    share: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A slowdown planted in every cell, which factor it belongs to, and what was found."""

    what: str
    factor: str
    comparison: Comparison

    def is_caught(self, row: Compared) -> bool:
        """Return whether it was caught in a cell, and not put down to the other factor."""
        return {"evaluations", "time"} & {*row.lost} == {self.factor}

    @property
    def n_caught(self) -> int:
        """In how many cells it was."""
        return sum(map(self.is_caught, self.comparison.rows))


@dataclass(frozen=True, slots=True)
class Findings:
    """What a self-test found.

    Attributes:
        same: the verdict on the same code on both sides.
        false_alarms: of gates resampled from those runs.
        caught: by such gates, a slowdown of one cell.
        trials: real runs with planted slowdowns.
    """

    same: Comparison
    false_alarms: Rate
    caught: Sequence[Rate]
    trials: Sequence[Trial]

    @property
    def is_passed(self) -> bool:
        """Whether the same code passed, and each planted slowdown was caught somewhere."""
        return not self.same.regressions and all(trial.n_caught for trial in self.trials)


def run(
    benchmark: Benchmark,
    root: Path,
    display: Display,
    *,
    n_pairs: int,
    n_gates: int,
) -> Findings | None:
    """Run the same code against itself, then against slower versions of itself.

    Args:
        benchmark: what to run; its ``replicates`` are not used.
        root: results folders are made below it.
        display: is told what is under way.
        n_pairs: of the first run, whose noise the resampled gates have.
        n_gates: resampled, for each rate.

    Returns:
        None where it was interrupted before all of it was done.

    Raises:
        ModelError, SamplerError, SaveError: as for ``gate.ab``.
    """
    plain = Variant("base")
    once = [replace(rule.ONCE, n_replicates=n_pairs)]
    same = gate.ab(benchmark, root, (plain, Variant("same")), display, looks=once)
    if same.comparison is None:
        return None
    before, after = (sides.of_folder(str(path)) for path in same.folders)
    false_alarms, *caught = rates(before, after, n_gates)
    trials = []
    for name, what, factor, planted in _plantings(benchmark, display):
        variant = Variant(name, planted=planted)
        found = gate.ab(benchmark, root, (plain, variant), display)
        if found.comparison is None:
            return None
        trials.append(Trial(what, factor, found.comparison))
    return Findings(same.comparison, false_alarms, caught, trials)


def rates(before: Side, after: Side, n: int) -> list[Rate]:
    """Return how often resampled gates fail falsely, and how often they catch a slowdown.

    Args:
        before: runs of a code.
        after: runs of the same code, side by side with them.
        n: gates for each rate.
    """
    rng = np.random.default_rng(0)
    looks = rule.looks()

    def verdicts(factor: str, slowdown: float) -> Iterator[tuple[Key, Comparison]]:
        keys = sorted(before.series)
        for i in range(n):
            key = keys[i % len(keys)]
            pair = resampled(before, after, rng, looks[-1].n_replicates)
            pair = pair[0], _slowed(pair[1], key, factor, slowdown)
            take = gate.rehearsed(*pair, is_paired=True)
            yield key, gate.decide(take, looks, is_paired=True)

    wrong = sum(bool(found.regressions) for _, found in verdicts("time", 1.0))
    found = [_rate("false alarms", wrong, n)]
    for factor, words in (("evaluations", "evaluations/ESS"), ("time", "time per evaluation")):
        for slowdown in SLOWDOWNS:
            n_caught = sum(
                any(row.key == key for row in comparison.having("regressed"))
                for key, comparison in verdicts(factor, slowdown)
            )
            found.append(_rate(f"{percent(slowdown)} in {words}", n_caught, n))
    return found


def resampled(before: Side, after: Side, rng: np.random.Generator, n: int) -> tuple[Side, Side]:
    """Return n pairs with the noise of two runs of the same code, which side is which by chance.

    Times are drawn process by process, both sides' together; costs replicate by replicate.
    """
    both: tuple[dict[Key, Series], dict[Key, Series]] = ({}, {})
    for key, series in before.series.items():
        times = np.stack([_times(series), _times(after.series[key])])
        n_blocks = max(1, times.shape[1] // PER_PROCESS)
        blocks = rng.integers(n_blocks, size=-(-n // PER_PROCESS))
        columns = (PER_PROCESS * blocks[:, None] + np.arange(PER_PROCESS)).ravel()[:n]
        columns %= times.shape[1]
        swapped = np.repeat(rng.integers(2, size=len(blocks)), PER_PROCESS)[:n]
        costs = np.log(series.n_evaluations / series.ess)
        costs = costs[np.isfinite(costs)]
        for side, found in enumerate(both):
            drawn = rng.choice(costs, n) + rng.normal(0, BLUR * costs.std(), n)
            time = times[np.where(swapped, 1 - side, side), columns]
            found[key] = sides.simulated(series.setup, drawn, time)
    return Side("before", both[0]), Side("after", both[1])


def _slowed(side: Side, key: Key, factor: str, slowdown: float) -> Side:
    series = side.series[key]
    changed = (
        replace(series, ess=series.ess / slowdown)
        if factor == "evaluations"
        else replace(series, cpu_s=series.cpu_s * slowdown)
    )
    return replace(side, series={**side.series, key: changed})


def _times(series: Series) -> FloatArray:
    """Return logs of CPU time per evaluation, the median where there is none."""
    times: FloatArray = np.log(series.cpu_s / series.n_evaluations)
    return np.where(np.isfinite(times), times, np.nanmedian(times))


def _rate(what: str, k: int, n: int) -> Rate:
    low, high = stats.binomtest(k, n).proportion_ci()
    return Rate(what, Interval(k / n, float(low), float(high)), n)


def _plantings(
    benchmark: Benchmark, display: Display
) -> Iterator[tuple[str, str, str, dict[Key, Planted]]]:
    """Yield what is planted: a name, words, the factor that it makes worse, and the plants."""
    cells = planning.cells(benchmark)
    keys = dict.fromkeys(cell.key for cell in cells)
    yield "twice", "density twice", "time", dict.fromkeys(keys, Planted(copies=1))
    with Runner(benchmark, display) as runner:
        runner.preflight(cells)
        longer = runner.longer(cells, SHARE)
    yield "longer", f"evaluation {percent(1 + SHARE)}", "time", longer
    detuned = Planted(is_detuned=True)
    yield "detuned", "worse tuning", "evaluations", dict.fromkeys(keys, detuned)
