"""PyMC's slice sampler (Neal 2003, with stepping out), one coordinate after another."""

from functools import partial

from pydantic import Field

from gradbench.samplers import _pymc
from gradbench.target.target import Target

SUMMARY = "PyMC: slice sampler, one coordinate after another"
USES_GRADIENT = False
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"w": 1e-2, "tune": 0}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(step=pm.Slice(), draws=$draws, tune=$tune, chains=$chains)
"""


class Options(_pymc.Options):
    """``pm.Slice``'s options under PyMC's names and with its defaults."""

    w: float = Field(1.0, gt=0, allow_inf_nan=False, description="first width of a slice")


def build(target: Target, options: Options) -> _pymc.GradientFree:
    """Compile the log-density for each variable, as PyMC does."""
    import pymc as pm

    step = partial(pm.Slice, w=options.w)
    return _pymc.GradientFree(target, options, step, density="logp", n_each=1, accepted=None)
