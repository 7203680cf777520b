"""One model and sampler on both sides: the logs that are compared, and their intervals."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from scipy import stats

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.gate import rule
from gradbench.gate.sides import Series, Side
from gradbench.stats import rank_tests
from gradbench.stats.interval import Interval

USABLE = frozenset({"ok", "unreliable", "too_few_draws", "overstated", "biased", "disagrees"})

# The log cost of a replicate without one. Beyond all others, it ranks as the worst, so that a
# sampler can't gain by failing where it is dear (worst-rank scores: Lachin 1999).
WITHOUT = 1e3

Arrays = Callable[["Pair"], tuple[FloatArray, FloatArray]]
UNKNOWN = Interval(0.0, -np.inf, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is compared. All numbers are logs; intervals are of head over base.

    Attributes:
        key: model and sampler.
        advisory: why it can't be gated, or empty.
        costs: base (m,) and head (n,): evaluations per effective sample.
        worst: the same with the ESS of one of the base's worst parameters, by name.
        times: base and head: CPU seconds per evaluation; replicate by replicate if ``is_paired``.
        exact: ratio of the evaluations at each seed, where both sides drew the same draws.
        is_paired: the times of both sides were taken side by side.
        is_time_judged: the times can be compared.
        evaluations, time, cost: shifts with their 95 % intervals; time is None without times.
        bound: one-sided upper bound of ``cost``, at the look's confidence. Where the two sides did
            not run side by side, time adds only what shows in spite of their noise.
    """

    key: Key
    advisory: str
    costs: tuple[FloatArray, FloatArray]
    worst: Mapping[str, tuple[FloatArray, FloatArray]]
    times: tuple[FloatArray, FloatArray]
    exact: FloatArray | None
    is_paired: bool
    is_time_judged: bool
    evaluations: Interval = UNKNOWN
    time: Interval | None = None
    cost: Interval = UNKNOWN
    bound: float = np.inf

    @property
    def n_identical(self) -> int:
        """On how many seeds both drew the same draws; 0 unless it is all of them."""
        return 0 if self.exact is None else len(self.exact)

    @property
    def is_timed(self) -> bool:
        """Whether there are times, and they can be compared."""
        return self.is_time_judged and self.time is not None

    @property
    def time_tolerance(self) -> float:
        """What of the time may be lost unnoticed."""
        return rule.TIME_TOLERANCE if self.is_paired else rule.STORED_TIME_TOLERANCE


def of(key: Key, base: Side, head: Side, *, is_paired: bool) -> Pair:
    """Return the pair of both sides' series, its intervals still unknown."""
    before, after = base.series[key], head.series[key]
    exact = exact_ratios(before, after)
    # Where the draws are the same nothing is lost on any parameter.
    worst = {} if exact is not None else _worst(before, after)
    return Pair(
        key=key,
        advisory=base.advisory.get(key, ""),
        costs=(log_cost(before, before.ess), log_cost(after, after.ess)),
        worst=worst,
        times=_times(before, after, is_paired=is_paired),
        exact=exact,
        is_paired=is_paired,
        is_time_judged=is_paired or (exact is not None and _is_same_machine(base, head)),
    )


def estimated(pairs: Sequence[Pair], confidence: float) -> list[Pair]:
    """Return the pairs with their intervals, and their bounds at this one-sided confidence."""
    done: dict[Key, Pair] = {}
    for group in by_shape(pairs, lambda pair: pair.costs):
        base, head = stacked(group, lambda pair: pair.costs)
        found = rank_tests.shift(head, base, rule.CONFIDENCE, confidence).T.tolist()
        for pair, (*interval, bound) in zip(group, found, strict=True):
            done[pair.key] = _with_evaluations(pair, Interval(*interval), bound)
    for group in by_shape(list(done.values()), lambda pair: pair.times):
        base, head = stacked(group, lambda pair: pair.times)
        if min(base.shape[1], head.shape[1]) == 0:
            continue
        upper = confidence if any(pair.is_time_judged for pair in group) else None
        found = (
            rank_tests.centre(head - base, rule.CONFIDENCE, upper)
            if group[0].is_paired
            else rank_tests.shift(head, base, rule.CONFIDENCE, upper)
        ).T.tolist()
        for pair, (estimate, low, high, *bound) in zip(group, found, strict=True):
            done[pair.key] = _with_time(pair, Interval(estimate, low, high), *bound)
    return [done[pair.key] for pair in pairs]


def log_cost(series: Series, ess: FloatArray) -> FloatArray:
    """Return the log of evaluations per effective sample, ``WITHOUT`` where there is none."""
    known = is_usable(series) & (ess > 0)
    logs = np.full(len(ess), WITHOUT)
    logs[known] = np.log(series.n_evaluations[known] / ess[known])
    return logs


def is_usable(series: Series) -> rank_tests.BoolArray:
    """Return which replicates have a cost, shape (n,)."""
    has_status = np.array([status in USABLE for status in series.status], dtype=bool)
    return has_status & (series.ess > 0) & (series.n_evaluations > 0)


