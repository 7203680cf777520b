"""PyMC's DE-MCMC-Z (ter Braak & Vrugt 2008): proposals from differences in a chain's own past."""

from functools import partial
from typing import Literal

from pydantic import Field

from gradbench.samplers import _pymc
from gradbench.target.target import Target

SUMMARY = "PyMC: DEMetropolis(Z), steps along differences of earlier draws"
USES_GRADIENT = False
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"lamb": 3.0, "tune_target": None}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(step=pm.DEMetropolisZ(), draws=$draws, tune=$tune, chains=$chains)
"""


class Options(_pymc.Options):
    """``pm.DEMetropolisZ``'s options with its defaults; ``tune_target`` is its ``tune``."""

    lamb: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="scale of a difference; 2.38/√(2·dim)"
    )
    scaling: float = Field(0.001, gt=0, allow_inf_nan=False, description="scale of the noise")
    tune_target: Literal["scaling", "lambda"] | None = Field(
        "scaling", description="which scale warm-up changes"
    )
    tune_interval: int = Field(100, ge=1, description="warm-up steps between changes of it")
    tune_drop_fraction: float = Field(
        0.9, ge=0, le=1, description="share of the past forgotten when warm-up ends"
    )


def build(target: Target, options: Options) -> _pymc.GradientFree:
    """Compile a difference of log-densities, as PyMC does."""
    import pymc as pm

    step = partial(
        pm.DEMetropolisZ,
        lamb=options.lamb,
        scaling=options.scaling,
        tune=options.tune_target,
        tune_interval=options.tune_interval,
        tune_drop_fraction=options.tune_drop_fraction,
    )
    return _pymc.GradientFree(
        target, options, step, density="delta_logp", n_each=2, accepted="accepted"
    )
