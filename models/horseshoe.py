r"""Sparse logistic regression with a regularised horseshoe, centred or not.

.. math:: \alpha \sim \mathcal N(0, 2^2), \quad
          \tau \sim \mathrm{HalfCauchy}(\tau_0), \quad
          \lambda_j \sim \mathrm{HalfCauchy}(1), \quad
          \beta_j \sim \mathcal N(0, s_j^2), \quad
          s_j^{-2} = (\tau\lambda_j)^{-2} + c^{-2},

.. math:: y_i \sim \mathrm{Bernoulli}(\mathrm{logit}^{-1}(\alpha + x_i^\top \beta)), \quad
          i = 1 \dots n, \; j = 1 \dots k

The slab is :math:`c = 2`, and :math:`\tau_0 = 2 p_0 / ((k - p_0) \sqrt n)` expects :math:`p_0 = 3`
coefficients that matter. Not centred, :math:`\beta_j = s_j z_j` with :math:`z_j \sim \mathcal
N(0, 1)`.

Origin: Carvalho, Polson & Scott (2010), Biometrika 97; regularised, and with that
:math:`\tau_0`, by Piironen & Vehtari (2017), Electronic Journal of Statistics 11. Data, from
``seed``: covariates standard normal, an intercept of 0, coefficients 2, -2 and 1, the others 0.
Parameters: ``alpha``, ``log_tau``, ``log_lambda`` (k,), and ``beta`` (k,) or ``z`` (k,); logarithms
because half-Cauchy scales that the data hardly bound have no moments. Geometry: a funnel for each
coefficient and one for all; not centred, coefficients that matter still lie on curved ridges of
constant ``beta``. Reference: a long run, not centred, for both.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.reference import Reference, stored

RELEVANT = (2.0, -2.0, 1.0)
SLAB = 2.0


def model(n: int = 100, k: int = 20, centered: bool = False, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` cases, at least 1, and ``k`` coefficients, at least 4."""
    if n < 1 or k <= len(RELEVANT):
        raise ValueError(f"n must be at least 1, k at least {len(RELEVANT) + 1}; not {n}, {k}")
    x, y = data(n, k, seed)
    tau_0 = 2 * len(RELEVANT) / ((k - len(RELEVANT)) * np.sqrt(n))
    with pm.Model() as regression:
        alpha = pm.Normal("alpha", 0.0, 2.0)
        log_tau = pm.CustomDist("log_tau", tau_0, dist=_log_half_cauchy)
        log_lambda = pm.CustomDist("log_lambda", 1.0, dist=_log_half_cauchy, shape=k)
        scale = (pt.exp(-2 * (log_tau + log_lambda)) + SLAB**-2) ** -0.5
        if centered:
            beta = pm.Normal("beta", 0.0, scale, shape=k)
        else:
            beta = pm.Deterministic("beta", scale * pm.Normal("z", 0.0, 1.0, shape=k))
        pm.Bernoulli("y", logit_p=alpha + x @ beta, observed=y)
    return regression


def reference(n: int = 100, k: int = 20, centered: bool = False, seed: int = 1) -> Reference | None:
    """Return the moments of a long run that was not centred, or None."""
    params = {"n": n, "k": k, "centered": False, "seed": seed}
    return stored(__file__, params, without=("z",) if centered else ())


def data(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return covariates (n, k) and outcomes (n,), 0 or 1."""
    rng = np.random.RandomState(seed)
    x = rng.standard_normal((n, k))
    logit = x[:, : len(RELEVANT)] @ RELEVANT
    return x, (rng.uniform(size=n) < 1 / (1 + np.exp(-logit))).astype(int)


def _log_half_cauchy(scale: pt.TensorVariable, size: pt.TensorVariable) -> pt.TensorVariable:
    return pt.log(pm.HalfCauchy.dist(scale, size=size))
