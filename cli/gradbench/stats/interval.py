"""An estimate with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; the bounds are NaN where one replicate gives none."""

    estimate: float
    low: float
    high: float


def of_median(values: Sequence[float]) -> Interval:
    """Return the median with an interval between two order statistics, whatever the distribution.

    Of fewer than six values no two are far enough apart: the bounds are then NaN.

    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.
    """
    ordered, n = np.sort(values), len(values)
    estimate = float(np.median(ordered))
    below = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) - 1
    if below < 0:
        return Interval(estimate, np.nan, np.nan)
    return Interval(estimate, float(ordered[below]), float(ordered[n - 1 - below]))
