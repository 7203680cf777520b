r"""Regression on a function that is known only as the root of an equation.

.. math:: y_i \sim \mathcal N(u(f_i), 0.1^2), \quad k\,u(f) + c\,u(f)^3 = f, \quad i = 1 \dots n

The displacement :math:`u` of a spring that hardens, under a force. A root finder in an operation of
its own finds it, and the gradient comes from the implicit function theorem
(``gradbench.implicit``); the cubic's closed solution serves the reference alone.

Origin: the introductory example of an operation with its own gradient in texts on automatic
differentiation; the forces, spread over (-3, 3), and their ``n`` displacements are made from
``seed``. Parameters: ``stiffness`` :math:`k` and ``hardening`` :math:`c`, both
:math:`\mathrm{LogNormal}(0, 1)`. Geometry: two correlated dimensions, close to normal; what it
tests is the operation. Reference: exact, by quadrature over the logarithms of both.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.scalar as ps

from gradbench import implicit
from gradbench.draws import FloatArray
from gradbench.reference import Moments, Reference

SIGMA = 0.1
TRUTH = 1.2, 0.5  # stiffness and hardening of the data
POINTS = 301  # of each axis of the quadrature
LOST = 50.0  # where the log-density is as far below its maximum, nothing is left: exp(-50) = 2e-22


def _bracket(force: Any, stiffness: Any, _hardening: Any) -> tuple[Any, Any]:
    """Return the bounds of the displacement: none, and that without hardening."""
    soft = force / stiffness
    return ps.scalar_minimum(soft, 0.0), ps.scalar_maximum(soft, 0.0)


displacement = implicit.root(
    lambda u, force, stiffness, hardening: stiffness * u + hardening * u**3 - force,
    bracket=_bracket,
)


def model(n: int = 20, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` measured displacements, at least 1."""
    if n < 1:
        raise ValueError(f"n: at least 1 displacement is needed, not {n}")
    force, y = _data(n, seed)
    with pm.Model() as spring:
        stiffness = pm.LogNormal("stiffness", 0.0, 1.0)
        hardening = pm.LogNormal("hardening", 0.0, 1.0)
        pm.Normal("y", displacement(force, stiffness, hardening), SIGMA, observed=y)
    return spring


def reference(n: int = 20, seed: int = 1) -> Reference:
    """Return the exact moments."""
    axes, weights = _quadrature(*_data(n, seed))
    values = np.exp(np.stack(np.meshgrid(*axes, indexing="ij")))
    names = "stiffness", "hardening"

    def draw(rng: np.random.Generator, n: int) -> dict[str, Any]:
        chosen = np.unravel_index(rng.choice(weights.size, n, p=weights.ravel()), weights.shape)
        return {
            name: np.exp(axis[at] + (axis[1] - axis[0]) * rng.uniform(-0.5, 0.5, n))
            for name, axis, at in zip(names, axes, chosen, strict=True)
        }

    moments = {name: _moments(x, weights) for name, x in zip(names, values, strict=True)}
    return Reference(source="exact", moments=moments, draw=draw)


def closed(force: Any, stiffness: Any, hardening: Any) -> Any:
    """Return the displacement by the hyperbolic form of Cardano's solution."""
    scale = np.sqrt(stiffness / (3 * hardening))
    return 2 * scale * np.sinh(np.arcsinh(1.5 * force / (stiffness * scale)) / 3)


def _data(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return forces and measured displacements, shape (n,) each."""
    rng = np.random.RandomState(seed)
    force = rng.uniform(-3.0, 3.0, n)
    return force, closed(force, *TRUTH) + SIGMA * rng.standard_normal(n)


def _quadrature(force: FloatArray, y: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Return the logarithms of both parameters on a grid, and its points' posterior weights.

    The trapezoidal rule, which for a smooth density that ends within the grid converges faster
    than any power; the grid closes in on where there is mass.
    """
    axes = [np.linspace(-10.0, 10.0, POINTS)] * 2
    for _ in range(4):
        k, c = np.meshgrid(*axes, indexing="ij")
        logp = -0.5 * (k**2 + c**2)
        for f, observed in zip(force, y, strict=True):
            logp -= 0.5 * ((observed - closed(f, np.exp(k), np.exp(c))) / SIGMA) ** 2
        weights = np.exp(logp - logp.max())
        has_mass = logp > logp.max() - LOST
        kept = axes
        axes = [
            np.linspace(*_around(axis[has_mass.any(axis=1 - i)], axis[1] - axis[0]), POINTS)
            for i, axis in enumerate(axes)
        ]
    return kept, weights / weights.sum()


def _around(x: FloatArray, step: float) -> tuple[float, float]:
    return x[0] - step, x[-1] + step


def _moments(x: FloatArray, weights: FloatArray) -> Moments:
    mean = (weights * x).sum()
    variance = (weights * (x - mean) ** 2).sum()
    fourth = (weights * (x - mean) ** 4).sum()
    return Moments(mean=mean, sd=np.sqrt(variance), square_sd=np.sqrt(fourth - variance**2))
