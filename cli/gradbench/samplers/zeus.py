"""zeus' ensemble slice sampler (Karamanis & Beutler 2021), with any of its moves."""

import random
from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import _ensemble
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "zeus: ensemble slice sampler; differential and other moves, or a mixture of them"
USES_GRADIENT = False
LIBRARIES = ("zeus",)
EXTRA = "zeus"
DETUNED = {"mu": 0.02, "is_tuned": False}
CALL = _ensemble.CALL.replace("LIBRARY", "zeus")

Move = Literal["differential", "gaussian", "global", "kde", "random"]


class Options(_ensemble.Options):
    """zeus' options with its defaults; ``is_tuned`` is its ``tune``."""

    walkers: int | None = Field(
        None,
        ge=2,
        le=100_000,
        multiple_of=2,
        description="walkers, an even number; by default twice the dimension, four at least",
    )
    moves: Move | dict[Move, _ensemble.Weight] = Field(
        "differential", description="a move, or a mixture of moves with their weights"
    )
    mu: float = Field(1.0, gt=0, allow_inf_nan=False, description="first length of a step")
    is_tuned: bool = Field(True, description="tune that length, until it stands")


unsuited = _ensemble.unsuited


def build(target: Target, options: Options) -> "Ensemble":
    """Compile the batched log-density; zeus itself has nothing to compile."""
    return Ensemble(target, options)


class Ensemble(_ensemble.Batched[Options]):
    """An ensemble on one target, ready to run."""

    def __init__(self, target: Target, options: Options) -> None:
        super().__init__(target, options)
        self._n_logp = 0

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run warm-up and sampling from start (walkers, ndim)."""
        import zeus

        walkers, ndim = start.shape
        sampler = zeus.EnsembleSampler(
            walkers,
            ndim,
            self._counted,
            moves=_moves(self._options),
            mu=self._options.mu,
            tune=self._options.is_tuned,
            vectorize=True,
            verbose=False,
        )
        before = tuned = self._n_logp
        # zeus draws from NumPy's global generator, and from Python's.
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        if tune:
            stopwatch.start("warmup")
            sampler.run_mcmc(start, tune, progress=False)
            sampler.reset()
            tuned = self._n_logp
        stopwatch.start("sampling")
        sampler.run_mcmc(None if tune else start, draws, progress=False)
        stopwatch.stop()
        return Draws(
            values=np.ascontiguousarray(np.swapaxes(sampler.get_chain(), 0, 1)),
            groups=np.zeros(walkers, dtype=np.int64),
            evaluations=Evaluations(
                n_logp_warmup=tuned - before, n_logp_sampling=self._n_logp - tuned
            ),
        )

    def _counted(self, points: FloatArray) -> FloatArray:
        # zeus' own count takes in a few evaluations that it never makes.
        self._n_logp += len(points)
        return self.logdensity(points)


def _moves(options: Options) -> list[tuple[Any, float]]:
    """Return zeus' moves with their weights."""
    from zeus import moves

    known = {
        "differential": moves.DifferentialMove,
        "gaussian": moves.GaussianMove,
        "global": moves.GlobalMove,
        "kde": moves.KDEMove,
        "random": moves.RandomMove,
    }
    return [(known[name](), weight) for name, weight in _ensemble.weights(options.moves).items()]
