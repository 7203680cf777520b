r"""Radon in houses of counties: intercepts and slopes that vary, centred or not.

.. math:: \mu_\alpha, \gamma, \mu_\beta \sim \mathcal N(0, 2^2), \quad
          \sigma_\alpha, \sigma_\beta, \sigma \sim \mathrm{HalfNormal}(1),

.. math:: \alpha_c \sim \mathcal N(\mu_\alpha + \gamma u_c, \sigma_\alpha^2), \quad
          \beta_c \sim \mathcal N(\mu_\beta, \sigma_\beta^2), \quad
          y_i \sim \mathcal N(\alpha_{c(i)} + \beta_{c(i)} f_i, \sigma^2)

with :math:`y_i` the log radon of a house, :math:`f_i` 1 where it was measured on the ground floor
and 0 in the basement, :math:`u_c` the log uranium of the county. Not centred, :math:`\alpha_c =
\mu_\alpha + \gamma u_c + \sigma_\alpha a_c` and :math:`\beta_c = \mu_\beta + \sigma_\beta b_c`
with :math:`a_c, b_c \sim \mathcal N(0, 1)`.

Origin: Gelman & Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models,
chapters 12 and 13, on houses in Minnesota. The data are not those but have their shape, from
``seed``: a county in rank ``r`` of size has one house and a share like 1/r of the rest; one house
in six has no basement; u standard normal times 0.4; means 1.5, 0.7 and -0.7, scales 0.15, 0.3 and
0.75 in the order above. Parameters: ``mu_alpha``, ``gamma``, ``mu_beta``, ``sigma_alpha``,
``sigma_beta``, ``sigma``, and ``alpha``, ``beta`` (counties,) or ``a``, ``b`` (counties,).
Geometry: centred, two funnels, since small counties tell little of their own; not centred, what
the large counties tell correlates mean and offset. Reference: a long run, not centred, for both.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Reference, stored


def model(counties: int = 30, houses: int = 300, centered: bool = False, seed: int = 1) -> pm.Model:
    """Return the model; ``counties`` is at least 2, ``houses`` at least as many."""
    if not 2 <= counties <= houses:
        raise ValueError(
            "counties must be at least 2, houses at least as many as counties;"
            f" not {counties}, {houses}"
        )
    county, floor, uranium, y = data(counties, houses, seed)
    with pm.Model() as radon:
        mu_alpha = pm.Normal("mu_alpha", 0.0, 2.0)
        gamma = pm.Normal("gamma", 0.0, 2.0)
        mu_beta = pm.Normal("mu_beta", 0.0, 2.0)
        sigma_alpha = pm.HalfNormal("sigma_alpha", 1.0)
        sigma_beta = pm.HalfNormal("sigma_beta", 1.0)
        sigma = pm.HalfNormal("sigma", 1.0)
        centre = mu_alpha + gamma * uranium
        if centered:
            alpha = pm.Normal("alpha", centre, sigma_alpha, shape=counties)
            beta = pm.Normal("beta", mu_beta, sigma_beta, shape=counties)
        else:
            a = pm.Normal("a", 0.0, 1.0, shape=counties)
            b = pm.Normal("b", 0.0, 1.0, shape=counties)
            alpha = pm.Deterministic("alpha", centre + sigma_alpha * a)
            beta = pm.Deterministic("beta", mu_beta + sigma_beta * b)
        pm.Normal("y", alpha[county] + beta[county] * floor, sigma, observed=y)
    return radon


def reference(
    counties: int = 30, houses: int = 300, centered: bool = False, seed: int = 1
) -> Reference | None:
    """Return the moments of a long run that was not centred, or None."""
    params = {"counties": counties, "houses": houses, "centered": False, "seed": seed}
    return stored(__file__, params, without=("a", "b") if centered else ())


def data(
    counties: int, houses: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return county and floor of each house, uranium of each county, and radon of each house."""
    rng = np.random.RandomState(seed)
    share = 1 / np.arange(1, counties + 1)
    sizes = 1 + rng.multinomial(houses - counties, share / share.sum())
    county = np.repeat(np.arange(counties), sizes)
    floor = (rng.uniform(size=houses) < 1 / 6).astype(float)
    uranium = 0.4 * rng.standard_normal(counties)
    alpha = 1.5 + 0.7 * uranium + 0.15 * rng.standard_normal(counties)
    beta = -0.7 + 0.3 * rng.standard_normal(counties)
    y = alpha[county] + beta[county] * floor + 0.75 * rng.standard_normal(houses)
    return county, floor, uranium, y
