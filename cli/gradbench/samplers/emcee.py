"""emcee's ensemble sampler (Foreman-Mackey et al. 2013), with any of its ensemble moves."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import base
from gradbench.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "emcee: ensemble of walkers; stretch and other moves, or a mixture of them"
USES_GRADIENT = False
LIBRARIES = ("emcee",)
EXTRA = ""
DETUNED = {"a": 1.1}
Move = Literal["stretch", "walk", "de", "snooker", "kde"]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]

N_SPLITS = {"snooker": 4}  # parts an ensemble is split into; two for the other moves


class Options(base.Options):
    """emcee has no default for ``walkers``; the moves' own scales are the library's."""

    walkers: int = Field(ge=2, le=100_000, description="walkers, at least twice the dimension")
    moves: Move | dict[Move, Weight] = Field(
        "stretch", description="a move, or a mixture of moves with their weights"
    )
    a: float = Field(2.0, gt=1, allow_inf_nan=False, description="scale of the stretch move")

    @property
    def weights(self) -> Mapping[Move, float]:
        """The moves with their weights."""
        return self.moves if isinstance(self.moves, dict) else {self.moves: 1.0}

    @property
    def n_starts(self) -> int:
        """One starting point for each walker."""
        return self.walkers


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: an ensemble spans its space with two walkers for each dimension."""
    if options.walkers < 2 * target.ndim:
        return (
            f"walkers: {options.walkers} is too few for {target.ndim} dimensions;"
            f" emcee needs at least {2 * target.ndim}"
        )
    fewest = 2 * max(N_SPLITS.get(move, 2) for move in options.weights)
    if options.walkers < fewest:
        return f"walkers: {options.walkers} is too few for its moves; {fewest} are needed"
    return None


def build(target: Target, options: Options) -> "Ensemble":
    """Compile the batched log-density; emcee itself has nothing to compile."""
    return Ensemble(target, options)


class Ensemble:
    """An ensemble on one target, ready to run."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self.logdensity(np.zeros((2, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the log-density at points (n, ndim), -inf where it is NaN: emcee stops at NaN."""
        values = self._target.logdensity_batch(np.ascontiguousarray(points))
        return np.where(np.isnan(values), -np.inf, values)

    def gradient(self, points: FloatArray) -> None:  # noqa: ARG002 - the protocol's signature
        """Return None: the ensemble uses no gradient."""
        return

    def sample(
        self,
        start: FloatArray,
        *,
        seed: int,
        stopwatch: Stopwatch,
        options: base.Options | None = None,
    ) -> Draws:
        """Run warm-up and sampling from start (walkers, ndim)."""
        import emcee

        tune = (options or self._options).tune
        draws = (options or self._options).draws
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
    return [(known[name](), weight) for name, weight in options.weights.items()]


def _evaluations(walkers: int, tune: int, draws: int) -> Evaluations:
    """Return the counts: each walker once at the start, then once a step."""
    start = {"n_logp_warmup" if tune else "n_logp_sampling": walkers}
    counts = {"n_logp_warmup": walkers * tune, "n_logp_sampling": walkers * draws}
    return Evaluations(**{key: n + start.get(key, 0) for key, n in counts.items()})
