"""Stan's own NUTS (Hoffman & Gelman 2014; Betancourt 2017), on the model's Stan program."""

from typing import Literal

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, FloatArray
from gradbench.samplers import _stan
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "Stan: NUTS, diagonal or dense mass matrix, on the model's Stan program"
USES_GRADIENT = True
LIBRARIES = ("httpstan",)
EXTRA = "stan"
DETUNED = {"delta": 0.99}

STATS = {
    "diverging": "divergent__",
    "acceptance_rate": "accept_stat__",
    "tree_depth": "treedepth__",
    "n_steps": "n_leapfrog__",
    "energy": "energy__",
}  # ArviZ's names, and Stan's


class Options(sampler.Options):
    """The options of CmdStan's ``sample`` with its defaults, but for ``chains``."""

    chains: int = Field(2, ge=1, le=1000, description="independent chains, one after another")
    metric: Literal["diag_e", "dense_e"] = Field(
        "diag_e", description="diagonal mass matrix, or dense"
    )
    delta: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate in tuning")
    max_depth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")


unsuited = _stan.unsuited


def build(target: Target, options: Options) -> "Nuts":
    """Compile the program, if its text is new."""
    return Nuts(target, options)


class Nuts(_stan.Posterior[Options]):
    """NUTS on one program, ready to run."""

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the chains one after another from start (chains, ndim)."""
        ran = []
        for chain, x in enumerate([self.theirs(x) for x in start], start=1):
            stopwatch.start("warmup" if tune else "sampling")
            ran.append(
                self.program.nuts(
                    x,
                    seed,
                    chain,
                    tune,
                    draws,
                    self._options.metric == "dense_e",
                    self._options.max_depth,
                    self._options.delta,
                    lambda: stopwatch.start("sampling") if tune else None,
                )
            )
            stopwatch.stop()
        rows = np.array([one["values"] for one in ran])[:, tune:]
        columns = ran[0]["columns"]
        stats = {ours: rows[:, :, columns.index(theirs)] for ours, theirs in STATS.items()}
        stats["reached_max_treedepth"] = stats["tree_depth"] >= self._options.max_depth
        first = 1 + columns.index("energy__")
        return Draws(
            values=self.ours(rows[:, :, first : first + self.target.ndim]),
            groups=np.arange(len(start)),
            evaluations=_stan.evaluations(ran, has_warmup=tune > 0),
            stats=stats,
            acceptance_rate=float(stats["acceptance_rate"].mean()),
        )
