"""PyMC's own NUTS (Hoffman & Gelman 2014, with multinomial sampling), chains one after another."""

from pydantic import Field

from gradbench.samplers import base

SUMMARY = "PyMC: NUTS, diagonal mass matrix"
USES_GRADIENT = True
IS_ENSEMBLE = False


class Options(base.Options):
    """``pm.sample``'s options under PyMC's names and with its defaults, but for ``chains``."""

    chains: int = Field(2, ge=1, le=1000, description="independent chains, one after another")
    target_accept: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate in tuning")
    max_treedepth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")

    @property
    def n_starts(self) -> int:
        """One starting point for each chain."""
        return self.chains
