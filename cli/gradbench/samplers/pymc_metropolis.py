"""PyMC's random-walk Metropolis (Metropolis et al. 1953), one coordinate after another."""

from functools import partial
from typing import Literal

from pydantic import Field

from gradbench.samplers import _pymc
from gradbench.target.target import Target

SUMMARY = "PyMC: random-walk Metropolis, one coordinate after another"
USES_GRADIENT = False
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"scaling": 10.0, "tune_interval": 1_000_000}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(step=pm.Metropolis(), draws=$draws, tune=$tune, chains=$chains)
"""


class Options(_pymc.Options):
    """``pm.Metropolis``'s options under PyMC's names and with its defaults."""

    proposal: Literal["normal", "cauchy", "laplace"] = Field(
        "normal", description="distribution of the proposed steps"
    )
    scaling: float = Field(1.0, gt=0, allow_inf_nan=False, description="scale of the first steps")
    tune_interval: int = Field(100, ge=1, description="warm-up steps between changes of the scale")


def build(target: Target, options: Options) -> _pymc.GradientFree:
    """Compile a difference of log-densities for each variable, as PyMC does."""
    import pymc as pm
    from pymc.step_methods import metropolis

    proposals = {
        "normal": metropolis.NormalProposal,
        "cauchy": metropolis.CauchyProposal,
        "laplace": metropolis.LaplaceProposal,
    }
    step = partial(
        pm.Metropolis,
        proposal_dist=proposals[options.proposal],
        scaling=options.scaling,
        tune_interval=options.tune_interval,
    )
    return _pymc.GradientFree(
        target, options, step, density="delta_logp", n_each=2, accepted="accepted"
    )
