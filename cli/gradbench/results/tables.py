"""Results to rows: the only place that chooses a number for a column.

Two steps, so that a table can be printed again from its CSV alone: ``summaries`` turns results
into one flat record per cell (the CSV), ``rows`` turns those into one row per model and sampler.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from gradbench.config import planning
from gradbench.config.loading import Gates
from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.measure import statuses
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import COSTED, UNFINISHED, CellResult, Measured, counted
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics

MS = 1e3
CONTRADICTED = frozenset({"biased", "overstated"})
MAX_NAMED = 3  # parameters of heavy tails
DECISIVE = 2.0  # times what chance allows: of one replicate, bias or an ESS claimed fourfold
MIN_POINTS = 3  # of a power law: two always lie on one
MAX_UNCOSTED = 0.1  # of a row's replicates: with more, its price would be that of the survivors


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One cell in flat numbers: a line of ``results.csv``. None where there is no number.

    Costs are None unless the status is ok or unreliable; an approximation has neither costs nor
    effective sample sizes, only what its draws are off by. ``ess`` is the mean over parameters of
    the bulk ESS, ``ess_worst`` the smallest over parameters of the ESS of the mean and of the
    square, of ranks and tails where those don't exist. ``heavy_tails`` names such parameters.
    Evaluations per ESS count warm-up and sampling, log-densities and gradients alike.
    All of this is over the parameters that count: ``parameters`` says which were chosen, and
    ``uncounted`` what else doesn't count, and why.
    """

    model: str
    sampler: str
    replicate: int
    status: str
    reason: str
    ms_per_ess: float | None = None
    worst_ms_per_ess: float | None = None
    worst_parameter: str | None = None
    sampling_ms_per_ess: float | None = None
    cpu_ms_per_ess: float | None = None
    evaluations_per_ess: float | None = None
    worst_evaluations_per_ess: float | None = None
    ess: float | None = None
    ess_worst: float | None = None
    ess_geometric_mean: float | None = None
    ess_bulk_min: float | None = None
    ess_tail_min: float | None = None
    ess_mean_min: float | None = None
    ess_square_min: float | None = None
    ess_bulk_as_chains: float | None = None
    ess_autocorr_time: float | None = None
    rhat_max: float | None = None
    rhat_across_replicates: float | None = None
    autocorrelation_times_min: float | None = None
    error_rms_sd: float | None = None
    square_error_rms_sd: float | None = None
    z_max: float | None = None
    error_based_ess: float | None = None
    error_based_ess_low: float | None = None
    error_based_ess_high: float | None = None
    calibration: float | None = None
    calibration_low: float | None = None
    calibration_high: float | None = None
    square_calibration: float | None = None
    square_calibration_low: float | None = None
    square_calibration_high: float | None = None
    time_exponent: float | None = None
    time_exponent_low: float | None = None
    time_exponent_high: float | None = None
    evaluations_exponent: float | None = None
    evaluations_exponent_low: float | None = None
    evaluations_exponent_high: float | None = None
    compile_s: float | None = None
    compile_cpu_s: float | None = None
    warmup_s: float | None = None
    warmup_cpu_s: float | None = None
    sampling_s: float | None = None
    sampling_cpu_s: float | None = None
    n_logp_warmup: int | None = None
    n_logp_sampling: int | None = None
    n_grad_warmup: int | None = None
    n_grad_sampling: int | None = None
    n_divergences: int | None = None
    acceptance_rate: float | None = None
    log_evidence: float | None = None
    log_evidence_se: float | None = None
    n_chains: int | None = None
    n_draws: int | None = None
    n_parameters: int | None = None
    peak_memory_bytes: int | None = None
    load: float | None = None
    density_value_error: float | None = None
    density_gradient_error: float | None = None
    density_n_points: int | None = None
    density_signature: float | None = None
    reference: str | None = None
    backend: str | None = None
    fingerprint: str | None = None
    init: str
    threads: int
    seed: int
    start_seed: int
    params: str
    options: str
    parameters: str | None = None
    uncounted: str | None = None
    n_saturated: int | None = None
    heavy_tails: str | None = None
    start: str | None = None
    start_span: float | None = None
    density_note: str | None = None
    density_findings: str | None = None
    batch_form: str | None = None
    recompile_s: float | None = None
    model_use: str | None = None
    sampler_use: str | None = None
    sampler_versions: str | None = None
    default_options: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; the bounds are NaN where one replicate gives none."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One model and sampler over its replicates: a line of the table. None prints as a dash.

    Where more than a tenth of the replicates have no cost there is no price: it would be that of
    the runs that happened to go well. ``n_status`` replicates have the status that is told, and
    ``n_uncosted`` have no cost, for whatever reason.
    ``lone_z`` stands where there is but one replicate: the largest error of a known mean in
    standard errors that its ESS claims, and what chance allows. ``diverged`` and ``saturated`` are
    shares of the kept transitions.
    """

    model: str
    sampler: str
    n_replicates: int
    n_uncosted: int
    ms_per_ess: Interval | None
    worst_ms_per_ess: Interval | None
    worst_parameter: str | None
    ess: float | None
    warmup_s: float | None
    sampling_s: float | None
    compile_s: float | None
    evaluations_per_ess: Interval | None
    rhat: float | None
    n_divergences: int | None
    diverged: float | None
    saturated: float | None
    heavy_tails: str | None
    error_sd: float | None
    log_evidence: tuple[float, float] | None
    calibration: Interval | None
    lone_z: tuple[float, float] | None
    status: str
    n_status: int
    reason: str
    start: str
    start_span: float | None


@dataclass(frozen=True, slots=True)
class Contest:
    """How many times cheaper a model's best sampler is than another: a ratio of costs."""

    model: str
    best: str
    other: str
    time: Interval
    evaluations: Interval


