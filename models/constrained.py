r"""A known density on every common kind of constrained variable.

.. math:: \mathit{positive} \sim \mathrm{Gamma}(2, 1), \quad
          \mathit{share} \sim \mathrm{Beta}(2, 5), \quad
          \mathit{simplex} \sim \mathrm{Dirichlet}(1, 2, 4), \quad
          \mathit{ordered} = \mathrm{sort}(z), \; z_k \sim \mathcal N(0, 1)

Origin: each is its textbook's distribution; together they test transforms. Parameters:
``positive``, ``share``, ``simplex`` (3,), ``ordered`` (3,). Geometry: independent blocks, skewed on
the unconstrained space; a sampler or a model that leaves out a Jacobian is far off here.
Reference: exact; the moments of the order statistics by quadrature.
"""

from math import comb

import numpy as np
import pymc as pm
from scipy import stats

from gradbench.reference import Moments, Reference

SHAPE = 2.0
BETA = (2.0, 5.0)
DIRICHLET = np.array([1.0, 2.0, 4.0])
N_ORDERED = 3


def model() -> pm.Model:
    """Return the model."""
    with pm.Model() as constrained:
        pm.Gamma("positive", SHAPE, 1.0)
        pm.Beta("share", *BETA)
        pm.Dirichlet("simplex", DIRICHLET)
        pm.Normal(
            "ordered",
            shape=N_ORDERED,
            transform=pm.distributions.transforms.ordered,
            initval=np.linspace(-1.0, 1.0, N_ORDERED),
        )
    return constrained


def reference() -> Reference:
    """Return the exact moments; each part of the simplex is a beta variable."""
    rest = DIRICHLET.sum() - DIRICHLET
    moments = {
        "positive": _of(stats.gamma(SHAPE)),
        "share": _of(stats.beta(*BETA)),
        "simplex": _of(stats.beta(DIRICHLET, rest)),
        "ordered": _of_order_statistics(),
    }
    return Reference(source="exact", moments=moments, draw=_draw)


def _of(distribution: stats.rv_continuous) -> Moments:
    """Return the moments of SciPy's distribution."""
    mean, variance, excess = distribution.stats("mvk")
    return Moments(mean=mean, sd=np.sqrt(variance), square_sd=variance * np.sqrt(2 + excess))


def _of_order_statistics() -> Moments:
    """Return the moments of sorted standard normals: sums over a grid of their densities."""
    x, n = np.linspace(-12.0, 12.0, 4001), N_ORDERED
    below, above, density = stats.norm.cdf(x), stats.norm.sf(x), stats.norm.pdf(x)
    chosen = [n * comb(n - 1, k) * below**k * above ** (n - 1 - k) * density for k in range(n)]
    weights = np.array(chosen) * (x[1] - x[0])
    mean = weights @ x
    off = x - mean[:, None]
    second, fourth = ((weights * off**power).sum(axis=1) for power in (2, 4))
    return Moments(mean=mean, sd=np.sqrt(second), square_sd=np.sqrt(fourth - second**2))


def _draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "positive": rng.gamma(SHAPE, size=n),
        "share": rng.beta(*BETA, size=n),
        "simplex": rng.dirichlet(DIRICHLET, size=n),
        "ordered": np.sort(rng.standard_normal((n, N_ORDERED)), axis=1),
    }
