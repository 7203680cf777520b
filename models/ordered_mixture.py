r"""Mixture of two normals, their means in order, allocations summed out.

.. math:: w \sim \mathrm{Beta}(2, 2), \quad
          \mu_1 < \mu_2 \sim \mathcal N(0, 5^2), \quad
          \log\sigma_k \sim \mathcal N(0, 0.5^2),

.. math:: y_i \sim w \, \mathcal N(\mu_1, \sigma_1^2) + (1 - w) \, \mathcal N(\mu_2, \sigma_2^2)

The order removes the second mode that has the components' names exchanged.

Origin: Diebolt & Robert (1994), Journal of the Royal Statistical Society B 56. Data, from ``seed``:
``n`` values, the components' weights 0.4 and 0.6, their means -1 and 2, their sds 1. Parameters:
``w``, ``mu`` (2,), ``sigma`` (2,). Geometry: five dimensions; the components overlap, so that
weight, means and sds trade off along a bent ridge. Reference: a long run.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.reference import Reference, stored


def model(n: int = 100, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` is the number of values, at least 1."""
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    y = data(n, seed)
    with pm.Model() as mixture:
        w = pm.Beta("w", 2.0, 2.0)
        mu = pm.Normal(
            "mu", 0.0, 5.0, shape=2, transform=pm.distributions.transforms.ordered, initval=[-1, 1]
        )
        sigma = pm.LogNormal("sigma", 0.0, 0.5, shape=2)
        first, second = (pm.logp(pm.Normal.dist(mu[k], sigma[k]), y) for k in (0, 1))
        parts = pt.stack([pt.log(w) + first, pt.log1p(-w) + second])
        pm.Potential("y", pt.logsumexp(parts, axis=0).sum())
    return mixture


def reference(n: int = 100, seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"n": n, "seed": seed})


def data(n: int, seed: int) -> np.ndarray:
    """Return values (n,)."""
    rng = np.random.RandomState(seed)
    mean = np.where(rng.uniform(size=n) < 0.4, -1.0, 2.0)
    values: np.ndarray = mean + rng.standard_normal(n)
    return values