@dataclass(frozen=True, slots=True)
class Growth:
    """How a sampler's costs grow with the one parameter that a model's sweep varies.

    Attributes:
        model: the label that the sweep's points have in common.
        parameter: what is varied.
        sampler: its label.
        smallest, largest: value of the parameter that has a cost.
        n_points: values that have one.
        n_unreliable: those of them where a replicate is ``unreliable``.
        n_uncosted: values that have none, left out.
        time, evaluations: exponents of power laws.
    """

    model: str
    parameter: str
    sampler: str
    smallest: float
    largest: float
    n_points: int
    n_unreliable: int
    n_uncosted: int
    time: Interval
    evaluations: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One cell and parameter: a line of ``parameters.csv``. Errors are in reference sds.

    The error-based ESS is that of all replicates' errors together, for one replicate.
    """

    model: str
    sampler: str
    replicate: int
    parameter: str
    mean: float | None
    sd: float | None
    mcse_mean: float | None
    ess_bulk: float | None
    ess_tail: float | None
    ess_mean: float | None
    ess_square: float | None
    rhat: float | None
    autocorrelation_times: float | None
    ess_bulk_as_chains: float | None
    ess_autocorr_time: float | None
    reference_mean: float | None
    reference_sd: float | None
    error_sd: float | None
    z: float | None
    square_error_sd: float | None
    square_z: float | None
    error_based_ess: float | None
    error_based_ess_low: float | None
    error_based_ess_high: float | None
    is_counted: bool


def summaries(
    results: Sequence[CellResult],
    checks: Sequence[DensityCheck] = (),
    *,
    gates: Gates = Gates(),  # noqa: B008 - frozen
) -> list[Summary]:
    """Return one summary per cell, in the cells' order.

    Errors against known moments are judged over all replicates of a model and sampler; where they
    contradict the claimed ESS, all its costed cells become biased or overstated. So is whether the
    replicates agree; where they don't, none of them converged. Exponents are those of a sweep's
    cells together.
    """
    checked = {check.model: check for check in checks}
    done: dict[str, Summary] = {}
    for whole in _by_sampler(results).values():
        agreed, group = statuses.agreement(whole, gates), statuses.existing(whole)
        across = (
            _across(group),
            _Across({"rhat_across_replicates": agreed.rhat}, agreed.status, agreed.reason),
        )
        for result in group:
            summary = _summary(result, checked.get(result.cell.model))
            for said in across:
                summary = said.contradict(replace(summary, **said.columns))
            done[result.cell.id] = summary
    return _with_exponents([done[result.cell.id] for result in results])


def _by_sampler(results: Iterable[CellResult]) -> dict[Key, list[CellResult]]:
    """Return the replicates of each model and sampler."""
    groups: dict[Key, list[CellResult]] = {}
    for result in results:
        groups.setdefault(result.cell.key, []).append(result)
    return groups


def rows(found: Iterable[Summary]) -> list[Row]:
    """Return one row per model and sampler: models in order, samplers by cost, dashes after them.

    Approximations come last, by the time they took.
    """
    table: list[Row] = []
    for _, of_model in groupby(found, key=lambda s: s.model):
        samplers: dict[str, list[Summary]] = {}
        for summary in of_model:
            samplers.setdefault(summary.sampler, []).append(summary)
        table.extend(sorted((_row(group) for group in samplers.values()), key=_by_cost))
    return table


def contests(found: Sequence[Summary]) -> list[Contest]:
    """Return, per model, its best sampler against each other one that has a cost."""
    against = []
    for model, of_model in groupby(rows(found), key=lambda row: row.model):
        costed = [row.sampler for row in of_model if row.ms_per_ess is not None]
        costs = {
            sampler: [s for s in found if (s.model, s.sampler) == (model, sampler)]
            for sampler in costed
        }
        for other in costed[1:]:
            theirs, best = costs[other], costs[costed[0]]
            against.append(
                Contest(
                    model,
                    costed[0],
                    other,
                    _ratio(_values(theirs, "ms_per_ess"), _values(best, "ms_per_ess")),
                    _ratio(
                        _values(theirs, "evaluations_per_ess"), _values(best, "evaluations_per_ess")
                    ),
                )
            )
    return against


def growths(found: Iterable[Summary]) -> list[Growth]:
    """Return how costs grow, per sampler and sweep of one numeric parameter.

    Where fewer than ``MIN_POINTS`` of its values have a cost nothing is returned.
    """
    sweeps: dict[tuple[str, str, str], dict[float, list[Summary]]] = {}
    for summary in found:
        if (place := _place(summary)) is not None:
            model, parameter, value = place
            points = sweeps.setdefault((model, parameter, summary.sampler), {})
            points.setdefault(value, []).append(summary)
    grown = (_growth(key, points) for key, points in sweeps.items())
    return [growth for growth in grown if growth is not None]


def parameter_rows(results: Iterable[CellResult]) -> list[ParameterRow]:
    """Return one row per finished cell and parameter."""
    groups = {key: statuses.existing(group) for key, group in _by_sampler(results).items()}
    error_based = {key: _error_based(group) for key, group in groups.items()}
    table = []
    for result in (result for group in groups.values() for result in group):
        if result.measured is None:
            continue
        columns = _parameter_columns(result.measured)
        columns |= error_based[result.cell.key]
        for i, name in enumerate(result.measured.parameters):
            table.append(
                ParameterRow(
                    model=result.cell.model,
                    sampler=result.cell.sampler,
                    replicate=result.cell.replicate,
                    parameter=name,
                    **{key: _number(values[i]) for key, values in columns.items()},
                    is_counted=bool(result.measured.diagnostics.is_counted[i]),
                )
            )
    return table


def is_failure(found: Iterable[Summary]) -> bool:
    """Return whether any cell gave no result, or one that must not be believed."""
    wrong = {*UNFINISHED, *CONTRADICTED, "frozen", "nonfinite"}
    return any(summary.status in wrong for summary in found)


# -- one cell --------------------------------------------------------------------------------


def _summary(result: CellResult, check: DensityCheck | None) -> Summary:
    cell = result.cell
    bare = Summary(
        model=cell.model,
        sampler=cell.sampler,
        replicate=cell.replicate,
        status=result.status,
        reason=result.reason,
        init=cell.init,
        threads=cell.threads,
        seed=cell.seed,
        start_seed=cell.start_seed,
        params=json.dumps(dict(cell.params)),
        options=json.dumps(dict(cell.options)),
        parameters=", ".join(cell.parameters) or None,
        density_value_error=None if check is None else check.value_error,
        density_gradient_error=None if check is None else check.gradient_error,
        density_n_points=None if check is None else check.n_points,
        density_signature=None if check is None else check.signature,
        density_note=None if check is None else check.notes.get(cell.sampler),
        density_findings=None if check is None else "; ".join(check.findings) or None,
        model_use=cell.model_use,
        sampler_use=cell.sampler_use,
        default_options=", ".join(cell.defaults) or None,
    )
    if result.measured is None:
        return bare
    (judged,) = counted([result.measured])
    costs = _costs(judged) if result.status in COSTED else {}
    return replace(bare, **_columns(result.measured, judged), **costs)


def _columns(measured: Measured, judged: Measured) -> dict[str, Any]:
    timing, counts = measured.timing, measured.evaluations
    parameters = _parameter_columns(judged)
    why = [f"{name} ({reason})" for name, reason in measured.uncounted.items()]
    return {
        # Independent draws from the wrong distribution: their number says nothing.
        **({} if measured.is_approximate or not judged.parameters else _sizes(judged, parameters)),
        "error_rms_sd": _rms(parameters["error_sd"]),
        "square_error_rms_sd": _rms(parameters["square_error_sd"]),
        "z_max": _largest(np.abs(parameters["z"])),
        # A warm worker compiled nothing for this cell: no number, rather than a zero.
        "compile_s": timing.compile.wall_s or None,
        "compile_cpu_s": timing.compile.cpu_s or None,
        "warmup_s": timing.warmup.wall_s,
        "warmup_cpu_s": timing.warmup.cpu_s,
        "sampling_s": timing.sampling.wall_s,
        "sampling_cpu_s": timing.sampling.cpu_s,
        **asdict(counts),
        "n_divergences": measured.n_divergences,
        "n_saturated": measured.n_saturated,
        "heavy_tails": _heavy_tails(judged),
        "acceptance_rate": measured.acceptance_rate,
        "log_evidence": measured.log_evidence,
        "log_evidence_se": measured.log_evidence_se,
        "n_chains": measured.n_chains,
        "n_draws": measured.n_draws,
        "n_parameters": len(measured.parameters),
        "peak_memory_bytes": measured.peak_memory_bytes,
        "load": measured.load,
        "start": measured.start,
        "start_span": measured.start_span,
        "reference": measured.reference_source,
        "backend": measured.backend,
        "fingerprint": measured.fingerprint,
        "uncounted": "; ".join(why) or None,
        "batch_form": measured.batch_form,
        "recompile_s": measured.recompile_s,
        "sampler_versions": ", ".join(f"{n} {v}" for n, v in measured.versions.items()) or None,
    }


def _sizes(judged: Measured, parameters: Mapping[str, FloatArray]) -> dict[str, Any]:
    found = judged.diagnostics
    worst = smallest_ess(found)
    return {
        "ess": _number(np.mean(found.ess_bulk)),
        "ess_worst": _number(np.min(worst)),
        "worst_parameter": judged.parameters[int(np.argmin(worst))],
        "ess_geometric_mean": _number(_geometric_mean(_or_ranks(found.ess_mean, found))),
        "ess_bulk_min": _number(np.min(found.ess_bulk)),
        "ess_tail_min": _number(np.min(found.ess_tail)),
        "ess_mean_min": _number(np.fmin.reduce(found.ess_mean)),
        "ess_square_min": _number(np.fmin.reduce(found.ess_square)),
        "ess_bulk_as_chains": _number(np.mean(found.ess_bulk_as_chains)),
        "ess_autocorr_time": _number(np.mean(found.ess_autocorr_time)),
        "rhat_max": _number(np.max(found.rhat)),
        "autocorrelation_times_min": _number(np.min(parameters["autocorrelation_times"])),
    }


def _costs(judged: Measured) -> dict[str, Any]:
    found, timing, counts = judged.diagnostics, judged.timing, judged.evaluations
    ess = float(np.mean(found.ess_bulk))
    worst = float(np.min(smallest_ess(found)))
    spent = timing.warmup + timing.sampling
    n_evaluations = counts.n_logp + counts.n_grad
    return {
        "ms_per_ess": MS * spent.wall_s / ess,
        "worst_ms_per_ess": MS * spent.wall_s / worst,
        "sampling_ms_per_ess": MS * timing.sampling.wall_s / ess,
        "cpu_ms_per_ess": MS * spent.cpu_s / ess,
        "evaluations_per_ess": n_evaluations / ess,
        "worst_evaluations_per_ess": n_evaluations / worst,
    }


def smallest_ess(found: Diagnostics) -> FloatArray:
    """Return the smaller ESS of mean and square, shape (n,); of ranks where neither exists."""
    smaller: FloatArray = np.fmin(found.ess_mean, found.ess_square)
    return _or_ranks(smaller, found)


def _or_ranks(ess: FloatArray, found: Diagnostics) -> FloatArray:
    return np.where(np.isnan(ess), np.fmin(found.ess_bulk, found.ess_tail), ess)


def _heavy_tails(measured: Measured) -> str | None:
    """Return which parameters have no variance, with their Pareto k; None where all have one."""
    found = measured.diagnostics
    heavy = np.isnan(found.ess_mean) & (found.pareto_k > statuses.NO_VARIANCE)
    named = [
        f"{name} {k:.2f}"
        for name, k, is_heavy in zip(measured.parameters, found.pareto_k, heavy, strict=True)
        if is_heavy
    ]
    more = [f"{len(named) - MAX_NAMED} more"] if len(named) > MAX_NAMED else []
    return ", ".join([*named[:MAX_NAMED], *more]) or None


def _parameter_columns(measured: Measured) -> dict[str, FloatArray]:
    found, reference = measured.diagnostics, measured.reference
    unknown = np.full(len(measured.parameters), np.nan)
    error, square_error, error_se, square_error_se = _errors(measured)
    return {
        "mean": found.mean,
        "sd": found.sd,
        "mcse_mean": found.mcse_mean,
        "ess_bulk": found.ess_bulk,
        "ess_tail": found.ess_tail,
        "ess_mean": found.ess_mean,
        "ess_square": found.ess_square,
        "rhat": found.rhat,
        "autocorrelation_times": measured.n_draws / found.tau,
        "ess_bulk_as_chains": found.ess_bulk_as_chains,
        "ess_autocorr_time": found.ess_autocorr_time,
        "reference_mean": unknown if reference is None else reference.mean,
        "reference_sd": unknown if reference is None else reference.sd,
        "error_sd": error,
        "z": _z(error, found.ess_mean, error_se),
        "square_error_sd": square_error,
        "square_z": _z(square_error, found.ess_square, square_error_se),
    }


def _z(error: FloatArray, ess: FloatArray, reference_se: FloatArray) -> FloatArray:
    """Return errors in standard errors, the run's as its ESS claims and the reference's own."""
    z: FloatArray = error * np.sqrt(ess / (1 + ess * reference_se**2))
    return z


def _errors(measured: Measured) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return errors of mean and second moment, and the reference's own standard errors of both.

    All in units of the reference's sd, of x or of (x - mean)²; NaN where nothing is known.
    """
    found, reference = measured.diagnostics, measured.reference
    if reference is None:
        unknown = np.full(len(measured.parameters), np.nan)
        return unknown, unknown, unknown, unknown
    return (
        (found.mean - reference.mean) / reference.sd,
        (found.second_moment - reference.sd**2) / reference.square_sd,
        reference.mean_se / reference.sd,
        reference.variance_se / reference.square_sd,
    )


