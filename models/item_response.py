r"""Item response, two-parameter logistic: abilities of persons, difficulties of items.

.. math:: \theta_p \sim \mathcal N(0, 1), \quad
          a_q \sim \mathrm{LogNormal}(0, 0.5^2), \quad
          b_q \sim \mathcal N(0, 1.5^2), \quad
          y_{pq} \sim \mathrm{Bernoulli}(\mathrm{logit}^{-1}(a_q (\theta_p - b_q)))

The likelihood alone leaves location, scale and sign of the abilities open; here the prior of
``theta`` fixes location and scale, and that ``a`` is positive fixes the sign.

Origin: Birnbaum (1968), in Lord & Novick, Statistical Theories of Mental Test Scores, chapter 17.
Data, from ``seed``: ``theta`` and ``b`` standard normal, log ``a`` normal with sd 0.3. Parameters:
``theta`` (persons,), ``a`` (items,), ``b`` (items,). Geometry: products of parameters that the data
tell little of one by one: bent, but no funnel; what it tests is many weakly known parameters.
Reference: a long run.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Reference, stored


def model(persons: int = 50, items: int = 10, seed: int = 1) -> pm.Model:
    """Return the model; ``persons`` and ``items`` are at least 1."""
    if min(persons, items) < 1:
        raise ValueError(f"persons and items must be at least 1; not {persons}, {items}")
    with pm.Model() as responses:
        theta = pm.Normal("theta", 0.0, 1.0, shape=persons)
        a = pm.LogNormal("a", 0.0, 0.5, shape=items)
        b = pm.Normal("b", 0.0, 1.5, shape=items)
        pm.Bernoulli("y", logit_p=a * (theta[:, None] - b), observed=data(persons, items, seed))
    return responses


def reference(persons: int = 50, items: int = 10, seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"persons": persons, "items": items, "seed": seed})


def data(persons: int, items: int, seed: int) -> np.ndarray:
    """Return answers (persons, items), 1 where right."""
    rng = np.random.RandomState(seed)
    theta = rng.standard_normal((persons, 1))
    a, b = np.exp(0.3 * rng.standard_normal(items)), rng.standard_normal(items)
    right = 1 / (1 + np.exp(-a * (theta - b)))
    return (rng.uniform(size=right.shape) < right).astype(int)
