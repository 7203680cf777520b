"""Arrays in, numbers out: effective sample sizes, R-hat, and whether errors bear them out.

For independent chains the numbers are ArviZ's, computed for all parameters at once. For the
walkers of an ensemble, which are not independent, the effective sample size comes from the
globally centred initial monotone sequence; see ``ess_of_ensemble``.

Sources: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), "Rank-normalization, folding, and
localization", Bayesian Analysis 16(2); Geyer (1992), Statistical Science 7(4); Agarwal & Vats
(2020), arXiv:2009.01799; Margossian et al. (2022), arXiv:2110.13017; Vehtari, Simpson, Gelman, Yao
& Gabry (2024), "Pareto smoothed importance sampling", JMLR 25(72); Zhang & Stephens (2009),
Technometrics 51(3).
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft, special, stats

from gradbench.draws import FloatArray, IntArray
from gradbench.records import from_plain, to_plain

BLOCK_BYTES = 9 * 2**20  # worked on at a time: near a cache, and NumPy asks for huge pages
SPECTRA_BYTES = 2 * 2**20  # of padded draws transformed at a time, likewise
MAX_THREADS = 4  # each holds copies of its block
TAIL = (0.05, 0.95)  # Vehtari et al. (2021), section 4.3
CONFIDENCE = 0.95
OVERSTATED = 1.25  # a claim this many times what the errors allow, beyond doubt, is refuted
BIASED_SD = 0.1  # an error below a tenth of a posterior sd is no concern, however significant
TIED = 0.5  # of the draws repeat a value where continuous quantities don't: a matter of ties
FAMILY_WISE = 0.01  # chance that anything is called wrong when nothing is
N_MOMENTS = 2  # of a row, the mean and the second moment: each has its share of that chance
USUAL_SPREAD = 2.0  # own sd over the reference's: a larger one is of draws far out in a tail
MAX_SPREAD = 10.0  # times that; more is of no tail: it has less than 1 % (Markov's inequality)
WINDOW = 5.0  # emcee's default: Sokal's window closes at five autocorrelation times
MAX_CORRELATED = 1000  # parameters, evenly picked, whose correlations are looked at
MAX_CORRELATED_MEANS = 5000  # and means of their draws, of all chains together
N_BATCHES = 50  # of draws: each is 8 autocorrelation times long where 400 draws are effective
MAX_TAIL = 0.2  # of the draws, in one tail: Vehtari et al. (2024)
MAX_FITTED = 5000  # exceedances, evenly picked: of more, k is the same to two digits
MIN_TAIL = 5  # exceedances that a tail is fitted to: fewer say nothing, likewise
OF_CHAINS = (
    "rhat",
    "tau",
    "ess_bulk_as_chains",
    "ess_autocorr_time",
    "rhat_halves",
    "t_halves",
    "spread_halves",
)  # what a weighted sample has not
ESS = ("ess_bulk", "ess_tail", "ess_mean", "ess_square")


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """One run's diagnostics, an array over its n scalar parameters each, shape (n,).

    Attributes:
        mean, sd: over all draws of all chains.
        square_sd: sd of (x - mean)²; NaN in results of older versions.
        second_moment: mean of (x - reference mean)²; NaN where there is no reference.
        mcse_mean: sd / sqrt(ess_mean).
        ess_bulk, ess_tail, ess_mean: rank-normalised, of the 5 % and 95 % quantiles, of the mean.
        ess_square: of (x - mean)², often the slower one.
        rhat: split, rank-normalised, folded; NaN within one ensemble or for one chain.
        tau: integrated autocorrelation time of an ensemble, in steps; NaN for chains.
        ess_bulk_as_chains: what ArviZ would claim, taking walkers for independent chains.
        ess_autocorr_time: what emcee's autocorrelation time would claim.
        rhat_halves: R-hat of a run's first half against its second, rank-normalised and folded;
            of one chain or all walkers, where ``rhat`` is NaN.
        t_halves: Student's t of that difference from walker to walker, absolute; NaN for chains.
        spread_halves: mean distance from the median, second half over first; NaN for chains.
        pareto_k: shape of the heavier tail: moments of order 1 / k and above don't exist.
        n_tail: how many independent exceedances that rests on.
        n_distinct: different values among all draws; 1 is a constant, which has no ESS. NaN where
            a draw is not finite, and in results of older versions.
        is_finite: no draw was NaN or infinite; where one was, the numbers are NaN.
        is_counted: whether verdicts and means over parameters are made from it; see ``Roles``.
        n_independent: how many independent parameters those that count are worth, d² / Σ corr².
        n_independent_square: the same of (x - mean)²; ``n_independent`` in results of older
            versions.
    """

    mean: FloatArray
    sd: FloatArray
    square_sd: FloatArray
    second_moment: FloatArray
    mcse_mean: FloatArray
    ess_bulk: FloatArray
    ess_tail: FloatArray
    ess_mean: FloatArray
    ess_square: FloatArray
    rhat: FloatArray
    tau: FloatArray
    ess_bulk_as_chains: FloatArray
    ess_autocorr_time: FloatArray
    rhat_halves: FloatArray
    t_halves: FloatArray
    spread_halves: FloatArray
    pareto_k: FloatArray
    n_tail: FloatArray
    n_distinct: FloatArray
    is_finite: npt.NDArray[np.bool_]
    is_counted: npt.NDArray[np.bool_]
    n_independent: float
    n_independent_square: float

    def to_json(self) -> dict[str, Any]:
        """Return plain lists; what is not finite becomes None."""
        return dict(to_plain(self))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Diagnostics":
        """Return what ``to_json`` gave; what an older version didn't measure is NaN."""
        n = len(plain["mean"])
        lacking: dict[str, Any] = {
            **dict.fromkeys(cls.__slots__, [None] * n),
            "is_counted": [True] * n,
            "n_independent_square": plain["n_independent"],
        }
        known = {name: value for name, value in plain.items() if name in cls.__slots__}
        return from_plain(cls, {**lacking, **known})

    def only(self, those: npt.NDArray[np.bool_]) -> "Diagnostics":
        """Return the diagnostics of some of the parameters, those shape (n,)."""
        arrays = [name for name in self.__slots__ if not name.startswith("n_independent")]
        return replace(self, **{name: getattr(self, name)[those] for name in arrays})