def _spreads(measured: Measured) -> tuple[FloatArray, FloatArray]:
    """Return the run's own sds over the reference's, of x and of (x - mean)²; NaN where unknown."""
    found, reference = measured.diagnostics, measured.reference
    if reference is None:
        unknown = np.full(len(measured.parameters), np.nan)
        return unknown, unknown
    return found.sd / reference.sd, found.square_sd / reference.square_sd


def _heaviness(measured: Measured) -> FloatArray:
    """Return the reference's sd of (x - mean)² over a normal law's: 1 there, 2 of t5; or NaN."""
    if (reference := measured.reference) is None:
        return np.full(len(measured.parameters), np.nan)
    heaviness: FloatArray = reference.square_sd / (math.sqrt(2) * reference.sd**2)
    return heaviness


# -- replicates of one model and sampler -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Across:
    """What all replicates say together."""

    columns: dict[str, Any]
    status: str | None = None
    reason: str = ""

    def contradict(self, summary: Summary) -> Summary:
        """Return the summary, contradicted if it has costs: they go, or are only marked."""
        if self.status is None or summary.status not in COSTED:
            return summary
        if self.status in COSTED:
            is_fine = summary.status == "ok"
            return replace(summary, status=self.status, reason=self.reason) if is_fine else summary
        costs = [name for name in Summary.__slots__ if name.endswith("per_ess")]
        uncosted: dict[str, Any] = dict.fromkeys(costs, None)
        return replace(summary, status=self.status, reason=self.reason, **uncosted)


