"""Ways to a gradient compared: each in a worker of its own, judged by one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from gradbench import gradients
from gradbench.draws import FloatArray
from gradbench.errors import ModelError, headline
from gradbench.exact.gradient import FLOOR, Errors, errors
from gradbench.measure import ascent
from gradbench.measure.ascent import Ascent
from gradbench.measure.density_check import (
    FLOAT32_ROUNDING,
    INEXACT_GRADIENT,
    N_DIRECTIONS,
    NEGLIGIBLE,
    SAFETY,
    VALUE_ROUNDING,
    VALUE_TOLERANCE,
    directions,
    shown,
)
from gradbench.measure.gradient_cost import Cost, Given
from gradbench.measure.gradient_points import Points
from gradbench.measure.workers import Stopped, Workers
from gradbench.models import Source
from gradbench.records import from_plain

Status = Literal[
    "exact",  # to rounding
    "approximate",  # as finite differences are
    "wrong",
    "nonfinite",  # NaN or infinite where the density is finite
    "single_precision",  # as right as a density that computes in float32 lets it be
    "unverified",  # there is nothing that would show it to be exact
    "unsuited",
    "missing",  # its library isn't installed
    "timeout",
    "out_of_memory",
    "crashed",
    "failed",
]
FAILED: frozenset[Status] = frozenset({"wrong", "nonfinite", "crashed", "failed"})
BROKEN = frozenset({"noisy", "jump"})  # flaws of a density of which no gradient can be right

EXACT = 1e-11  # relative to the largest component: a double's rounding, summed over a large graph
WORSE = 10.0  # times what the last digits of a point make of its gradient is rounding still
WRONG = 1e-9  # in what is exact by its nature
RESOLVED = 1e-7  # what differences that are extrapolated tell of a gradient, at best
UNUSABLE = 1e-2  # of finite differences
AGREEING = 1e-12  # of two implementations that have nothing in common


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
        known_by: what the gradients were compared with; empty if there was nothing.
        methods: in the order that was asked for.
        ascents: ways to the mode, where they were asked for.
        is_complete: whether it wasn't interrupted.
    """

    params: Mapping[str, Any]
    points: Points
    known_by: str
    methods: Sequence[Measured] = ()
    ascents: Sequence[Ascent] = ()
    is_complete: bool = True

    @property
    def ndim(self) -> int:
        """The dimension of the unconstrained space."""
        return int(self.points.at.shape[1])

    @property
    def is_failure(self) -> bool:
        """Whether a method, or the density itself, is broken."""
        is_broken = not BROKEN.isdisjoint(self.points.flaws)
        return is_broken or any(one.is_failure for one in self.methods)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says of a method: what it costs, and what it gave."""

    cost: Cost
    given: Given


@dataclass(frozen=True, slots=True)
class Right:
    """What gradients are compared with.

    Attributes:
        slopes: shape (n, k), components of the gradient, or slopes along directions; NaN where
            they aren't known.
        rest: the same shape, what rounding took from them.
        uncertainties: shape (n,), relative to the largest slope.
        along: the directions, shape (k, ndim), or None for the coordinates.
        known_by: where they are from, in words; empty where nothing is known.
    """

    slopes: FloatArray
    rest: FloatArray
    uncertainties: FloatArray
    along: FloatArray | None
    known_by: str

    def of(self, gradients: FloatArray) -> FloatArray:
        """Return what of gradients (n, ndim) is compared, shape (n, k)."""
        return gradients if self.along is None else gradients @ self.along.T


class Observer(Protocol):
    """Is told what is under way, for a progress display."""

    def doing(self, words: str) -> None:
        """This begins now."""

    def finished(self, n: int = 1) -> None:
        """This many more are done."""


def n_steps(methods: Sequence[str], *, is_optimized: bool) -> int:
    """Return how many times a comparison tells its observer that something is finished."""
    return 1 + len(methods) + (len(ascent.WAYS) if is_optimized else 0)


def compare(
    source: Source,
    params: Mapping[str, Any],
    methods: Sequence[str],
    *,
    n_points: int,
    timeout_s: float,
    pool: Workers,
    observer: Observer,
    is_optimized: bool = False,
) -> Comparison:
    """Return what each method costs and how exact it is, on one model.

    Interrupted, it returns the methods that are done.

    Args:
        source: the model.
        params: its parameters.
        methods: names of ``gradients``.
        n_points: at most, at which gradients are compared.
        timeout_s: of each worker.
        pool: where a worker of its own for each method comes from.
        observer: is told which method begins, and ends.
        is_optimized: whether ways to the mode are compared too.

    Raises:
        ModelError: the model can't be loaded, compiled, or started from anywhere.
        KeyboardInterrupt: before any method was done.
    """
    model = {"source": source.to_json(), "params": dict(params)}
    observer.doing("exact gradients")
    try:
        told = pool.alone("gradient_points", **model, n=n_points, timeout_s=timeout_s)
    except Stopped as stopped:
        raise ModelError(stopped.said) from stopped
    points = from_plain(Points, told)
    observer.finished()
    answers: dict[str, Measured | Answer] = {}
    ascents: list[Ascent] = []
    is_complete = False
    try:
        for name in methods:
            observer.doing(name)
            answers[name] = _asked(name, model, points, pool)
            observer.finished()
        for way in ascent.WAYS if is_optimized else ():
            observer.doing(f"to the mode: {way}")
            ascents.append(_ascended(way, model, pool))
            observer.finished()
        is_complete = True
    except KeyboardInterrupt:
        if not answers:
            raise
    given = {name: of.given for name, of in answers.items() if isinstance(of, Answer)}
    if "noisy" not in points.flaws and (reason := _differs(points, given)) is not None:
        points = replace(points, flaws={**points.flaws, "noisy": reason})
    right = what_is_right(points, given)
    return Comparison(
        params=dict(params),
        points=points,
        known_by=right.known_by,
        methods=[
            answer if isinstance(answer, Measured) else judged(name, answer, points, right)
            for name, answer in answers.items()
        ],
        ascents=ascents,
        is_complete=is_complete,
    )


def what_is_right(points: Points, given: Mapping[str, Given]) -> Right:
    """Return what gradients are compared with: the best that is known.

    That are exact gradients; or, where the graph can't be evaluated in many digits, those of two
    implementations that have nothing in common and agree; or else slopes from differences.
    """
    certain = np.zeros(len(points.at))
    if np.isfinite(points.exact).any():
        known_by = f"the graph in {points.n_digits} digits and more"
        return Right(points.exact, points.rest, certain, None, known_by)
    able: dict[str, str] = {}  # one of each family
    for name in given:
        if gradients.load(name).MODE in {"reverse", "forward"}:
            able.setdefault(_family(name, points), name)
    names = list(able.values())
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            here, there = given[one].gradients, given[other].gradients
            scale = np.abs(here).max(axis=1, keepdims=True)
            if np.all(np.abs(here - there) <= AGREEING * scale):
                mean = (here + there) / 2
                known_by = f"{one} and {other}, which agree"
                return Right(mean, np.zeros_like(mean), certain, None, known_by)
    largest = np.abs(points.slopes).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        uncertainties = points.uncertainties.max(axis=1) / largest
    is_known = uncertainties < UNUSABLE
    return Right(
        np.where(is_known[:, None], points.slopes, np.nan),
        np.zeros_like(points.slopes),
        uncertainties,
        directions(N_DIRECTIONS, points.at.shape[1]),
        "extrapolated differences along four directions" if is_known.any() else "",
    )


def judged(name: str, answer: Answer, points: Points, right: Right) -> Measured:
    """Return a method with its error and the status that follows from it."""
    cost, given = answer.cost, answer.given
    if reason := _nonfinite(given, points):
        return Measured(name, "nonfinite", reason, cost)
    if "noisy" in points.flaws:
        return Measured(name, "unverified", points.flaws["noisy"], cost)
    if reason := _other_density(given, points):
        return Measured(name, "wrong", reason, cost)
    if gradients.load(name).MODE == "second":
        return Measured(name, "unverified", "no gradient: its cost alone", cost)
    found = errors(right.of(given.gradients), right.slopes, right.rest)
    known = np.isfinite(found.of_largest).all(axis=1) & np.isfinite(given.values)
    if not known.any():
        return Measured(name, "unverified", points.reason, cost)
    error = _error(given.gradients, found, known, points, right)
    rounding = np.maximum(EXACT, WORSE * np.nan_to_num(points.condition))
    allowed = np.maximum(rounding, SAFETY * right.uncertainties)[known]
    status = _status_of(name, found.of_largest[known].max(axis=1), allowed, points, right)
    reason = error.where if status in {"wrong", "single_precision"} else ""
    if status == "unverified":
        reason = f"right as far as {right.known_by} tell"
    return Measured(name, status, reason, cost, error)


# -- asking ----------------------------------------------------------------------------------


def _asked(name: str, model: Mapping[str, Any], points: Points, pool: Workers) -> Measured | Answer:
    """Return what a worker says of a method, or why it says nothing."""
    if remedy := gradients.remedy(name):
        return Measured(name, "missing", remedy)
    try:
        told = pool.alone("gradient_cost", **model, method=name, at=points.at.tolist())
    except Stopped as stopped:
        statuses: dict[str, Status] = {
            "timeout": "timeout",
            "out_of_memory": "out_of_memory",
            "crashed": "crashed",
        }
        status = statuses.get(stopped.status, "failed")
        return Measured(name, status, headline(stopped.said))
    if "unsuited" in told:
        return Measured(name, "unsuited", told["unsuited"])
    return from_plain(Answer, told)


def _ascended(way: str, model: Mapping[str, Any], pool: Workers) -> Ascent:
    try:
        return from_plain(Ascent, pool.alone("ascend", **model, way=way))
    except Stopped as stopped:
        return Ascent(way, headline(stopped.said))


# -- judging ---------------------------------------------------------------------------------


def _differs(points: Points, given: Mapping[str, Given]) -> str | None:
    """Return that a density isn't the same in two processes, or None.

    It is where its file draws data without a seed.
    """
    for each in given.values():
        off = np.abs(each.default - points.values)
        worst = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
        if not off[worst] <= VALUE_TOLERANCE + VALUE_ROUNDING * np.abs(points.values[worst]):
            return (
                f"the log-density differs from one process to the next: at"
                f" {shown(points.at[worst])} it is {points.values[worst]:.10g} and"
                f" {each.default[worst]:.10g}; give what the model's file draws a seed"
            )
    return None


def _nonfinite(given: Given, points: Points) -> str | None:
    """Return where a method gives what is not finite, or None.

    A log-density may be infinite where it is as good as none in another backend.
    """
    is_finite = np.isfinite(given.values)
    is_lost = ~is_finite & (points.values > points.values.max() - NEGLIGIBLE)
    is_without = is_finite & ~np.isfinite(given.gradients).all(axis=1)
    for what, where in (("log-density", is_lost), ("gradient", is_without)):
        if where.any():
            at = shown(points.at[int(np.argmax(where))])
            return f"its {what} is not finite at {at}, where the model's is"
    return None


def _other_density(given: Given, points: Points) -> str | None:
    """Return where a method's log-density differs by more than a constant, or None."""
    rounding = FLOAT32_ROUNDING if "single_precision" in points.flaws else VALUE_ROUNDING
    finite = np.isfinite(given.values)
    if not finite.any():
        return None
    off = np.where(finite, given.values, points.values) - points.values
    off = np.where(finite, np.abs(off - np.median(off[finite])), 0.0)
    excess = off - VALUE_TOLERANCE - rounding * np.abs(points.values)
    worst = int(np.argmax(excess))
    if excess[worst] <= 0:
        return None
    return (
        f"its log-density differs from the model's by more than a constant: at"
        f" {shown(points.at[worst])} it is {given.values[worst]:.10g}, the model's is"
        f" {points.values[worst]:.10g}"
    )


