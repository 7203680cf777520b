"""JAX's forward mode, a pass for each coordinate, one after another in a compiled loop."""

from typing import Any

from gradbench.gradients import Mode, _jax
from gradbench.target.target import Target

SUMMARY = "JAX: forward mode, a pass for each coordinate"
MODE: Mode = "forward"
LIBRARIES = ("jax",)
EXTRA = "jax"

unsuited = _jax.unsuited


def build(target: Target) -> _jax.Traced:
    """Compile value and gradient."""
    import jax

    coordinates = jax.numpy.arange(target.ndim)

    def both(density: Any) -> Any:
        def value_and_gradient(x: Any) -> Any:
            def along(i: Any) -> Any:  # all axes together would be a matrix
                return jax.jvp(density, (x,), (jax.numpy.zeros_like(x).at[i].set(1.0),))

            values, slopes = jax.lax.map(along, coordinates)
            return values[0], slopes

        return value_and_gradient

    return _jax.Traced(target, both)