def _error_based(group: Sequence[CellResult]) -> dict[str, FloatArray]:
    """Return each parameter's error-based ESS and its interval, NaN where there is no reference."""
    names = ("error_based_ess", "error_based_ess_low", "error_based_ess_high")
    errors = [_errors(measured) for measured in statuses.believed(group)]
    if not errors:
        measured = next((r.measured for r in group if r.measured is not None), None)
        n = 0 if measured is None else len(measured.parameters)
        return dict.fromkeys(names, np.full(n, np.nan))
    of_mean = np.array([of_mean for of_mean, *_ in errors])
    found = diagnostics.error_based_ess(of_mean, reference_se=errors[0][2])
    return dict(zip(names, found, strict=True))


def _across(group: Sequence[CellResult]) -> _Across:
    finished = counted(statuses.believed(group))
    if not finished or not finished[0].parameters:
        return _Across({})
    if len(finished) < 2:
        return _alone(finished[0])
    found = [measured.diagnostics for measured in finished]
    columns: dict[str, Any] = {}
    if finished[0].reference is None:
        return _Across(columns)
    errors = [_errors(measured) for measured in finished]
    spreads, heaviness = [_spreads(measured) for measured in finished], _heaviness(finished[0])
    claims = {
        "calibration": (
            [d.ess_mean for d in found],
            [e[0] for e in errors],
            [s[0] for s in spreads],
            errors[0][2],
            [d.n_independent for d in found],
        ),
        "square_calibration": (
            [d.ess_square for d in found],
            [e[1] for e in errors],
            [s[1] for s in spreads],
            errors[0][3],
            [d.n_independent_square for d in found],
        ),
    }
    status, reason = None, ""
    for name, (claimed, error, spread, error_se, worths) in claims.items():
        known = np.isfinite(error).all(axis=0)
        if not known.any():
            continue
        ess, off, se = np.array(claimed)[:, known], np.array(error)[:, known], error_se[known]
        worth = float(np.mean(worths))
        judged = diagnostics.calibration(ess, off, n_independent=worth, reference_se=se)
        sure = diagnostics.bounded(off, np.array(spread)[:, known], heaviness[known])
        columns[name] = _number(judged.ratio)
        columns[f"{name}_low"] = _number(judged.low)
        columns[f"{name}_high"] = _number(judged.high)
        if name == "calibration" and judged.ratio > 0:
            typical = 1 / np.mean(1 / ess)
            columns["error_based_ess"] = _number(typical / judged.ratio)
            columns["error_based_ess_low"] = _number(typical / judged.high)
            columns["error_based_ess_high"] = _number(typical / judged.low)
        what = "mean" if name == "calibration" else "second moment"
        biased = diagnostics.is_biased(sure, ess, reference_se=se)
        if biased.any() and status is None:
            worst = int(np.argmax(np.where(biased, np.abs(off.mean(axis=0)), 0)))
            parameter = np.array(finished[0].parameters)[known][worst]
            status = "biased"
            reason = f"the {what} of {parameter} is off by {off.mean(axis=0)[worst]:+.2f} sd"
        elif status is None and diagnostics.is_overstated(
            ess, sure, n_independent=worth, reference_se=se
        ):
            status = "overstated"
            reason = (
                f"the ESS claimed for the {what} is {_times(judged.ratio)}"
                f" [{_times(judged.low)}, {_times(judged.high)}] times what its errors allow"
            )
    return _Across(columns, status, reason)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _alone(measured: Measured) -> _Across:
    """Return what one replicate says: an error far beyond chance contradicts its ESS."""
    error, _, error_se, _ = _errors(measured)
    error = diagnostics.bounded(error, _spreads(measured)[0], _heaviness(measured))
    z = np.abs(_z(error, measured.diagnostics.ess_mean, error_se))
    z = np.where(np.abs(error) > diagnostics.BIASED_SD, np.nan_to_num(z), 0)
    worst = int(np.argmax(z))
    allowed = diagnostics.z_by_chance(len(z))
    if z[worst] <= DECISIVE * allowed:
        return _Across({})
    reason = (
        f"the mean of {measured.parameters[worst]} is off by {z[worst]:.1f} standard errors"
        f" that its ESS claims, where chance allows {allowed:.1f}"
    )
    return _Across({}, "overstated", reason)


