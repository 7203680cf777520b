"""Reverse mode of the target's graph, compiled to C by PyTensor."""

from gradbench.gradients import Mode, _pytensor
from gradbench.target.target import Target

SUMMARY = "PyTensor: reverse mode, compiled to C"
MODE: Mode = "reverse"
LIBRARIES = ()
EXTRA = ""


def unsuited(target: Target) -> str | None:
    """Return why not: an operation has no gradient, or no compiler is installed."""
    return target.why_no_gradient or _pytensor.without_compiler()


def build(target: Target) -> _pytensor.Reverse:
    """Compile value and gradient."""
    return _pytensor.Reverse(target, "c")
