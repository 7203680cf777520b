"""Mici's dynamic multinomial HMC, its step size adapted in warm-up.

Install it with ``pip install mici``.
"""

import numpy as np

from gradbench.sampler import Field
from gradbench.sampler import Options as Base

USES_GRADIENT = True
LIBRARIES = ("mici",)


class Options(Base):
    """One step size for all chains, as Mici adapts it."""

    tune: int = Field(500, ge=1, description="warm-up steps, not kept")
    chains: int = Field(2, ge=1, description="independent chains, one after another")
    adapt_stat_target: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate")


def sample(density, start, options, rng, clock):
    """Return draws; a gradient of Mici's is an evaluation of value and gradient here."""
    from mici.adapters import DualAveragingStepSizeAdapter
    from mici.integrators import LeapfrogIntegrator
    from mici.samplers import DynamicMultinomialHMC
    from mici.systems import EuclideanMetricSystem

    def gradient_and_value(x):
        value, gradient = density.with_gradient(x)
        return -gradient, -value

    system = EuclideanMetricSystem(
        neg_log_dens=lambda x: -density(x), grad_neg_log_dens=gradient_and_value
    )
    integrator = LeapfrogIntegrator(system)
    sampler = DynamicMultinomialHMC(system, integrator, rng)
    adapter = DualAveragingStepSizeAdapter(adapt_stat_target=options.adapt_stat_target)
    quiet = {"display_progress": False, "trace_funcs": [lambda state: {"x": state.pos}]}
    warmed = sampler.sample_chains(options.tune, 0, list(start), adapters=[adapter], **quiet)
    clock.sampling()
    done = sampler.sample_chains(0, options.draws, warmed.final_states, adapters=[], **quiet)
    return np.array(done.traces["x"])