# -- rows ------------------------------------------------------------------------------------


def _row(group: Sequence[Summary]) -> Row:
    costed = [s for s in group if s.status in COSTED]
    priced = costed if _is_priced(group) else []
    worst = min(priced, key=lambda s: s.ess_worst or math.inf, default=None)
    status, n_status, reason = _row_status(group)
    first = group[0]
    return Row(
        model=first.model,
        sampler=first.sampler,
        n_replicates=len(group),
        n_uncosted=len(group) - len(costed),
        ms_per_ess=_interval(_values(priced, "ms_per_ess")),
        worst_ms_per_ess=_interval(_values(priced, "worst_ms_per_ess")),
        worst_parameter=None if worst is None else worst.worst_parameter,
        ess=_mean(_values(group, "ess")),
        warmup_s=_mean(_values(group, "warmup_s")),
        sampling_s=_mean(_values(group, "sampling_s")),
        compile_s=_mean(_values(group, "compile_s")),
        evaluations_per_ess=_interval(_values(priced, "evaluations_per_ess")),
        rhat=_worst_rhat(group),
        n_divergences=_sum(_values(group, "n_divergences")),
        diverged=_share(group, "n_divergences"),
        saturated=_share(group, "n_saturated"),
        heavy_tails=first.heavy_tails,
        error_sd=_mean(_values(group, "error_rms_sd")),
        log_evidence=_evidence(group),
        calibration=_calibration(first),
        lone_z=_lone_z(group),
        status=status,
        n_status=n_status,
        reason=reason,
        start=next((s.start for s in group if s.start is not None), first.init),
        start_span=max(_values(group, "start_span"), default=None),
    )


