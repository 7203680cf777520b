"""JAX's own reverse mode, which its samplers use."""

from typing import Any

from gradbench.gradients import Mode, _jax
from gradbench.target.target import Target

SUMMARY = "JAX: reverse mode"
MODE: Mode = "reverse"
LIBRARIES = ("jax",)
EXTRA = "jax"

unsuited = _jax.unsuited


def build(target: Target) -> _jax.Traced:
    """Compile value and gradient."""
    import jax

    def both(density: Any) -> Any:
        return jax.value_and_grad(density)

    return _jax.Traced(target, both)
