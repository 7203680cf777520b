"""What a worker measures of gradients: points and what is right there, and one method's cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gradbench import gradients, models, timing
from gradbench.draws import FloatArray
from gradbench.errors import pip_install
from gradbench.exact.gradient import Exact, yardstick
from gradbench.exact.graph import Untranslatable
from gradbench.gradients import Pair, Way
from gradbench.measure import density_check, machine
from gradbench.models import Source
from gradbench.stats.interval import Interval, of_median
from gradbench.target import differences
from gradbench.target.differences import Scheme
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

N_ROUNDS = 15  # batches of each function, interleaved
N_LOOPED = 1000  # evaluations inside one call
N_BATCH = 64  # points in one call
YARDSTICK_S = 30.0  # CPU seconds for exact gradients: where one takes long, fewer points have one
STEPS_S = 5.0  # CPU seconds for the errors of one scheme, likewise
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
        condition: shape (n,), by how much the last digits of a point change its gradient, relative
            to the largest component; NaN without a gradient.
        n_digits: in which the exact gradients were had, at most; 0 where none was.
        reason: why some or all aren't known; empty if all are.
        flaws: what is wrong with the density itself, in a sentence each.
        steps: by scheme, the root-mean-square error of finite differences at each of ``STEPS``.
    """

    at: FloatArray
    values: FloatArray
    exact: FloatArray
    rest: FloatArray
    condition: FloatArray
    n_digits: int
    reason: str
    flaws: dict[str, str]
    steps: dict[Scheme, FloatArray]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one method cost and gave.

    Attributes:
        compile_s: wall seconds to compile the log-density and its gradient.
        logdensity_s, gradient_s: CPU seconds of one evaluation, medians.
        own: a gradient's cost in log-densities of the same backend.
        default: the same in log-densities of PyMC's default backend.
        looped: as ``own``, inside one compiled loop; None where there is none.
        batched: cost of a gradient, one of many points in one call, in single log-densities of the
            same backend; None where there is none.
        memory_bytes: by how much the process grew, at its peak, for one gradient.
        values: shape (n,), its log-densities at the points.
        gradients: shape (n, ndim), at the points; NaN where a value is not finite.
    """

    compile_s: float
    logdensity_s: float
    gradient_s: float
    own: Interval
    default: Interval
    looped: Interval | None
    batched: Interval | None
    memory_bytes: int
    values: FloatArray
    gradients: FloatArray


def points(source: Source, params: dict[str, Any], n: int) -> Points:
    """Return up to n points of a model, and what is right there.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
    """
    target = Target(*models.load(source, params))
    with np.errstate(all="ignore"):
        tried = density_check.points(target)[: 2 * density_check.N_POINTS][:n]
        values = np.array([target.logdensity(x) for x in tried])
        at, values = tried[np.isfinite(values)], values[np.isfinite(values)]
        exact, reason = _exact(target, at)
        known = np.array([one.gradient for one in exact]).reshape(len(at), target.ndim)
        rest = np.array([one.rest for one in exact]).reshape(len(at), target.ndim)
        return Points(
            at=at,
            values=values,
            exact=known,
            rest=rest,
            condition=np.array([_condition(target, x) for x in at]),
            n_digits=max((one.n_digits for one in exact), default=0),
            reason=reason,
            flaws=dict(_flaws(target, at)),
            steps={scheme: _errors_by_step(target, at, known, scheme) for scheme in SCHEMES},
        )


def cost(source: Source, params: dict[str, Any], method: str, at: FloatArray) -> Cost | str:
    """Return what a method costs on a model, and its gradients at points (n, ndim).

    Or else why there is no such gradient.
    """
    target = Target(*models.load(source, params))
    way_of = gradients.load(method)
    if reason := way_of.unsuited(target):
        return reason
    stopwatch = Stopwatch()
    stopwatch.start("compile")
    way = way_of.build(target)
    x = np.ascontiguousarray(at[0])
    way.alone.logdensity(x)
    way.alone.gradient(x)
    stopwatch.stop()
    flat, logp = target.density.graph
    default = target.density.compiled(flat, [logp])
    both = [way.alone.gradient(np.ascontiguousarray(x)) for x in at]
    spent = timing.interleaved(
        {
            "logdensity": lambda: way.alone.logdensity(x),
            "gradient": lambda: way.alone.gradient(x),
            "default": lambda: default(x),
        },
        n_rounds=N_ROUNDS,
    )
    return Cost(
        compile_s=stopwatch.timing.compile.wall_s,
        logdensity_s=float(np.median(spent["logdensity"])),
        gradient_s=float(np.median(spent["gradient"])),
        own=_ratio(spent["gradient"], spent["logdensity"]),
        default=_ratio(spent["gradient"], spent["default"]),
        looped=_looped(way, x),
        batched=_batched(way, at, float(np.median(spent["logdensity"]))),
        memory_bytes=_memory_bytes(way.alone, x),
        values=np.array([float(value) for value, _ in both]),
        gradients=np.array([np.asarray(gradient, dtype=float) for _, gradient in both]),
    )


# -- costs -----------------------------------------------------------------------------------


def _ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Interval:
    return of_median([a / b for a, b in zip(numerator, denominator, strict=True)])


def _timed(pair: Pair, x: FloatArray) -> Interval:
    spent = timing.interleaved(
        {"logdensity": lambda: pair.logdensity(x), "gradient": lambda: pair.gradient(x)},
        n_rounds=N_ROUNDS,
    )
    return _ratio(spent["gradient"], spent["logdensity"])


def _looped(way: Way, x: FloatArray) -> Interval | None:
    pair = way.looped(N_LOOPED)
    return None if pair is None else _timed(pair, x)


def _batched(way: Way, at: FloatArray, logdensity_s: float) -> Interval | None:
    pair = way.batched()
    if pair is None:
        return None
    many = np.ascontiguousarray(np.resize(at, (N_BATCH, at.shape[1])))
    spent = timing.interleaved({"": lambda: pair.gradient(many)}, n_rounds=N_ROUNDS)
    return of_median([s / N_BATCH / logdensity_s for s in spent[""]])


def _memory_bytes(pair: Pair, x: FloatArray) -> int:
    """Return by how much the process grows at its peak while it evaluates one gradient."""
    machine.start_peak_memory()
    before = machine.peak_memory_bytes()
    pair.gradient(x)
    return max(0, machine.peak_memory_bytes() - before)


# -- what is right ---------------------------------------------------------------------------


def _exact(target: Target, at: FloatArray) -> tuple[list[Exact], str]:
    """Return what is exact at points (n, ndim), and why some of it isn't known."""
    nothing = np.full(target.ndim, np.nan)
    unknown = Exact(np.nan, nothing, nothing, np.inf, 0)
    found: list[Exact] = []
    stopwatch = Stopwatch()
    try:
        exact = yardstick(*target.density.graph)
        for i, x in enumerate(at):
            stopwatch.start("sampling")
            found.append(exact(x))
            stopwatch.stop()
            spent = stopwatch.timing.sampling.cpu_s
            if spent * (i + 2) / (i + 1) > YARDSTICK_S and i + 1 < len(at):
                reason = f"exact gradients take {spent / (i + 1):.3g} s each: had at {i + 1} points"
                return found + [unknown] * (len(at) - i - 1), reason
    except Untranslatable as error:
        return [unknown] * len(at), str(error)
    except ImportError:
        return [unknown] * len(at), f"they need another library: {pip_install('gradients')}"
    reasons = sorted({one.reason for one in found if one.reason})
    return found, "; ".join(reasons)