def noise(series: Series) -> float:
    """Return the sd of the log cost over replicates, from the median absolute deviation."""
    logs = log_cost(series, series.ess)
    return float(stats.median_abs_deviation(logs, scale="normal"))


def worst_parameters(series: Series) -> list[str]:
    """Return the parameters with the smallest median ESS, at most ``N_WORST``."""
    if not series.worst:
        return []
    ess = np.sort([*series.worst.values()], axis=1)  # NaN last
    is_known = np.isfinite(ess).any(axis=1)
    n_known, row = (~np.isnan(ess)).sum(axis=1), np.arange(len(ess))
    median = (ess[row, (n_known - 1) // 2] + ess[row, n_known // 2]) / 2
    names, order = [*series.worst], np.argsort(median, kind="stable")
    return [names[i] for i in order if is_known[i]][: rule.N_WORST]


def by_shape(pairs: Iterable[Pair], arrays: Arrays) -> Iterator[list[Pair]]:
    """Yield those together whose arrays have the same lengths: they are judged at once."""

    def shape(pair: Pair) -> tuple[int, ...]:
        return (*map(len, arrays(pair)), pair.is_paired)

    for _, group in groupby(sorted(pairs, key=shape), key=shape):
        yield list(group)


def stacked(group: Sequence[Pair], arrays: Arrays) -> tuple[FloatArray, FloatArray]:
    """Return the arrays of all pairs of one shape, base (k, m) and head (k, n)."""
    base, head = zip(*map(arrays, group), strict=True)
    return np.array(base), np.array(head)


def standard_error(interval: Interval) -> float:
    """Return the standard error that a 95 % interval of a log stands for."""
    return (interval.high - interval.low) / (2 * rule.HALF_WIDTH)


def exact_ratios(before: Series, after: Series) -> FloatArray | None:
    """Return the log ratio of evaluations at each seed, if all the draws are the same."""
    if {*before.fingerprint}.isdisjoint(after.fingerprint):
        return None
    _, i, j = np.intersect1d(before.seed, after.seed, return_indices=True)
    drawn = [(before.fingerprint[a], after.fingerprint[b]) for a, b in zip(i, j, strict=True)]
    n_drawn = min(sum(map(bool, series.fingerprint)) for series in (before, after))
    same = np.array([was == now != "" for was, now in drawn], dtype=bool)
    if n_drawn == 0 or same.sum() < n_drawn:
        return None
    ratio: FloatArray = np.log(after.n_evaluations[j[same]] / before.n_evaluations[i[same]])
    return ratio


def _worst(before: Series, after: Series) -> dict[str, tuple[FloatArray, FloatArray]]:
    return {
        name: (log_cost(before, before.worst[name]), log_cost(after, after.worst[name]))
        for name in worst_parameters(before)
        if name in after.worst
    }


def _times(before: Series, after: Series, *, is_paired: bool) -> tuple[FloatArray, FloatArray]:
    base, head = (
        np.log(series.cpu_s / np.where(is_usable(series), series.n_evaluations, np.nan))
        for series in (before, after)
    )
    if is_paired:
        _, i, j = np.intersect1d(before.replicate, after.replicate, return_indices=True)
        both = np.isfinite(base[i]) & np.isfinite(head[j])
        return base[i][both], head[j][both]
    return base[np.isfinite(base)], head[np.isfinite(head)]


def _is_same_machine(base: Side, head: Side) -> bool:
    known = ("host", "processor", "python", "system")
    return "host" in base.machine and all(
        base.machine.get(name) == head.machine.get(name) for name in known
    )


def _with_evaluations(pair: Pair, interval: Interval, bound: float) -> Pair:
    if pair.exact is not None:
        # The same draws: the ratio is known, not estimated.
        low, high = float(pair.exact.min()), float(pair.exact.max())
        interval, bound = Interval(float(np.median(pair.exact)), low, high), high
    return replace(pair, evaluations=interval, cost=interval, bound=bound)


def _with_time(pair: Pair, time: Interval, time_bound: float = np.inf) -> Pair:
    if not pair.is_time_judged:
        return replace(pair, time=time)
    evaluations = pair.evaluations
    centre = evaluations.estimate + time.estimate

    def half(of_evaluations: float, of_time: float) -> float:
        # Zou & Donner (2008): the interval of a sum from the intervals of its parts.
        return float(np.hypot(of_evaluations - evaluations.estimate, of_time - time.estimate))

    low, high = half(evaluations.low, time.low), half(evaluations.high, time.high)
    if pair.is_paired:
        bound = centre + half(pair.bound, time_bound)
    else:
        # Two hours of one machine differ by this much anyway: only what is evident, or beyond it.
        evident, beyond = time.low - rule.TIME_TOLERANCE, time_bound - pair.time_tolerance
        bound = pair.bound + max(0.0, evident, beyond)
    return replace(pair, time=time, cost=Interval(centre, centre - low, centre + high), bound=bound)
