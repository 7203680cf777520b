"""HIPS autograd's reverse mode, on a LogDensity's NumPy function."""

from gradbench.gradients import Mode, Pair, Way
from gradbench.target.retraced import retraced, why_not
from gradbench.target.target import Target

SUMMARY = "autograd: reverse mode, on the LogDensity's own NumPy function"
MODE: Mode = "reverse"
LIBRARIES = ("autograd",)
EXTRA = "gradients"


def unsuited(target: Target) -> str | None:
    """Return why not: there is no NumPy function, or autograd can't follow it."""
    function = target.function
    if function is None or function.kind != "numpy":
        return "the model is no NumPy function"
    if function.transform or function.blobs or function.vectorized:
        return "the function is not the density alone: it has transform, blobs or vectorized"
    try:
        Recorded(target).alone.gradient(function.somewhere)
    except Exception as error:  # whatever a user's function or autograd raises
        return f"autograd {why_not(error, function, 'autograd')}"
    return None


def build(target: Target) -> "Recorded":
    """Return the function, whose operations autograd records anew at every call."""
    return Recorded(target)


class Recorded(Way):
    """A NumPy function and its gradient by a tape."""

    def __init__(self, target: Target) -> None:
        import autograd

        assert target.function is not None
        function = retraced(target.function, "autograd")
        self._pair = Pair(
            target.function.of_x(target.function.function), autograd.value_and_grad(function)
        )

    @property
    def alone(self) -> Pair:
        """Of one point, in one call."""
        return self._pair
