"""Steps in a series of costs: after which observation did the level change, and by how much?

A penalised search (PELT: Killick, Fearnhead & Eckley 2012) on log costs in units of their own
errors, which are known from the replicates. The penalty is such that one flat series in a hundred
gets a step: benchmarks/history.md. A step is an annotation, never a verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from scipy import stats

from gradbench.draws import FloatArray
from gradbench.errors import LibraryError, pip_install
from gradbench.gate import rule
from gradbench.stats import rank_tests
from gradbench.stats.interval import Interval

EXTRA = "history"
MIN_REPLICATES = 4  # fewer have no noise to speak of

# By the number of observations: the penalty of a step that 1 in 100 flat series reaches where the
# noise is known; between them it grows with the logarithm. The last is extrapolated.
PENALTIES = {
    2: 6.6, 3: 7.8, 5: 8.9, 10: 10.3, 20: 11.1, 50: 12.3, 100: 12.8, 200: 13.7, 1000: 15.7
}  # fmt: skip
UNKNOWN_NOISE = 8.0  # replicates, in all, for which the penalty doubles


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level.

    Attributes:
        index: of the first observation after it.
        ratio: the level after it over the level before it, with its 95 % interval.
    """

    index: int
    ratio: Interval


def is_available() -> bool:
    """Return whether the library that searches is installed."""
    return find_spec("ruptures") is not None


def missing() -> str:
    """Return what to tell a user who has no library that searches."""
    return f"steps are not marked: ruptures is not installed: {pip_install(EXTRA)}"


def find(logs: Sequence[FloatArray]) -> list[Step]:
    """Return the steps of a series.

    Args:
        logs: of each observation its replicates' log costs, at least ``MIN_REPLICATES``.

    Raises:
        LibraryError: ruptures isn't installed.
    """
    if len(logs) < 2:
        return []
    values = np.array([estimate(one) for one in logs])
    sd, n_replicates = noise(logs), np.array([len(one) for one in logs])
    if not sd > 0:
        return []  # nothing tells a change from what changes anyway
    errors = np.array([error(sd, n) for n in n_replicates])
    bounds = [0, *segments(values, errors, penalty(len(logs), int(n_replicates.sum())))]
    levels = [_level(values[start:end], errors[start:end]) for start, end in pairwise(bounds)]
    return [
        Step(index, _ratio(before, after))
        for index, (before, after) in zip(bounds[1:-1], pairwise(levels), strict=True)
    ]


def estimate(logs: FloatArray) -> float:
    """Return the centre of replicates, shape (n,), which a few that are stuck hardly move."""
    return float(rank_tests.centre(logs[None, :], rule.CONFIDENCE)[0, 0])


def error(sd: float, n_replicates: int) -> float:
    """Return the standard error of ``estimate``."""
    return float(sd / np.sqrt(rule.EFFICIENCY * n_replicates))


def noise(logs: Sequence[FloatArray]) -> float:
    """Return the sd of replicates, of all observations together.

    The median distance of two replicates of one observation, which is right however few there are
    (Rousseeuw & Croux 1993 look at other quantiles of it).
    """
    distances = np.concatenate([_distances(one) for one in logs])
    typical = np.sqrt(2) * stats.norm.ppf(0.75)  # of two of a normal with sd 1
    return float(np.median(distances) / typical)


def penalty(n_observations: int, n_replicates: int) -> float:
    """Return what a step must gain, in squared errors; more where the noise is less well known.

    Args:
        n_observations: of the series.
        n_replicates: of all of them together.
    """
    sizes = np.log([*PENALTIES])
    known = float(np.interp(np.log(n_observations), sizes, [*PENALTIES.values()]))
    return known * (1 + UNKNOWN_NOISE / n_replicates)


def segments(values: FloatArray, errors: FloatArray, penalty: float) -> list[int]:
    """Return where each segment of one level ends, the last at the end.

    Raises:
        LibraryError: ruptures isn't installed.
    """
    try:
        from ruptures import Pelt
        from ruptures.base import BaseCost
    except ImportError as missed:
        raise LibraryError(missing()) from missed

    class Weighted(BaseCost):  # type: ignore[misc]
        """Squared distances from a segment's level, in units of the errors."""

        model = "weighted"
        min_size = 1

        def fit(self, signal: FloatArray) -> "Weighted":
            """Note the sums that every segment's cost is a difference of."""
            self.signal = signal
            value, weight = signal[:, 0], signal[:, 1]
            terms = np.array([weight, weight * value, weight * value**2])
            self.sums = np.concatenate([np.zeros((3, 1)), np.cumsum(terms, axis=1)], axis=1)
            return self

        def error(self, start: int, end: int) -> float:
            """Return the cost of one segment."""
            weight, first, second = self.sums[:, end] - self.sums[:, start]
            return float(second - first**2 / weight)

    centred = values - np.average(values, weights=errors**-2.0)
    search = Pelt(custom_cost=Weighted(), min_size=1, jump=1)
    ends = search.fit_predict(np.column_stack([centred, errors**-2.0]), pen=penalty)
    return [int(end) for end in ends]


def _distances(one: FloatArray) -> FloatArray:
    i, j = np.triu_indices(len(one), 1)
    distances: FloatArray = np.abs(one[i] - one[j])
    return distances


def _level(values: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Return the level of a segment and its standard error."""
    weights = errors**-2.0
    return float(np.average(values, weights=weights)), float(weights.sum() ** -0.5)


def _ratio(before: tuple[float, float], after: tuple[float, float]) -> Interval:
    change, half = after[0] - before[0], rule.HALF_WIDTH * np.hypot(before[1], after[1])
    return Interval(*np.exp([change, change - half, change + half]).tolist())
