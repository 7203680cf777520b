"""Nautilus's importance nested sampling; its prior here is a wide normal, whatever the model's.

Install it with ``pip install nautilus-sampler``. The draws are weighted, and of no chain.
"""

import numpy as np
from scipy import special, stats

from gradbench.sampler import Draws, Evaluations, Field
from gradbench.sampler import Options as Base

LIBRARIES = ("nautilus",)
INSTALL = "pip install nautilus-sampler"


class Options(Base):
    """Exploration is not kept, but is no warm-up of a length that can be chosen."""

    tune: int = Field(0, ge=0, le=0, description="there is none")
    draws: int = Field(1000, ge=4, description="effective draws aimed at")
    n_live: int = Field(500, ge=100, description="live points")
    n_networks: int = Field(0, ge=0, description="neural networks for each bound")
    scale: float = Field(10.0, gt=0, description="sd of the prior in every coordinate")

    @property
    def n_starts(self):
        """One, which isn't used: it starts all over the prior."""
        return 1


def sample(density, start, options, rng, clock):
    """Return weighted draws of the density: what it is over the prior is the likelihood."""
    from nautilus import Sampler

    def likelihood(points):
        return density.many(points) - stats.norm.logpdf(points, scale=options.scale).sum(axis=1)

    sampler = Sampler(
        lambda cube: options.scale * special.ndtri(cube),
        likelihood,
        n_dim=density.ndim,
        n_live=options.n_live,
        n_networks=options.n_networks,
        vectorized=True,
        pass_dict=False,
        seed=int(rng.integers(2**31)),
    )
    sampler.run(n_eff=options.draws, discard_exploration=True)
    points, log_weights, _ = sampler.posterior()
    weights = np.exp(log_weights - special.logsumexp(log_weights))
    is_kept = weights > 0
    values = np.ascontiguousarray(points[is_kept][None])
    kept = weights[is_kept] / weights[is_kept].sum()
    return Draws(values, np.zeros(1, dtype=int), Evaluations(), weights=kept)
