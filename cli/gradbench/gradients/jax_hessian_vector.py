"""A product of the Hessian with a vector, by JAX: what samplers that use curvature pay for."""

from typing import Any

import numpy as np

from gradbench.gradients import Mode, _jax
from gradbench.target.target import Target

SUMMARY = "JAX: a Hessian-vector product, forward over reverse (no gradient: its cost alone)"
MODE: Mode = "second"
LIBRARIES = ("jax",)
EXTRA = "jax"

unsuited = _jax.unsuited


def build(target: Target) -> _jax.Traced:
    """Compile the value and the product with a vector of ones."""
    import jax

    vector = np.ones(target.ndim)

    def both(density: Any) -> Any:
        def value_and_product(x: Any) -> Any:
            (value, _), (_, product) = jax.jvp(jax.value_and_grad(density), (x,), (vector,))
            return value, product

        return value_and_product

    return _jax.Traced(target, both)
