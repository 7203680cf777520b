"""Stan's ADVI (Kucukelbir et al. 2015), mean-field or full-rank, on the model's Stan program."""

from typing import Literal

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, FloatArray
from gradbench.samplers import _stan
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "Stan: ADVI, a fitted normal, mean-field or full-rank (an approximation)"
USES_GRADIENT = True
LIBRARIES = ("httpstan",)
EXTRA = "stan"
DETUNED = {"tol_rel_obj": 0.5}


class Options(sampler.Options):
    """Stan's ``variational`` options with its defaults; ``tune`` is its ``iter``."""

    tune: int = Field(10_000, ge=1, description="steps of the optimizer at most")
    draws: int = Field(1000, ge=4, description="draws from the fitted normal")
    family: Literal["mean_field", "full_rank"] = Field(
        "mean_field", description="independent coordinates, or a whole covariance"
    )
    grad_samples: int = Field(1, ge=1, description="draws for each gradient")
    elbo_samples: int = Field(100, ge=1, description="draws for each look at the objective")
    tol_rel_obj: float = Field(
        0.01, gt=0, allow_inf_nan=False, description="relative change at which it stops"
    )

    @property
    def n_starts(self) -> int:
        """One starting point: the first mean."""
        return 1


unsuited = _stan.unsuited


def build(target: Target, options: Options) -> "Fit":
    """Compile the program, if its text is new."""
    return Fit(target, options)


class Fit(_stan.Posterior[Options]):
    """ADVI on one program, ready to run."""

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Fit from start (1, ndim), then draw."""
        ours = self._options
        x = self.theirs(start[0])
        stopwatch.start("warmup")
        ran = self.program.advi(
            x,
            seed,
            tune,
            draws,
            ours.family == "full_rank",
            ours.grad_samples,
            ours.elbo_samples,
            ours.tol_rel_obj,
            lambda: stopwatch.start("sampling"),
        )
        stopwatch.stop()
        return Draws(
            values=self.ours(ran["values"][1:])[None],  # the first row is the fitted mean
            groups=np.zeros(1, dtype=np.int64),
            evaluations=_stan.evaluations([ran], has_warmup=True),
            is_approximate=True,
        )
