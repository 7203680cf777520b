"""PyMC's Hamiltonian Monte Carlo (Neal 2011) with trajectories of a fixed length."""

from functools import partial

from pydantic import Field

from gradbench.samplers import _pymc
from gradbench.target.target import Target

SUMMARY = "PyMC: HMC, trajectories of a fixed length, diagonal or dense mass matrix"
USES_GRADIENT = True
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"target_accept": 0.99}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(step=pm.HamiltonianMC(), draws=$draws, tune=$tune, chains=$chains)
"""

STATS = {
    "diverging": "diverging",
    "acceptance_rate": "accept",
    "n_steps": "n_steps",
    "energy": "energy",
}  # ArviZ's names, and PyMC's


class Options(_pymc.HamiltonianOptions):
    """``pm.HamiltonianMC``'s options under PyMC's names and with its defaults."""

    target_accept: float = Field(0.65, gt=0, lt=1, description="aimed acceptance rate in tuning")
    path_length: float = Field(2.0, gt=0, allow_inf_nan=False, description="a trajectory's length")
    max_steps: int = Field(1024, ge=1, description="leapfrog steps of a trajectory at most")


unsuited = _pymc.unsuited


def build(target: Target, options: Options) -> _pymc.Hamiltonian:
    """Compile the density and the trace, as ``pm.sample`` does before its first draw."""
    import pymc as pm

    step = partial(
        pm.HamiltonianMC,
        target_accept=options.target_accept,
        path_length=options.path_length,
        max_steps=options.max_steps,
    )
    return _pymc.Hamiltonian(target, options, step, STATS)
