r"""Neal's funnel, centred or not.

.. math:: v \sim \mathcal N(0, 3^2), \quad x_k \sim \mathcal N(0, e^v), \quad k = 1 \dots dim - 1

Not centred, :math:`x_k = e^{v / 2} z_k` with :math:`z_k \sim \mathcal N(0, 1)`.

Origin: Neal (2003), "Slice sampling", Annals of Statistics 31(3), section 8. Parameters: ``v``, and
``x`` (dim - 1,) or ``z`` (dim - 1,). Geometry: centred, a neck whose width falls with ``v`` by
orders of magnitude, where no one step size fits; not centred, a normal. Reference: exact, of ``v``
and ``z``. ``x`` has none: its mean of squares is 90, but theirs 2e8, from places that no run
visits. For the same reason the form that is not centred leaves ``x`` out: a run would be judged by
the tails of what it does not sample.
"""

import numpy as np
import pymc as pm

from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram

V_SD = 3.0

CENTERED = """
data { int dim; }
parameters { real v; vector[dim - 1] x; }
model {
  v ~ normal(0, 3);
  x ~ normal(0, exp(v / 2));
}
"""
NON_CENTERED = """
data { int dim; }
parameters { real v; vector[dim - 1] z; }
model {
  v ~ normal(0, 3);
  z ~ std_normal();
}
"""


def model(dim: int = 10, centered: bool = True) -> pm.Model:
    """Return the model; ``dim`` counts ``v`` too and is at least 2."""
    if dim < 2:
        raise ValueError(f"dim must be at least 2, v and one x; not {dim}")
    with pm.Model() as funnel:
        v = pm.Normal("v", 0.0, V_SD)
        if centered:
            pm.Normal("x", 0.0, pm.math.exp(v / 2), shape=dim - 1)
        else:
            pm.Normal("z", 0.0, 1.0, shape=dim - 1)
    return funnel


def stan(dim: int = 10, centered: bool = True) -> StanProgram:
    """Return the same density as a Stan program."""
    return StanProgram(CENTERED if centered else NON_CENTERED, {"dim": dim})


def reference(dim: int = 10, centered: bool = True) -> Reference:
    """Return the exact moments of ``v``, and of ``z`` where it is sampled."""
    moments = {"v": Moments(mean=0.0, sd=V_SD, square_sd=np.sqrt(2.0) * V_SD**2)}
    if not centered:
        one = np.ones(dim - 1)
        moments["z"] = Moments(mean=0.0 * one, sd=one, square_sd=np.sqrt(2.0) * one)

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        v, z = V_SD * rng.standard_normal(n), rng.standard_normal((n, dim - 1))
        return {"v": v} | ({"x": np.exp(v / 2)[:, None] * z} if centered else {"z": z})

    return Reference(source="exact", moments=moments, draw=draw)
