"""PyMC's own NUTS (Hoffman & Gelman 2014, with multinomial sampling), chains one after another."""

from functools import partial

from pydantic import Field

from gradbench.samplers import _pymc
from gradbench.target.target import Target

SUMMARY = "PyMC: NUTS, diagonal or dense mass matrix"
USES_GRADIENT = True
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"target_accept": 0.99}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(draws=$draws, tune=$tune, chains=$chains, nuts_sampler="pymc")
"""

STATS = {
    "diverging": "diverging",
    "acceptance_rate": "mean_tree_accept",
    "tree_depth": "depth",
    "reached_max_treedepth": "reached_max_treedepth",
    "n_steps": "tree_size",
    "energy": "energy",
}  # ArviZ's names, and PyMC's


class Options(_pymc.HamiltonianOptions):
    """``pm.sample``'s options for NUTS under PyMC's names and with its defaults."""

    target_accept: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate in tuning")
    max_treedepth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")


unsuited = _pymc.unsuited


def build(target: Target, options: Options) -> _pymc.Hamiltonian:
    """Compile the density and the trace, as ``pm.sample`` does before its first draw."""
    import pymc as pm

    step = partial(
        pm.NUTS, target_accept=options.target_accept, max_treedepth=options.max_treedepth
    )
    return _pymc.Hamiltonian(target, options, step, STATS)
