"""emcee's affine-invariant ensemble sampler with its stretch move (Goodman & Weare 2010)."""

import numpy as np
from pydantic import Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import base
from gradbench.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "emcee: affine-invariant ensemble, stretch move"
USES_GRADIENT = False
DETUNED = {"a": 1.1}


class Options(base.Options):
    """emcee has no defaults for these; every run names its walkers."""

    walkers: int = Field(ge=2, le=100_000, description="walkers, at least twice the dimension")
    a: float = Field(2.0, gt=1, allow_inf_nan=False, description="scale of the stretch move")

    @property
    def n_starts(self) -> int:
        """One starting point for each walker."""
        return self.walkers


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: the stretch move needs at least two walkers for each dimension."""
    if options.walkers < 2 * target.ndim:
        return (
            f"walkers: {options.walkers} is too few for {target.ndim} dimensions;"
            f" emcee needs at least {2 * target.ndim}"
        )
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
            moves=emcee.moves.StretchMove(a=self._options.a),
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


def _evaluations(walkers: int, tune: int, draws: int) -> Evaluations:
    """Return the counts: each walker once at the start, then once a step."""
    start = {"n_logp_warmup" if tune else "n_logp_sampling": walkers}
    counts = {"n_logp_warmup": walkers * tune, "n_logp_sampling": walkers * draws}
    return Evaluations(**{key: n + start.get(key, 0) for key, n in counts.items()})
