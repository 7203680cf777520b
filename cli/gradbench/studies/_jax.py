"""JAX as the studies use it: in double precision, its programs counted."""

from collections.abc import Callable
from typing import Any


def in_double() -> Any:
    """Return JAX, set to double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def n_operations(function: Callable[..., Any], *x: Any) -> int:
    """Return how many operations JAX's program of a function of x has."""
    return len(in_double().make_jaxpr(function)(*x).eqns)


def n_flops(function: Callable[..., Any], *x: Any) -> float:
    """Return how many floating-point operations the compiled function takes at x.

    XLA counts them from the program, so that the same program has the same count on any machine.
    """
    compiled = in_double().jit(function).lower(*x).compile()
    return float(compiled.cost_analysis()["flops"])


def blocking(function: Callable[..., Any], x: Any) -> Callable[[], object]:
    """Return the call of a function at x that ends when its result is there."""
    return lambda: function(x).block_until_ready()
