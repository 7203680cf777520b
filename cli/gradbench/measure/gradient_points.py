"""Where gradients are compared, and what is right there: what a worker finds before any method."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gradbench import models, timing
from gradbench.draws import FloatArray
from gradbench.errors import ModelError, pip_install
from gradbench.exact.gradient import Exact, Yardstick, n_values
from gradbench.measure import density_check
from gradbench.models import Source
from gradbench.target import differences
from gradbench.target.differences import Scheme
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

YARDSTICK_S = 30.0  # CPU seconds for exact gradients: where one takes long, fewer points have one
STEPS_S = 5.0  # CPU seconds for the errors of one scheme, likewise
SHARE = 0.2  # of a worker's time limit: neither takes more
SCHEMES: tuple[Scheme, ...] = ("forward", "central", "five")
STEPS = 10.0 ** np.arange(-1, -14.5, -0.5)  # relative, of finite differences
PERTURBED = 4 * np.finfo(float).eps  # of a point: what rounding alone makes of its gradient
N_HALVINGS = 40  # of a line on which the gradient jumps
KINK = 1e-3  # of the gradient's size: a smaller jump is no kink

Flaw = Literal["noisy", "single_precision", "jump", "kink", "no_gradient"]


@dataclass(frozen=True, slots=True)
class Points:
    """Where gradients are compared, and what is right there.

    Attributes:
        at: shape (n, ndim), where the log-density is finite.
        values: shape (n,), from the target.
        exact: shape (n, ndim), rounded to doubles; NaN where it isn't known.
        rest: shape (n, ndim), what rounding took from it.
        slopes: shape (n, n_directions), along the density check's directions, from differences
            extrapolated to a step of 0; NaN where they can't be had.
        uncertainties: of these, the same shape.
        condition: shape (n,), by how much the last digits of a point change its gradient, relative
            to the largest component; NaN without a gradient.
        n_digits: in which the exact gradients were had, at most; 0 where none was.
        reason: why some or all aren't known; empty if all are.
        is_function: whether the density is a plain function, which every graph only calls.
        flaws: what is wrong with the density itself, in a sentence each.
        steps: by scheme, the root-mean-square error of finite differences at each of ``STEPS``.
    """

    at: FloatArray
    values: FloatArray
    exact: FloatArray
    rest: FloatArray
    slopes: FloatArray
    uncertainties: FloatArray
    condition: FloatArray
    n_digits: int
    reason: str
    is_function: bool
    flaws: dict[Flaw, str]
    steps: dict[Scheme, FloatArray]


def points(source: Source, params: dict[str, Any], *, n: int, timeout_s: float) -> Points:
    """Return ``of_target`` of a model.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
    """
    return of_target(Target(*models.load(source, params)), n=n, timeout_s=timeout_s)


def of_target(target: Target, *, n: int, timeout_s: float) -> Points:
    """Return up to n points of a target, and what is right there.

    Args:
        target: whose gradients are compared.
        n: how many points, at most.
        timeout_s: the worker's own; what could pass it is left out.

    Raises:
        ModelError: it can't be compiled, or started from anywhere.
    """
    with np.errstate(all="ignore"):
        tried = density_check.points(target)[: 2 * density_check.N_POINTS][:n]
        values = np.array([target.logdensity(x) for x in tried])
        at, values = tried[np.isfinite(values)], values[np.isfinite(values)]
        if not len(at):
            raise ModelError("the log-density is finite at none of the points tried")
        exact, reason = _exact(target, at, within_s=min(YARDSTICK_S, SHARE * timeout_s))
        known = np.array([one.gradient for one in exact])
        slopes, uncertainties = density_check.extrapolated(target, at)
        steps_s = min(STEPS_S, SHARE * timeout_s / len(SCHEMES))
        return Points(
            at=at,
            values=values,
            exact=known,
            rest=np.array([one.rest for one in exact]),
            slopes=slopes,
            uncertainties=uncertainties,
            condition=np.array([_condition(target, x) for x in at]),
            n_digits=max(one.n_digits for one in exact),
            reason=reason,
            is_function=target.function is not None,
            flaws=dict(_flaws(target, at)),
            steps={s: _errors_by_step(target, at, known, s, within_s=steps_s) for s in SCHEMES},
        )


# -- what is right ---------------------------------------------------------------------------


def _exact(target: Target, at: FloatArray, *, within_s: float) -> tuple[list[Exact], str]:
    """Return what is exact at points (n, ndim), and why some of it isn't known."""
    from gradbench.exact.graph import Untranslatable  # imports PyTensor

    nothing = np.full(target.ndim, np.nan)
    unknown = Exact(np.nan, nothing, nothing, np.inf, 0)
    found: list[Exact] = []
    stopwatch = Stopwatch()
    try:
        exact = Yardstick(*target.density.graph)
        exact.value(at[0])
        stopwatch.start("warmup")
        exact.value(at[0])
        stopwatch.stop()
        each_s = n_values(target.ndim) * stopwatch.timing.warmup.cpu_s
        for i, x in enumerate(at):
            if stopwatch.timing.sampling.cpu_s + each_s > within_s:
                reason = f"exact gradients take {each_s:.2g} s each: had at {i} of {len(at)} points"
                return found + [unknown] * (len(at) - i), reason
            stopwatch.start("sampling")
            found.append(exact(x))
            stopwatch.stop()
            each_s = stopwatch.timing.sampling.cpu_s / (i + 1)
    except Untranslatable as error:
        return [unknown] * len(at), f"the density can't be evaluated in many digits: {error}"
    except ImportError:
        return [unknown] * len(at), f"exact gradients take a library: {pip_install('gradients')}"
    return found, "; ".join(sorted({one.reason for one in found if one.reason}))


