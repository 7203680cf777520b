"""Finite differences of a log-density: gradients for densities that have none, and their price."""

from collections.abc import Callable, Mapping, Sequence
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

STEPS = tuple(
    0.4 * 0.25**k for k in range(7)
)  # along a line, from what rounding can't hurt to 1e-4


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

    Of the points one exists at a time: in 10,000 dimensions all of them take 1.6 GB.

    Args:
        logdensity: x, shape (ndim,), to a number.
        scheme: one-sided, central, or central with five points.
        step: as in ``points``; None for the textbook's.
    """
    relative = textbook_step(scheme) if step is None else step

    def value_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        here = logdensity(x)
        weights = {k: weight for k, weight in STENCILS[scheme].items() if k}
        h, at = _steps(x, relative), np.array(x)
        total = np.full(len(x), STENCILS[scheme].get(0, 0.0) * here)
        for i in range(len(x)):
            for k, weight in weights.items():
                at[i] = x[i] + k * h[i]
                total[i] += weight * logdensity(at)
            at[i] = x[i]
        return here, total / ((x + h) - x)

    return value_and_gradient


def n_evaluations(ndim: int, scheme: Scheme) -> int:
    """Return how many log-densities a value with its gradient takes."""
    return 1 + ndim * sum(1 for k in STENCILS[scheme] if k)


@np.errstate(all="ignore")  # outside the support numbers overflow
def along(
    logdensities: Callable[[FloatArray], FloatArray],
    at: FloatArray,
    directions: FloatArray,
    *,
    steps: Sequence[float] = STEPS,
) -> tuple[FloatArray, FloatArray]:
    """Return derivatives along directions, (n, n_directions), and how uncertain they are.

    Central differences of several steps, extrapolated to a step of 0 as far as rounding allows
    (Ridders 1982): of a table of estimates the one that differs least from those it is made of.

    Args:
        logdensities: many points (n, ndim) to (n,).
        at: where, shape (n, ndim).
        directions: of length 1, shape (n_directions, ndim).
        steps: each the same share of the one before it.
    """
    best = np.full((len(at), len(directions)), np.nan)
    least = np.full(best.shape, np.inf)
    row: list[FloatArray] = []
    for step in steps:
        above, row = row, [_central(logdensities, at, directions, step)]
        for j, coarse in enumerate(above):
            row.append(row[j] + (row[j] - coarse) / ((steps[0] / steps[1]) ** (2 * j + 2) - 1))
            error = np.maximum(np.abs(row[-1] - row[j]), np.abs(row[-1] - coarse))
            is_better = error < least
            best, least = np.where(is_better, row[-1], best), np.where(is_better, error, least)
    return best, least


def _central(
    logdensities: Callable[[FloatArray], FloatArray],
    at: FloatArray,
    directions: FloatArray,
    h: float,
) -> FloatArray:
    """Return central differences, shape (n, n_directions); NaN where the density is not finite."""
    moved = at[:, None, None] + np.array([h, -h])[:, None] * directions[:, None]
    try:
        values = logdensities(np.ascontiguousarray(moved.reshape(-1, at.shape[1])))
    except Exception:
        return np.full(moved.shape[:2], np.nan)  # outside of where it can be evaluated
    ahead, behind = np.moveaxis(values.reshape(moved.shape[:3]), 2, 0)
    differences: FloatArray = (ahead - behind) / (2 * h)
    return differences


def _steps(x: FloatArray, step: float) -> FloatArray:
    return step * np.maximum(1.0, np.abs(x))
