r"""Stochastic volatility: log-variances that are a first-order autoregression, centred or not.

.. math:: \mu \sim \mathcal N(0, 2^2), \quad
          \varphi^* \sim \mathrm{Beta}(20, 1.5), \quad \varphi = 2\varphi^* - 1, \quad
          s \sim \mathrm{HalfNormal}(1),

.. math:: h_1 \sim \mathcal N(\mu, s^2), \quad
          h_{t+1} \sim \mathcal N(\mu + \varphi (h_t - \mu), (1 - \varphi^2) s^2), \quad
          y_t \sim \mathcal N(0, e^{h_t})

Not centred, :math:`\eta_t \sim \mathcal N(0, 1)` are sampled, the innovations of ``h`` in units of
their standard deviations.

Origin: Kim, Shephard & Chib (1998), Review of Economic Studies 65, with their prior of
:math:`\varphi`, but a scale ``s`` of ``h`` itself, not of its innovations, which would need a large
``h[0]`` to go with a :math:`\varphi` near 1. Data, from ``seed``: ``length`` returns in percent
with :math:`\mu = -0.5`, :math:`\varphi = 0.95`, :math:`s = 1`. Parameters: ``mu``, ``phi_star``,
``s``, and ``h`` (length,) or ``eta`` (length,). Geometry: centred, neighbours correlated by an
unknown :math:`\varphi` and a funnel between ``s`` and all of ``h``; not centred, milder, since a
return tells little of its day's variance. Reference: a long run, not centred, for both.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.reference import Reference, stored


def model(length: int = 100, centered: bool = False, seed: int = 1) -> pm.Model:
    """Return the model; ``length`` is the number of returns, at least 2."""
    if length < 2:
        raise ValueError(f"length must be at least 2, not {length}")
    with pm.Model() as volatility:
        mu = pm.Normal("mu", 0.0, 2.0)
        phi = 2 * pm.Beta("phi_star", 20.0, 1.5) - 1
        s = pm.HalfNormal("s", 1.0)
        innovation = pt.sqrt(1 - phi**2)
        if centered:
            h = pm.AR(
                "h",
                rho=pt.stack([mu * (1 - phi), phi]),
                sigma=innovation * s,
                constant=True,
                init_dist=pm.Normal.dist(mu, s),
                shape=length,
            )
        else:
            eta = pm.Normal("eta", 0.0, 1.0, shape=length)
            steps = pt.set_subtensor((innovation * eta)[0], eta[0])
            h = pm.Deterministic("h", mu + s * _autoregression(phi, steps, length))
        pm.Normal("y", 0.0, pt.exp(h / 2), observed=data(length, seed))
    return volatility


def reference(length: int = 100, centered: bool = False, seed: int = 1) -> Reference | None:
    """Return the moments of a long run that was not centred, or None."""
    params = {"length": length, "centered": False, "seed": seed}
    return stored(__file__, params, without=("eta",) if centered else ())


def data(length: int, seed: int) -> np.ndarray:
    """Return returns (length,) in percent."""
    rng = np.random.RandomState(seed)
    h = rng.standard_normal(length)
    h[1:] *= np.sqrt(1 - 0.95**2)
    for t in range(1, length):
        h[t] += 0.95 * h[t - 1]
    returns: np.ndarray = np.exp((h - 0.5) / 2) * rng.standard_normal(length)
    return returns


def _autoregression(
    phi: pt.TensorVariable, steps: pt.TensorVariable, length: int
) -> pt.TensorVariable:
    """Return x with x_t = phi x_{t-1} + steps_t, without a loop over t.

    With S the shift by one, it is the inverse of 1 - phi S, and that the product of 1 + (phi S)^k
    for k = 1, 2, 4 ... below the length.
    """
    x, lag = steps, 1
    while lag < length:
        x = pt.inc_subtensor(x[lag:], phi**lag * x[:-lag])
        lag *= 2
    return x