def _condition(target: Target, x: FloatArray) -> float:
    """Return by how much a gradient changes with the last digits of its point."""
    if target.why_no_gradient is not None:
        return np.nan
    signs = np.where(np.arange(len(x)) % 2, -1.0, 1.0)
    here, there = (target.logdensity_and_gradient(y)[1] for y in (x, x * (1 + PERTURBED * signs)))
    largest = np.abs(here).max()
    return float(np.abs(here - there).max() / largest) if largest > 0 else 0.0


def _errors_by_step(
    target: Target, at: FloatArray, exact: FloatArray, scheme: Scheme
) -> FloatArray:
    """Return the root-mean-square error of finite differences at each step, shape (n_steps,)."""
    errors = np.full(len(STEPS), np.nan)
    each_s = timing.seconds(lambda: target.logdensity(at[0])) if len(at) else 0.0
    n = differences.n_evaluations(target.ndim, scheme) * len(STEPS)
    known = np.flatnonzero(np.isfinite(exact).all(axis=1))[: max(1, int(STEPS_S / (n * each_s)))]
    for i, step in enumerate(STEPS):
        slope = differences.of(target.logdensity, scheme, step)
        found = np.array([slope(x)[1] for x in at[known]])
        if len(found):
            largest = np.abs(exact[known]).max(axis=1, keepdims=True)
            errors[i] = np.sqrt(np.mean(((found - exact[known]) / largest) ** 2))
    return errors


def _flaws(target: Target, at: FloatArray) -> Iterator[tuple[Flaw, str]]:
    """Yield what is wrong with the density itself."""
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
