"""What JAX samplers share: compiled ahead of time, in float64, chains one after another."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.sampler import Backend
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

Density = Callable[[Any], Any]
"""A log-density that JAX traces: x, shape (ndim,), to a scalar."""

WarmUp = Callable[[Any, Any], tuple[Any, Any]]
"""From a key and a start, shape (ndim,), to a state and how many gradients that took."""

Run = Callable[[Any, Any], tuple[Any, Mapping[str, Any], Any]]
"""From a key and a state to draws (draws, ndim), statistics (draws,) each, and their gradients."""


class Options(sampler.Options):
    """The options of every JAX sampler."""

    tune: int = Field(1000, ge=1, description="warm-up steps, not kept")
    backend: Literal["jax"] = Field("jax", description="what compiles the log-density")
    platform: Literal["cpu", "gpu"] = Field("cpu", description="where it runs")
    chains: int = Field(2, ge=1, le=100_000, description="independent chains")

    @property
    def target_backend(self) -> Backend:
        """Only the sampler's own density is compiled by JAX."""
        return "default"


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: the GPU that was asked for isn't there, or JAX can't compile the density."""
    if options.platform == "gpu":
        import jax

        try:
            jax.devices("gpu")
        except RuntimeError:
            return "platform: gpu: JAX finds no GPU here; use platform: cpu"
    return target.why_not_on("jax")


class Checked(sampler.Built):
    """A target's log-density in JAX, on a device, and what the density check asks of it."""

    def __init__(self, target: Target, options: Options) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self._device = jax.devices(options.platform)[0]
        self._density: Density = target.jax_logdensity
        self._values = jax.jit(jax.vmap(self._density))
        self._gradients = jax.jit(jax.vmap(jax.grad(self._density)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the values of the function that is differentiated, at points (n, ndim).

        Where JAX gives NaN, as for a matrix without a factorization, its samplers reject: -inf.
        """
        values = np.asarray(self._values(points))
        return np.where(np.isnan(values), -np.inf, values)

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return its gradients by JAX, at points (n, ndim)."""
        return np.asarray(self._gradients(points))


class Chains(Checked):
    """Chains of one kernel on one target, ready to run.

    Args:
        target: what is sampled.
        options: the chains, and where and how they run.
        kernel: makes warm-up and run from the log-density and the options.
        is_joint: whether the kernel itself takes all chains, with starts (chains, ndim) and draws
            (draws, chains, ndim). Otherwise they run one after another: in one program, chains
            that are done would go on evaluating, uncounted, until the last is.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        kernel: Callable[[Density, Any], tuple[WarmUp, Run]],
        *,
        is_joint: bool = False,
    ) -> None:
        import jax

        super().__init__(target, options)
        self._is_joint = is_joint
        warm_up, run = (_seeded(function) for function in kernel(self._density, options))
        shape = (options.chains, target.ndim) if is_joint else (target.ndim,)
        with jax.default_device(self._device):
            seeds = (np.uint32(0), np.uint32(0))
            self._warm_up = jax.jit(warm_up).lower(*seeds, np.zeros(shape)).compile()
            state, _ = jax.eval_shape(warm_up, *seeds, np.zeros(shape))
            self._run = jax.jit(run).lower(*seeds, state).compile()

    def sample(
        self,
        start: FloatArray,
        *,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the chains from start (chains, ndim), waiting for each result on the device."""
        import jax

        n_warmup, n_sampling, parts = 0, 0, []
        with jax.default_device(self._device):
            for chain, x in enumerate([start] if self._is_joint else start):
                seeds = np.uint32(seed), np.uint32(chain)
                stopwatch.start("warmup")
                state, n_spent = jax.block_until_ready(self._warm_up(*seeds, x))
                stopwatch.start("sampling")
                values, stats, n_run = jax.block_until_ready(self._run(*seeds, state))
                stopwatch.stop()
                n_warmup += int(np.sum(n_spent))
                n_sampling += int(np.sum(n_run))
                parts.append((values, stats))
        join = _by_chain if self._is_joint else np.stack
        stats = {name: join([np.asarray(part[1][name]) for part in parts]) for name in parts[0][1]}
        return Draws(
            values=join([np.asarray(values) for values, _ in parts]),
            groups=np.arange(len(start)),
            evaluations=Evaluations(n_grad_warmup=n_warmup, n_grad_sampling=n_sampling),
            stats=stats,
            acceptance_rate=float(stats["acceptance_rate"].mean())
            if "acceptance_rate" in stats
            else None,
        )


def _by_chain(parts: list[FloatArray]) -> FloatArray:
    """Return the one part (draws, chains, ...) with its chains first."""
    (together,) = parts
    return np.ascontiguousarray(together.swapaxes(0, 1))


def _seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a seed and a chain's number in place of its key."""
    import jax

    def seeded(seed: Any, chain: Any, given: Any) -> Any:
        return function(jax.random.fold_in(jax.random.key(seed), chain), given)

    return seeded
