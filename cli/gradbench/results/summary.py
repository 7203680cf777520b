"""The record of one cell, a line of ``results.csv``, and what is read off several of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gradbench.config.planning import ELSEWHERE, Place, split
from gradbench.errors import StoreError, did_you_mean
from gradbench.measure.result import UNFINISHED

CONTRADICTED = frozenset({"biased", "overstated", "disagrees"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One cell in flat numbers: a line of ``results.csv``. None where there is no number.

    Costs are None unless the status is ok or unreliable; an approximation has neither costs nor
    effective sample sizes, only what its draws are off by. ``ess`` is the mean over parameters of
    the bulk ESS, ``ess_worst`` the smallest over parameters of the ESS of the mean and of the
    square, of ranks and tails where those don't exist. ``heavy_tails`` names such parameters.
    Evaluations per ESS count warm-up and sampling, log-densities and gradients alike.
    All of this is over the parameters that count: ``parameters`` says which were chosen, and
    ``uncounted`` what else doesn't count, and why. ``origin`` to ``notices`` are of chains that
    were made elsewhere. ``seconds_to_ess_goal`` is the time to ``ess_goal`` effective draws of the
    worst parameter, compile and warm-up included. ``sampler_difference_z`` is how far the moments
    are from another sampler's that agrees with the others, in standard errors. A density-equivalent
    is one log-density's cost, of which a gradient has as many as were measured; ``overhead`` is the
    CPU time of sampling over that of its bare evaluations, of ``logdensity_s`` and so on each.
    ``b2`` is the squared error of the worst parameter's mean or second moment at the run's end, in
    units of one independent draw's, compared with ``b2_against``; ``evaluations_to_b2_goal`` and
    ``seconds_to_b2_goal`` are what it took until that stayed below 0.01, None where it never did.
    ``host`` tells the machine from others. ``cores`` to ``other_versions`` are of cells that ran on
    a cluster: which cores they were held to, on how many cells ran there at most meanwhile
    (``co_run``, their own among them), in which block, and what had another version there than on
    the client.
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
    origin: str | None = None
    time_source: str | None = None
    evaluations_source: str | None = None
    lp_agreement: str | None = None
    notices: str | None = None
    ess_goal: int | None = None
    seconds_to_ess_goal: float | None = None
    sampler_difference_z: float | None = None
    sampler_difference_allowed: float | None = None
    density_equivalents_per_ess: float | None = None
    overhead: float | None = None
    logdensity_s: float | None = None
    batched_logdensity_s: float | None = None
    gradient_s: float | None = None
    b2: float | None = None
    b2_against: str | None = None
    evaluations_to_b2_goal: float | None = None
    seconds_to_b2_goal: float | None = None
    host: str | None = None
    cores: str | None = None
    co_run: int | None = None
    block: str | None = None
    other_versions: str | None = None

    @property
    def place(self) -> Place:
        """What tells its cell from the others of the run."""
        return self.model, self.sampler, self.replicate

    @property
    def is_elsewhere(self) -> bool:
        """Whether its chains were made elsewhere: their time says nothing of this machine."""
        return self.sampler_use == ELSEWHERE


def only(found: Sequence[Summary], labels: Sequence[str]) -> list[Summary]:
    """Return the cells of the models and samplers that are named.

    Naming none of one kind keeps all of that kind. A sweep's name stands for all of its points.

    Raises:
        StoreError: a label is neither a model's nor a sampler's.
    """
    models = {name for s in found for name in (s.model, split(s.model)[0])}
    samplers = {name for s in found for name in (s.sampler, split(s.sampler)[0])}
    for label in labels:
        if label not in models | samplers:
            hint = did_you_mean(label, sorted(models | samplers))
            raise StoreError(f"--only {label}: no such model or sampler in these results{hint}")
    of_models = models.intersection(labels) or models
    of_samplers = samplers.intersection(labels) or samplers
    return [
        summary
        for summary in found
        if not of_models.isdisjoint({summary.model, split(summary.model)[0]})
        and not of_samplers.isdisjoint({summary.sampler, split(summary.sampler)[0]})
    ]


def by_model(found: Iterable[Summary]) -> dict[str, list[Summary]]:
    """Return the cells of each model, by its label."""
    models: dict[str, list[Summary]] = {}
    for summary in found:
        models.setdefault(summary.model, []).append(summary)
    return models


def is_spread(found: Iterable[Summary]) -> bool:
    """Return whether cells ran on several machines, whose times are not each other's."""
    return len(hosts(found)) > 1


def hosts(found: Iterable[Summary]) -> frozenset[str]:
    """Return what tells the machines that cells were measured on from others."""
    return frozenset(s.host for s in found if s.host is not None and s.sampling_s is not None)


def numbers(group: Iterable[Summary], column: str) -> list[float]:
    """Return a column's numbers, without the cells that have none."""
    values = (getattr(summary, column) for summary in group)
    return [float(value) for value in values if value is not None]


def is_failure(found: Iterable[Summary]) -> bool:
    """Return whether any cell gave no result, or one that must not be believed."""
    wrong = {*UNFINISHED, *CONTRADICTED, "frozen", "nonfinite"}
    return any(summary.status in wrong for summary in found)


def number(value: float | np.floating) -> float | None:
    """Return a float, None for what is not a finite number: an empty cell, never a NaN."""
    return float(value) if math.isfinite(value) else None
