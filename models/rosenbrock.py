r"""Rosenbrock's valley as a density: the banana in two dimensions.

.. math:: p(x_1, x_2) \propto \exp\left(-\frac{b (x_2 - x_1^2)^2 + (a - x_1)^2}{t}\right)

So :math:`x_1 \sim \mathcal N(a, t/2)` and, given it, :math:`x_2 \sim \mathcal N(x_1^2, t / 2b)`.

Origin: Goodman & Weare (2010), "Ensemble samplers with affine invariance", section 4, with
a = 1, b = 100, t = 20. Parameters: ``x1``, ``x2``. Geometry: a curved ridge, at its ends far
longer and narrower than any linear map shows; tails of ``x2`` like those of a chi-square.
Reference: exact.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram

STAN = """
data { real a; real sd1; real sd2; }
parameters { real x1; real x2; }
model {
  x1 ~ normal(a, sd1);
  x2 ~ normal(x1^2, sd2);
}
"""


def model(a: float = 1.0, b: float = 100.0, t: float = 20.0) -> pm.Model:
    """Return the model; ``a`` is where the ridge is highest, ``b`` and ``t`` are positive."""
    sd1, sd2 = _sds(a, b, t)
    with pm.Model() as banana:
        x1 = pm.Normal("x1", a, sd1)
        pm.Normal("x2", x1**2, sd2)
    return banana


def stan(a: float = 1.0, b: float = 100.0, t: float = 20.0) -> StanProgram:
    """Return the same density as a Stan program."""
    sd1, sd2 = _sds(a, b, t)
    return StanProgram(STAN, {"a": a, "sd1": sd1, "sd2": sd2})


def reference(a: float = 1.0, b: float = 100.0, t: float = 20.0) -> Reference:
    """Return the exact moments: x1² is a scaled, noncentral chi-square."""
    sd1, sd2 = _sds(a, b, t)
    variance = 2 * sd1**4 + 4 * a**2 * sd1**2 + sd2**2
    cumulant = 48 * sd1**8 + 192 * a**2 * sd1**6  # the fourth; normal noise adds none

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        x1 = a + sd1 * rng.standard_normal(n)
        return {"x1": x1, "x2": x1**2 + sd2 * rng.standard_normal(n)}

    moments = {
        "x1": Moments(mean=a, sd=sd1, square_sd=np.sqrt(2.0) * sd1**2),
        "x2": Moments(
            mean=a**2 + sd1**2,
            sd=np.sqrt(variance),
            square_sd=np.sqrt(cumulant + 2 * variance**2),
        ),
    }
    return Reference(source="exact", moments=moments, draw=draw)


def _sds(a: float, b: float, t: float) -> tuple[float, float]:
    """Return the standard deviations of x1, and of x2 given x1."""
    if not (np.isfinite(a) and 0 < b < np.inf and 0 < t < np.inf):
        raise ValueError(f"a must be finite, b and t positive and finite; not {a}, {b}, {t}")
    return float(np.sqrt(t / 2)), float(np.sqrt(t / (2 * b)))
