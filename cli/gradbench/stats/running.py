"""Running moments: what a run's estimates were after ever more of its draws."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray, IntArray
from gradbench.stats.diagnostics import Diagnostics, Values

N_POINTS = 30  # log-spaced
MAX_PARAMETERS = 100  # evenly picked, the same of every sampler; and the one with the smallest ESS
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Running:
    """The moments of a run's first draws, relative to those of all of its draws.

    Attributes:
        n_draws: of each chain, shape (k,), rising; the last is all.
        at: which of the run's parameters, shape (p,), rising.
        mean: of the first draws, minus that of all, in sds of all; shape (k, p).
        square: the mean of (x - mean of all)² over the first draws, in variances of all; shape
            (k, p). What is not finite is NaN, in both.
    """

    n_draws: IntArray
    at: IntArray
    mean: FloatArray
    square: FloatArray

    def only(self, those: npt.NDArray[np.bool_]) -> "Running":
        """Return what is followed of some of the run's parameters, those shape (n,)."""
        kept = those[self.at]
        position = np.cumsum(those) - 1
        return Running(
            self.n_draws, position[self.at[kept]], self.mean[:, kept], self.square[:, kept]
        )


def running(values: Values, found: Diagnostics) -> Running:
    """Return the running moments of a run, all chains together.

    Args:
        values: shape (chains, draws, n).
        found: of the same run.
    """
    n_draws = values.shape[1]
    after = np.unique(np.geomspace(1, n_draws, N_POINTS).round().astype(np.int64))
    at = _picked(found)
    moments = np.array([_moments(values, i, found, after) for i in at])
    mean, square = np.moveaxis(moments.reshape(len(at), 2, len(after)), (1, 2), (0, 1))
    return Running(after, at, mean, square)


def _picked(found: Diagnostics) -> IntArray:
    """Return the parameters that are followed, of those that count."""
    counted = np.flatnonzero(found.is_counted)
    if len(counted) <= MAX_PARAMETERS:
        return counted
    even = counted[np.linspace(0, len(counted) - 1, MAX_PARAMETERS).astype(int)]
    smallest = np.fmin(np.fmin(found.ess_mean, found.ess_square), found.ess_bulk)[counted]
    return np.union1d(even, counted[np.nanargmin(smallest)] if np.isfinite(smallest).any() else [])


def _moments(values: Values, i: int, found: Diagnostics, after: IntArray) -> FloatArray:
    """Return mean and square of one parameter after so many draws, shape (2, k)."""
    x = values[:, :, i : i + 1][..., 0]
    with np.errstate(all="ignore"):
        standard = (x - found.mean[i]) / found.sd[i]
        sums = np.cumsum([standard.mean(axis=0), (standard**2).mean(axis=0)], axis=1)
        return _rounded(sums[:, after - 1] / after)


def _rounded(x: FloatArray) -> FloatArray:
    """Return numbers with a few significant digits, of which a file has many; or NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(x))) - DIGITS + 1)
        rounded = np.round(x / unit) * unit
    short: FloatArray = np.array([float(f"{value:.{DIGITS}g}") for value in rounded.ravel()])
    return np.where(np.isfinite(x), np.where(x == 0, 0.0, short.reshape(x.shape)), np.nan)
