"""Names and loading of ways to a gradient: every module here without an underscore is one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, cast

from gradbench import compat, folders, samplers
from gradbench.draws import FloatArray
from gradbench.errors import MethodError
from gradbench.target.target import Target

Mode = Literal[
    "reverse",  # one pass for the whole gradient
    "forward",  # one pass for each coordinate
    "finite",  # one or more log-densities for each coordinate
    "symbolic",  # a formula for each coordinate
    "own",  # whatever its author wrote
    "second",  # no gradient, but a product of the Hessian with a vector
]


class Pair(NamedTuple):
    """A function and its gradient in one form, so that one is timed against the other.

    Both take the same argument: one point (ndim,), or many (n, ndim). The first returns the
    log-density, the second the log-density and its gradient, as NumPy has them.
    """

    logdensity: Callable[[FloatArray], Any]
    gradient: Callable[[FloatArray], tuple[Any, Any]]


class Way(ABC):
    """A way to the gradient of one target, compiled."""

    @property
    @abstractmethod
    def alone(self) -> Pair:
        """Of one point, in one call."""

    def batched(self) -> Pair | None:
        """Return the same of many points in one call, compiled now; None where there is none."""
        return None

    def looped(self, n: int) -> Pair | None:  # noqa: ARG002 - for those that have one
        """Return functions that evaluate n times inside compiled code; None where there are none.

        What they return says nothing; calling costs nothing in their times.
        """
        return None


class Method(Protocol):
    """A module in this folder. Importing it must not import its library."""

    SUMMARY: str
    """One line for the table's foot and the docs."""

    MODE: Mode
    """What its cost grows with."""

    LIBRARIES: Sequence[str]
    """What it imports beyond PyMC, by import name."""

    EXTRA: str
    """The extra of gradbench that installs them; empty for what every installation has."""

    def unsuited(self, target: Target) -> str | None:
        """Return why there is no such gradient of this target, or None."""
        ...

    def build(self, target: Target) -> Way:
        """Compile the density and its gradient, of one point; timed as compile."""
        ...


def names() -> list[str]:
    """Return the names of all methods, sorted."""
    return folders.names(__path__)


def load(name: str) -> Method:
    """Return the method of this name, without importing its library.

    Raises:
        MethodError: there is none of this name.
    """
    return cast("Method", folders.load(__name__, name, names(), "method", MethodError))


def remedy(name: str) -> str | None:
    """Return the command that installs what this method lacks, or None if nothing is missing."""
    method = load(name)
    return folders.remedy(method.LIBRARIES, method.EXTRA)


def used_by(sampler: str) -> str:
    """Return the method whose gradient a sampler uses at its default options."""
    libraries = samplers.load(sampler).libraries
    if "httpstan" in libraries:
        return "stan_reverse"
    if "jax" in libraries:
        return "jax_reverse"
    return f"pytensor_{compat.backend_name('numba' if 'nutpie' in libraries else 'default')}"
