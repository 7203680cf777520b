r"""Multivariate Student t with spherical scale: heavy tails in every direction at once.

.. math:: p(x) \propto \left(1 + \frac{x^\top x}{\nu}\right)^{-(\nu + dim) / 2}

Origin: the usual test of heavy tails; five degrees of freedom are the fewest whole ones with a
fourth moment. Parameters: ``x`` (dim,). Geometry: one density, not a product of ``dim`` of them:
coordinates are uncorrelated but far out together, where the gradient vanishes and Hamiltonian
trajectories turn slowly. Reference: exact; below ``nu`` = 4 the squares have no variance.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference


def model(dim: int = 10, nu: float = 5.0) -> pm.Model:
    """Return the model; ``dim`` is at least 1, ``nu`` above 2: below, there is no variance."""
    if dim < 1 or not 2 < nu < np.inf:
        raise ValueError(
            "dim must be at least 1; nu must be finite and above 2, or x has no variance;"
            f" not {dim}, {nu}"
        )
    with pm.Model() as student:
        pm.MvStudentT("x", nu, mu=np.zeros(dim), scale=np.eye(dim))
    return student


def reference(dim: int = 10, nu: float = 5.0) -> Reference:
    """Return the exact moments: mean 0, variance nu / (nu - 2), kurtosis 3 + 6 / (nu - 4)."""
    one = np.ones(dim)
    variance = nu / (nu - 2)
    square_sd = variance * np.sqrt(2 + 6 / (nu - 4)) * one if nu > 4 else None

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        return {"x": rng.standard_normal((n, dim)) / np.sqrt(rng.chisquare(nu, (n, 1)) / nu)}

    moments = Moments(mean=0.0 * one, sd=np.sqrt(variance) * one, square_sd=square_sd)
    return Reference(source="exact", moments={"x": moments}, draw=draw)