def _is_priced(group: Sequence[Summary]) -> bool:
    """Return whether so few replicates lack a cost that the others' stand for all."""
    n_uncosted = sum(s.status not in COSTED for s in group)
    return n_uncosted <= MAX_UNCOSTED * len(group)


def _row_status(group: Sequence[Summary]) -> tuple[str, int, str]:
    """Return a row's status, how many replicates have it, and a reason.

    That is the commonest of those without a cost; where all have one, of those that aren't ok.
    """
    uncosted = [s for s in group if s.status not in COSTED]
    statuses = [s.status for s in uncosted or group if s.status != "ok"]
    if not statuses:
        return "ok", len(group), ""
    status = max(dict.fromkeys(statuses), key=statuses.count)
    return status, statuses.count(status), next(s.reason for s in group if s.status == status)


def _worst_rhat(group: Sequence[Summary]) -> float | None:
    columns = ("rhat_max", "rhat_across_replicates")
    return max((value for name in columns for value in _values(group, name)), default=None)


def _share(group: Iterable[Summary], column: str) -> float | None:
    """Return the share of kept transitions that a column counts; None where none does."""
    counted = [s for s in group if getattr(s, column) is not None]
    n_transitions = sum((s.n_chains or 0) * (s.n_draws or 0) for s in counted)
    return sum(_values(counted, column)) / n_transitions if n_transitions else None


