"""Random-walk Metropolis: proposals are normal, their scale is tuned in warm-up."""

import numpy as np

from gradbench.sampler import Field
from gradbench.sampler import Options as Base


class Options(Base):
    chains: int = Field(2, ge=1, description="independent chains")
    aimed: float = Field(0.3, gt=0, lt=1, description="acceptance rate that warm-up aims at")


def sample(density, start, options, rng, clock):
    kept = np.empty((options.chains, options.draws, density.ndim))
    for chain, x in enumerate(start):
        clock.warmup()
        scale, here = 1.0, density(x)
        for i in range(-options.tune, options.draws):
            if i == 0:
                clock.sampling()
            proposal = x + scale * rng.standard_normal(len(x))
            there = density(proposal)
            is_accepted = np.log(rng.uniform()) < there - here
            if is_accepted:
                x, here = proposal, there
            if i < 0:
                scale *= np.exp((is_accepted - options.aimed) / np.sqrt(i + options.tune + 1))
            else:
                kept[chain, i] = x
    return kept