def _condition(target: Target, x: FloatArray) -> float:
    """Return by how much a gradient changes with the last digits of its point."""
    if target.why_no_gradient is not None:
        return np.nan
    signs = np.where(np.arange(len(x)) % 2, -1.0, 1.0)
    here, there = (target.logdensity_and_gradient(y)[1] for y in (x, x * (1 + PERTURBED * signs)))
    largest = np.abs(here).max()
    return float(np.abs(here - there).max() / largest) if largest > 0 else 0.0


def _errors_by_step(
    target: Target, at: FloatArray, exact: FloatArray, scheme: Scheme, *, within_s: float
) -> FloatArray:
    """Return the root-mean-square error of finite differences at each step, shape (n_steps,).

    NaN where nothing is known, or one point would take too long.
    """
    errors = np.full(len(STEPS), np.nan)
    each_s = timing.seconds(lambda: target.logdensity(at[0]))
    n = differences.n_evaluations(target.ndim, scheme) * len(STEPS)
    known = np.flatnonzero(np.isfinite(exact).all(axis=1))[: int(within_s / (n * each_s))]
    if not len(known):
        return errors
    largest = np.abs(exact[known]).max(axis=1, keepdims=True)
    for i, step in enumerate(STEPS):
        slope = differences.of(target.logdensity, scheme, step)
        found = np.array([slope(x)[1] for x in at[known]])
        errors[i] = np.sqrt(np.mean(((found - exact[known]) / largest) ** 2))
    return errors


# -- what is wrong with the density itself ---------------------------------------------------


def _flaws(target: Target, at: FloatArray) -> Iterator[tuple[Flaw, str]]:
    seen = density_check.of_target(target, at)
    if reason := density_check.unusable(at, seen):
        yield "noisy", reason
    elif target.why_no_gradient is not None:
        yield "no_gradient", target.why_no_gradient
    elif seen.is_float32:
        yield "single_precision", "it computes in float32, in whose steps slopes are lost"
    elif seen.jump is not None:
        size, where = seen.jump
        yield "jump", f"it jumps by {size:.2g} near {density_check.shown(np.array(where))}"
    elif (kink := _kink(target, at)) is not None:
        yield "kink", f"its gradient jumps near {density_check.shown(kink)}"


def _kink(target: Target, at: FloatArray) -> FloatArray | None:
    """Return where the gradient jumps on a line between two of the points, or None.

    Of a line the half on which the gradient changes more is kept, again and again: what still
    changes where no smooth gradient could is a jump.
    """

    def gradient(x: FloatArray) -> FloatArray:
        return target.logdensity_and_gradient(x)[1]

    half = len(at) // 2
    for start, end in zip(at[:half], at[half:], strict=False):
        low, high = start, end
        below, above = gradient(low), gradient(high)
        scale = max(np.abs(below).max(), np.abs(above).max())
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            between = gradient(middle)
            if np.abs(between - below).max() >= np.abs(above - between).max():
                high, above = middle, between
            else:
                low, below = middle, between
        if np.abs(above - below).max() > KINK * scale:
            return np.asarray(low)
    return None
