"""JAX's forward mode, a pass for each coordinate, one after another in a compiled loop."""

from typing import Any

import numpy as np

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

    axes = np.eye(target.ndim)

    def both(density: Any) -> Any:
        def value_and_gradient(x: Any) -> Any:
            values, slopes = jax.lax.map(lambda axis: jax.jvp(density, (x,), (axis,)), axes)
            return values[0], slopes

        return value_and_gradient

    return _jax.Traced(target, both)
