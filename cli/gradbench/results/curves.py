"""Error against cost: how far a run's moments are off after how much work, all included.

The measure is b², the squared error of a moment in units of the variance of what it is the mean of
(Hoffman & Sountsov 2022, Tuning-free generalized Hamiltonian Monte Carlo): of each parameter that
of the mean or of the second moment, whichever is larger. An independent draw has 1 on average, n of
them 1 / n, and what is biased never comes below its bias.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.measure.result import COSTED, CellResult, Measured, by_sampler, counted
from gradbench.results import pooled
from gradbench.results.summary import Summary, number
from gradbench.results.times import compile_s
from gradbench.stats.interval import Interval
from gradbench.target.parameters import ReferenceMoments

GOAL = 0.01  # b² of the worst parameter: a tenth of a posterior sd
KNOWN = 0.25  # of the goal: what is known worse than that, squared, is not known
BAND = (10, 50, 90)  # per cent of the replicates


@dataclass(frozen=True, slots=True)
class Curve:
    """The error of one model's sampler against its cost, over replicates.

    An approximation, a weighted sample, and a run of an older gradbench are a point, k = 1.

    Attributes:
        model, sampler: labels.
        against: what the moments are compared with: known moments, or the agreement of the others.
        is_approximate: whether draws are from something that was fitted.
        n_replicates: that were finished.
        evaluations: of log-densities and of gradients alike, warm-up included, shape (k,); their
            median over replicates. NaN where nobody counted.
        equivalents: the same in density-equivalents; NaN where those are unknown.
        seconds: compile and warm-up included, likewise.
        worst: b² of the worst parameter, shape (k, 3): 10 %, median and 90 % of the replicates.
        typical: the same of its mean over parameters.
    """

    model: str
    sampler: str
    against: str
    is_approximate: bool
    n_replicates: int
    evaluations: FloatArray
    equivalents: FloatArray
    seconds: FloatArray
    worst: FloatArray
    typical: FloatArray


@dataclass(frozen=True, slots=True)
class _Run:
    """One replicate's errors after ever more work, arrays of shape (k,)."""

    evaluations: FloatArray
    equivalents: FloatArray
    seconds: FloatArray
    worst: FloatArray
    typical: FloatArray


@dataclass(frozen=True, slots=True)
class _Truth:
    """Moments by the name of their parameter, and where they come from."""

    parameters: tuple[str, ...]
    moments: ReferenceMoments
    against: str


