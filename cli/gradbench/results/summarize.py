"""Results to one summary per cell: the only place that chooses a number for a column of the CSV."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from gradbench.config.benchmark import Gates
from gradbench.draws import FloatArray
from gradbench.measure import statuses
from gradbench.measure.bare import Bare
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import (
    COSTED,
    CellResult,
    Elsewhere,
    Measured,
    Node,
    by_sampler,
    counted,
)
from gradbench.results.agreement import between_samplers
from gradbench.results.curves import with_errors
from gradbench.results.growth import with_exponents
from gradbench.results.parameters import or_ranks, parameter_columns, smallest_ess
from gradbench.results.replicates import against_reference, agreement
from gradbench.results.store import Stored
from gradbench.results.summary import Summary, number
from gradbench.results.times import GOAL, with_times

MS = 1e3
MAX_NAMED = 3  # parameters of heavy tails


def summarize(
    results: Sequence[CellResult],
    checks: Sequence[DensityCheck] = (),
    *,
    gates: Gates = Gates(),  # noqa: B008 - frozen
    ess_goal: int = GOAL,
    host: str | None = None,
) -> list[Summary]:
    """Return one summary per cell, in the cells' order.

    Errors against known moments are judged over all replicates of a model and sampler; where they
    contradict the claimed ESS, all its costed cells become biased or overstated. So is whether the
    replicates agree; where they don't, none of them converged. A model's samplers are then compared
    with each other: those that differ from what the others agree on become disagrees. Exponents are
    those of a sweep's cells together. Times are to ``ess_goal`` effective draws. ``host`` tells the
    run's own machine.
    """
    checked = {check.model: check for check in checks}
    models: dict[str, list[CellResult]] = {}
    for result in results:
        models.setdefault(result.cell.model, []).append(result)
    done = {
        result.cell.id: summary
        for model, of_one in models.items()
        for result, summary in zip(
            of_one,
            of_model(of_one, checked.get(model), gates=gates, n_models=len(models), host=host),
            strict=True,
        )
    }
    return as_a_run([done[result.cell.id] for result in results], ess_goal)


def of_stored(run: Stored, ess_goal: int = GOAL) -> list[Summary]:
    """Return one summary per cell of a run, as ``summarize`` does."""
    gates, host = run.benchmark.gates, run.machine.get("host")
    return summarize(run.results, run.checks, gates=gates, ess_goal=ess_goal, host=host)


def as_a_run(found: Sequence[Summary], ess_goal: int = GOAL) -> list[Summary]:
    """Return summaries of models with what is said of all of them together: exponents, times."""
    told = found if ess_goal == GOAL else with_times(found, ess_goal)
    return with_exponents(told)


def of_model(
    results: Sequence[CellResult],
    check: DensityCheck | None,
    *,
    gates: Gates,
    n_models: int,
    host: str | None,
) -> list[Summary]:
    """Return one summary per cell of a model, without exponents; times are to ``GOAL`` draws.

    Args:
        results: of one model.
        check: its density check, if one was made.
        gates: when a result is not trusted.
        n_models: of the run.
        host: the run's own machine.
    """
    done: dict[str, Summary] = {}
    believed: dict[tuple[str, str], list[Measured]] = {}
    for key, replicates in by_sampler(results).items():
        group = statuses.existing(replicates)
        shared = (against_reference(group), agreement(replicates, gates))
        for result in group:
            summary = _summary(result, check, host)
            for said in shared:
                summary = said.added_to(summary)
            done[result.cell.id] = summary
            if summary.status in COSTED and result.measured is not None:
                believed.setdefault(key, []).append(result.measured)
    said_of = between_samplers(believed, n_models=n_models)
    found = [
        said_of[result.cell.key].added_to(summary) if result.cell.key in said_of else summary
        for result in results
        for summary in [done[result.cell.id]]
    ]
    return with_errors(results, with_times(found, GOAL))


def _summary(result: CellResult, check: DensityCheck | None, host: str | None) -> Summary:
    cell, node, evaluation = result.cell, result.node, _evaluation(result, check)
    is_here = result.measured is not None and not cell.is_elsewhere
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
        model_use=cell.model_use,
        sampler_use=cell.sampler_use,
        default_options=", ".join(cell.defaults) or None,
        **({} if check is None else _density(check, cell.sampler)),
        **({} if evaluation is None else _bare(evaluation)),
        **({"host": host if is_here else None} if node is None else _node(node)),
    )
    if result.measured is None:
        return bare
    (judged,) = counted([result.measured])
    costs = _costs(judged, evaluation) if result.status in COSTED else {}
    return replace(bare, **_columns(result.measured, judged), **costs)


def _evaluation(result: CellResult, check: DensityCheck | None) -> Bare | None:
    """Return what a bare evaluation cost where a cell ran, None where that isn't known."""
    if result.node is not None:
        return result.node.bare
    return None if check is None else check.bare


