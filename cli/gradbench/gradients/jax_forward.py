"""JAX's forward mode, all coordinates' tangents in one vectorized pass."""

from typing import Any

from gradbench.gradients import Mode, _jax
from gradbench.target.target import Target

SUMMARY = "JAX: forward mode, all coordinates in one vectorized pass"
MODE: Mode = "forward"
LIBRARIES = ("jax",)
EXTRA = "jax"

unsuited = _jax.unsuited


def build(target: Target) -> _jax.Traced:
    """Compile value and gradient."""
    import jax

    def both(density: Any) -> Any:
        return lambda x: (density(x), jax.jacfwd(density)(x))

    return _jax.Traced(target, both)
