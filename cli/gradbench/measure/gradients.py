"""Ways to a gradient held against each other: each in a worker of its own, judged by one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from gradbench import gradients
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.measure.density_check import INEXACT_GRADIENT, shown
from gradbench.measure.gradient_cost import Cost, Points
from gradbench.measure.workers import Stopped, Workers
from gradbench.models import Source
from gradbench.records import from_plain

Status = Literal[
    "exact",  # to rounding
    "approximate",  # as finite differences are
    "wrong",
    "nonfinite",  # NaN or infinite where the density is finite
    "unverified",  # there is nothing to hold it against
    "unsuited",
    "missing",  # its library isn't installed
    "timeout",
    "out_of_memory",
    "crashed",
    "failed",
]
FAILED: frozenset[Status] = frozenset({"wrong", "nonfinite", "crashed", "failed"})
BROKEN = frozenset({"noisy", "jump"})  # flaws of a density that no gradient can be right of

EXACT = 1e-11  # relative to the largest component: a double's rounding, summed over a large graph
WORSE = 10.0  # times what the last digits of a point make of its gradient is rounding still
WRONG = 1e-9  # in what is exact by its nature
UNUSABLE = 1e-2  # of finite differences
AGREEING = 1e-12  # of two implementations that have nothing in common
FLOOR = 1e-17  # no double tells less from nothing


@dataclass(frozen=True, slots=True)
class Error:
    """How far a method's gradients are from what is right, over the points where that is known.

    Attributes:
        largest: relative to the largest component of a point's gradient, the largest.
        typical: the root mean square of these.
        own: relative to the same component, the largest.
        where: the point and coordinate of ``largest``, and both values, in words.
    """

    largest: float
    typical: float
    own: float
    where: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One method on one target; without a cost where it couldn't be had."""

    method: str
    status: Status
    reason: str = ""
    cost: Cost | None = None
    error: Error | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the command fails for it."""
        return self.status in FAILED


@dataclass(frozen=True, slots=True)
class Comparison:
    """All methods on one target.

    Attributes:
        params: the model's.
        points: where they were compared.
        known_by: what the gradients were held against; empty if there was nothing.
        methods: in the order that was asked for.
    """

    params: Mapping[str, Any]
    points: Points
    known_by: str
    methods: Sequence[Measured] = field(default_factory=tuple)

    @property
    def ndim(self) -> int:
        """The dimension of the unconstrained space."""
        return int(self.points.at.shape[1])

    @property
    def is_failure(self) -> bool:
        """Whether a method, or the density itself, is broken."""
        is_broken = not BROKEN.isdisjoint(self.points.flaws)
        return is_broken or any(one.is_failure for one in self.methods)


class Observer(Protocol):
    """Is told what is under way, for a progress display."""

    def doing(self, words: str) -> None:
        """This begins now."""

    def finished(self, n: int = 1) -> None:
        """This many more are done."""


def compare(
    source: Source,
    params: Mapping[str, Any],
    methods: Sequence[str],
    *,
    n_points: int,
    pool: Workers,
    observer: Observer,
) -> Comparison:
    """Return what each method costs and how exact it is, on one model.

    Args:
        source: the model.
        params: its parameters.
        methods: names of ``gradients``.
        n_points: at most, at which gradients are compared.
        pool: where a worker of its own for each method comes from.
        observer: is told which method begins, and ends.

    Raises:
        ModelError: the model can't be loaded, compiled, or started from anywhere.
    """

    def ask(do: str, **arguments: Any) -> Any:
        model = {"source": source.to_json(), "params": dict(params)}
        return pool.alone(do, **model, **arguments)

    observer.doing("exact gradients")
    try:
        points = from_plain(Points, ask("gradient_points", n=n_points))
    except Stopped as stopped:
        raise ModelError(stopped.said) from stopped
    costs: dict[str, Cost] = {}
    failed: dict[str, Measured] = {}
    for name in methods:
        observer.finished()
        if remedy := gradients.remedy(name):
            failed[name] = Measured(name, "missing", remedy)
            continue
        observer.doing(name)
        try:
            answer = ask("gradient_cost", method=name, at=points.at.tolist())
        except Stopped as stopped:
            failed[name] = Measured(name, _status(stopped), stopped.said)
            continue
        if "unsuited" in answer:
            failed[name] = Measured(name, "unsuited", answer["unsuited"])
        else:
            costs[name] = from_plain(Cost, answer["cost"])
    right, rest, known_by = _right(points, costs)
    judged = [
        failed[name] if name in failed else _judged(name, costs[name], points, right, rest)
        for name in methods
    ]
    return Comparison(dict(params), points, known_by, judged)


def _status(stopped: Stopped) -> Status:
    statuses: dict[str, Status] = {
        "timeout": "timeout",
        "out_of_memory": "out_of_memory",
        "crashed": "crashed",
    }
    return statuses.get(stopped.status, "failed")


def _right(points: Points, costs: Mapping[str, Cost]) -> tuple[FloatArray, FloatArray, str]:
    """Return the gradients that are right, what rounding took from them, and how they are known.

    Where the graph can't be evaluated in many digits, two implementations that have nothing in
    common and agree are right.
    """
    if np.isfinite(points.exact).any():
        return points.exact, points.rest, f"the graph in {points.n_digits} digits and more"
    able = {
        name: costs[name].gradients
        for name in costs
        if gradients.load(name).MODE in {"reverse", "forward"}
    }
    families: dict[str, str] = {}
    for name in able:
        families.setdefault(name.split("_")[0], name)
    names = list(families.values())
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            scale = np.abs(able[one]).max(axis=1, keepdims=True)
            if np.all(np.abs(able[one] - able[other]) <= AGREEING * scale):
                right = (able[one] + able[other]) / 2
                return right, np.zeros_like(right), f"{one} and {other}, which agree"
    nothing = np.full(points.at.shape, np.nan)
    return nothing, nothing, ""


def _judged(name: str, cost: Cost, points: Points, right: FloatArray, rest: FloatArray) -> Measured:
    """Return a method with its error and the status that follows from it."""
    mode = gradients.load(name).MODE
    finite = np.isfinite(cost.values)
    if not np.isfinite(cost.gradients[finite]).all():
        worst = int(np.argmin(np.isfinite(cost.gradients).all(axis=1) | ~finite))
        reason = f"not finite at {shown(points.at[worst])}, where the log-density is"
        return Measured(name, "nonfinite", reason, cost)
    if mode == "second":
        return Measured(name, "unverified", "no gradient: its cost alone", cost)
    known = np.isfinite(right).all(axis=1) & finite
    if not known.any():
        return Measured(name, "unverified", points.reason or "no exact gradient is known", cost)
    error = _error(cost.gradients[known], right[known], rest[known], points.at[known])
    rounding = max(EXACT, WORSE * float(np.nanmax(points.condition[known], initial=0.0)))
    if error.largest <= rounding:
        return Measured(name, "exact", "", cost, error)
    limit = {"finite": UNUSABLE, "own": INEXACT_GRADIENT}.get(mode, max(WRONG, rounding))
    is_right = error.largest <= limit
    return Measured(
        name, "approximate" if is_right else "wrong", "" if is_right else error.where, cost, error
    )


def _error(gradient: FloatArray, right: FloatArray, rest: FloatArray, at: FloatArray) -> Error:
    """Return the errors of gradients (n, ndim) at points of the same shape."""
    absolute = np.abs((gradient - right) - rest)  # near each other, doubles differ exactly
    largest = np.abs(right).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_largest = np.where(absolute > 0, absolute / largest, 0.0)
        of_own = np.where((absolute > 0) & (right != 0), absolute / np.abs(right), 0.0)
    point, coordinate = np.unravel_index(int(np.argmax(of_largest)), of_largest.shape)
    where = (
        f"at {shown(at[point])}, coordinate {coordinate}, it is"
        f" {gradient[point, coordinate]:.10g}, and should be {right[point, coordinate]:.10g}"
    )
    return Error(
        largest=max(FLOOR, float(of_largest.max())),
        typical=max(FLOOR, float(np.sqrt(np.mean(of_largest**2)))),
        own=max(FLOOR, float(of_own.max())),
        where=where,
    )
