"""A log-density that is a plain function: what a model file may return, not a ``pm.Model``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from math import prod
from typing import Any, Literal, get_args

import numpy as np

from gradbench.draws import FloatArray

Shape = int | Sequence[int]
Library = Literal["jax", "autograd"]  # what differentiates a NumPy function

BALL = 1e-4  # around one point that is given to start from: emcee's tutorials' p0 + 1e-4 * randn


@dataclass(frozen=True, slots=True)
class LogDensity:
    """A log-density of one flat, unconstrained vector x.

    Attributes:
        function: x, shape (ndim,), to the log-density up to a constant; -inf outside the support.
        names: of the coordinates in their order, or a map of names to shapes, as
            ``{"mu": (), "theta": 8}``.
        ndim: the dimension, where there are no names: the coordinates are ``x[0]``, ``x[1]``, ...
        kind: ``jax`` if JAX traces the function, and so has its gradient too.
        gradient: x to the gradient, shape (ndim,), of a NumPy function; or ``jax`` or ``autograd``
            for one that this library makes of it, with its own functions in the place of NumPy's.
            Without one, only samplers that use no gradient run.
        vectorized: whether the NumPy function takes many points at once, (n, ndim) to (n,).
        args: what every function of x takes after x, as emcee's ``args``.
        kwargs: what it takes by name.
        blobs: whether function and log_likelihood return more than the log-density, which is the
            first; if vectorized, the first in each row. The rest is left alone.
        constrained: x to a map of names to numbers or arrays, which are reported beside x.
        prior_transform: a point of the unit cube, shape (ndim,), to x, for samplers that start
            from the prior; it takes neither args nor kwargs.
        log_likelihood: what function is, without the prior of prior_transform.
        initial: where runs start: a function (rng, n) to points (n, ndim) or to a map of names to
            values; points (n, ndim), of which as many as a run needs are taken at random; or one
            point (ndim,), around which they start in a small ball.
        bounds: low and high, numbers or (ndim,) each, infinite where there is none. The density is
            0 outside, where the function isn't called, and the prior is uniform between two of
            them.
        transform: whether samplers see bounded coordinates on an unbounded scale, as PyMC's
            ``Uniform`` has it, Jacobian included.

    Raises:
        ValueError: these contradict each other.
    """

    function: Callable[..., Any]
    _: KW_ONLY
    names: Sequence[str] | Mapping[str, Shape] | None = None
    ndim: int | None = None
    kind: Literal["numpy", "jax"] = "numpy"
    gradient: Callable[..., Any] | Library | None = None
    vectorized: bool = False
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    blobs: bool = False
    constrained: Callable[..., Mapping[str, Any]] | None = None
    prior_transform: Callable[[FloatArray], Any] | None = None
    log_likelihood: Callable[..., Any] | None = None
    initial: Callable[..., Any] | FloatArray | Sequence[Any] | None = None
    bounds: tuple[Any, Any] | None = None
    transform: bool = False

    def __post_init__(self) -> None:
        if (self.names is None) == (self.ndim is None):
            raise ValueError("LogDensity takes names or ndim, one of them")
        if self.kind not in {"numpy", "jax"}:
            raise ValueError(f"LogDensity: kind must be 'numpy' or 'jax', not {self.kind!r}")
        if self.kind == "jax" and (self.gradient is not None or self.vectorized):
            raise ValueError("LogDensity: JAX itself makes gradients, and many points of one")
        if not (self.gradient is None or callable(self.gradient) or self.library):
            raise ValueError(
                "LogDensity: gradient must be a function, 'jax' or 'autograd', not"
                f" {self.gradient!r}"
            )
        if isinstance(self.names, str) or len(self.shapes) < len(self.names or ()):
            raise ValueError(f"LogDensity: names must be different names, not {self.names!r}")
        if self.size < 1:
            raise ValueError("LogDensity needs one coordinate at least")
        if isinstance(self.args, str) or not isinstance(self.args, Sequence):
            raise ValueError(f"LogDensity: args must be a tuple, as (t, y), not {self.args!r}")
        if (self.prior_transform is None) != (self.log_likelihood is None):
            raise ValueError("LogDensity takes prior_transform and log_likelihood together")
        if self.transform and self.bounds is None:
            raise ValueError("LogDensity: transform=True needs bounds")
        low, high = self.limits
        if not (low < high).all():
            raise ValueError(
                f"LogDensity: bounds must be low and high, low below high, not {self.bounds!r}"
            )
        if not (self.initial is None or callable(self.initial)):
            shape = np.shape(np.asarray(self.initial, dtype=np.float64))
            if shape != (self.size,) and (len(shape) != 2 or shape[1] != self.size):
                raise ValueError(
                    f"LogDensity: initial must be a point ({self.size},), points (n, {self.size})"
                    f" or a function of rng and n, not an array of shape {shape}"
                )

    @property
    def library(self) -> Library | None:
        """What makes the gradient of the NumPy function, or None where nothing has to."""
        return next((name for name in get_args(Library) if name == self.gradient), None)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parts of x in their order, each with its shape."""
        if self.ndim is not None:
            return {"x": (self.ndim,)}
        if isinstance(self.names, Mapping):
            return {
                name: (shape,) if isinstance(shape, int) else tuple(shape)
                for name, shape in self.names.items()
            }
        return dict.fromkeys(self.names or (), ())

    @property
    def size(self) -> int:
        """How many coordinates x has."""
        return sum(map(prod, self.shapes.values()))

    def of_x(self, function: Callable[..., Any]) -> Callable[[Any], Any]:
        """Return one of its functions of x as a function of x alone."""
        if not (self.args or self.kwargs):
            return function
        return lambda x: function(x, *self.args, **self.kwargs)

    @property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """The bounds of the coordinates, low and high, shape (ndim,) each; infinite without any.

        Raises:
            ValueError: ``bounds`` is no pair of numbers or arrays (ndim,).
        """
        try:
            low, high = (-np.inf, np.inf) if self.bounds is None else self.bounds
            both = [
                np.broadcast_to(np.asarray(end, dtype=np.float64), self.size) for end in (low, high)
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"LogDensity: bounds must be (low, high), numbers or {self.size} each,"
                f" not {self.bounds!r}"
            ) from error
        return both[0], both[1]

    def inside(self, points: FloatArray, *, radius: float) -> FloatArray:
        """Return points (n, ndim) in the bounds, from points uniform in (-radius, radius).

        They are uniform between two bounds, exponentials of the latter away from a lone one.
        """
        low, high = self.limits
        with np.errstate(invalid="ignore", over="ignore"):
            between = low + (high - low) * (points / (2 * radius) + 0.5)
            above, below = low + np.exp(points), high - np.exp(points)
        is_low, is_high = np.isfinite(low), np.isfinite(high)
        return np.select([is_low & is_high, is_low, is_high], [between, above, below], points)

    def starts(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n starting points (n, ndim), as ``initial`` has it.

        Raises:
            ValueError: it gives none, too few, or points of another shape.
        """
        if callable(self.initial):
            return self._flat(self.initial(rng, n), n)
        given: FloatArray = np.asarray(self.initial, dtype=np.float64)
        if given.ndim == 1:
            spread = BALL * np.where(given == 0, 1.0, np.minimum(1.0, np.abs(given)))
            ball: FloatArray = given + spread * rng.standard_normal((n, self.size))
            return ball
        if len(given) < n:
            raise ValueError(
                f"initial has {len(given)} points, and a run here takes {n}; give as many, or a"
                " function initial(rng, n)"
            )
        chosen: FloatArray = rng.choice(given, n, replace=False)
        return chosen

    def from_prior(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n points (n, ndim) from the prior that ``prior_transform`` maps."""
        assert self.prior_transform is not None
        cubes = rng.uniform(size=(n, self.size))
        return np.array([self.prior_transform(cube) for cube in cubes], dtype=np.float64)

    @property
    def somewhere(self) -> FloatArray:
        """A point (ndim,) where the function can be called: a start, the bounds' middle, or 0."""
        if self.initial is not None and not callable(self.initial):
            points = np.atleast_2d(np.asarray(self.initial, dtype=np.float64))
        elif self.initial is not None:
            points = self.starts(np.random.default_rng(0), 1)
        else:
            points = self.inside(np.zeros((1, self.size)), radius=1.0)
        first: FloatArray = points[0]
        return first

    def named(self, points: FloatArray) -> dict[str, FloatArray]:
        """Return points (..., ndim) as values by name, (..., *shape) each."""
        ends = np.cumsum([prod(shape) for shape in self.shapes.values()])
        parts = np.split(points, ends[:-1], axis=-1)
        return {
            name: part.reshape((*points.shape[:-1], *shape))
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def _flat(self, given: Any, n: int) -> FloatArray:
        """Return what ``initial`` gave as points (n, ndim)."""
        if isinstance(given, Mapping):
            if given.keys() != self.shapes.keys():
                raise ValueError(
                    f"initial() gives values of {', '.join(map(str, given)) or 'nothing'}; the"
                    f" coordinates are {', '.join(self.shapes)}"
                )
            given = np.concatenate(
                [
                    np.broadcast_to(given[name], (n, *shape)).reshape(n, -1)
                    for name, shape in self.shapes.items()
                ],
                axis=1,
            )
        points = np.asarray(given, dtype=np.float64)
        if points.shape != (n, self.size):
            raise ValueError(
                f"initial(rng, {n}) returned an array of shape {points.shape}; it must return"
                f" an array of shape ({n}, {self.size})"
            )
        return points