def _evidence(group: Sequence[Summary]) -> tuple[float, float] | None:
    """Return the mean log evidence and its error: between replicates, or one's own."""
    found = _values(group, "log_evidence")
    if not found:
        return None
    if len(found) == 1:
        return found[0], _values(group, "log_evidence_se")[0]
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(len(found)))


def _calibration(summary: Summary) -> Interval | None:
    if summary.calibration is None:
        return None
    low, high = summary.calibration_low, summary.calibration_high
    nan = math.nan
    return Interval(summary.calibration, nan if low is None else low, nan if high is None else high)


def _lone_z(group: Sequence[Summary]) -> tuple[float, float] | None:
    (first, *others) = group
    if others or first.status not in COSTED or first.z_max is None:
        return None
    return first.z_max, diagnostics.z_by_chance(first.n_parameters or 1)


def _by_cost(row: Row) -> tuple[bool, float]:
    if row.status == "approximate":
        return True, (row.warmup_s or 0.0) + (row.sampling_s or 0.0)
    return False, math.inf if row.ms_per_ess is None else row.ms_per_ess.estimate


def _interval(values: Sequence[float]) -> Interval | None:
    if not values:
        return None
    return Interval(*diagnostics.geometric_mean_interval(np.array(values)))


def _ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Interval:
    return Interval(*diagnostics.ratio_interval(np.array(numerator), np.array(denominator)))


