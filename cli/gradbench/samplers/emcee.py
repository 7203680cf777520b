"""emcee's ensemble sampler (Foreman-Mackey et al. 2013), with any of its ensemble moves."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import _ensemble
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "emcee: ensemble of walkers; stretch and other moves, or a mixture of them"
USES_GRADIENT = False
LIBRARIES = ("emcee",)
EXTRA = ""
DETUNED = {"a": 1.1}
CALL = _ensemble.CALL.replace("LIBRARY", "emcee")

Move = Literal["stretch", "walk", "de", "snooker", "kde"]

N_SPLITS = {"snooker": 4}  # parts an ensemble is split into; two for the other moves


class Options(_ensemble.Options):
    """emcee's moves, their own scales the library's."""

    moves: Move | dict[Move, _ensemble.Weight] = Field(
        "stretch", description="a move, or a mixture of moves with their weights"
    )
    a: float = Field(2.0, gt=1, allow_inf_nan=False, description="scale of the stretch move")

    @property
    def fewest_of_moves(self) -> int:
        """Two walkers for each part that a move splits them into."""
        return 2 * max(N_SPLITS.get(move, 2) for move in _ensemble.weights(self.moves))

    def fewest(self, ndim: int) -> int:
        """Return the smallest number of walkers in so many dimensions, whatever the moves."""
        return max(super().fewest(ndim), self.fewest_of_moves)


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: too few walkers for the space, or for the parts a move splits them into."""
    complaint = _ensemble.unsuited(target, options)
    if complaint is None and options.n_starts < options.fewest_of_moves:
        return (
            f"walkers: {options.n_starts} is too few for its moves;"
            f" {options.fewest_of_moves} are needed"
        )
    return complaint


def build(target: Target, options: Options) -> "Ensemble":
    """Compile the batched log-density; emcee itself has nothing to compile."""
    return Ensemble(target, options)


class Ensemble(_ensemble.Batched[Options]):
    """An ensemble on one target, ready to run."""

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
        import emcee

        walkers, ndim = start.shape
        sampler = emcee.EnsembleSampler(
            walkers,
            ndim,
            self.logdensity,
            moves=_moves(self._options),
            vectorize=True,
        )
        state = emcee.State(start, random_state=np.random.RandomState(seed).get_state())
        if tune:
            stopwatch.start("warmup")
            state = sampler.run_mcmc(state, tune, store=False)
        stopwatch.start("sampling")
        sampler.run_mcmc(state, draws)
        stopwatch.stop()
        return Draws(
            values=np.ascontiguousarray(np.swapaxes(sampler.get_chain(), 0, 1)),
            groups=np.zeros(walkers, dtype=np.int64),
            evaluations=_evaluations(walkers, tune, draws),
            acceptance_rate=float(sampler.acceptance_fraction.mean()),
        )


def _moves(options: Options) -> list[tuple[Any, float]]:
    """Return emcee's moves with their weights."""
    from emcee import moves

    known = {
        "stretch": lambda: moves.StretchMove(a=options.a),
        "walk": moves.WalkMove,
        "de": moves.DEMove,
        "snooker": moves.DESnookerMove,
        "kde": moves.KDEMove,
    }
    return [(known[name](), weight) for name, weight in _ensemble.weights(options.moves).items()]


def _evaluations(walkers: int, tune: int, draws: int) -> Evaluations:
    """Return the counts: each walker once at the start, then once a step."""
    start = {"n_logp_warmup" if tune else "n_logp_sampling": walkers}
    counts = {"n_logp_warmup": walkers * tune, "n_logp_sampling": walkers * draws}
    return Evaluations(**{key: n + start.get(key, 0) for key, n in counts.items()})