def _node(node: Node) -> dict[str, Any]:
    return {
        "host": node.host,
        "cores": ", ".join(map(str, node.cores)) or None,
        "co_run": node.n_busy,
        "block": node.block,
        "other_versions": node.other_versions or None,
    }


def _density(check: DensityCheck, sampler: str) -> dict[str, Any]:
    return {
        "density_value_error": check.value_error,
        "density_gradient_error": check.gradient_error,
        "density_n_points": check.n_points,
        "density_signature": check.signature,
        "density_note": check.notes.get(sampler),
        "density_findings": "; ".join(check.findings) or None,
    }


def _bare(bare: Bare) -> dict[str, Any]:
    return {
        "logdensity_s": bare.logdensity_s,
        "batched_logdensity_s": bare.batched_s,
        "gradient_s": bare.gradient_s,
    }


def _columns(measured: Measured, judged: Measured) -> dict[str, Any]:
    timing = measured.timing
    parameters = parameter_columns(judged)
    why = [f"{name} ({reason})" for name, reason in measured.uncounted.items()]
    return {
        # Independent draws from the wrong distribution: their number says nothing.
        **({} if measured.is_approximate or not judged.parameters else _sizes(judged, parameters)),
        "error_rms_sd": _rms(parameters["error_sd"]),
        "square_error_rms_sd": _rms(parameters["square_error_sd"]),
        "z_max": _largest(np.abs(parameters["z"])),
        # A warm worker compiled nothing for this cell: no number, rather than a zero.
        "compile_s": number(timing.compile.wall_s) or None,
        "compile_cpu_s": number(timing.compile.cpu_s) or None,
        "warmup_s": number(timing.warmup.wall_s),
        "warmup_cpu_s": number(timing.warmup.cpu_s),
        "sampling_s": number(timing.sampling.wall_s),
        "sampling_cpu_s": number(timing.sampling.cpu_s),
        **_counts(measured),
        "n_divergences": measured.n_divergences,
        "n_saturated": measured.n_saturated,
        "heavy_tails": _heavy_tails(judged),
        "acceptance_rate": measured.acceptance_rate,
        "log_evidence": measured.log_evidence,
        "log_evidence_se": measured.log_evidence_se,
        "n_chains": measured.n_chains,
        "n_draws": measured.n_draws,
        "n_parameters": len(measured.parameters),
        "peak_memory_bytes": measured.peak_memory_bytes or None,
        "load": number(measured.load),
        "start": measured.start,
        "start_span": measured.start_span,
        "reference": measured.reference_source,
        "backend": measured.backend,
        "fingerprint": measured.fingerprint,
        "uncounted": "; ".join(why) or None,
        "batch_form": measured.batch_form,
        "recompile_s": measured.recompile_s,
        "sampler_versions": ", ".join(f"{n} {v}" for n, v in measured.versions.items()) or None,
        **_elsewhere(measured.elsewhere),
    }


def _elsewhere(known: Elsewhere | None) -> dict[str, str | None]:
    if known is None:
        return {}
    return {
        "origin": known.origin,
        "time_source": known.time_source,
        "evaluations_source": known.evaluations_source,
        "lp_agreement": known.lp_agreement,
        "notices": "; ".join(known.notices) or None,
    }


