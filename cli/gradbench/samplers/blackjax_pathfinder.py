"""BlackJAX's multi-path Pathfinder (Zhang et al. 2022): normals along the way to the mode."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from pydantic import Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import _jax
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "BlackJAX: multi-path Pathfinder in JAX (an approximation)"
USES_GRADIENT = True
LIBRARIES = ("blackjax", "jax")
EXTRA = "jax"
DETUNED = {"maxiter": 1}


class Options(_jax.Options):
    """``blackjax.multi_pathfinder``'s options with its defaults; a path stands for a chain."""

    tune: int = Field(200, ge=4, description="draws of each path that its fits are judged by")
    draws: int = Field(1000, ge=4, description="draws from the paths' fits, resampled")
    chains: int = Field(4, ge=1, le=1000, description="paths, in one program")
    maxiter: int = Field(30, ge=1, description="steps of L-BFGS at most")
    maxcor: int = Field(10, ge=1, description="earlier steps that L-BFGS remembers")


unsuited = _jax.unsuited


def build(target: Target, options: Options) -> "Paths":
    """Compile the paths and the resampling."""
    return Paths(target, options)


class Paths(_jax.Checked):
    """Paths on one target, ready to run.

    How often a line search evaluates the density can't be read off afterwards. Each run is
    therefore made once more, untimed, with a density that counts.
    """

    def __init__(self, target: Target, options: Options) -> None:
        import jax

        super().__init__(target, options)
        self._n = {"logp": 0, "grad": 0}
        start = np.zeros((options.chains, target.ndim))
        with jax.default_device(self._device):
            timed = _program(self._density, options)
            counted = _program(_counting(self._density, self._count), options)
            state = jax.eval_shape(timed[0], np.uint32(0), start)
            self._approach = jax.jit(timed[0]).lower(np.uint32(0), start).compile()
            self._resample = jax.jit(timed[1]).lower(np.uint32(0), state).compile()
            self._approach_counting = jax.jit(counted[0])

    def sample(
        self,
        start: FloatArray,
        *,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Fit along the paths from start (paths, ndim), then resample their draws."""
        import jax

        with jax.default_device(self._device):
            stopwatch.start("warmup")
            state = jax.block_until_ready(self._approach(np.uint32(seed), start))
            stopwatch.start("sampling")
            values = jax.block_until_ready(self._resample(np.uint32(seed), state))
            stopwatch.stop()
            self._n = {"logp": 0, "grad": 0}
            jax.block_until_ready(self._approach_counting(np.uint32(seed), start))
            jax.effects_barrier()
        return Draws(
            values=np.asarray(values)[None],
            groups=np.zeros(1, dtype=np.int64),
            evaluations=Evaluations(n_logp_warmup=self._n["logp"], n_grad_warmup=self._n["grad"]),
            is_approximate=True,
        )

    def _count(self, kind: str, n: int) -> None:
        self._n[kind] += n


def _program(density: _jax.Density, options: Options) -> tuple[Callable[..., Any], ...]:
    """Return the way to the fits, and the resampling of their draws."""
    import jax
    from blackjax.vi import multipathfinder

    def approach(seed: Any, start: Any) -> Any:
        state, _ = multipathfinder.multi_approximate(
            jax.random.key(seed),
            density,
            start,
            options.tune,
            maxiter=options.maxiter,
            maxcor=options.maxcor,
        )
        return state

    def resample(seed: Any, state: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(seed), 1)
        return multipathfinder.as_top_level_api(density).sample(key, state, options.draws)

    return approach, resample


def _counting(density: _jax.Density, count: Callable[[str, int], None]) -> _jax.Density:
    """Return the density, telling how many points it was evaluated at, with gradients or not."""
    import jax

    def value(x: Any) -> Any:
        return density(_telling("logp", 1, count)(x))

    def forward(x: Any) -> Any:
        return jax.vjp(density, _telling("grad", 1, count)(x))

    def backward(pull: Any, weight: Any) -> Any:
        return pull(weight)

    counted = jax.custom_vjp(value)
    counted.defvjp(forward, backward)
    return cast("_jax.Density", counted)


def _telling(kind: str, n: int, count: Callable[[str, int], None]) -> Callable[[Any], Any]:
    """Return the identity that counts n points when it is evaluated; n times as many if mapped."""
    import jax

    def tell(x: Any) -> Any:
        jax.debug.callback(lambda: count(kind, n))
        return x

    def mapped(axis_size: int, in_batched: list[bool], x: Any) -> tuple[Any, bool]:
        return _telling(kind, n * axis_size, count)(x), in_batched[0]

    told = jax.custom_batching.custom_vmap(tell)
    told.def_vmap(mapped)
    return cast("Callable[[Any], Any]", told)
