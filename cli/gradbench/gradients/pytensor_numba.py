"""Reverse mode of the target's graph, compiled by Numba: PyMC 6's default."""

from gradbench.gradients import Mode, _pytensor
from gradbench.target.target import Target

SUMMARY = "PyTensor: reverse mode, compiled by Numba"
MODE: Mode = "reverse"
LIBRARIES = ("numba",)
EXTRA = "nutpie"


def unsuited(target: Target) -> str | None:
    """Return why not: an operation has no gradient."""
    return target.why_no_gradient


def build(target: Target) -> _pytensor.Numba:
    """Compile value and gradient."""
    return _pytensor.Numba(target)