def _counts(measured: Measured) -> dict[str, int | None]:
    """Return the evaluations, None for those that nobody counted."""
    counts = asdict(measured.evaluations)
    counted_of = "all" if measured.elsewhere is None else measured.elsewhere.evaluations_of
    unknown = {"all": [], "sampling": [n for n in counts if "warmup" in n], "nothing": [*counts]}
    return {**counts, **dict.fromkeys(unknown[counted_of])}


def _sizes(judged: Measured, parameters: Mapping[str, FloatArray]) -> dict[str, Any]:
    found = judged.diagnostics
    worst = smallest_ess(found)
    return {
        "ess": number(np.mean(found.ess_bulk)),
        "ess_worst": number(np.min(worst)),
        "worst_parameter": judged.parameters[int(np.argmin(worst))],
        "ess_geometric_mean": number(_geometric_mean(or_ranks(found.ess_mean, found))),
        "ess_bulk_min": number(np.min(found.ess_bulk)),
        "ess_tail_min": number(np.min(found.ess_tail)),
        "ess_mean_min": number(np.fmin.reduce(found.ess_mean)),
        "ess_square_min": number(np.fmin.reduce(found.ess_square)),
        "ess_bulk_as_chains": number(np.mean(found.ess_bulk_as_chains)),
        "ess_autocorr_time": number(np.mean(found.ess_autocorr_time)),
        "rhat_max": number(np.max(found.rhat)),
        "autocorrelation_times_min": number(np.min(parameters["autocorrelation_times"])),
    }


def _costs(judged: Measured, bare: Bare | None) -> dict[str, Any]:
    found, timing = judged.diagnostics, judged.timing
    ess = float(np.mean(found.ess_bulk))
    worst = float(np.min(smallest_ess(found)))
    spent = timing.warmup + timing.sampling
    counts = _counts(judged).values()
    n_evaluations = math.nan if None in counts else sum(n or 0 for n in counts)
    costs = {
        "ms_per_ess": MS * spent.wall_s / ess,
        "worst_ms_per_ess": MS * spent.wall_s / worst,
        "sampling_ms_per_ess": MS * timing.sampling.wall_s / ess,
        "cpu_ms_per_ess": MS * spent.cpu_s / ess,
        "evaluations_per_ess": n_evaluations / ess,
        "worst_evaluations_per_ess": n_evaluations / worst,
    }
    if bare is not None:
        costs["density_equivalents_per_ess"] = _equivalents(judged, bare) / ess
        costs["overhead"] = _overhead(judged, bare)
    return {name: number(cost) for name, cost in costs.items()}


def _equivalents(judged: Measured, bare: Bare) -> float:
    """Return what all evaluations cost in log-densities, NaN where that isn't known."""
    counts = _counts(judged)
    n_logp = [counts["n_logp_warmup"], counts["n_logp_sampling"]]
    n_grad = [counts["n_grad_warmup"], counts["n_grad_sampling"]]
    if None in (*n_logp, *n_grad):
        return math.nan
    gradients = sum(n or 0 for n in n_grad)
    weight = 0.0 if not gradients else math.nan if bare.ratio is None else bare.ratio
    return sum(n or 0 for n in n_logp) + weight * gradients


def _overhead(judged: Measured, bare: Bare) -> float:
    """Return the CPU time of sampling over that of bare evaluations, NaN where unknown.

    Of chains that were made elsewhere it says nothing: the evaluations were timed here.
    """
    counts = judged.evaluations
    spent = bare.seconds(
        n_logp=counts.n_logp_sampling, n_grad=counts.n_grad_sampling,
        is_batched=judged.is_ensemble,
    )  # fmt: skip
    if not spent or judged.elsewhere is not None:
        return math.nan
    return judged.timing.sampling.cpu_s / spent


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


def _rms(errors: FloatArray) -> float | None:
    known = errors[np.isfinite(errors)]
    return float(np.sqrt(np.mean(known**2))) if known.size else None


def _largest(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else None


def _geometric_mean(values: FloatArray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(values))))
