"""Do several samplers' moments agree? Pairs of them, each with the errors that its runs show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from gradbench.draws import FloatArray
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import BIASED_SD, N_MOMENTS

# Times what chance allows where errors are taken to be what ESS claims: one that is claimed up to
# fourfold excuses a difference.
CLAIMED = 2.0
N_TESTS = 2  # of a pair: by the errors that replicates show, and by those that they claim


@dataclass(frozen=True, slots=True)
class Runs:
    """The replicates of one sampler, arrays of shape (replicates, n).

    Attributes:
        mean, sd: of each parameter's draws.
        square_sd: the sd of (x - mean)².
        ess_mean, ess_square: as the runs claim.
    """

    mean: FloatArray
    sd: FloatArray
    square_sd: FloatArray
    ess_mean: FloatArray
    ess_square: FloatArray


@dataclass(frozen=True, slots=True)
class Differences:
    """How far samplers are from each other, arrays of shape (samplers, samplers, 2, n).

    The third axis is the mean and the second moment. All are symmetric, NaN where a moment doesn't
    exist.

    Attributes:
        sds: the difference, in posterior sds of what the moment is the mean of.
        z: the same in standard errors, or what is as improbable of a normal law: in those that the
            replicates show or in those that they claim, whichever chance explains less.
        allowed: the largest z that chance explains.
        share: z over what chance allows, 0 where a moment doesn't exist.
        excess: the same, 0 where it is no concern, too: at most ``BIASED_SD``.
    """

    sds: FloatArray
    z: FloatArray
    allowed: FloatArray
    share: FloatArray
    excess: FloatArray


def differences(samplers: Sequence[Runs], *, n_models: int = 1) -> Differences:
    """Return how far each two samplers are from each other.

    Bonferroni at ``diagnostics.FAMILY_WISE`` over models, pairs, parameters, both moments and both
    tests. A lone replicate has only what it claims; of two or three, what they show says little,
    and what they claim together says more.
    """
    n_samplers, n = len(samplers), samplers[0].mean.shape[1]
    n_pairs = n_samplers * (n_samplers - 1) // 2
    by_chance = diagnostics.z_by_chance(n * N_MOMENTS * N_TESTS * n_pairs * n_models)
    centre = np.mean([runs.mean.mean(axis=0) for runs in samplers], axis=0)
    moments = [_moments(runs, centre) for runs in samplers]
    sds = np.zeros((n_samplers, n_samplers, N_MOMENTS, n))
    z, allowed = np.zeros_like(sds), np.full_like(sds, by_chance)
    for a, b in combinations(range(n_samplers), 2):
        is_lone = min(len(samplers[a].mean), len(samplers[b].mean)) == 1
        for i, (one, other) in enumerate(zip(moments[a], moments[b], strict=True)):
            sds[a, b, i] = sds[b, a, i] = _sds(one, other)
            shown, claimed = _shown(one, other), _claimed(one, other)
            with np.errstate(invalid="ignore"):
                by_claim = is_lone | (claimed > CLAIMED * shown)
            z[a, b, i] = z[b, a, i] = np.where(by_claim, claimed, shown)
            allowed[a, b, i] = allowed[b, a, i] = np.where(by_claim, CLAIMED, 1.0) * by_chance
    share = np.nan_to_num(z / allowed)
    return Differences(sds, z, allowed, share, np.where(sds > BIASED_SD, share, 0.0))


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment over replicates and the sd of what it is the mean of.

    Attributes:
        claimed: its variance as the ESS claims.
        variance: the same, or what the replicates' spread shows where that is larger.
        freedom: the degrees of freedom that ``variance`` is known with.
    """

    value: FloatArray
    sd: FloatArray
    claimed: FloatArray
    variance: FloatArray
    freedom: float


def _moments(runs: Runs, centre: FloatArray) -> tuple[_Moment, _Moment]:
    """Return the mean, and the second moment around a centre, shape (n,)."""
    squares = runs.sd**2 + (runs.mean - centre) ** 2
    return (
        _moment(runs.mean, runs.sd, runs.ess_mean),
        _moment(squares, runs.square_sd, runs.ess_square),
    )


def _moment(values: FloatArray, sds: FloatArray, ess: FloatArray) -> _Moment:
    # Each sampler's own sd, not a common one: a draw far out in a tail raises both.
    claimed = sds**2 / ess
    variance, freedom = diagnostics.variance_of_mean(values, claimed)
    of_mean = claimed.mean(axis=0) / len(values)
    sd = np.sqrt(np.mean(sds**2, axis=0))
    return _Moment(values.mean(axis=0), sd, of_mean, variance, freedom)


def _sds(one: _Moment, other: _Moment) -> FloatArray:
    """Return the difference in sds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sds: FloatArray = np.abs(one.value - other.value) / np.sqrt((one.sd**2 + other.sd**2) / 2)
        return sds


def _claimed(one: _Moment, other: _Moment) -> FloatArray:
    """Return the difference in the standard errors that the ESS claims."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z: FloatArray = np.abs(one.value - other.value) / np.sqrt(one.claimed + other.claimed)
        return z


def _shown(one: _Moment, other: _Moment) -> FloatArray:
    """Return the difference as a normal z; Welch's t, Satterthwaite's freedom."""
    variance = one.variance + other.variance
    with np.errstate(divide="ignore", invalid="ignore"):
        t: FloatArray = np.abs(one.value - other.value) / np.sqrt(variance)
        if math.isinf(one.freedom) and math.isinf(other.freedom):
            return t
        freedom = variance**2 / (one.variance**2 / one.freedom + other.variance**2 / other.freedom)
        tail = np.maximum(stats.t.sf(t, freedom), np.finfo(float).tiny)
        return np.where(np.isnan(t), np.nan, stats.norm.isf(tail))
