r"""Bayesian logistic regression on data made from a seed.

.. math:: \beta \sim \mathcal N(0, I_{k}), \quad
          y_i \sim \mathrm{Bernoulli}(\mathrm{logit}^{-1}(x_i^\top \beta)), \quad i = 1 \dots n

Origin: the size of the German credit data (1,000 cases, 24 predictors and an intercept), on which
samplers are compared since Holmes & Held (2006). The data are not those: covariates are drawn from
a standard normal, the coefficients from the prior, both from ``seed``. Parameters: ``beta`` (k,),
the intercept first. Geometry: close to a normal of condition number about 3; what it tests is a
density whose evaluation takes longer than the sampler's own work. Reference: a long run.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Reference, stored


def model(n: int = 1000, k: int = 25, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` cases, ``k`` coefficients with the intercept, both at least 1."""
    if min(n, k) < 1:
        raise ValueError(f"n and k must be at least 1; not {n}, {k}")
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, k - 1))])
    y = rng.random(n) < 1 / (1 + np.exp(-x @ rng.standard_normal(k)))
    with pm.Model() as regression:
        beta = pm.Normal("beta", 0.0, 1.0, shape=k)
        pm.Bernoulli("y", logit_p=x @ beta, observed=y.astype(int))
    return regression


def reference(n: int = 1000, k: int = 25, seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"n": n, "k": k, "seed": seed})