def _values(group: Iterable[Summary], column: str) -> list[float]:
    values = (getattr(summary, column) for summary in group)
    return [float(value) for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sum(values: Sequence[float]) -> int | None:
    return int(sum(values)) if values else None


# -- sweeps ----------------------------------------------------------------------------------


def _place(summary: Summary) -> tuple[str, str, float] | None:
    """Return the sweep that a cell is of: model, parameter and value; None if it is of none."""
    model, point = planning.split(summary.model)
    if len(point) != 1:
        return None
    ((parameter, _),) = point
    value = json.loads(summary.params).get(parameter)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (model, parameter, value) if is_number and value > 0 else None


def _growth(key: tuple[str, str, str], points: dict[float, list[Summary]]) -> Growth | None:
    costed = {
        v: group
        for v, group in points.items()
        if _is_priced(group) and _values(group, "ms_per_ess")
    }
    if len(costed) < MIN_POINTS:
        return None

    def exponent(column: str) -> Interval:
        costs = [np.array(_values(group, column)) for group in costed.values()]
        return Interval(*diagnostics.exponent_interval(np.array(list(costed), float), costs))

    model, parameter, sampler = key
    return Growth(
        model=model,
        parameter=parameter,
        sampler=sampler,
        smallest=min(costed),
        largest=max(costed),
        n_points=len(costed),
        n_unreliable=sum(any(s.status == "unreliable" for s in g) for g in costed.values()),
        n_uncosted=len(points) - len(costed),
        time=exponent("ms_per_ess"),
        evaluations=exponent("evaluations_per_ess"),
    )


def _with_exponents(found: list[Summary]) -> list[Summary]:
    """Return summaries with the exponents of the sweeps they are of."""
    columns = {
        (growth.model, growth.sampler): {
            f"{factor}_exponent{suffix}": bound
            for factor, exponent in (("time", growth.time), ("evaluations", growth.evaluations))
            for suffix, bound in zip(("", "_low", "_high"), astuple(exponent), strict=True)
        }
        for growth in growths(found)
    }
    places = ((_place(summary) or ("",))[0] for summary in found)
    return [
        replace(summary, **columns.get((model, summary.sampler), {}))
        for model, summary in zip(places, found, strict=True)
    ]


# -- numbers ---------------------------------------------------------------------------------


def _number(value: Any) -> float | None:
    """Return a float, None for what is not a finite number: an empty cell, never a NaN."""
    return float(value) if np.isfinite(value) else None


def _rms(errors: FloatArray) -> float | None:
    known = errors[np.isfinite(errors)]
    return float(np.sqrt(np.mean(known**2))) if known.size else None


def _largest(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else None


def _geometric_mean(values: FloatArray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(values))))
