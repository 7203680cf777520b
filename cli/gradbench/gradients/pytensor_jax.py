"""Reverse mode by PyTensor: its graph of the gradient, compiled by JAX."""

from gradbench.gradients import Mode, _pytensor
from gradbench.target.target import Target

SUMMARY = "PyTensor: reverse mode, its graph compiled by JAX"
MODE: Mode = "reverse"
LIBRARIES = ("jax",)
EXTRA = "jax"


def unsuited(target: Target) -> str | None:
    """Return why not: an operation has no gradient, JAX has no such operation, or no graph."""
    if target.function is not None:
        return "the density is a plain function, of which PyTensor has no graph"
    return target.why_no_gradient or target.why_not_on("jax")


def build(target: Target) -> _pytensor.Reverse:
    """Compile value and gradient."""
    return _pytensor.Reverse(target, "jax")
