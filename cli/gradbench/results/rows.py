"""Summaries to rows: one model and sampler over its replicates, as a table shows it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gradbench.measure.result import COSTED
from gradbench.results.summary import Summary, hosts, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval

MAX_UNCOSTED = 0.1  # of a row's replicates: with more, its price would be that of the survivors


@dataclass(frozen=True, slots=True)
class Row:
    """One model and sampler over its replicates: a line of the table. None prints as a dash.

    Where more than a tenth of the replicates have no cost there is no price: it would be that of
    the runs that happened to go well. ``n_status`` replicates have the status that is told, and
    ``n_uncosted`` have no cost, for whatever reason.
    ``lone_z`` stands where there is but one replicate: the largest error of a known mean in
    standard errors that its ESS claims, and what chance allows. ``diverged`` and ``saturated`` are
    shares of the kept transitions. What it took to the goal of b² is a median over replicates,
    infinity where it was not reached. ``hosts`` tell the machines that it ran on from others.
    """

    model: str
    sampler: str
    n_replicates: int
    n_uncosted: int
    ms_per_ess: Interval | None
    worst_ms_per_ess: Interval | None
    worst_parameter: str | None
    ess_goal: int | None
    seconds_to_ess_goal: Interval | None
    ess: float | None
    warmup_s: float | None
    sampling_s: float | None
    compile_s: float | None
    evaluations_per_ess: Interval | None
    density_equivalents_per_ess: Interval | None
    overhead: float | None
    evaluations_to_b2_goal: float | None
    seconds_to_b2_goal: float | None
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
    is_elsewhere: bool = False
    hosts: frozenset[str] = frozenset()


def rows(found: Iterable[Summary]) -> list[Row]:
    """Return one row per model and sampler: models in order, samplers by cost, dashes after them.

    Those made elsewhere come after those measured here, by their evaluations, and approximations
    last, by the time they took. So do all go by their evaluations that ran on several machines.
    """
    table: list[Row] = []
    for _, of_model in groupby(found, key=lambda s: s.model):
        samplers: dict[str, list[Summary]] = {}
        for summary in of_model:
            samplers.setdefault(summary.sampler, []).append(summary)
        made = [_row(group) for group in samplers.values()]
        counts = are_apart(made)
        table.extend(sorted(made, key=lambda row: _by_cost(row, counts=counts)))
    return table


def are_apart(found: Iterable[Row]) -> bool:
    """Return whether rows ran on several machines, whose times are not each other's."""
    return len({host for row in found for host in row.hosts}) > 1


def is_priced(group: Sequence[Summary]) -> bool:
    """Return whether so few replicates lack a cost that the others' stand for all."""
    n_uncosted = sum(s.status not in COSTED for s in group)
    return n_uncosted <= MAX_UNCOSTED * len(group)


def _row(group: Sequence[Summary]) -> Row:
    costed = [s for s in group if s.status in COSTED]
    priced = costed if is_priced(group) else []
    worst = min(priced, key=lambda s: s.ess_worst or math.inf, default=None)
    status, n_status, reason = _row_status(group)
    first = group[0]
    return Row(
        model=first.model,
        sampler=first.sampler,
        n_replicates=len(group),
        n_uncosted=len(group) - len(costed),
        ms_per_ess=_interval(numbers(priced, "ms_per_ess")),
        worst_ms_per_ess=_interval(numbers(priced, "worst_ms_per_ess")),
        worst_parameter=None if worst is None else worst.worst_parameter,
        ess_goal=first.ess_goal,
        seconds_to_ess_goal=_interval(numbers(priced, "seconds_to_ess_goal")),
        ess=_mean(numbers(group, "ess")),
        warmup_s=_mean(numbers(group, "warmup_s")),
        sampling_s=_mean(numbers(group, "sampling_s")),
        compile_s=_mean(numbers(group, "compile_s")),
        evaluations_per_ess=_interval(numbers(priced, "evaluations_per_ess")),
        density_equivalents_per_ess=_interval(numbers(priced, "density_equivalents_per_ess")),
        overhead=_mean(numbers(priced, "overhead")),
        evaluations_to_b2_goal=_to_b2_goal(group, "evaluations_to_b2_goal"),
        seconds_to_b2_goal=_to_b2_goal(group, "seconds_to_b2_goal"),
        rhat=_worst_rhat(group),
        n_divergences=_sum(numbers(group, "n_divergences")),
        diverged=_share(group, "n_divergences"),
        saturated=_share(group, "n_saturated"),
        heavy_tails=first.heavy_tails,
        error_sd=_mean(numbers(group, "error_rms_sd")),
        log_evidence=_evidence(group),
        calibration=_calibration(first),
        lone_z=_lone_z(group),
        status=status,
        n_status=n_status,
        reason=reason,
        start=next((s.start for s in group if s.start is not None), first.init),
        start_span=max(numbers(group, "start_span"), default=None),
        is_elsewhere=first.is_elsewhere,
        hosts=hosts(group),
    )


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
    return max((value for name in columns for value in numbers(group, name)), default=None)


def _share(group: Iterable[Summary], column: str) -> float | None:
    """Return the share of kept transitions that a column counts; None where none does."""
    counted = [s for s in group if getattr(s, column) is not None]
    n_transitions = sum((s.n_chains or 0) * (s.n_draws or 0) for s in counted)
    return sum(numbers(counted, column)) / n_transitions if n_transitions else None


def _to_b2_goal(group: Iterable[Summary], column: str) -> float | None:
    """Return the median of what it took, infinity where b² stayed above its goal."""
    took = [getattr(summary, column) for summary in group if summary.b2 is not None]
    return float(np.median([math.inf if cost is None else cost for cost in took])) if took else None


def _evidence(group: Sequence[Summary]) -> tuple[float, float] | None:
    """Return the mean log evidence and its error: between replicates, or one's own."""
    found = numbers(group, "log_evidence")
    if not found:
        return None
    if len(found) == 1:
        return found[0], numbers(group, "log_evidence_se")[0]
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


def _by_cost(row: Row, *, counts: bool) -> tuple[bool, bool, float]:
    """Return what rows are sorted by; ``counts`` for evaluations instead of time."""
    is_approximate = row.status == "approximate"
    if is_approximate:
        cost = (row.warmup_s or 0.0) + (row.sampling_s or 0.0)
    else:
        price = row.evaluations_per_ess if row.is_elsewhere or counts else row.ms_per_ess
        cost = math.inf if price is None else price.estimate
    return is_approximate, row.is_elsewhere, cost


def _interval(values: Sequence[float]) -> Interval | None:
    if not values:
        return None
    return Interval(*diagnostics.geometric_mean_interval(np.array(values)))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sum(values: Sequence[float]) -> int | None:
    return int(sum(values)) if values else None
