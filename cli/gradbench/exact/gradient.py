"""The yardstick: a log-density's gradient in many digits, by which all others are judged.

The graph is evaluated as it was written, before any rewrite, and its central differences are taken
in so many digits that neither the step nor rounding shows in a double. No rule of differentiation
is involved, so that none of their errors can be. All is done in two precisions: where the
differences don't agree, digits were lost, and more are taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradbench.draws import FloatArray

# In bits: 60 digits, then twice as many while two precisions disagree.
PRECISIONS = 200, 400, 800, 1600, 3200
AGREEMENT = 1e-18  # of the largest component: a hundredth of a double's rounding
FLOOR = 1e-17  # errors below are told from none by no double
NEGLIGIBLE = 1e-30  # of the value: a gradient below it is none

OUTSIDE = "the log-density isn't finite there, or right beside"
KINK = "a kink: the slopes to both sides differ"
LOST = f"up to {int(PRECISIONS[-1] * np.log10(2))} digits disagree: a jump, or lost digits"


@dataclass(frozen=True, slots=True)
class Exact:
    """A log-density and its gradient at a point, or why they aren't known there.

    Attributes:
        value: rounded to a double; NaN, as all else, where it isn't known.
        gradient: shape (ndim,), rounded to doubles.
        rest: shape (ndim,), what rounding took from it, by itself a double.
        agreement: by how much two precisions differ, relative to the largest component.
        n_digits: of the lower of the two; 0 where none were enough.
        reason: why there is no reference, or None.
    """

    value: float
    gradient: FloatArray
    rest: FloatArray
    agreement: float
    n_digits: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """How far gradients (..., ndim) are from exact ones, same shape; nothing is below ``FLOOR``.

    Attributes:
        of_largest: relative to the largest component of the exact gradient.
        of_own: relative to the same component; NaN where that is 0.
    """

    of_largest: FloatArray
    of_own: FloatArray


class Yardstick:
    """The exact gradient of a log-density, as a function of x, shape (ndim,).

    Args:
        flat: the symbol of x, a vector.
        logp: the log-density's graph, as it was written.

    Raises:
        Untranslatable: an Op can't be evaluated in many digits; also at some x alone.
    """

    def __init__(self, flat: Any, logp: Any) -> None:
        from gradbench.exact.graph import Program

        self._program = Program([flat], [logp])

    def __call__(self, x: FloatArray) -> Exact:
        """Return the gradient at x, and the log-density."""
        agreement, lower = np.inf, None
        for precision in PRECISIONS:
            higher = _differences(self._program, x, precision)
            if higher is None:  # or the digits that were lost are those that make it finite
                continue
            if lower is not None:
                agreement = higher.distance(lower.slopes)
                if agreement <= AGREEMENT:
                    return _known(lower, higher, agreement)
            lower = higher
        reason = OUTSIDE if lower is None else LOST
        return _unknown(len(x), agreement, reason)

    def value(self, x: FloatArray) -> float:
        """Return the log-density alone, rounded: the least that a gradient is made of."""
        import gmpy2

        from gradbench.exact import graph as mp_graph

        with gmpy2.context(precision=PRECISIONS[0]):
            return float(self._program(mp_graph.exact(x))[0][()])


def n_values(ndim: int) -> int:
    """Return how many log-densities a gradient takes where the first two precisions agree."""
    return 2 * (1 + 2 * ndim)


def errors(gradients: FloatArray, exact: FloatArray, rest: FloatArray) -> Errors:
    """Return the errors of gradients (..., ndim); NaN where the exact ones aren't known.

    Args:
        gradients: what is judged.
        exact: rounded to doubles, same shape.
        rest: what rounding took from them.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        # Near each other, doubles have an exact difference.
        absolute = np.abs((gradients - exact) - rest)
        sizes = np.abs(exact)
        largest = sizes.max(axis=-1, keepdims=True)
        return Errors(
            of_largest=np.maximum(np.where(absolute == 0, 0.0, absolute / largest), FLOOR),
            of_own=np.maximum(np.where(sizes == 0, np.nan, absolute / sizes), FLOOR),
        )


@dataclass(frozen=True, slots=True)
class _Differences:
    """What differences say at a point, in numbers of gmpy2's.

    Attributes:
        precision: in bits.
        value: the log-density.
        slopes: shape (ndim,), the central differences.
        bends: shape (ndim,), how far the slopes to both sides are from them.
    """

    precision: int
    value: Any
    slopes: Any
    bends: Any

    @property
    def scale(self) -> Any:
        """The largest component, or what is too little to tell from 0."""
        return max(*abs(self.slopes), abs(self.value) * NEGLIGIBLE)

    def distance(self, slopes: Any) -> float:
        """Return the largest difference to other slopes, relative to the largest component."""
        largest = max(abs(self.slopes - slopes))
        return float(largest / self.scale) if largest else 0.0


def _differences(program: Callable[..., Any], x: FloatArray, precision: int) -> _Differences | None:
    """Return the central differences at x, shape (ndim,), in so many bits; None if not finite.

    The step is the cubic root of a rounding, which balances the two errors; a power of 2, so that
    it is added without one.
    """
    import gmpy2

    from gradbench.exact import graph as mp_graph

    with gmpy2.context(precision=precision):
        step = gmpy2.mpfr(2) ** -(precision // 3)
        point = mp_graph.exact(x)
        value = program(point)[0][()]
        if not gmpy2.is_finite(value):
            return None
        slopes, bends = np.empty_like(point), np.empty_like(point)
        for i, centre in enumerate(point):
            sides = []
            for moved in (centre - step, centre + step):
                beside = point.copy()
                beside[i] = moved
                sides.append(program(beside)[0][()])
            below, above = sides
            if not gmpy2.is_finite(above - below):
                return None
            slopes[i] = (above - below) / (2 * step)
            bends[i] = abs(above + below - 2 * value) / (2 * step)
    return _Differences(precision, value, slopes, bends)


def _known(lower: _Differences, higher: _Differences, agreement: float) -> Exact:
    """Return what two precisions agree on, unless the slopes to both sides differ."""
    import gmpy2

    with gmpy2.context(precision=higher.precision):
        # What bends without a kink bends less the shorter the step.
        is_kink = (higher.bends > AGREEMENT * higher.scale) & (2 * higher.bends > lower.bends)
        if is_kink.any():
            return _unknown(len(is_kink), agreement, KINK)
        # Where the two share no digit, there is nothing but what was lost.
        is_zero = abs(higher.slopes - lower.slopes) * 2 >= abs(higher.slopes)
        slopes = np.where(is_zero, gmpy2.mpfr(0), higher.slopes)
        gradient = slopes.astype(float)
        rest = (slopes - gradient.astype(object)).astype(float)
    n_digits = int(lower.precision * np.log10(2))
    return Exact(float(higher.value), gradient, rest, agreement, n_digits)


def _unknown(ndim: int, agreement: float, reason: str) -> Exact:
    nothing = np.full(ndim, np.nan)
    return Exact(np.nan, nothing, nothing, agreement, 0, reason)
