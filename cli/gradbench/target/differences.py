"""Finite differences of a log-density: gradients for densities that have none, and their price."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from gradbench.draws import FloatArray

Scheme = Literal["forward", "central", "five"]

# Offsets in steps, with their weights; a step that balances rounding against the terms left out is
# eps^(1/2), eps^(1/3) and eps^(1/5) of the coordinate's size (Press et al., Numerical Recipes,
# section 5.7).
STENCILS: Mapping[Scheme, Mapping[int, float]] = MappingProxyType(
    {
        "forward": {0: -1.0, 1: 1.0},
        "central": {-1: -1 / 2, 1: 1 / 2},
        "five": {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12},
    }
)
ORDERS: Mapping[Scheme, int] = MappingProxyType({"forward": 2, "central": 3, "five": 5})


def textbook_step(scheme: Scheme) -> float:
    """Return the relative step that balances rounding against the terms left out."""
    return float(np.finfo(float).eps ** (1 / ORDERS[scheme]))


def points(x: FloatArray, scheme: Scheme, step: float) -> FloatArray:
    """Return where the density is needed, (n, ndim): x first, then each coordinate's points.

    Args:
        x: shape (ndim,).
        scheme: how many points each coordinate takes.
        step: relative to a coordinate's size, or to 1 where that is smaller.
    """
    offsets = [k for k in STENCILS[scheme] if k]
    h = _steps(x, step)
    moved = x + np.concatenate([k * np.diag(h) for k in offsets])
    return np.concatenate([x[None], moved])


def gradient(values: FloatArray, x: FloatArray, scheme: Scheme, step: float) -> FloatArray:
    """Return the gradient, shape (ndim,), from the values (n,) at ``points``."""
    weights = STENCILS[scheme]
    offsets = [k for k in weights if k]
    moved = values[1:].reshape(len(offsets), len(x))
    total = weights.get(0, 0.0) * values[0] + sum(
        weights[k] * row for k, row in zip(offsets, moved, strict=True)
    )
    # What x + h really is apart from x.
    h = _steps(x, step)
    return np.asarray(total / ((x + h) - x))


def of(
    logdensity: Callable[[FloatArray], float], scheme: Scheme, step: float | None = None
) -> Callable[[FloatArray], tuple[float, FloatArray]]:
    """Return a log-density with its gradient by finite differences, a call for each point.

    Args:
        logdensity: x, shape (ndim,), to a number.
        scheme: one-sided, central, or central with five points.
        step: as in ``points``; None for the textbook's.
    """
    relative = textbook_step(scheme) if step is None else step

    offsets = [k for k in STENCILS[scheme] if k]

    def value_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        # One point at a time: all of them together would be a matrix.
        at, h = x.copy(), _steps(x, relative)
        values = np.empty((len(offsets), len(x)))
        for row, k in zip(values, offsets, strict=True):
            for i in range(len(x)):
                at[i] = x[i] + k * h[i]
                row[i] = logdensity(at)
                at[i] = x[i]
        value = logdensity(at)
        return value, gradient(np.concatenate([[value], values.ravel()]), x, scheme, relative)

    return value_and_gradient


def n_evaluations(ndim: int, scheme: Scheme) -> int:
    """Return how many log-densities a value with its gradient takes."""
    return 1 + ndim * sum(1 for k in STENCILS[scheme] if k)


def _steps(x: FloatArray, step: float) -> FloatArray:
    return step * np.maximum(1.0, np.abs(x))
