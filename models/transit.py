r"""Light curve of a planet that crosses a limb-darkened star.

.. math:: y_i \sim \mathcal N(-1000\, \Delta(z_i, r), \sigma^2), \quad
          z_i^2 = b^2 + \big[(1 + r)^2 - b^2\big] \big(2 (t_i - t_0) / T\big)^2,
          \quad i = 1 \dots n

in thousandths of the star's light, of which the planet, a dark disk of radius :math:`r` in stellar
radii at a distance :math:`z` from the star's centre, hides the share :math:`\Delta`. The star's
brightness is :math:`1 - u_1 (1 - \mu) - u_2 (1 - \mu)^2` with :math:`\mu = \sqrt{1 - \rho^2}` at a
distance :math:`\rho` from its centre. By Green's theorem the hidden light is an integral along the
edge of the hidden region, done by Gauss-Legendre quadrature in a variable in which it is smooth:
plain operations, which autodiff goes through.

Origin: the light curve of Mandel & Agol (2002), with Green's theorem as in Agol, Luger &
Foreman-Mackey (2020), a standard example of astronomers' samplers. The ``n`` values are made from
``seed``, over 6 hours. Parameters: ``mid`` :math:`t_0 \sim U(-1, 1)` and ``duration``
:math:`T \sim U(1, 5)`, in hours; ``impact`` :math:`b \sim U(0, 1)`; ``radius``
:math:`r \sim U(0, 0.3)`; ``q1``, ``q2`` :math:`\sim U(0, 1)` with
:math:`u_1 = 2 \sqrt{q_1} q_2`, :math:`u_2 = \sqrt{q_1} (1 - 2 q_2)` (Kipping 2013); ``noise``
:math:`\sigma \sim \mathrm{LogNormal}(-1, 1)`. Geometry: bounds that have mass at them, and a
narrow bend between ``impact``, ``radius`` and the limb darkening. Reference: a long run.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.draws import FloatArray
from gradbench.reference import Reference, stored

NODES = 16  # of the quadrature: errors of 1e-12 in the value, 1e-8 in its slopes
TRUTH = {"mid": 0.1, "duration": 3.0, "impact": 0.4, "radius": 0.1, "u1": 0.4, "u2": 0.25}
NOISE = 0.3
TINY = 1e-30  # keeps a root's slope finite where the root is multiplied by zero


def model(n: int = 100, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` values of the light curve, at least 1."""
    if n < 1:
        raise ValueError(f"n: at least 1 value is needed, not {n}")
    t, y = _data(n, seed)
    with pm.Model() as transit:
        mid = pm.Uniform("mid", -1.0, 1.0)
        duration = pm.Uniform("duration", 1.0, 5.0)
        impact = pm.Uniform("impact", 0.0, 1.0)
        radius = pm.Uniform("radius", 0.0, 0.3)
        q1 = pm.Uniform("q1", 0.0, 1.0)
        q2 = pm.Uniform("q2", 0.0, 1.0)
        noise = pm.LogNormal("noise", -1.0, 1.0)
        u1, u2 = 2 * pt.sqrt(q1) * q2, pt.sqrt(q1) * (1 - 2 * q2)
        distance = _distance(t, mid, duration, impact, radius)
        pm.Normal("y", -1000 * hidden(distance, radius, u1, u2), noise, observed=y)
    return transit


def reference(n: int = 100, seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"n": n, "seed": seed})


def hidden(z: Any, r: Any, u1: Any, u2: Any) -> Any:
    """Return the hidden share of the star's light, the shape of ``z``, for ``r`` below 1.

    The edge of what is hidden is the part of the planet's limb that is before the star, from the
    angle ``first`` to pi on either side, and the part of the star's limb behind the planet, to the
    angle ``behind`` on either side. The first angle is 0 where the planet is all before the star.
    """
    square = ((z + r) ** 2 - 1) * (1 - (z - r) ** 2)
    is_partial = square > 0
    kite = pt.switch(is_partial, pt.sqrt(pt.switch(is_partial, square, 1.0)), 0.0)
    first = pt.arctan2(kite, 1 - z**2 - r**2)
    behind = pt.arctan2(kite, 1 + z**2 - r**2)

    x, weights = np.polynomial.legendre.leggauss(NODES)
    x, weights = (x + 1) / 2, weights / 2
    z_, r_ = z[..., None], pt.as_tensor(r)[..., None]
    span = np.pi - first[..., None]
    angle = span * x**2  # from the first, where mu starts as the root of it
    outer = pt.maximum(1 - (z_ + r_) ** 2, 0.0)
    mu_square = outer + 4 * z_ * r_ * pt.sin(angle / 2) * pt.sin(np.pi - span + angle / 2)
    mu = pt.sqrt(pt.maximum(mu_square, TINY))
    along = _within(mu, u1, u2) * (r_**2 - z_ * r_ * pt.cos(span - angle))
    before = 2 * (along * span * 2 * x * weights).sum(axis=-1)
    whole = _within(0.0, u1, u2)
    return before / (2 * np.pi * whole) + behind / np.pi


def _within(mu: Any, u1: Any, u2: Any) -> Any:
    """Return the star's light within the distance rho, over 2 pi rho²."""
    linear = (1 + mu + mu**2) / (3 * (1 + mu))
    return (1 - u1 - u2) / 2 + (u1 + 2 * u2) * linear - u2 * (1 + mu**2) / 4


def _distance(t: Any, mid: Any, duration: Any, impact: Any, radius: Any) -> Any:
    """Return the distances of the centres, in stellar radii, on a straight path."""
    half = (1 + radius) ** 2 - impact**2
    return (impact**2 + half * (2 * (t - mid) / duration) ** 2) ** 0.5


def _data(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return times, in hours, and the light that is missing, in thousandths, shape (n,) each."""
    t = np.linspace(-3.0, 3.0, n)
    path = (TRUTH[name] for name in ("mid", "duration", "impact", "radius"))
    share = hidden(pt.as_tensor(_distance(t, *path)), TRUTH["radius"], TRUTH["u1"], TRUTH["u2"])
    return t, -1000 * share.eval(mode="FAST_COMPILE") + NOISE * np.random.RandomState(
        seed
    ).standard_normal(n)
