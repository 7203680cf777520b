r"""Hybrid Rosenbrock: several bananas of bananas that share one variable.

.. math:: p(x) \propto \exp\left(-a (x_1 - \mu)^2
          - b \sum_{j=1}^{n_2} \sum_{i=2}^{n_1} (x_{ij} - x_{i-1,j}^2)^2\right),
          \quad x_{1j} = x_1

So :math:`x_1 \sim \mathcal N(\mu, 1/2a)`, and every other variable is normal about the square of
the one before it, with variance :math:`1/2b`.

Origin: Pagani, Wiegand & Nadarajah (2022), "An n-dimensional Rosenbrock distribution for Markov
chain Monte Carlo testing", Scandinavian Journal of Statistics 49(2), arXiv:1903.09556, with
a = 1/20, b = 5, mu = 1. Parameters: ``x1``, then ``x2`` (n2,) up to ``x<n1>`` (n2,), an element for
each block. Geometry: the curved ridge of ``rosenbrock`` in more dimensions, scales and tails
growing from each variable to the next. Reference: exact, by the moments of normals; much of the
last variable's comes from tails that a run seldom visits (kurtosis 200 with the figures above).
"""

from collections.abc import Callable
from functools import partial
from math import comb, prod, sqrt

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference


def model(n1: int = 3, n2: int = 2, a: float = 0.05, b: float = 5.0, mu: float = 1.0) -> pm.Model:
    """Return the model: ``n2`` blocks of ``n1`` variables, the first of them in common.

    ``n1`` lies between 2 and 6, ``n2`` is at least 1, ``a`` and ``b`` are positive.
    """
    sd1, sd = _sds(n1, n2, a, b, mu)
    with pm.Model() as blocks:
        x = pm.Normal("x1", mu, sd1)
        for i in range(2, n1 + 1):
            x = pm.Normal(f"x{i}", x**2, sd, shape=n2)
    return blocks


def reference(
    n1: int = 3, n2: int = 2, a: float = 0.05, b: float = 5.0, mu: float = 1.0
) -> Reference:
    """Return the exact moments, each variable's from those of the one before it."""
    sd1, sd = _sds(n1, n2, a, b, mu)
    raw = partial(_about, lambda power: mu**power, sd1)
    moments = {"x1": _moments(raw, ())}
    for i in range(2, n1 + 1):
        raw = partial(_about, partial(_of_square, raw), sd)
        moments[f"x{i}"] = _moments(raw, (n2,))

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        x1 = mu + sd1 * rng.standard_normal(n)
        drawn, x = {"x1": x1}, x1[:, None]
        for i in range(2, n1 + 1):
            drawn[f"x{i}"] = x = x**2 + sd * rng.standard_normal((n, n2))
        return drawn

    return Reference(source="exact", moments=moments, draw=draw)


def _sds(n1: int, n2: int, a: float, b: float, mu: float) -> tuple[float, float]:
    """Return the standard deviations of x1, and of every other variable given the one before."""
    if not (2 <= n1 <= 6 and n2 >= 1):
        raise ValueError(f"n1 must be 2 to 6, n2 at least 1; not {n1}, {n2}")
    if not (0 < a < np.inf and 0 < b < np.inf and np.isfinite(mu)):
        raise ValueError(f"a and b must be positive and finite, mu finite; not {a}, {b}, {mu}")
    return sqrt(1 / (2 * a)), sqrt(1 / (2 * b))


def _about(centre: Callable[[int], float], sd: float, power: int) -> float:
    """Return E[(c + sd ε)^power], ε standard normal, from the moments of c."""
    return sum(
        comb(power, k) * centre(power - k) * sd**k * prod(range(1, k, 2))
        for k in range(0, power + 1, 2)
    )


def _of_square(raw: Callable[[int], float], power: int) -> float:
    """Return E[(x²)^power] from the moments of x."""
    return raw(2 * power)


def _moments(raw: Callable[[int], float], shape: tuple[int, ...]) -> Moments:
    """Return a variable's moments from its raw ones."""
    mean = raw(1)
    variance, fourth = (
        sum(comb(power, k) * raw(k) * (-mean) ** (power - k) for k in range(power + 1))
        for power in (2, 4)
    )
    return Moments(
        mean=np.full(shape, mean),
        sd=np.full(shape, sqrt(variance)),
        square_sd=np.full(shape, sqrt(fourth - variance**2)),
    )