@dataclass(frozen=True, slots=True)
class Roles:
    """What each of n scalars is to a run's verdict, shape (n,) each.

    A candidate counts unless it is constant, or ties: more than ``TIED`` of its draws repeat a
    value, as an indicator's do, or those of a quantity that is cut off at 0. Rank statistics of
    ties are wide. Free parameters count whatever their ties, and so does what is asked for.

    Attributes:
        is_free: a parameter of the model, not computed from others.
        is_candidate: counts unless it is constant, or ties.
        may_tie: counts unless it is constant.
    """

    is_free: npt.NDArray[np.bool_]
    is_candidate: npt.NDArray[np.bool_]
    may_tie: npt.NDArray[np.bool_]

    def is_counted(self, n_distinct: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which scalars count, given how many different values each had."""
        moving = n_distinct[np.isfinite(n_distinct)]
        is_tied = n_distinct < (1 - TIED) * moving.max(initial=1)
        counted: npt.NDArray[np.bool_] = (
            self.is_candidate & (self.may_tie | ~is_tied) & (n_distinct != 1)
        )
        return counted


def _all_free(n: int) -> Roles:
    every = np.ones(n, dtype=bool)
    return Roles(every, every, every)


class Values(Protocol):
    """Draws (chains, draws, n): an array, or what makes ``values[:, :, some]`` when asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Chains, draws and scalars."""

    def __getitem__(self, at: tuple[slice, slice, slice], /) -> FloatArray:
        """Return some scalars, neighbours, over all draws."""


def compute(
    values: Values,
    groups: IntArray,
    *,
    reference_mean: FloatArray | None = None,
    roles: Roles | None = None,
) -> Diagnostics:
    """Return the diagnostics of one run.

    Args:
        values: shape (chains, draws, n), on the constrained space; at least 4 draws.
        groups: shape (chains,); chains with the same number are walkers of one ensemble.
        reference_mean: shape (n,), NaN where unknown.
        roles: of the n scalars; None if all are free parameters.
    """
    n_chains, _, n = values.shape
    is_ensemble = len(np.unique(groups)) < n_chains
    roles = roles or _all_free(n)

    def work(x: FloatArray, some: slice, reference: FloatArray) -> dict[str, npt.NDArray[Any]]:
        return _compute_block(
            x, groups, reference[some], roles.is_free[some], is_ensemble=is_ensemble
        )

    return _by_blocks(values, work, reference_mean, roles)


def _by_blocks(
    values: Values,
    work: Callable[[FloatArray, slice, FloatArray], dict[str, npt.NDArray[Any]]],
    reference_mean: FloatArray | None,
    roles: Roles,
    resampled: IntArray | None = None,
) -> Diagnostics:
    """Return diagnostics from what ``work`` makes of parameters in blocks (k, chains, draws).

    ``resampled`` picks draws of a weighted sample, with equal weights, for correlations.
    """
    n_chains, n_draws, n = values.shape
    reference = np.full(n, np.nan) if reference_mean is None else reference_mean
    size = max(1, BLOCK_BYTES // (8 * n_chains * n_draws))
    picked = np.zeros(n, dtype=bool)
    picked[np.linspace(0, n - 1, min(n, MAX_CORRELATED)).astype(int)] = True
    every = np.arange(n_draws) if resampled is None else resampled
    length = 1 if resampled is not None else min(n_draws, max(1, n_chains * n_draws // N_BATCHES))
    done: list[dict[str, npt.NDArray[Any]]] = []
    batches: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    # Nothing is being timed now, and NumPy lets go of the interpreter's lock. As many blocks are
    # made at a time as there are threads.
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        parts = [slice(first, first + size) for first in range(0, n, size)]
        for some in (parts[i : i + n_threads] for i in range(0, len(parts), n_threads)):
            blocks = [np.ascontiguousarray(np.moveaxis(values[:, :, part], 2, 0)) for part in some]
            for x, part in zip(blocks, some, strict=True):
                few = x[picked[part]][:, :, every]
                for of_squares, means in zip((False, True), batches, strict=True):
                    means.append(_batch_means(few, length=length, of_squares=of_squares))
            done += pool.map(work, blocks, some, [reference] * len(some))
    joined = {name: np.concatenate([block[name] for block in done]) for name in done[0]}
    is_counted = roles.is_counted(joined["n_distinct"])
    worth, worth_square = (_worth(np.concatenate(means)[is_counted[picked]]) for means in batches)
    return Diagnostics(
        **joined, is_counted=is_counted, n_independent=worth, n_independent_square=worth_square
    )


def compute_weighted(
    values: Values,
    weights: FloatArray,
    families: IntArray | None = None,
    *,
    reference_mean: FloatArray | None = None,
    roles: Roles | None = None,
) -> Diagnostics:
    """Return the diagnostics of one weighted sample: from nested or sequential Monte Carlo.

    With families the variance of a mean is estimated from sums over families (Chan & Lai 2013,
    Annals of Statistics 41(6); Lee & Whiteley 2018, Biometrika 105(3)), and the effective sample
    size follows from it. Without, it is Kish's, the same for every parameter.

    Args:
        values: shape (1, draws, n), on the constrained space.
        weights: shape (draws,), sum 1.
        families: shape (draws,), the ancestor each draw descends from, or None.
        reference_mean: shape (n,), NaN where unknown.
        roles: of the n scalars; None if all are free parameters.
    """

    def work(x: FloatArray, some: slice, reference: FloatArray) -> dict[str, npt.NDArray[Any]]:
        return _compute_weighted_block(
            np.ascontiguousarray(x[:, 0].T), weights, families, reference[some], resampled
        )

    _, n_draws, n = values.shape
    equal = np.searchsorted(np.cumsum(weights), (np.arange(n_draws) + 0.5) / n_draws)
    resampled = np.minimum(equal, n_draws - 1)
    return _by_blocks(values, work, reference_mean, roles or _all_free(n), resampled)


def _compute_weighted_block(
    values: FloatArray,
    weights: FloatArray,
    families: IntArray | None,
    reference: FloatArray,
    resampled: IntArray,
) -> dict[str, npt.NDArray[Any]]:
    finite = np.asarray(np.isfinite(values).all(axis=0))
    x, exponent = _scaled(np.where(finite, values, 0.0), axis=0)
    mean = weights @ x
    kish = 1 / np.sum(weights**2)
    scores, lower, upper = _weighted_scores(x, weights)

    def ess(of: FloatArray) -> FloatArray:
        off = of - weights @ of
        if families is None:
            return np.full(of.shape[1], kish)
        share = weights[:, None] * off
        within = np.zeros((int(families.max()) + 1, of.shape[1]))
        np.add.at(within, families, share)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((weights @ off**2) / np.sum(within**2, axis=0))

    squares = (x - mean) ** 2
    variance = weights @ squares
    unknown = np.full(x.shape[1], np.nan)
    reference = np.ldexp(reference, -exponent)
    n_distinct = _n_distinct(np.sort(x, axis=0).T)
    found = {
        "mean": mean,
        "sd": np.sqrt(variance),
        "square_sd": np.sqrt(weights @ (squares - variance) ** 2),
        "second_moment": weights @ (x - reference) ** 2,
        "ess_bulk": ess(scores),
        "ess_tail": np.fmin(ess(lower), ess(upper)),
        "ess_mean": ess(x),
        "ess_square": ess(squares),
        "n_distinct": n_distinct,
    }
    for name in ESS:
        found[name] = np.where(n_distinct == 1, np.nan, found[name])
    found["mcse_mean"] = found["sd"] / np.sqrt(found["ess_mean"])
    tails = _tail_index(np.sort(x[resampled], axis=0).T, found["ess_tail"])
    found |= _unscaled(found, exponent) | tails
    known = {name: np.where(finite, array, np.nan) for name, array in found.items()}
    absent = dict.fromkeys(OF_CHAINS, unknown)
    return known | absent | {"is_finite": finite}


def _weighted_scores(
    x: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return normal scores of weighted ranks, and whether a draw lies below the tail quantiles."""
    order = np.argsort(x, axis=0)
    sorted_weights = weights[order]
    level = np.empty_like(x)
    middle = np.cumsum(sorted_weights, axis=0) - sorted_weights / 2
    np.put_along_axis(level, order, middle, axis=0)
    scores = special.ndtri(np.clip(level, 1e-12, 1 - 1e-12))
    return scores, (level <= TAIL[0]).astype(float), (level <= TAIL[1]).astype(float)


def is_frozen(values: FloatArray, groups: IntArray) -> npt.NDArray[np.bool_]:
    """Return which of n scalars never moved in a chain, or in all walkers of an ensemble.

    Args:
        values: shape (chains, draws, n).
        groups: as in ``compute``.
    """
    still = np.ptp(values, axis=1) == 0
    frozen: npt.NDArray[np.bool_] = np.any(
        [still[groups == group].all(axis=0) for group in np.unique(groups)], axis=0
    )
    return frozen


def _compute_block(
    x: FloatArray,
    groups: IntArray,
    reference_mean: FloatArray,
    is_free: npt.NDArray[np.bool_],
    *,
    is_ensemble: bool,
) -> dict[str, npt.NDArray[Any]]:
    finite = np.asarray(np.isfinite(x).all(axis=(1, 2)))
    x, exponent = _scaled(np.where(finite[:, None, None], x, 0.0), axis=(1, 2))
    reference_mean = np.ldexp(reference_mean, -exponent)
    frozen = is_free & is_frozen(np.moveaxis(x, 0, 2), groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = x.mean(axis=(1, 2))
        squares = (x - mean[:, None, None]) ** 2
        found = _of_ensemble(x, squares, groups) if is_ensemble else _of_chains(x, squares)
        sd = x.std(axis=(1, 2), ddof=1)
        for name in ESS:
            ess = np.where(found["n_distinct"] == 1, np.nan, found[name])
            found[name] = np.where(frozen, 0.0, ess)
        found |= {
            "mean": mean,
            "sd": sd,
            "square_sd": squares.std(axis=(1, 2), ddof=1),
            "second_moment": ((x - reference_mean[:, None, None]) ** 2).mean(axis=(1, 2)),
            "mcse_mean": sd / np.sqrt(found["ess_mean"]),
        }
        found |= _unscaled(found, exponent)
    known = {name: np.where(finite, array, np.nan) for name, array in found.items()}
    return known | {"is_finite": finite}


def _scaled(x: FloatArray, *, axis: int | tuple[int, ...]) -> tuple[FloatArray, IntArray]:
    """Return x over a power of two, its largest between 1/2 and 1, and the exponents.

    Exact, and squares neither overflow nor vanish: a draw may be 1e160, or all of them 1e-170.
    """
    _, exponent = np.frexp(np.abs(x).max(axis=axis))
    return np.ldexp(x, -np.expand_dims(exponent, axis)), exponent


def _unscaled(found: Mapping[str, FloatArray], exponent: IntArray) -> dict[str, FloatArray]:
    """Return the moments among what was found, of x as it was; infinite where they overflow."""
    powers = {"mean": 1, "sd": 1, "mcse_mean": 1, "square_sd": 2, "second_moment": 2}
    with np.errstate(over="ignore", under="ignore"):
        return {name: np.ldexp(found[name], power * exponent) for name, power in powers.items()}


# -- independent chains ----------------------------------------------------------------------


def _of_chains(x: FloatArray, squares: FloatArray) -> dict[str, FloatArray]:
    unknown = np.full(len(x), np.nan)
    halves = _split(x)
    ordered = np.sort(x.reshape(len(x), -1), axis=1)
    ranked, _ = _normal_scores(halves)
    ess_tail = _tail(x, ordered, lambda inside: ess_of_chains(_split(inside)))
    rhat = np.maximum(_rhat(ranked), _rhat(_normal_scores(_folded(halves))[0]))
    is_alone = x.shape[1] == 1
    return {
        "ess_bulk": ess_of_chains(ranked),
        "ess_tail": ess_tail,
        "ess_mean": ess_of_chains(halves),
        "ess_square": ess_of_chains(_split(squares)),
        "rhat": unknown if is_alone else rhat,
        "tau": unknown,
        "ess_bulk_as_chains": unknown,
        "ess_autocorr_time": unknown,
        "rhat_halves": rhat if is_alone else unknown,
        "t_halves": unknown,
        "spread_halves": unknown,
        **_tail_index(ordered, ess_tail),
        "n_distinct": _n_distinct(ordered),
    }


def ess_of_chains(x: FloatArray) -> FloatArray:
    """Return the ESS of the mean of (n, chains, draws), shape (n,), as ArviZ computes it.

    Geyer's initial monotone sequence on autocorrelations that combine within- and between-chain
    variance (Vehtari et al. 2021, section 3.2). The chains are taken as they are, unsplit.
    """
    _, n_chains, n_draws = x.shape
    autocovariance = _mean_autocovariance(x, x.mean(axis=2, keepdims=True)) / n_draws
    within = autocovariance[:, :1] * n_draws / (n_draws - 1)
    total = autocovariance[:, :1].copy()
    if n_chains > 1:
        total += x.mean(axis=2).var(axis=1, ddof=1)[:, None]
    rho = 1 - (within - autocovariance) / total
    rho[:, 0] = 1
    last = max(0, (n_draws - 1) // 2 - 1)  # the last pair of lags ArviZ looks at
    pairs = rho[:, 0 : 2 * last + 2 : 2] + rho[:, 1 : 2 * last + 2 : 2]
    cut = _first_nonpositive(pairs, otherwise=last)
    sums = np.cumsum(np.minimum.accumulate(pairs, axis=1), axis=1)
    before = np.where(cut > 0, _pick(sums, np.maximum(cut - 1, 0)), 0)
    even, pair = _pick(rho, 2 * cut), _pick(pairs, cut)
    tau = -1 + 2 * before + np.where((even > 0) | (pair >= 0), even, 0)
    floor = 1 / np.log10(n_chains * n_draws)
    ess: FloatArray = n_chains * n_draws / np.maximum(tau, floor)
    ess[np.ptp(x, axis=(1, 2)) == 0] = n_chains * n_draws  # as ArviZ has it for a constant
    return ess


def _folded(x: FloatArray) -> FloatArray:
    """Return distances from the median: they tell one spread from another."""
    return np.abs(x - np.median(x.reshape(len(x), -1), axis=1)[:, None, None])


def _rhat(x: FloatArray) -> FloatArray:
    n_draws = x.shape[2]
    between = n_draws * x.mean(axis=2).var(axis=1, ddof=1)
    within = x.var(axis=2, ddof=1).mean(axis=1)
    rhat: FloatArray = np.sqrt((between / within + n_draws - 1) / n_draws)
    return rhat


def z_by_chance(n: int) -> float:
    """Return how many standard errors the largest of n may be, Bonferroni at ``FAMILY_WISE``."""
    return float(stats.norm.isf(FAMILY_WISE / (2 * n)))


def t_by_chance(n: int, n_walkers: int) -> float:
    """Return what the largest ``t_halves`` of n parameters may be, Bonferroni, folded and not."""
    return float(stats.t.isf(FAMILY_WISE / (4 * n), n_walkers - 1))


def rhat_by_chance(ess: FloatArray, n_chains: int) -> FloatArray:
    """Return the R-hat that the largest of n converged parameters may reach, shape (n,).

    R-hat² - 1 is the variance of the 2 * n_chains half-chains' means over that within them: when
    converged, chi-square over its degrees of freedom, divided by a half-chain's ESS. The quantile
    is Bonferroni's for n parameters at ``FAMILY_WISE``; the larger n, the higher the largest.

    Args:
        ess: of all chains together, shape (n,).
        n_chains: before splitting.
    """
    halves = 2 * n_chains
    quantile = stats.chi2.ppf(1 - FAMILY_WISE / len(ess), halves - 1)
    rhat: FloatArray = np.sqrt(1 + quantile / (halves - 1) * halves / ess)
    return rhat


# -- ensembles -------------------------------------------------------------------------------


def _of_ensemble(x: FloatArray, squares: FloatArray, groups: IntArray) -> dict[str, FloatArray]:
    def ess(series: FloatArray) -> FloatArray:
        """Ensembles of one run are independent of each other: their ESS add up."""
        if np.all(groups == groups[0]):
            return ess_of_ensemble(series)
        parts = [ess_of_ensemble(series[:, groups == group]) for group in np.unique(groups)]
        return np.asarray(np.sum(parts, axis=0))

    scores, ordered = _normal_scores(x)
    is_even = x.shape[2] % 2 == 0
    mean, ess_tail = ess(x), _tail(x, ordered, ess)
    return {
        "ess_bulk": ess(scores),
        "ess_tail": ess_tail,
        "ess_mean": mean,
        "ess_square": ess(squares),
        "rhat": np.full(len(x), np.nan),
        "tau": x.shape[1] * x.shape[2] / mean,
        # An odd run's middle draw is dropped before ranking, so it must be ranked again.
        "ess_bulk_as_chains": ess_of_chains(
            _split(scores) if is_even else _normal_scores(_split(x))[0]
        ),
        "ess_autocorr_time": _ess_autocorr_time(x),
        **_of_halves(x, scores),
        **_tail_index(ordered, ess_tail),
        "n_distinct": _n_distinct(ordered),
    }


def _of_halves(x: FloatArray, scores: FloatArray) -> dict[str, FloatArray]:
    """Return by how much all walkers' second half differs from their first.

    Scores and folded scores as in R-hat, the halves of all walkers in place of chains. Chance is
    measured from walker to walker: a drift that they share makes the ESS small, which would excuse
    it.
    """
    n, n_walkers, _ = x.shape
    distances = _folded(x)
    rhat, t = np.full(n, -np.inf), np.zeros(n)
    for series in (scores, _normal_scores(distances)[0]):
        halves = _split(series)
        step = halves[:, n_walkers:].mean(axis=2) - halves[:, :n_walkers].mean(axis=2)
        error = step.std(axis=1, ddof=1) / np.sqrt(n_walkers)
        rhat = np.fmax(rhat, _rhat(halves.reshape(n, 2, -1)))
        t = np.fmax(t, np.abs(step.mean(axis=1)) / error)
    before, after = _split(distances).reshape(n, 2, -1).mean(axis=2).T
    return {"rhat_halves": rhat, "t_halves": t, "spread_halves": after / before}


def ess_of_ensemble(x: FloatArray) -> FloatArray:
    """Return the ESS of the mean of one ensemble (n, walkers, steps), shape (n,).

    The globally centred initial monotone sequence: autocovariances about the mean over all
    walkers and steps (Agarwal & Vats 2020), so that the slow drift of a walker is not removed
    with its own mean; lag k divided by its number of terms; Geyer's (1992) initial monotone
    sequence; and each pair of lags weighted by the share of the run it fits into.
    """
    _, n_walkers, n_steps = x.shape
    autocovariance = _mean_autocovariance(x, x.mean(axis=(1, 2), keepdims=True))
    rho = autocovariance / (n_steps - np.arange(n_steps))
    rho = rho / rho[:, :1]
    n_pairs = n_steps // 2
    pairs = rho[:, 0 : 2 * n_pairs : 2] + rho[:, 1 : 2 * n_pairs : 2]
    cut = _first_nonpositive(pairs, otherwise=n_pairs)
    weights = 1 - 2 * np.arange(n_pairs) / n_steps
    kept = np.where(np.arange(n_pairs) < cut[:, None], np.minimum.accumulate(pairs, axis=1), 0)
    tau = 2 * kept @ weights - 1
    total = n_walkers * n_steps
    ess: FloatArray = total / np.maximum(tau, 1 / np.log10(total))
    return ess


def _ess_autocorr_time(x: FloatArray) -> FloatArray:
    """Return what emcee's ``integrated_time`` claims for (n, walkers, steps), shape (n,)."""
    _, n_walkers, n_steps = x.shape
    scaled = x / (x.std(axis=2, keepdims=True) * np.sqrt(n_steps))
    rho = _mean_autocovariance(scaled, scaled.mean(axis=2, keepdims=True))
    taus = 2 * np.cumsum(rho, axis=1) - 1
    is_wide_enough = np.arange(n_steps) >= WINDOW * taus
    window = np.where(is_wide_enough.any(axis=1), is_wide_enough.argmax(axis=1), n_steps - 1)
    ess: FloatArray = n_walkers * n_steps / _pick(taus, window)
    return ess


# -- across replicates -----------------------------------------------------------------------


def rhat_across(means: FloatArray, variances: FloatArray) -> FloatArray:
    """Return R-hat with every replicate as one superchain, shape (n,).

    sqrt(1 + B / W), B the variance of the replicates' means and W the mean of their variances:
    nested R-hat (Margossian et al. 2022, section 3) from what each replicate stores of itself.
    Their W counts the spread of a superchain's M chains M / (M - 1) times, which matters only
    where few chains of one replicate disagree; with one chain each the two are the same.

    Args:
        means: shape (replicates, n).
        variances: over all draws of a replicate, same shape.
    """
    rhat: FloatArray = np.sqrt(1 + means.var(axis=0, ddof=1) / variances.mean(axis=0))
    return rhat


def rhat_across_by_chance(ess: FloatArray, n_tests: int) -> FloatArray:
    """Return what the largest of n_tests R-hats across converged replicates may be, shape (n,).

    The variance of the replicates' means is that of a chi-square, 1 / ESS of each; where few of
    them have most of it, of fewer degrees of freedom (Satterthwaite 1946). Bonferroni at
    ``FAMILY_WISE``.

    Args:
        ess: that each replicate claims of itself, shape (replicates, n).
        n_tests: how many R-hats are looked at.
    """
    variance, n_replicates = 1 / ess, len(ess)
    worth = variance.mean(axis=0) ** 2 / (variance**2).mean(axis=0)
    freedom = np.maximum(1, worth * (n_replicates - 1))
    quantile = stats.chi2.ppf(1 - FAMILY_WISE / n_tests, freedom) / freedom
    rhat: FloatArray = np.sqrt(1 + quantile * variance.mean(axis=0))
    return rhat


@dataclass(frozen=True, slots=True)
class Calibration:
    """Claimed ESS over the ESS that the errors allow: 1 is honest, 2 claims twice too much."""

    ratio: float
    low: float
    high: float


def calibration(
    claimed: FloatArray,
    errors: FloatArray,
    *,
    n_independent: float,
    reference_se: FloatArray | None = None,
) -> Calibration:
    """Return the calibration of claimed ESS, pooled over parameters and replicates.

    The mean squared error, less the reference's own variance, over the mean of 1 / ESS. The
    interval is a chi-square's, with fewer degrees of freedom where few slow parameters make up
    most of the error and where parameters are correlated.

    Args:
        claimed: ESS, shape (replicates, n).
        errors: in units of the reference's sd, same shape.
        n_independent: how many independent parameters the n are worth.
        reference_se: standard error of the reference in its sd, shape (n,); None if exact.
    """
    tail = (1 - CONFIDENCE) / 2
    return _calibration(claimed, errors, n_independent, reference_se, tail=tail)


def is_overstated(
    claimed: FloatArray,
    errors: FloatArray,
    *,
    n_independent: float,
    reference_se: FloatArray | None = None,
) -> bool:
    """Return whether claimed ESS are beyond doubt over ``OVERSTATED`` times what errors allow.

    The same chi-square as ``calibration``'s, at a stricter level: its 95 % interval is for one
    number, and a table has many rows. Args as in ``calibration``, errors as ``bounded`` gives them.
    """
    tail = FAMILY_WISE / N_MOMENTS
    sure = _calibration(claimed, errors, n_independent, reference_se, tail=tail)
    return sure.low > OVERSTATED


def bounded(errors: FloatArray, spread: FloatArray, heaviness: FloatArray) -> FloatArray:
    """Return errors made smaller where a heavy tail makes the run's own sd larger than it is.

    Of a heavy tail, such as squares have, one draw far out moves a mean by many of the errors that
    the reference's sd allows, yet by no more than about one of those that the run's own allows,
    which it raises as well. An error is therefore divided by what the own sd exceeds
    ``USUAL_SPREAD`` by: such a draw is worth two standard errors at most. The divisor is at most
    ``MAX_SPREAD``, and 1 where the law has no heavier tails than a normal one: draws from far
    outside the posterior, such as those of walkers that are stuck there, are an error.

    Args:
        errors: in units of the reference's sd, shape (..., n).
        spread: the run's own sd over the reference's, same shape; NaN where unknown.
        heaviness: shape (n,), the law's sd of (x - mean)² over that of a normal law of its sd; NaN
            where unknown.
    """
    law = np.where(np.isnan(heaviness), np.inf, heaviness)
    most = np.clip(1 + MAX_SPREAD * (law - 1), 1.0, MAX_SPREAD)
    return errors / np.fmin(np.fmax(spread / USUAL_SPREAD, 1.0), most)


def _calibration(
    claimed: FloatArray,
    errors: FloatArray,
    n_independent: float,
    reference_se: FloatArray | None,
    *,
    tail: float,
) -> Calibration:
    """Return the calibration with an interval that leaves out ``tail`` on either side."""
    n_replicates, n = errors.shape
    own = np.mean(1 / claimed, axis=0)
    reference = _squared(reference_se, n)
    share = min(1.0, n_independent / n)
    freedom = max(1.0, share * float(_freedom(own, reference, n_replicates)))
    low, high = _chi_square_interval(freedom, tail)
    total, known = np.mean(errors**2), reference.mean()
    ratio, lowest, highest = (
        max(0.0, float((total / quantile - known) / own.mean())) for quantile in (1.0, high, low)
    )
    return Calibration(ratio, lowest, highest)


def error_based_ess(
    errors: FloatArray, *, reference_se: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the ESS each parameter's errors allow, with its 95 % interval, shape (n,) each.

    Reference variance over mean squared error; chi-square with one degree of freedom per
    replicate, fewer where the reference is uncertain. Args as in ``calibration``.
    """
    n_replicates, n = errors.shape
    total, reference = np.mean(errors**2, axis=0), _squared(reference_se, n)
    own = np.maximum(total - reference, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.maximum(1.0, _freedom(own[None], reference[None], n_replicates))
        low, high = _chi_square_interval(freedom, (1 - CONFIDENCE) / 2)
        ess, lowest, highest = (
            1 / np.maximum(total / quantile - reference, 0) for quantile in (1.0, low, high)
        )
    return ess, lowest, highest


def is_biased(
    errors: FloatArray, ess: FloatArray, *, reference_se: FloatArray | None = None
) -> npt.NDArray[np.bool_]:
    """Return which parameters are off by more than chance and more than a tenth of an sd.

    The error averaged over replicates against its standard error as ``variance_of_mean`` gives it,
    by Student's t; Bonferroni over parameters and both moments at 1 %. Args as in
    ``is_overstated``, with ``ess`` for ``claimed``.
    """
    n = errors.shape[1]
    variance, freedom = variance_of_mean(errors, 1 / ess)
    variance = variance + _squared(reference_se, n)
    limit = stats.t.ppf(1 - FAMILY_WISE / (2 * n * N_MOMENTS), freedom) * np.sqrt(variance)
    biased: npt.NDArray[np.bool_] = np.abs(errors.mean(axis=0)) > np.maximum(limit, BIASED_SD)
    return biased


def variance_of_mean(values: FloatArray, claimed: FloatArray) -> tuple[FloatArray, float]:
    """Return the variance of a mean over replicates, shape (n,), and its degrees of freedom.

    The larger of what the replicates claim, of that claim widened until it fits their spread pooled
    over parameters, and of the parameter's own spread: a claim that is too small is thus not taken
    for a difference. The freedom is the pooled spread's; infinite where there is one replicate.

    Args:
        values: of each replicate, shape (replicates, n).
        claimed: their variances as each claims them, same shape.
    """
    n_replicates, n = values.shape
    variance, freedom = np.mean(claimed, axis=0), math.inf
    if n_replicates > 1:
        spread = values.var(axis=0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = spread / variance
        known = share[np.isfinite(share)]
        widened = max(1.0, float(known.mean())) if known.size else 1.0
        variance = np.maximum(variance * widened, spread)
        freedom = (n_replicates - 1) * n
    return variance / n_replicates, freedom


def _squared(reference_se: FloatArray | None, n: int) -> FloatArray:
    return np.zeros(n) if reference_se is None else reference_se**2


def _freedom(own: FloatArray, reference: FloatArray, n_replicates: int) -> FloatArray:
    """Return the degrees of freedom of a mean squared error over replicates and the first axis.

    Satterthwaite's (1946), for independent parameters whose errors have the variances ``own``,
    new in each replicate, and ``reference``, the same in all of them.
    """
    noise = own**2 + 2 * own * reference + n_replicates * reference**2
    freedom: FloatArray = n_replicates * np.sum(own + reference, axis=0) ** 2 / noise.sum(axis=0)
    return freedom


def n_independent(values: FloatArray, *, length: int = 1, of_squares: bool = False) -> float:
    """Return how many independent parameters (chains, draws, n) are worth: d² / Σ corr².

    It is the errors of means that are correlated, less or more than draws are: where one direction
    is slow, the errors of all that have a share in it are that direction's. So the correlations
    are those of batch means, less what Σ corr² has by chance.

    Args:
        values: shape (chains, draws, n).
        length: draws to a batch; 1 where they are independent.
        of_squares: of (x - mean)² instead of x.
    """
    directions = _batch_means(np.moveaxis(values, 2, 0), length=length, of_squares=of_squares)
    return _worth(directions)


def _batch_means(x: FloatArray, *, length: int, of_squares: bool) -> FloatArray:
    """Return means of batches of (n, chains, draws), centred, each row of length 1.

    A row is 0 where a parameter doesn't move, or isn't finite.
    """
    _, n_chains, n_draws = x.shape
    n_batches = n_draws // length
    thin = max(1, n_chains * n_batches // MAX_CORRELATED_MEANS)
    rows = np.zeros((len(x), len(range(0, n_chains * n_batches, thin))))
    for of_one, row in zip(x, rows, strict=True):
        # One parameter at a time, so that memory is bounded by its draws.
        whole = of_one[:, : n_batches * length].reshape(n_chains * n_batches, -1)[::thin]
        with np.errstate(invalid="ignore", over="ignore"):
            extent = np.ptp(whole)
        if 0 < extent < math.inf:
            scaled = (whole - whole[0, 0]) / extent  # correlations stay, and nothing overflows
            centred = scaled - scaled.mean()
            means = (centred**2 if of_squares else centred).mean(axis=1)
            means -= means.mean()
            norm = np.linalg.norm(means)
            row[:] = means / norm if norm > 0 else 0
    return rows


def _worth(directions: FloatArray) -> float:
    """Return how many independent ones unit vectors (n, n_means) are worth, zeros left out."""
    moving = directions[directions.any(axis=1)]
    d, n_means = moving.shape
    if d == 0:
        return 1.0
    shared = float(np.sum((moving @ moving.T) ** 2)) - d
    beyond_chance = (shared * (n_means - 1) - (d**2 - d)) / max(1, n_means - 2)
    return float(d**2 / (d + max(0.0, beyond_chance)))


def geometric_mean_interval(values: FloatArray) -> tuple[float, float, float]:
    """Return the geometric mean and its 95 % t interval on logs; NaN bounds for one value."""
    logs = np.log(values)
    half = _half_width(logs.var(ddof=1) / len(logs), len(logs) - 1) if len(logs) > 1 else np.nan
    return _exp(logs.mean(), half)


def ratio_interval(numerator: FloatArray, denominator: FloatArray) -> tuple[float, float, float]:
    """Return the ratio of geometric means with Welch's 95 % interval on logs.

    The bounds are NaN where either has fewer than two values.
    """
    logs = [np.log(numerator), np.log(denominator)]
    estimate = logs[0].mean() - logs[1].mean()
    if min(map(len, logs)) < 2:
        return _exp(estimate, np.nan)
    parts = [log.var(ddof=1) / len(log) for log in logs]
    spread = sum(part**2 / (len(log) - 1) for part, log in zip(parts, logs, strict=True))
    freedom = sum(parts) ** 2 / spread if spread > 0 else np.inf
    return _exp(estimate, _half_width(sum(parts), freedom))


def exponent_interval(
    values: FloatArray, costs: Sequence[FloatArray]
) -> tuple[float, float, float]:
    """Return b of cost = a · value^b with its 95 % interval, by least squares on logs.

    The line goes through the points' geometric means, three or more, and the interval is Student's
    t on their scatter about it, n_points - 2 degrees of freedom. That scatter holds both what
    replicates vary by and what no power law fits. A fit to all replicates, or weights by their
    noise, would take the second for nothing: with many replicates of a bent curve the interval
    would shrink to a point.

    Args:
        values: positive, shape (n_points,), not all the same.
        costs: of each point's replicates.
    """
    slope, variance = _line(values, costs)[1:]
    half = _half_width(variance / _squares(values), len(values) - 2)
    return slope, slope - half, slope + half


def power_law(values: FloatArray, costs: Sequence[FloatArray], at: FloatArray) -> FloatArray:
    """Return a · value^b with its pointwise 95 % band, shape (3, n): estimate, low, high.

    The fit and what its interval rests on are those of ``exponent_interval``.

    Args:
        values: positive, shape (n_points,), not all the same.
        costs: of each point's replicates.
        at: where the law is wanted, positive, shape (n,).
    """
    centre, slope, variance = _line(values, costs)
    freedom, x = len(values) - 2, np.log(at) - np.mean(np.log(values))
    half = np.array([
        _half_width(variance * (1 / len(values) + float(d) ** 2 / _squares(values)), freedom)
        for d in x
    ])  # fmt: skip
    line = centre + slope * x
    law: FloatArray = np.exp(np.array([line, line - half, line + half]))
    return law


def _line(values: FloatArray, costs: Sequence[FloatArray]) -> tuple[float, float, float]:
    """Return the least-squares line through log costs: at the centre, its slope, its scatter."""
    x = np.log(values) - np.mean(np.log(values))
    y = np.array([np.mean(np.log(replicates)) for replicates in costs])
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    return float(y.mean()), slope, float(residuals @ residuals) / (len(values) - 2)


def _squares(values: FloatArray) -> float:
    x = np.log(values) - np.mean(np.log(values))
    return float(x @ x)


def _chi_square_interval(freedom: float | FloatArray, tail: float) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles of a chi-square over its degrees of freedom, ``tail`` outside each."""
    low, high = (np.asarray(stats.chi2.ppf(p, freedom) / freedom) for p in (tail, 1 - tail))
    return low, high


def _half_width(variance: float, freedom: float) -> float:
    return _quantile(freedom) * float(np.sqrt(variance))


@lru_cache  # it takes longer than all else about an interval, and the freedoms are few
def _quantile(freedom: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _exp(centre: float, half: float) -> tuple[float, float, float]:
    return float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half))


# -- tails -----------------------------------------------------------------------------------


def _tail_index(ordered: FloatArray, ess_tail: FloatArray) -> dict[str, FloatArray]:
    """Return Pareto k of the heavier tail of sorted draws (n, draws), as ArviZ computes it.

    Args:
        ordered: pooled draws.
        ess_tail: shape (n,); a tail holds the more draws, the less independent they are.
    """
    n, size = ordered.shape
    share = np.fmin(1, np.fmax(ess_tail, 1) / size)
    lengths = np.floor(np.fmin(MAX_TAIL * size, 3 * np.sqrt(size / share))).astype(int)
    k = np.full(n, np.nan)
    for i, (row, length) in enumerate(zip(ordered, lengths.tolist(), strict=True)):
        if length >= MIN_TAIL:
            upper, lower = row[-length:] - row[-length - 1], (row[length] - row[:length])[::-1]
            k[i] = np.fmax(_pareto_k(upper), _pareto_k(lower))
    return {"pareto_k": k, "n_tail": np.where(np.isnan(k), np.nan, lengths * share)}


def _pareto_k(exceedances: FloatArray) -> float:
    """Return the shape of a generalized Pareto, NaN where ties leave nothing to fit.

    Zhang & Stephens (2009) on sorted exceedances, with the weakly informative prior about 1/2 of
    Vehtari et al. (2024), Appendix G.
    """
    largest, n = exceedances[-1], len(exceedances)
    if n > MAX_FITTED:
        n = MAX_FITTED
        exceedances = exceedances[((np.arange(n) + 0.5) / n * len(exceedances)).astype(int)]
    n_points = 30 + int(n**0.5)
    quartile = exceedances[int(n / 4 + 0.5) - 1]
    if not quartile > exceedances[0]:
        return math.nan
    theta = 1 / largest + (1 - np.sqrt(n_points / (np.arange(n_points) + 0.5))) / (3 * quartile)
    shapes = np.log1p(-theta[:, None] * exceedances).mean(axis=1)
    weights = special.softmax(n * (np.log(-theta / shapes) - shapes - 1))
    shape = np.log1p(-(weights @ theta) * exceedances).mean()
    return float((n * shape + 10 * 0.5) / (n + 10))


# -- series ----------------------------------------------------------------------------------


def _split(x: FloatArray) -> FloatArray:
    """Return each chain's halves as chains of their own; an odd draw in the middle is dropped."""
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)


def _mean_autocovariance(x: FloatArray, centre: FloatArray) -> FloatArray:
    """Return Σ_t y[t] y[t + k], y = x - centre, averaged over chains, shape (n, draws).

    The spectra are averaged before they are transformed back: one inverse per parameter.
    """
    n, n_chains, n_draws = x.shape
    size = fft.next_fast_len(2 * n_draws, real=True)
    n_together = min(n_chains, max(1, SPECTRA_BYTES // (8 * n * size)))
    centres = np.broadcast_to(centre, (n, n_chains, 1))
    padded = np.zeros((n, n_together, size))
    power = np.zeros((n, size // 2 + 1))
    for first in range(0, n_chains, n_together):
        part = x[:, first : first + n_together]
        some = padded[:, : part.shape[1]]
        np.subtract(part, centres[:, first : first + n_together], out=some[:, :, :n_draws])
        spectra = fft.rfft(some, axis=2)
        parts = spectra.view(float)  # real and imaginary, side by side
        squares = np.einsum("ncf,ncf->nf", parts, parts)
        power += squares.reshape(n, -1, 2).sum(axis=2)
    autocovariance: FloatArray = fft.irfft(power / n_chains, n=size, axis=1)[:, :n_draws]
    return autocovariance


def _normal_scores(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the normal scores of pooled ranks, ties averaged, (n, chains, draws) as x is.

    Beside them x itself, pooled and sorted, shape (n, chains * draws).
    """
    flat = x.reshape(len(x), -1)
    scores, pooled = np.empty_like(flat), np.empty_like(flat)
    for row, ordered, out in zip(flat, pooled, scores, strict=True):
        # A rejected proposal repeats a draw: most of an ensemble's need not be sorted.
        stays, n_steps = _runs(row)
        order = np.argsort(stays)
        ordered[:] = np.repeat(stays[order], n_steps[order])
        _, n_stays = _runs(stays[order])
        n_tied = np.add.reduceat(n_steps[order], np.cumsum(n_stays) - n_stays)
        rank = np.cumsum(n_tied) - (n_tied - 1) / 2
        of_stays = np.empty_like(stays)
        # Blom's approximation, as in ArviZ.
        of_stays[order] = np.repeat(special.ndtri((rank - 0.375) / (row.size + 0.25)), n_stays)
        out[:] = np.repeat(of_stays, n_steps)
    return scores.reshape(x.shape), pooled


def _runs(row: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the values of the runs of equal numbers in a row, and the runs' lengths."""
    first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    return row[first], np.diff(np.r_[first, row.size])


def _n_distinct(ordered: FloatArray) -> FloatArray:
    """Return how many different values each sorted row has."""
    return np.asarray(1.0 + np.count_nonzero(np.diff(ordered, axis=1), axis=1))


def _tail(
    x: FloatArray, ordered: FloatArray, ess: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return the smaller ESS of the two tail quantiles' indicators."""
    size = ordered.shape[1]
    found = []
    for probability in TAIL:
        position = probability * (size - 1)
        below = int(position)
        low, high = ordered[:, below], ordered[:, min(below + 1, size - 1)]
        quantile = low + (position - below) * (high - low)
        found.append(ess((x <= quantile[:, None, None]).astype(float)))
    return np.minimum(*found)


def _first_nonpositive(pairs: FloatArray, *, otherwise: int) -> IntArray:
    is_over = ~(pairs > 0)
    return np.where(is_over.any(axis=1), is_over.argmax(axis=1), otherwise)


def _pick(values: FloatArray, index: IntArray) -> FloatArray:
    return np.take_along_axis(values, index[:, None], axis=1)[:, 0]
