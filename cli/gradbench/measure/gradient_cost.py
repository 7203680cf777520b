"""What a worker measures of one way to a gradient: what it costs, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradbench import gradients, models, timing
from gradbench.draws import FloatArray
from gradbench.gradients import Pair, Way
from gradbench.measure import machine
from gradbench.models import Source
from gradbench.stats.interval import Interval, of_median
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

N_ROUNDS = 15  # batches of each function, interleaved
N_LOOPED = 1000  # evaluations inside one call, of which the call itself is then no part
N_BATCH = 64  # points in one call
OPTIONAL_S = 30.0  # CPU seconds for what is measured of many points or in a loop


@dataclass(frozen=True, slots=True)
class Cost:
    """What one method costs.

    Attributes:
        compile_s: wall seconds to compile the log-density and its gradient.
        logdensity_s, gradient_s: CPU seconds of one evaluation, medians.
        own: a gradient's cost in log-densities of the same backend.
        default: the same in log-densities of PyMC's default backend.
        looped: as ``own``, inside one compiled loop; None where there is none.
        batched: cost of a gradient, one of many points in one call, in single log-densities of the
            same backend; None where there is none, or it takes too long.
        memory_bytes: by how much the process grew, at its peak, for one gradient.
    """

    compile_s: float
    logdensity_s: float
    gradient_s: float
    own: Interval
    default: Interval
    looped: Interval | None
    batched: Interval | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Given:
    """What one method gave at the points; NaN where it isn't finite.

    Attributes:
        values: shape (n,), its log-densities.
        gradients: shape (n, ndim).
        default: shape (n,), log-densities in PyMC's default backend, from the same process.
    """

    values: FloatArray
    gradients: FloatArray
    default: FloatArray


def cost(
    source: Source, params: dict[str, Any], method: str, at: FloatArray
) -> tuple[Cost, Given] | str:
    """Return what a method costs on a model and gives at points (n, ndim), or why there is none."""
    target = Target(*models.load(source, params))
    way_of = gradients.load(method)
    if reason := way_of.unsuited(target):
        return reason
    flat, logp = target.density.graph
    default = target.density.compiled(flat, [logp])
    x = np.ascontiguousarray(at[0])
    stopwatch = Stopwatch()
    stopwatch.start("compile")
    way = way_of.build(target)
    way.alone.logdensity(x)
    way.alone.gradient(x)
    stopwatch.stop()
    both = [way.alone.gradient(np.ascontiguousarray(x)) for x in at]
    spent = timing.interleaved(
        {
            "logdensity": lambda: way.alone.logdensity(x),
            "gradient": lambda: way.alone.gradient(x),
            "default": lambda: default(x),
        },
        n_rounds=N_ROUNDS,
    )
    logdensity_s, gradient_s = (float(np.median(spent[n])) for n in ("logdensity", "gradient"))
    given = Given(
        values=np.array([float(value) for value, _ in both]),
        gradients=np.array([np.asarray(gradient, dtype=float) for _, gradient in both]),
        default=np.array([float(default(np.ascontiguousarray(x))[0]) for x in at]),
    )
    measured = Cost(
        compile_s=stopwatch.timing.compile.wall_s,
        logdensity_s=logdensity_s,
        gradient_s=gradient_s,
        own=_ratio(spent["gradient"], spent["logdensity"]),
        default=_ratio(spent["gradient"], spent["default"]),
        looped=_looped(way, x, gradient_s),
        batched=_batched(way, at, logdensity_s, gradient_s),
        memory_bytes=_memory_bytes(way.alone, x),
    )
    return measured, given


def _ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Interval:
    return of_median([a / b for a, b in zip(numerator, denominator, strict=True)])


def _looped(way: Way, x: FloatArray, gradient_s: float) -> Interval | None:
    """Return the cost inside a loop, of fewer evaluations where these take longer than a call."""
    n = int(np.clip(OPTIONAL_S / N_ROUNDS / gradient_s, 1, N_LOOPED))
    pair = way.looped(n)
    if pair is None:
        return None
    spent = timing.interleaved(
        {"logdensity": lambda: pair.logdensity(x), "gradient": lambda: pair.gradient(x)},
        n_rounds=N_ROUNDS,
    )
    return _ratio(spent["gradient"], spent["logdensity"])


def _batched(way: Way, at: FloatArray, logdensity_s: float, gradient_s: float) -> Interval | None:
    if N_ROUNDS * N_BATCH * gradient_s > OPTIONAL_S:
        return None
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