def curves(results: Sequence[CellResult], found: Sequence[Summary]) -> list[Curve]:
    """Return the curve of each model and sampler whose moments can be compared with something.

    Args:
        results: of a run.
        found: the summaries of the same cells, in the same order.
    """
    made = []
    for key, (truth, runs) in _followed(results, found).items():
        first, (model, sampler) = runs[0][1], key
        alike = [run for _, run in runs if len(run.worst) == len(first.worst)]
        made.append(
            Curve(
                model=model,
                sampler=sampler,
                against=truth.against,
                is_approximate=runs[0][0].status == "approximate",
                n_replicates=len(alike),
                evaluations=np.median([run.evaluations for run in alike], axis=0),
                equivalents=np.median([run.equivalents for run in alike], axis=0),
                seconds=np.median([run.seconds for run in alike], axis=0),
                worst=_band([run.worst for run in alike]),
                typical=_band([run.typical for run in alike]),
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve; an interval is from 10 % to 90 % of the replicates, around the median.

    ``b2`` is of the worst parameter, ``mean_b2`` the mean over parameters; the other names are a
    curve's.
    """

    model: str
    sampler: str
    against: str
    is_approximate: bool
    evaluations: float
    density_equivalents: float
    seconds: float
    b2: Interval
    mean_b2: Interval


def points(found: Iterable[Curve]) -> list[Point]:
    """Return the points of curves, one after the other."""
    return [
        Point(
            model=curve.model,
            sampler=curve.sampler,
            against=curve.against,
            is_approximate=curve.is_approximate,
            evaluations=float(curve.evaluations[k]),
            density_equivalents=float(curve.equivalents[k]),
            seconds=float(curve.seconds[k]),
            b2=_interval(curve.worst[k]),
            mean_b2=_interval(curve.typical[k]),
        )
        for curve in found
        for k in range(len(curve.worst))
    ]


def _interval(band: FloatArray) -> Interval:
    low, median, high = map(float, band)
    return Interval(median, low, high)


def with_errors(results: Sequence[CellResult], found: Sequence[Summary]) -> list[Summary]:
    """Return summaries with their final b² and what it took until it stayed below ``GOAL``."""
    errors = {
        id(summary): (truth.against, run)
        for truth, runs in _followed(results, found).values()
        for summary, run in runs
    }
    return [
        _with_error(summary, *errors[id(summary)]) if id(summary) in errors else summary
        for summary in found
    ]


def reached(cost: FloatArray, error: FloatArray) -> float:
    """Return the cost from which on the error stays below ``GOAL``, infinity where it never does.

    Between two points both are powers of each other. A lone point says nothing of when: its cost
    is that of the whole run.

    Args:
        cost: shape (k,), rising.
        error: shape (k,).
    """
    above = np.flatnonzero(~(error < GOAL))
    if len(above) == 0:
        return float(cost[0])
    last = int(above[-1])
    if last == len(error) - 1:
        return math.inf
    ends = slice(last, last + 2)
    if not (np.isfinite(error[last]) and cost[last] > 0):
        return float(cost[last + 1])
    falling = -np.log(np.maximum(error[ends], np.finfo(float).tiny))
    return float(np.exp(np.interp(-math.log(GOAL), falling, np.log(cost[ends]))))


def _with_error(summary: Summary, against: str, run: _Run) -> Summary:
    return replace(
        summary,
        b2=number(run.worst[-1]),
        b2_against=against,
        evaluations_to_b2_goal=number(reached(run.evaluations, run.worst)),
        seconds_to_b2_goal=number(reached(run.seconds, run.worst)),
    )


def _followed(
    results: Sequence[CellResult], found: Sequence[Summary]
) -> dict[Key, tuple[_Truth, list[tuple[Summary, _Run]]]]:
    """Return, where there is something to compare with, each replicate's errors."""
    summaries = {result.cell.id: s for result, s in zip(results, found, strict=True)}
    trusted = _trusted(results, summaries)
    followed = {}
    for key, group in by_sampler(results).items():
        finished = [
            (summaries[result.cell.id], result.measured)
            for result in group
            if result.measured is not None and result.status not in {"frozen", "nonfinite"}
        ]
        model, sampler = key
        of_model = trusted.get(model, {})
        others = [run for name, runs in of_model.items() if name != sampler for run in runs]
        if finished and (truth := _truth(finished[0][1], others)) is not None:
            spent_s = compile_s([summary for summary, _ in finished])
            runs = [(s, _run(measured, s, truth, spent_s)) for s, measured in finished]
            if usable := [(s, run) for s, run in runs if np.isfinite(run.worst[-1])]:
                followed[key] = (truth, usable)
    return followed


def _trusted(
    results: Iterable[CellResult], summaries: Mapping[str, Summary]
) -> dict[str, dict[str, list[Measured]]]:
    """Return the runs that have a cost, by model and by sampler."""
    trusted: dict[str, dict[str, list[Measured]]] = {}
    for result in results:
        if summaries[result.cell.id].status in COSTED and result.measured is not None:
            model, sampler = result.cell.key
            trusted.setdefault(model, {}).setdefault(sampler, []).append(result.measured)
    return trusted


def _truth(measured: Measured, others: Sequence[Measured]) -> _Truth | None:
    """Return what a run is compared with: known moments, or those of the other samplers."""
    if measured.reference is not None and np.isfinite(measured.reference.mean).any():
        return _Truth(measured.parameters, measured.reference, "known moments")
    if not others:
        return None
    runs = counted(others)
    whole = pooled.by_worth(runs)
    moments = ReferenceMoments(
        whole.mean, whole.sd, whole.square_sd, whole.mean_se, whole.variance_se
    )
    return _Truth(runs[0].parameters, moments, "the agreement of the others")


def _run(measured: Measured, summary: Summary, truth: _Truth, spent_s: float) -> _Run:
    b2, after = _errors(measured, truth)
    share = told = after / measured.n_draws
    counts, timing = measured.evaluations, measured.timing
    if measured.elsewhere is not None and measured.elsewhere.evaluations_of != "all":
        told = share * math.nan  # nobody counted what warm-up took
    n_logp = counts.n_logp_warmup + told * counts.n_logp_sampling
    n_grad = counts.n_grad_warmup + told * counts.n_grad_sampling
    weight = (summary.gradient_s or math.nan) / (summary.logdensity_s or math.nan)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(b2).any(axis=1)
        worst = np.where(known, np.max(np.nan_to_num(b2, nan=0.0), axis=1), np.nan)
        n_known = np.maximum(1, np.isfinite(b2).sum(axis=1))
        typical = np.where(known, np.nansum(b2, axis=1) / n_known, np.nan)
    return _Run(
        evaluations=n_logp + n_grad,
        equivalents=n_logp + (weight * n_grad if counts.n_grad else 0.0),
        seconds=spent_s + timing.warmup.wall_s + share * timing.sampling.wall_s,
        worst=worst,
        typical=typical,
    )


def _errors(measured: Measured, truth: _Truth) -> tuple[FloatArray, FloatArray]:
    """Return b² after so many draws of each parameter that is known, (k, p), and those draws."""
    followed, found = measured.running, measured.diagnostics
    if followed is None:
        every = np.flatnonzero(found.is_counted)
        after = np.array([measured.n_draws])
        mean, square = np.zeros((1, len(every))), np.ones((1, len(every)))
    else:
        every, after = followed.at, followed.n_draws
        mean, square = followed.mean, followed.square
    position = {name: i for i, name in enumerate(truth.parameters)}
    own = np.array([i for i, at in enumerate(every) if measured.parameters[at] in position], int)
    at = every[own]
    known = np.array([position[measured.parameters[i]] for i in at], int)
    of = truth.moments.only(known)
    sd, offset = found.sd[at], found.mean[at] - of.mean
    with np.errstate(all="ignore"):
        first = sd * mean[:, own] + offset
        second = sd**2 * square[:, own] + 2 * offset * sd * mean[:, own] + offset**2 - of.sd**2
        of_mean = np.where((of.mean_se / of.sd) ** 2 < KNOWN * GOAL, (first / of.sd) ** 2, np.nan)
        is_known = (of.variance_se / of.square_sd) ** 2 < KNOWN * GOAL
        of_square = np.where(is_known, (second / of.square_sd) ** 2, np.nan)
    return np.fmax(of_mean, of_square), after


def _band(errors: Sequence[FloatArray]) -> FloatArray:
    """Return percentiles over replicates, of errors (k,) each, as (k, 3)."""
    band: FloatArray = np.percentile(np.array(errors), BAND, axis=0).T
    return band
