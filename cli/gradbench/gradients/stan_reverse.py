"""Stan Math's reverse mode, on the model's Stan program."""

import numpy as np

from gradbench.draws import FloatArray
from gradbench.gradients import Mode, Pair, Way
from gradbench.samplers import _stan
from gradbench.target.target import Target

SUMMARY = "Stan: reverse mode, on the model's Stan program"
MODE: Mode = "reverse"
LIBRARIES = ("httpstan",)
EXTRA = "stan"


def unsuited(target: Target) -> str | None:
    """Return why not: the model has no Stan program."""
    return _stan.unsuited(target, None)


def build(target: Target) -> "InStan":
    """Compile the program, if its text is new."""
    return InStan(_stan.Program(target))


class InStan(Way):
    """A Stan program's own density and gradient."""

    def __init__(self, ours: _stan.Program) -> None:
        program, order = ours.program, ours.order

        def gradient(x: FloatArray) -> tuple[float, FloatArray]:
            value, slope = program.gradient(x[order])
            return value, ours.ours(np.asarray(slope))

        self._pair = Pair(lambda x: program.logdensity(x[order]), gradient)

    @property
    def alone(self) -> Pair:
        """Of one point, in one call."""
        return self._pair
