"""The gradient that a LogDensity brings, as its author wrote it."""

from gradbench.draws import FloatArray
from gradbench.gradients import Mode, Pair, Way
from gradbench.target.target import Target

SUMMARY = "the gradient that the LogDensity brings"
MODE: Mode = "own"
LIBRARIES = ()
EXTRA = ""


def unsuited(target: Target) -> str | None:
    """Return why not: the model is no LogDensity with a gradient."""
    if target.function is None or not callable(target.function.gradient):
        return "the model brings no gradient of its own"
    return None


def build(target: Target) -> "Own":
    """Return it as it is, through the target's transforms; there is nothing to compile."""
    return Own(target)


class Own(Way):
    """A plain function and its gradient, on the unconstrained space."""

    def __init__(self, target: Target) -> None:
        def gradient(x: FloatArray) -> tuple[float, FloatArray]:
            return target.logdensity_and_gradient(x)

        self._pair = Pair(target.logdensity, gradient)

    @property
    def alone(self) -> Pair:
        """Of one point, in one call."""
        return self._pair
