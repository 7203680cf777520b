"""What ensembles of walkers share: all walkers' densities in one call, moves and their mixtures."""

from collections.abc import Mapping
from typing import Annotated, Self, TypeVar

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import FloatArray
from gradbench.target.target import Target

Move = TypeVar("Move", bound=str)
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# The call of LIBRARY on a pm.Model, which is the same in all of them but for its name.
CALL = """\
import LIBRARY
import numpy as np
from pymc.blocking import DictToArrayBijection, RaveledVars

start = model.initial_point()
vector = DictToArrayBijection.map(start)
compiled = DictToArrayBijection.mapf(model.compile_logp(), start)


def logp(x):
    return compiled(RaveledVars(x, vector.point_map_info))


walkers = vector.data + 0.1 * np.random.randn($walkers, len(vector.data))
sampler = LIBRARY.EnsembleSampler($walkers, len(vector.data), logp)
sampler.run_mcmc(walkers, $tune + $draws)
draws = sampler.get_chain(discard=$tune)
"""


class Options(sampler.Options):
    """No library has a default for ``walkers``; here it is the fewest that its moves allow."""

    walkers: int | None = Field(
        None, ge=2, le=100_000, description="walkers; by default twice the dimension, four at least"
    )

    @property
    def n_starts(self) -> int:
        """One starting point for each walker, of options that are fitted to a dimension."""
        assert self.walkers is not None, "fitted() says how many walkers there are"
        return self.walkers

    def fitted(self, ndim: int) -> Self:
        """Return them with as many walkers as the dimension needs, where none were named."""
        named = self.walkers is not None
        return self if named else self.model_copy(update={"walkers": self.fewest(ndim)})

    def fewest(self, ndim: int) -> int:
        """Return the smallest number of walkers in so many dimensions."""
        return max(4, 2 * ndim)


def weights(moves: Move | Mapping[Move, float]) -> Mapping[Move, float]:
    """Return moves with their weights: one alone has them all."""
    return moves if isinstance(moves, Mapping) else {moves: 1.0}


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: too few walkers to span the space, or a backend that can't compile it."""
    if (walkers := options.n_starts) < (fewest := 2 * target.ndim):
        return (
            f"walkers: {walkers} is too few for {target.ndim} dimensions;"
            f" at least {fewest} are needed"
        )
    return target.why_not_on(options.backend)


class Batched(sampler.OfAnyLength[sampler.Chosen]):
    """A target's log-density for all walkers at once."""

    def __init__(self, target: Target, options: sampler.Chosen) -> None:
        super().__init__(options)
        self._target = target
        self.logdensity(np.zeros((2, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return it at points (n, ndim)."""
        return self._target.logdensity_batch(np.ascontiguousarray(points))
