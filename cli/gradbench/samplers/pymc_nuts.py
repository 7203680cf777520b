"""PyMC's own NUTS (Hoffman & Gelman 2014, with multinomial sampling), chains one after another."""

from typing import Any

import numpy as np
from pydantic import Field

from gradbench import compat
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import base
from gradbench.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "PyMC: NUTS, diagonal mass matrix"
USES_GRADIENT = True
DETUNED = {"target_accept": 0.99}

STATS = {
    "diverging": "diverging",
    "acceptance_rate": "mean_tree_accept",
    "tree_depth": "depth",
    "n_steps": "tree_size",
    "energy": "energy",
}  # ArviZ's names, and PyMC's


class Options(base.Options):
    """``pm.sample``'s options under PyMC's names and with its defaults, but for ``chains``."""

    chains: int = Field(2, ge=1, le=1000, description="independent chains, one after another")
    target_accept: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate in tuning")
    max_treedepth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")

    @property
    def n_starts(self) -> int:
        """One starting point for each chain."""
        return self.chains


def unsuited(target: Target, options: Options) -> str | None:  # noqa: ARG001 - the protocol
    """Return None: NUTS runs on every target."""
    return None


def build(target: Target, options: Options) -> "Nuts":
    """Compile the gradient and the trace, as ``pm.sample`` does before its first draw."""
    return Nuts(target, options)


class Nuts:
    """NUTS on one target, ready to run: what ``pm.sample(init="adapt_diag")`` sets up."""

    def __init__(self, target: Target, options: Options) -> None:
        from pymc.backends.ndarray import NDArray

        self._target = target
        self._options = options
        self._density = target.model.logp_dlogp_function(ravel_inputs=True, mode=target.mode)
        self._density.trust_input = True
        self._density.set_extra_values({})
        self._trace = NDArray(model=target.model)
        self.gradient(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the values NUTS itself gets, at points (n, ndim)."""
        return np.array([self._density([x])[0] for x in points])

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return the gradients NUTS itself gets, at points (n, ndim)."""
        return np.array([self._density([x])[1] for x in points])

    def sample(
        self,
        start: FloatArray,
        *,
        seed: int,
        stopwatch: Stopwatch,
        options: base.Options | None = None,
    ) -> Draws:
        """Run the chains one after another from start (chains, ndim)."""
        tune = (options or self._options).tune
        draws = (options or self._options).draws
        generators, seeds = compat.spawn_generators(seed, len(start))
        step = self._step(start, seeds[0])
        fresh = step.sampling_state
        traces = []
        for chain, x in enumerate(start):
            step.sampling_state = fresh
            trace = self._empty_trace()
            trace.setup(tune + draws, chain, step.stats_dtypes)
            steps = compat.iter_chain(
                step,
                self._target.point(x),
                trace=trace,
                chain=chain,
                tune=tune,
                draws=draws,
                rng=generators[chain],
            )
            stopwatch.start("warmup" if tune else "sampling")
            for done, _ in enumerate(steps, start=1):
                if done == tune:
                    stopwatch.start("sampling")
            stopwatch.stop()
            traces.append(trace)
        return self._draws(traces, tune)

    def _step(self, start: FloatArray, seed: int) -> Any:
        import pymc as pm
        from pymc.step_methods.hmc.quadpotential import QuadPotentialDiagAdapt

        ndim = self._target.ndim
        potential = QuadPotentialDiagAdapt(ndim, start.mean(axis=0), np.ones(ndim), 10, rng=seed)
        return pm.NUTS(
            potential=potential,
            model=self._target.model,
            rng=seed,
            initial_point=self._target.point(start[0]),
            logp_dlogp_func=self._density,
            target_accept=self._options.target_accept,
            max_treedepth=self._options.max_treedepth,
        )

    def _empty_trace(self) -> Any:
        from pymc.backends.ndarray import NDArray

        first = self._trace
        return NDArray(
            model=self._target.model,
            vars=first.vars,
            fn=first.fn,
            var_shapes=first.var_shapes,
            var_dtypes=first.var_dtypes,
        )

    def _draws(self, traces: list[Any], tune: int) -> Draws:
        values = np.array(
            [
                np.concatenate(
                    [_rows(trace.get_values(name, burn=tune)) for name in self._target.variables],
                    axis=1,
                )
                for trace in traces
            ]
        )
        stats = {
            ours: np.array([trace.get_sampler_stats(theirs, sampler_idx=0) for trace in traces])
            for ours, theirs in STATS.items()
        }
        # A trajectory's first state is evaluated once more before its leapfrog steps.
        n_grad = stats["n_steps"].astype(int) + 1
        kept = {name: stat[:, tune:] for name, stat in stats.items()}
        return Draws(
            values=values,
            groups=np.arange(len(traces)),
            evaluations=Evaluations(
                n_grad_warmup=int(n_grad[:, :tune].sum()),
                n_grad_sampling=int(n_grad[:, tune:].sum()),
            ),
            stats=kept,
            acceptance_rate=float(kept["acceptance_rate"].mean()),
        )


def _rows(values: FloatArray) -> FloatArray:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)
