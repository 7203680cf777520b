"""What JAX's methods share: the target as JAX traces it, and every form that JAX makes of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradbench.draws import FloatArray
from gradbench.gradients import Pair, Way
from gradbench.target.target import Target

Both = Callable[[Any], tuple[Any, Any]]
"""What JAX traces: x, shape (ndim,), to the log-density and its gradient."""


def unsuited(target: Target) -> str | None:
    """Return why not: JAX has no such operation."""
    return target.why_not_on("jax")


class Traced(Way):
    """One way of JAX's to a gradient.

    Args:
        target: what is differentiated.
        both: makes value and gradient from the log-density, for JAX to trace.
    """

    def __init__(self, target: Target, both: Callable[[Callable[[Any], Any]], Both]) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self._density = target.jax_logdensity
        self._both = both(self._density)
        x = np.zeros(target.ndim)
        self._pair = _waiting(*(jax.jit(f).lower(x).compile() for f in (self._density, self._both)))

    @property
    def alone(self) -> Pair:
        """Of one point, in one call."""
        return self._pair

    def batched(self) -> Pair:
        """Return the same of many points in one call."""
        import jax

        return _waiting(jax.jit(jax.vmap(self._density)), jax.jit(jax.vmap(self._both)))

    def looped(self, n: int) -> Pair:
        """Return functions that evaluate n times in one compiled loop."""
        import jax

        def loop(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def step(_: int, carry: tuple[Any, Any]) -> tuple[Any, Any]:
                x, total = carry
                found = sum(part.sum() for part in jax.tree.leaves(function(x)))
                return x + 1e-300 * found, total + found  # the same point, unknown to the compiler

            looping: Callable[[Any], Any] = jax.jit(
                lambda x: jax.lax.fori_loop(0, n, step, (x, 0.0))[1]
            )
            return looping

        value, both = loop(self._density), loop(self._both)
        return Pair(lambda x: np.asarray(value(x)), lambda x: (np.asarray(both(x)), None))


def _waiting(value: Callable[[Any], Any], both: Callable[[Any], Any]) -> Pair:
    """Return compiled functions that return when they are done, as NumPy's do."""

    def gradient(x: FloatArray) -> tuple[Any, Any]:
        found, slope = both(x)
        return np.asarray(found), np.asarray(slope)

    return Pair(lambda x: np.asarray(value(x)), gradient)
