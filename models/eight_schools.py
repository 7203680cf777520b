r"""Eight schools: a small hierarchical model, centred or not.

.. math:: \mu \sim \mathcal N(0, 5^2), \quad \tau \sim \mathrm{HalfCauchy}(5), \quad
          \theta_j \sim \mathcal N(\mu, \tau^2), \quad y_j \sim \mathcal N(\theta_j, \sigma_j^2),
          \quad j = 1 \dots 8

Not centred, :math:`\theta_j = \mu + \tau \eta_j` with :math:`\eta_j \sim \mathcal N(0, 1)`.

Origin: Rubin (1981), with the priors of Gelman et al., Bayesian Data Analysis, 3rd ed., 5.5.
Parameters: ``mu``, ``tau``, and ``theta`` (8,) or ``eta`` (8,). Geometry: centred, a funnel between
``tau`` and ``theta`` that gradients alone don't get through; not centred, nearly none.
Reference: exact, since given ``tau`` everything is normal: a sum over a fine grid of log ``tau``.
"""

from typing import Any

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
MU_SD = 5.0
TAU_SCALE = 5.0

CENTERED = """
data { vector[8] y; vector<lower=0>[8] sigma; }
parameters { real mu; real<lower=0> tau; vector[8] theta; }
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta ~ normal(mu, tau);
  y ~ normal(theta, sigma);
}
"""
NON_CENTERED = """
data { vector[8] y; vector<lower=0>[8] sigma; }
parameters { real mu; real<lower=0> tau; vector[8] eta; }
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  eta ~ std_normal();
  y ~ normal(mu + tau * eta, sigma);
}
"""

LOG_TAU = np.linspace(-25.0, 12.0, 20_001)  # beyond it lies less than 1e-10 of the mass


def model(centered: bool = False) -> pm.Model:
    """Return the model; ``centered`` samples ``theta`` itself, not ``eta``."""
    with pm.Model() as schools:
        mu = pm.Normal("mu", 0.0, MU_SD)
        tau = pm.HalfCauchy("tau", TAU_SCALE)
        if centered:
            theta = pm.Normal("theta", mu, tau, shape=8)
        else:
            theta = pm.Deterministic("theta", mu + tau * pm.Normal("eta", 0.0, 1.0, shape=8))
        pm.Normal("y", theta, SIGMA, observed=Y)
    return schools


def stan(centered: bool = False) -> StanProgram:
    """Return the same density as a Stan program."""
    return StanProgram(CENTERED if centered else NON_CENTERED, {"y": Y, "sigma": SIGMA})


def reference(centered: bool = False) -> Reference:
    """Return the exact moments."""
    tau, weights, mu_mean, mu_var = _grid()
    share = tau[:, None] ** 2 / (tau[:, None] ** 2 + SIGMA**2)  # of y_j - mu that is tau eta_j
    pull = share / tau[:, None]
    moments = {
        "mu": _mixture(weights, mu_mean, mu_var),
        "tau": _mixture(weights, tau, 0.0),
        "theta": _mixture(
            weights,
            mu_mean[:, None] * (1 - share) + share * Y,
            share * SIGMA**2 + (1 - share) ** 2 * mu_var[:, None],
        ),
    }
    if not centered:
        moments["eta"] = _mixture(
            weights,
            pull * (Y - mu_mean[:, None]),
            1 - share + pull**2 * mu_var[:, None],
        )
    return Reference(source="exact", moments=moments, draw=_draw)


def _grid() -> tuple[Any, Any, Any, Any]:
    """Return ``tau``, its posterior weights, and mean and variance of ``mu`` given it."""
    tau = np.exp(LOG_TAU)
    precision = 1 / (tau[:, None] ** 2 + SIGMA**2)
    mu_var = 1 / (precision.sum(axis=1) + 1 / MU_SD**2)
    mu_mean = mu_var * (precision * Y).sum(axis=1)
    logp = (
        0.5 * np.log(mu_var)
        + 0.5 * np.log(precision).sum(axis=1)
        - 0.5 * (precision * Y**2).sum(axis=1)
        + 0.5 * mu_mean**2 / mu_var
        - np.log1p((tau / TAU_SCALE) ** 2)
        + LOG_TAU
    )
    weights = np.exp(logp - logp.max())
    return tau, weights / weights.sum(), mu_mean, mu_var


def _mixture(weights: Any, mean: Any, variance: Any) -> Moments:
    """Return the moments of a mixture of normals, its components along the first axis."""
    overall = np.tensordot(weights, mean, axes=1)
    off = mean - overall
    second = np.tensordot(weights, off**2 + variance, axes=1)
    fourth = np.tensordot(weights, off**4 + 6 * off**2 * variance + 3 * variance**2, axes=1)
    return Moments(mean=overall, sd=np.sqrt(second), square_sd=np.sqrt(fourth - second**2))


def _draw(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Return n exact draws of the parameters, centred and not."""
    grid, weights, mu_mean, mu_var = _grid()
    chosen = rng.choice(len(grid), size=n, p=weights)
    step = LOG_TAU[1] - LOG_TAU[0]
    tau = np.exp(LOG_TAU[chosen] + step * rng.uniform(-0.5, 0.5, n))
    mu = mu_mean[chosen] + np.sqrt(mu_var[chosen]) * rng.standard_normal(n)
    share = tau[:, None] ** 2 / (tau[:, None] ** 2 + SIGMA**2)
    theta = mu[:, None] + share * (Y - mu[:, None])
    theta += np.sqrt(share) * SIGMA * rng.standard_normal((n, 8))
    return {"mu": mu, "tau": tau, "theta": theta, "eta": (theta - mu[:, None]) / tau[:, None]}
