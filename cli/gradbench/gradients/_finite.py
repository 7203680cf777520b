"""What finite differences share: the target's log-density, called once for every point."""

import numpy as np

from gradbench.draws import FloatArray
from gradbench.gradients import Pair, Way
from gradbench.target import differences
from gradbench.target.density import CompiledDensity
from gradbench.target.differences import Scheme
from gradbench.target.target import Target

MATRIX_BYTES = 2**26  # of the points that one call takes: more isn't faster, and then too much


def unsuited(target: Target) -> str | None:  # noqa: ARG001 - the protocol's signature
    """Return None: a log-density is all that it takes."""
    return None


class Differences(Way):
    """Finite differences in PyMC's default backend."""

    def __init__(self, target: Target, scheme: Scheme) -> None:
        self._density = CompiledDensity(target.model)
        self._scheme, self._step = scheme, differences.textbook_step(scheme)
        flat, logp = self._density.graph
        function = self._density.compiled(flat, [logp])

        def value(x: FloatArray) -> float:
            return float(function(x)[0])

        self._pair = Pair(value, differences.of(value, scheme))

    @property
    def alone(self) -> Pair:
        """Of one point: a call for each log-density."""
        return self._pair

    def batched(self) -> Pair | None:
        """Return the same of many points, their log-densities in calls of many.

        None where the points of one gradient, 2 * ndim times ndim numbers, are too many.
        """
        ndim, n_each = (
            self._density.ndim,
            differences.n_evaluations(self._density.ndim, self._scheme),
        )
        n_at_once = MATRIX_BYTES // (8 * n_each * ndim)
        if n_at_once == 0:
            return None
        flat, logp = self._density.graph
        function = self._density.batched(flat, [logp])

        def of_some(points: FloatArray) -> tuple[FloatArray, FloatArray]:
            needed = [differences.points(x, self._scheme, self._step) for x in points]
            values = function(np.concatenate(needed))[0].reshape(len(points), n_each)
            slopes = [
                differences.gradient(of_one, x, self._scheme, self._step)
                for of_one, x in zip(values, points, strict=True)
            ]
            return values[:, 0], np.array(slopes)

        def gradient(points: FloatArray) -> tuple[FloatArray, FloatArray]:
            starts = range(0, len(points), n_at_once)
            values, slopes = zip(*(of_some(points[i : i + n_at_once]) for i in starts), strict=True)
            return np.concatenate(values), np.concatenate(slopes)

        return Pair(lambda points: function(points)[0], gradient)