def _family(name: str, points: Points) -> str:
    """Return a word that methods share which run the same rules of differentiation.

    What PyTensor and JAX make of a plain function is to call it, and its own gradient.
    """
    words = name.split("_")
    if points.is_function:
        return "autograd" if "autograd" in words else "function"
    return "jax" if "jax" in words else words[0]


def _error(
    gradients: FloatArray,
    found: Errors,
    known: npt.NDArray[np.bool_],
    points: Points,
    right: Right,
) -> Error:
    """Return the errors (n, k) of gradients (n, ndim) in numbers and words."""
    of_largest = found.of_largest[known]
    worst = np.where(known[:, None], found.of_largest, -1.0)
    point, coordinate = np.unravel_index(int(np.argmax(worst)), worst.shape)
    place = "coordinate" if right.along is None else "along direction"
    where = (
        f"at {shown(points.at[point])}, {place} {coordinate}, it is"
        f" {right.of(gradients)[point, coordinate]:.10g}, and should be"
        f" {right.slopes[point, coordinate]:.10g}"
    )
    return Error(
        largest=float(of_largest.max()),
        typical=float(np.sqrt(np.mean(of_largest**2))),
        own=float(np.nanmax(found.of_own[known], initial=FLOOR)),
        where=where,
    )


def _status_of(
    name: str, errors: FloatArray, allowed: FloatArray, points: Points, right: Right
) -> Status:
    """Return the status that errors (n,) make, where rounding alone explains ``allowed``."""
    mode, largest = gradients.load(name).MODE, errors.max()
    is_resolved = right.along is None
    is_rounding = bool((errors <= allowed).all())
    if is_resolved and is_rounding:
        return "approximate" if mode == "finite" else "exact"  # by luck, as of a parabola
    by_nature = WRONG if is_resolved else RESOLVED
    limit = max({"finite": UNUSABLE, "own": INEXACT_GRADIENT}.get(mode, by_nature), *allowed)
    if largest > by_nature and "single_precision" in points.flaws:
        is_possible = mode == "finite" or largest <= UNUSABLE
        return "single_precision" if is_possible else "wrong"
    if largest > limit:
        return "wrong"
    is_shown = is_resolved or mode == "finite" or largest > by_nature
    return "approximate" if is_shown else "unverified"
