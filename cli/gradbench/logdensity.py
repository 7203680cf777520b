"""A log-density that is a plain function: what a model file may return, not a ``pm.Model``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from math import prod
from typing import Any, Literal

from gradbench.draws import FloatArray

Shape = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class LogDensity:
    """A log-density of one flat, unconstrained vector x.

    Attributes:
        function: x, shape (ndim,), to the log-density up to a constant; -inf outside the support.
        names: of the coordinates in their order, or a map of names to shapes, as
            ``{"mu": (), "theta": 8}``.
        ndim: the dimension, where there are no names: the coordinates are ``x[0]``, ``x[1]``, ...
        kind: ``jax`` if JAX traces the function, and so has its gradient too.
        gradient: x to the gradient, shape (ndim,), of a NumPy function. Without one, only samplers
            that use no gradient run.
        vectorized: whether the NumPy function takes many points at once, (n, ndim) to (n,).
        args: what every function of x takes after x, as emcee's ``args``.
        kwargs: what it takes by name.
        blobs: whether function and log_likelihood return more than the log-density, which is the
            first; if vectorized, the first in each row. The rest is left alone.
        constrained: x to a map of names to numbers or arrays, which are reported beside x.
        prior_transform: a point of the unit cube, shape (ndim,), to x, for samplers that start
            from the prior; it takes neither args nor kwargs.
        log_likelihood: what function is, without the prior of prior_transform.

    Raises:
        ValueError: these contradict each other.
    """

    function: Callable[..., Any]
    _: KW_ONLY
    names: Sequence[str] | Mapping[str, Shape] | None = None
    ndim: int | None = None
    kind: Literal["numpy", "jax"] = "numpy"
    gradient: Callable[..., Any] | None = None
    vectorized: bool = False
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    blobs: bool = False
    constrained: Callable[..., Mapping[str, Any]] | None = None
    prior_transform: Callable[[FloatArray], Any] | None = None
    log_likelihood: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if (self.names is None) == (self.ndim is None):
            raise ValueError("LogDensity takes names or ndim, one of them")
        if self.kind not in {"numpy", "jax"}:
            raise ValueError(f"LogDensity: kind must be 'numpy' or 'jax', not {self.kind!r}")
        if self.kind == "jax" and (self.gradient is not None or self.vectorized):
            raise ValueError("LogDensity: JAX itself makes gradients, and many points of one")
        if isinstance(self.names, str) or len(self.shapes) < len(self.names or ()):
            raise ValueError(f"LogDensity: names must be different names, not {self.names!r}")
        if self.size < 1:
            raise ValueError("LogDensity needs one coordinate at least")
        if isinstance(self.args, str) or not isinstance(self.args, Sequence):
            raise ValueError(f"LogDensity: args must be a tuple, as (t, y), not {self.args!r}")
        if (self.prior_transform is None) != (self.log_likelihood is None):
            raise ValueError("LogDensity takes prior_transform and log_likelihood together")

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
