r"""Radial velocities of a star with a planet on an eccentric orbit.

.. math:: v_i \sim \mathcal N(\gamma + K [\cos(\nu_i + \omega) + e \cos\omega],
          \sigma^2 + s^2), \quad
          \tan\frac{\nu_i}{2} = \sqrt{\frac{1 + e}{1 - e}} \tan\frac{E_i}{2}, \quad
          E_i - e \sin E_i = \frac{2 \pi t_i}{P} + \lambda - \omega, \quad i = 1 \dots n

The equation for :math:`E`, Kepler's, has no closed solution: a root finder in an operation of its
own solves it, and the gradient comes from the implicit function theorem (``gradbench.implicit``).

Origin: the operation with which the texts on automatic differentiation that this project grew out
of show how a custom gradient is written. The ``n`` velocities are made from ``seed``, in m/s, over
60 days, with :math:`\sigma = 2`. Parameters: ``period_offset`` and ``longitude_offset``, standard
normals, for both are known beforehand, as from transits: :math:`P = 11.2 \pm 0.02` days and
:math:`\lambda = 2 \pm 0.3`; ``amplitude`` :math:`K \sim \mathrm{LogNormal}(3, 1)`; ``shape`` (2,),
standard normals with :math:`e = |z|^2 / (2 + |z|^2)` and :math:`\omega` their direction, so that
:math:`e` is spread over (0, 1) and :math:`\omega` over the circle; ``velocity``
:math:`\gamma \sim \mathcal N(0, 10^2)`; ``jitter`` :math:`s \sim \mathrm{HalfNormal}(5)`. Geometry:
one mode, mildly bent; what it tests is an operation that autodiff can't see through. Reference: a
long run.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.scalar as ps
import pytensor.tensor as pt

from gradbench import implicit
from gradbench.draws import FloatArray
from gradbench.reference import Reference, stored

PERIOD, PERIOD_SD = 11.2, 0.02
LONGITUDE, LONGITUDE_SD = 2.0, 0.3
SIGMA = 2.0
TRUTH = {"K": 25.0, "e": 0.4, "omega": 0.8, "gamma": 3.0, "jitter": 2.0}


def _bracket(mean: Any, e: Any) -> tuple[Any, Any]:
    """Return the bounds of the eccentric anomaly, which lies beyond the mean one, seen from 0."""
    away = ps.sin(mean)
    return mean - ps.switch(away < 0, e, 0.0), mean + ps.switch(away > 0, e, 0.0)


eccentric_anomaly = implicit.root(
    lambda anomaly, mean, e: anomaly - e * ps.sin(anomaly) - mean, bracket=_bracket
)


def model(n: int = 40, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` velocities, at least 1."""
    if n < 1:
        raise ValueError(f"n: at least 1 velocity is needed, not {n}")
    t, v = _data(n, seed)
    with pm.Model() as orbit:
        period = pm.Deterministic("period", PERIOD + PERIOD_SD * pm.Normal("period_offset"))
        longitude = pm.Deterministic(
            "longitude", LONGITUDE + LONGITUDE_SD * pm.Normal("longitude_offset")
        )
        amplitude = pm.LogNormal("amplitude", 3.0, 1.0)
        z = pm.Normal("shape", shape=2)
        gamma = pm.Normal("velocity", 0.0, 10.0)
        jitter = pm.HalfNormal("jitter", 5.0)

        square = z[0] ** 2 + z[1] ** 2
        e = pm.Deterministic("e", square / (2 + square))
        cos, sin = z[0] / pt.sqrt(square), z[1] / pt.sqrt(square)
        mean_anomaly = 2 * np.pi * t / period + longitude - pt.arctan2(z[1], z[0])
        anomaly = eccentric_anomaly(mean_anomaly, e)
        distance = 1 - e * pt.cos(anomaly)
        cos_true = (pt.cos(anomaly) - e) / distance
        sin_true = pt.sqrt(1 - e**2) * pt.sin(anomaly) / distance
        mean = gamma + amplitude * (cos_true * cos - sin_true * sin + e * cos)
        pm.Normal("v", mean, pt.sqrt(SIGMA**2 + jitter**2), observed=v)
    return orbit


def reference(n: int = 40, seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"n": n, "seed": seed})


def _data(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return times, in days from the middle of the observations, and velocities, shape (n,)."""
    rng = np.random.RandomState(seed)
    t = np.sort(rng.uniform(-30.0, 30.0, n))
    e, omega = TRUTH["e"], TRUTH["omega"]
    mean = 2 * np.pi * t / PERIOD + LONGITUDE - omega
    anomaly = mean
    for _ in range(100):  # converges as e**k
        anomaly = mean + e * np.sin(anomaly)
    true = 2 * np.arctan(np.sqrt((1 + e) / (1 - e)) * np.tan(anomaly / 2))
    v = TRUTH["gamma"] + TRUTH["K"] * (np.cos(true + omega) + e * np.cos(omega))
    return t, v + np.hypot(SIGMA, TRUTH["jitter"]) * rng.standard_normal(n)
