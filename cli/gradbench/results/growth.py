"""Summaries to power laws: how a sampler's costs grow along a sweep of one parameter."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from gradbench.config import planning
from gradbench.draws import FloatArray
from gradbench.results.rows import is_priced
from gradbench.results.summary import Summary, is_spread, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval

MIN_POINTS = 3  # of a power law: two always lie on one
TIME = "ms_per_ess"  # the cost that is a machine's own
N_FITTED = 9  # values along a sweep that a law is given at

Points = dict[float, list[Summary]]
"""The cells at each value of a sweep's parameter."""


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
        evaluations: exponent of a power law.
        time: likewise; None where cells ran on several machines.
    """

    model: str
    parameter: str
    sampler: str
    smallest: float
    largest: float
    n_points: int
    n_unreliable: int
    n_uncosted: int
    evaluations: Interval
    time: Interval | None

    @property
    def exponents(self) -> dict[str, Interval]:
        """Those that there are, by what they are of."""
        both = {"evaluations": self.evaluations, "time": self.time}
        return {what: exponent for what, exponent in both.items() if exponent is not None}


@dataclass(frozen=True, slots=True)
class Law:
    """The power law of one sampler's cost along a sweep, and the points that it is fitted to.

    Attributes:
        growth: its exponents.
        values: of the parameter, where there is a cost, ascending.
        costs: there, over replicates.
        at: values along the sweep.
        fitted: the law there, shape (3, n): estimate, lower and upper bound.
    """

    growth: Growth
    values: Sequence[float]
    costs: Sequence[Interval]
    at: FloatArray
    fitted: FloatArray


def laws(found: Iterable[Summary], column: str) -> list[Law]:
    """Return the power laws of a cost, per sampler and sweep of one numeric parameter.

    Args:
        found: the summaries of a run.
        column: the cost, as ``Summary`` names it.
    """
    made = []
    for key, points in _sweeps(found).items():
        growth, costed = _growth(key, points), _costed(points)
        if growth is None or (column == TIME and growth.time is None):
            continue
        if all(numbers(group, column) for group in costed.values()):
            made.append(_law(growth, costed, column))
    return made


def growths(found: Iterable[Summary]) -> list[Growth]:
    """Return how costs grow, per sampler and sweep of one numeric parameter.

    Where fewer than ``MIN_POINTS`` of its values have a cost nothing is returned.
    """
    grown = (_growth(key, points) for key, points in _sweeps(found).items())
    return [growth for growth in grown if growth is not None]


def with_exponents(found: Sequence[Summary]) -> list[Summary]:
    """Return summaries with the exponents of the sweeps they are of."""
    columns = {
        (growth.model, growth.sampler): {
            f"{factor}_exponent{suffix}": bound
            for factor, exponent in growth.exponents.items()
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


def _sweeps(found: Iterable[Summary]) -> dict[tuple[str, str, str], Points]:
    """Return the cells of each sweep: of a model, a parameter and a sampler, by its value."""
    sweeps: dict[tuple[str, str, str], Points] = {}
    for summary in found:
        if (place := _place(summary)) is not None:
            model, parameter, value = place
            points = sweeps.setdefault((model, parameter, summary.sampler), {})
            points.setdefault(value, []).append(summary)
    return sweeps


def _costed(points: Points) -> Points:
    return {v: group for v, group in points.items() if is_priced(group) and numbers(group, TIME)}


def _law(growth: Growth, costed: Points, column: str) -> Law:
    values = sorted(costed)
    costs = [np.array(numbers(costed[value], column)) for value in values]
    at = np.geomspace(values[0], values[-1], N_FITTED)
    return Law(
        growth=growth,
        values=values,
        costs=[Interval(*diagnostics.geometric_mean_interval(cost)) for cost in costs],
        at=at,
        fitted=diagnostics.power_law(np.array(values), costs, at),
    )


def _place(summary: Summary) -> tuple[str, str, float] | None:
    """Return the sweep that a cell is of: model, parameter and value; None if it is of none."""
    model, point = planning.split(summary.model)
    if len(point) != 1:
        return None
    ((parameter, _),) = point
    value = json.loads(summary.params).get(parameter)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (model, parameter, value) if is_number and value > 0 else None


def _growth(key: tuple[str, str, str], points: Points) -> Growth | None:
    costed = _costed(points)
    if len(costed) < MIN_POINTS:
        return None

    def exponent(column: str) -> Interval:
        costs = [np.array(numbers(group, column)) for group in costed.values()]
        return Interval(*diagnostics.exponent_interval(np.array(list(costed), float), costs))

    model, parameter, sampler = key
    is_scattered = is_spread(cell for group in costed.values() for cell in group)
    return Growth(
        model=model,
        parameter=parameter,
        sampler=sampler,
        smallest=min(costed),
        largest=max(costed),
        n_points=len(costed),
        n_unreliable=sum(any(s.status == "unreliable" for s in g) for g in costed.values()),
        n_uncosted=len(points) - len(costed),
        evaluations=exponent("evaluations_per_ess"),
        time=None if is_scattered else exponent(TIME),
    )
