r"""Independent normals whose scales differ by orders of magnitude.

.. math:: x_i \sim \mathcal N(0, \sigma_i^2), \quad
          \sigma_i^2 = \kappa^{(i - 1) / (dim - 1) - 1/2}, \quad i = 1 \dots dim

Origin: the usual test of step size and mass matrix, with log-spaced variances as in Robnik et al.
(2023), Journal of Machine Learning Research 24(311). Parameters: ``x`` (dim,). Geometry: condition
number ``condition``, aligned with the axes; a diagonal mass matrix removes it, so what it tests is
how soon a sampler has learned one, and what becomes of one that learns none. Reference: exact.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram

STAN = """
data { int dim; vector[dim] sd; }
parameters { vector[dim] x; }
model { x ~ normal(0, sd); }
"""


def model(dim: int = 50, condition: float = 1e4) -> pm.Model:
    """Return the model; ``dim`` is at least 2, ``condition`` (of the covariance) at least 1."""
    with pm.Model() as gaussian:
        pm.Normal("x", 0.0, _sd(dim, condition), shape=dim)
    return gaussian


def stan(dim: int = 50, condition: float = 1e4) -> StanProgram:
    """Return the same density as a Stan program."""
    return StanProgram(STAN, {"dim": dim, "sd": _sd(dim, condition)})


def reference(dim: int = 50, condition: float = 1e4) -> Reference:
    """Return the exact moments: mean 0, the scales, and Var[x²] = 2 sd⁴."""
    sd = _sd(dim, condition)
    return Reference(
        source="exact",
        moments={"x": Moments(mean=np.zeros(dim), sd=sd, square_sd=np.sqrt(2.0) * sd**2)},
        draw=lambda rng, n: {"x": sd * rng.standard_normal((n, dim))},
    )


def _sd(dim: int, condition: float) -> np.ndarray:
    """Return the scales, from condition^(-1/4) to condition^(1/4)."""
    if dim < 2 or not 1 <= condition < np.inf:
        raise ValueError(
            f"dim must be at least 2, condition at least 1 and finite; not {dim}, {condition}"
        )
    return condition ** np.linspace(-0.25, 0.25, dim)
