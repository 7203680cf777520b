"""The search for starting points: proposals, drawn again where the log-density isn't finite."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray
from gradbench.errors import ModelError

MAX_TRIES = 100  # Stan gives up on finding a finite starting point after as many
MAX_HALVINGS = 50  # of a jitter: what is left of it then is rounding

Propose = Callable[[int], FloatArray]
Evaluate = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Search:
    """Points, and what became of the search for them.

    Attributes:
        points: shape (n, ndim).
        is_outside: shape (n,), where no proposal had a finite log-density.
        n_tried: proposals.
        n_finite: those of them that had one.
    """

    points: FloatArray
    is_outside: npt.NDArray[np.bool_]
    n_tried: int
    n_finite: int

    @property
    def is_successful(self) -> bool:
        """Whether the log-density is finite at every point."""
        return not self.is_outside.any()


def search(propose: Propose, n: int, evaluate: Evaluate) -> Search:
    """Return n points, each proposed again until its log-density is finite, ``MAX_TRIES`` times.

    Args:
        propose: k to points (k, ndim).
        n: how many are wanted.
        evaluate: points (n, ndim) to log-densities (n,).

    Raises:
        ModelError: the log-density is +inf at one of them.
    """
    points = np.array(propose(n), dtype=np.float64)
    is_outside = np.ones(n, dtype=np.bool_)
    n_tried = n_finite = 0
    for k in range(MAX_TRIES):
        if k:
            points[is_outside] = propose(int(is_outside.sum()))
        is_new, is_outside = is_outside, ~_is_finite(evaluate(points))
        n_tried += int(is_new.sum())
        n_finite += int((is_new & ~is_outside).sum())
        if not is_outside.any():
            break
    return Search(points, is_outside, n_tried, n_finite)


def search_around(
    centre: FloatArray, spread: float, n: int, evaluate: Evaluate, *, rng: np.random.Generator
) -> Search:
    """Return n points uniform in a cube around a point, shape (ndim,).

    Where the whole cube gives no finite log-density it shrinks by halves, down to the point itself.

    Args:
        centre: the point.
        spread: half of the cube's edge.
        n: how many are wanted.
        evaluate: points (n, ndim) to log-densities (n,).
        rng: draws them.

    Raises:
        ModelError: the log-density is +inf at one of them.
    """

    def propose(k: int) -> FloatArray:
        return centre + rng.uniform(-spread, spread, (k, len(centre)))

    found = search(propose, n, evaluate)
    points, is_outside = found.points, found.is_outside
    n_tried, n_finite = found.n_tried, found.n_finite
    shares = [*0.5 ** np.arange(1, MAX_HALVINGS + 1), 0.0]
    while is_outside.any() and shares:
        jitter = shares.pop(0) * spread
        n_outside = int(is_outside.sum())
        points[is_outside] = centre + rng.uniform(-jitter, jitter, (n_outside, len(centre)))
        is_outside = ~_is_finite(evaluate(points))
        n_tried += n_outside
        n_finite += n_outside - int(is_outside.sum())
    return Search(points, is_outside, n_tried, n_finite)


def _is_finite(values: FloatArray) -> npt.NDArray[np.bool_]:
    if np.isposinf(values).any():
        raise ModelError(
            "the log-density is +inf where a run would start, and no density is; outside"
            " the support it must be -inf"
        )
    is_finite: npt.NDArray[np.bool_] = np.isfinite(values)
    return is_finite
