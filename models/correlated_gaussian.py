r"""Stationary first-order autoregressive Gaussian.

.. math:: x \sim \mathcal N(0, \Sigma), \quad \Sigma_{ij} = \rho^{|i-j|}

Written as :math:`x_1 \sim \mathcal N(0, 1)`, :math:`x_{i+1} = \rho x_i + \sqrt{1-\rho^2}
\epsilon_i`, whose precision has three diagonals: an evaluation costs time of order ``dim``.
Origin: the usual test of whether a sampler copes with correlation; Neal (2011), section 5.3.
Parameters: ``x`` (dim,). Geometry: neighbours correlated by ``rho``, which no diagonal mass matrix
removes; condition number up to ((1+rho)/(1-rho))². Reference: exact.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram

STAN = """
data { int dim; real rho; }
parameters { vector[dim] x; }
model {
  x[1] ~ std_normal();
  x[2:dim] ~ normal(rho * x[1:(dim - 1)], sqrt(1 - rho^2));
}
"""


def model(dim: int = 100, rho: float = 0.9) -> pm.Model:
    """Return the model; ``dim`` is at least 2, ``rho`` lies between -1 and 1."""
    if dim < 2 or not -1 < rho < 1:
        raise ValueError(f"dim must be at least 2, rho between -1 and 1; not {dim}, {rho}")
    with pm.Model() as gaussian:
        noise = np.sqrt(1 - rho**2)
        pm.AR("x", rho=[rho], sigma=noise, init_dist=pm.Normal.dist(0.0, 1.0), shape=dim)
    return gaussian


def stan(dim: int = 100, rho: float = 0.9) -> StanProgram:
    """Return the same density as a Stan program."""
    return StanProgram(STAN, {"dim": dim, "rho": rho})


def reference(dim: int = 100, rho: float = 0.9) -> Reference:
    """Return the exact moments: mean 0, sd 1, and Var[x²] = 2."""

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        x = rng.standard_normal((n, dim))
        for i in range(1, dim):
            x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * x[:, i]
        return {"x": x}

    one = np.ones(dim)
    moments = Moments(mean=0.0 * one, sd=one, square_sd=np.sqrt(2.0) * one)
    return Reference(source="exact", moments={"x": moments}, draw=draw)
