"""PINTS's adaptive covariance Metropolis of Haario and Bardenet.

Install it with ``pip install pints``.
"""

import numpy as np

from gradbench.sampler import Field
from gradbench.sampler import Options as Base

LIBRARIES = ("pints",)


class Options(Base):
    """Adaptation ends with warm-up, so that what is kept is a Markov chain."""

    tune: int = Field(5000, ge=100, description="warm-up steps, not kept")
    draws: int = Field(20_000, ge=4, description="kept draws of each chain")
    chains: int = Field(4, ge=1, description="independent chains, one after another")


def sample(density, start, options, rng, clock):
    """Return draws of chains in turn; PINTS asks for a density, and is told it."""
    from pints import HaarioBardenetACMC

    kept = np.empty((options.chains, options.draws, density.ndim))
    # PINTS draws from NumPy's global generator, which is nobody else's to see changed.
    before = np.random.get_state()
    np.random.seed(rng.integers(2**32, dtype=np.uint32))
    try:
        for chain, x in zip(kept, start, strict=True):
            clock.warmup()
            method = HaarioBardenetACMC(x)
            for step in range(1 + options.tune + options.draws):  # the first one is the start
                # PINTS doesn't adapt in its initial phase; here it doesn't while draws are kept.
                if step == 1:
                    method.set_initial_phase(False)
                elif step == 1 + options.tune:
                    method.set_initial_phase(True)
                    clock.sampling()
                current, _, _ = method.tell(density(method.ask()))
                if step > options.tune:
                    chain[step - options.tune - 1] = current
    finally:
        np.random.set_state(before)
    return kept
