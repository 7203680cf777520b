"""Forward mode of the target's graph: a tangent pushed through it, once for each coordinate."""

import numpy as np

from gradbench import compat
from gradbench.draws import FloatArray
from gradbench.errors import first_line
from gradbench.gradients import Mode, Pair, Way
from gradbench.target.density import CompiledDensity
from gradbench.target.target import Target

SUMMARY = "PyTensor: forward mode, a pass for each coordinate"
MODE: Mode = "forward"
LIBRARIES = ()
EXTRA = ""


def unsuited(target: Target) -> str | None:
    """Return why not: an operation of the graph has no forward rule."""
    try:
        compat.pushed_forward(*target.density.graph)
    except (NotImplementedError, TypeError, ValueError) as error:
        return f"PyTensor has no forward mode for it ({first_line(error)})"
    return None


def build(target: Target) -> "Forward":
    """Compile the density, and one pass with its tangent."""
    return Forward(target)


class Forward(Way):
    """Forward mode of the target's graph in PyMC's default backend."""

    def __init__(self, target: Target) -> None:
        density = CompiledDensity(target.model)
        flat, logp = density.graph
        value = density.compiled(flat, [logp])
        tangent, slope = compat.pushed_forward(flat, logp)
        along = density.compiled([flat, tangent], [logp, slope])

        def gradient(x: FloatArray) -> tuple[float, FloatArray]:
            axis, slopes, here = np.zeros_like(x), np.empty_like(x), 0.0
            for i in range(len(x)):  # all axes together would be a matrix
                axis[i] = 1.0
                here, slopes[i] = along(x, axis)
                axis[i] = 0.0
            return here, slopes

        self._pair = Pair(lambda x: value(x)[0], gradient)

    @property
    def alone(self) -> Pair:
        """Of one point: as many calls as it has coordinates."""
        return self._pair
