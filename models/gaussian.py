r"""Standard normal in ``dim`` dimensions.

.. math:: x \sim \mathcal N(0, I_{dim})

Origin: the target on which the exoplanet tutorials compare PyMC3's NUTS with emcee, in 50
dimensions. Parameters: ``x`` (dim,). Geometry: none; what it tests is dimension alone.
Reference: exact.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram


def model(dim: int = 50) -> pm.Model:
    """Return the model; ``dim`` is the number of coordinates, at least 1."""
    if dim < 1:
        raise ValueError(f"dim must be at least 1, not {dim}")
    with pm.Model() as gaussian:
        pm.Normal("x", 0.0, 1.0, shape=dim)
    return gaussian


def stan(dim: int = 50) -> StanProgram:
    """Return the same density as a Stan program."""
    code = "data { int dim; } parameters { vector[dim] x; } model { x ~ std_normal(); }"
    return StanProgram(code, {"dim": dim})


def reference(dim: int = 50) -> Reference:
    """Return the exact moments: mean 0, sd 1, and Var[x²] = 2."""
    one = np.ones(dim)
    return Reference(
        source="exact",
        moments={"x": Moments(mean=0.0 * one, sd=one, square_sd=np.sqrt(2.0) * one)},
        draw=lambda rng, n: {"x": rng.standard_normal((n, dim))},
    )
