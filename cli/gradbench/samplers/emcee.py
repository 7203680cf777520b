"""emcee's affine-invariant ensemble sampler with its stretch move (Goodman & Weare 2010)."""

from pydantic import Field

from gradbench.samplers import base

SUMMARY = "emcee: affine-invariant ensemble, stretch move"
USES_GRADIENT = False
IS_ENSEMBLE = True


class Options(base.Options):
    """emcee has no defaults for these; every run names its walkers."""

    walkers: int = Field(ge=2, le=100_000, description="walkers, at least twice the dimension")
    a: float = Field(2.0, gt=1, allow_inf_nan=False, description="scale of the stretch move")

    @property
    def n_starts(self) -> int:
        """One starting point for each walker."""
        return self.walkers
