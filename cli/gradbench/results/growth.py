"""Summaries to power laws: how a sampler's costs grow along a sweep of one parameter."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from gradbench.config import planning
from gradbench.results.rows import is_priced
from gradbench.results.summary import Summary, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval

MIN_POINTS = 3  # of a power law: two always lie on one


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


def with_exponents(found: Sequence[Summary]) -> list[Summary]:
    """Return summaries with the exponents of the sweeps they are of."""
    columns = {
        (growth.model, growth.sampler): {
            f"{factor}_exponent{suffix}": bound
            for factor, exponent in (("time", growth.time), ("evaluations", growth.evaluations))
            for suffix, bound in zip(("", "_low", "_high"), astuple(exponent), strict=True)
        }
        for growth in growths(found)
    }
    if not columns:
        return list(found)
    places = ((_place(summary) or ("",))[0] for summary in found)
    return [
        replace(summary, **columns.get((model, summary.sampler), {}))
        for model, summary in zip(places, found, strict=True)
    ]


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
        v: group for v, group in points.items() if is_priced(group) and numbers(group, "ms_per_ess")
    }
    if len(costed) < MIN_POINTS:
        return None

    def exponent(column: str) -> Interval:
        costs = [np.array(numbers(group, column)) for group in costed.values()]
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
