"""UltraNest's nested sampling; its prior here is a wide normal, whatever the model's.

Install it with ``pip install ultranest``. The draws are weighted, and of no chain.
"""

import logging

import numpy as np
from scipy import special, stats

from gradbench.sampler import Draws, Evaluations, Field
from gradbench.sampler import Options as Base

LIBRARIES = ("ultranest",)


class Options(Base):
    """There is no warm-up of a length that can be chosen."""

    tune: int = Field(0, ge=0, le=0, description="there is none")
    draws: int = Field(1000, ge=4, description="effective draws aimed at")
    n_live: int = Field(200, ge=50, description="live points")
    scale: float = Field(10.0, gt=0, description="sd of the prior in every coordinate")

    @property
    def n_starts(self):
        """One, which isn't used: it starts all over the prior."""
        return 1


def sample(density, start, options, rng, clock):
    """Return weighted draws of the density: what it is over the prior is the likelihood."""
    from ultranest import ReactiveNestedSampler

    logging.getLogger("ultranest").addHandler(logging.NullHandler())  # else it gets one that prints

    def likelihood(points):
        return density.many(points) - stats.norm.logpdf(points, scale=options.scale).sum(axis=1)

    before = np.random.get_state()  # it draws from the global generator, which isn't ours to move
    np.random.seed(int(rng.integers(2**32)))
    try:
        found = ReactiveNestedSampler(
            [f"x{i}" for i in range(density.ndim)],
            likelihood,
            lambda cube: options.scale * special.ndtri(cube),
            vectorized=True,
        ).run(
            min_ess=options.draws,
            min_num_live_points=options.n_live,
            show_status=False,
            viz_callback=False,
        )["weighted_samples"]
    finally:
        np.random.set_state(before)
    is_kept = found["weights"] > 0
    kept = found["weights"][is_kept] / found["weights"][is_kept].sum()
    values = np.ascontiguousarray(found["points"][is_kept][None])
    return Draws(values, np.zeros(1, dtype=int), Evaluations(), weights=kept)
