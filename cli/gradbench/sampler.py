"""What a sampler is, and everything that a sampler's file imports."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

__all__ = [
    "Built",
    "Draws",
    "Evaluations",
    "Evaluator",
    "Field",
    "FloatArray",
    "OfAnyLength",
    "Options",
    "Sampler",
    "Stopwatch",
    "Target",
]

Backend = Literal["default", "c", "numba", "jax"]

N_REHEARSED = 20  # steps of the short run that warms caches before the first timed one


class Options(BaseModel):
    """The options every sampler has; its fields are the keys in YAML.

    A sampler's own ``Options`` derives from this, gives ``tune`` and ``draws`` its library's
    defaults and says through ``n_starts`` how many starting points one run takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    LATER: ClassVar[tuple[str, ...]] = ()
    """Options that came when cells had their ids: at their default, a cell doesn't name them."""

    tune: int = Field(1000, ge=0, description="warm-up steps, not kept")
    draws: int = Field(1000, ge=4, description="kept draws of each chain or walker")
    backend: Backend = Field("default", description="what PyTensor compiles the model to")

    @property
    def n_starts(self) -> int:
        """How many starting points one run takes: by default one for each of its ``chains``."""
        return int(getattr(self, "chains", 1))

    @property
    def at_default(self) -> tuple[str, ...]:
        """The names of the options that have their default."""
        return tuple(
            name
            for name, field in type(self).model_fields.items()
            if not field.is_required()
            and getattr(self, name) == field.get_default(call_default_factory=True)
        )

    @property
    def named(self) -> dict[str, Any]:
        """The options as a cell names them, plain data."""
        unnamed = {*self.LATER} & {*self.at_default}
        return self.model_dump(exclude=unnamed)

    @property
    def target_backend(self) -> Backend:
        """What the target is compiled to, if not to the sampler's own backend."""
        return self.backend

    def fitted(self, ndim: int) -> Self:  # noqa: ARG002 - for those that need it
        """Return them as a target of this dimension is sampled with them: None is filled in."""
        return self


Chosen = TypeVar("Chosen", bound=Options)


class Evaluator(ABC):
    """What a sampler evaluates, as the density check asks for it."""

    @abstractmethod
    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return what this sampler's own code path gives at points (n, ndim), shape (n,)."""

    def gradient(self, points: FloatArray) -> FloatArray | None:  # noqa: ARG002 - for those that have one
        """Return its gradients at points (n, ndim), same shape; None if it uses none."""
        return None

    @property
    def is_exact(self) -> bool:
        """Whether its gradients are to be the log-density's; where not, it was asked for."""
        return True

    def reaches(self, points: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which of the points (n, ndim) it can come to at all, shape (n,): all of them."""
        return np.full(len(points), True)


class Built(Evaluator):
    """A sampler compiled for one target and one set of options, ready to run many times."""

    def rehearse(self, start: FloatArray) -> None:
        """Do what only a first run does, as lazy imports, before one is timed: nothing."""

    @abstractmethod
    def sample(self, start: FloatArray, *, seed: int, stopwatch: Stopwatch) -> Draws:
        """Run once from start (n_starts, ndim), marking warm-up and sampling on the stopwatch."""


class OfAnyLength(Built, Generic[Chosen]):
    """What is built of a sampler that can run for any length: it rehearses with a short run."""

    def __init__(self, options: Chosen) -> None:
        self._options = options

    @abstractmethod
    def run(
        self, start: FloatArray, *, tune: int, draws: int, seed: int, stopwatch: Stopwatch
    ) -> Draws:
        """Run once from start (n_starts, ndim), whatever the options' own tune and draws."""

    def sample(self, start: FloatArray, *, seed: int, stopwatch: Stopwatch) -> Draws:
        """Run once from start (n_starts, ndim), as long as the options say."""
        tune, draws = self._options.tune, self._options.draws
        return self.run(start, tune=tune, draws=draws, seed=seed, stopwatch=stopwatch)

    def rehearse(self, start: FloatArray) -> None:
        """Run a few steps from start (n_starts, ndim)."""
        tune, draws = (min(n, N_REHEARSED) for n in (self._options.tune, self._options.draws))
        self.run(start, tune=tune, draws=draws, seed=0, stopwatch=Stopwatch())


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler, as its module defines it and its defaults complete it.

    Attributes:
        use: what loads it, as a config has it.
        summary: one line for ``gradbench list samplers``; the module's ``SUMMARY``.
        options: validated options, whose fields are the YAML keys; ``Options``.
        build: ``build(target, options)`` compiles everything that must be compiled before the
            first draw, and returns a ``Built``; it is timed as compile.
        unsuited: ``unsuited(target, options)`` returns why it can't run on a target, and what to do
            about it, or None. By default that the density has no gradient, where it needs one, or
            can't be compiled by the backend.
        uses_gradient: whether it evaluates gradients; ``USES_GRADIENT``, False by default.
        libraries: what it imports, by import name; ``LIBRARIES``, none by default.
        install: the command that installs them, where their import names don't say it;
            ``INSTALL``.
        extra: the extra of gradbench that installs them; ``EXTRA``, none by default.
        detuned: options that make it worse on purpose, which ``gradbench selftest`` must catch;
            ``DETUNED``, none by default.
        call: the library's own call on ``model``, a ``pm.Model``, as Python with the options as
            ``$draws``; ``CALL``, empty by default.
    """

    use: str
    summary: str
    options: type[Options]
    build: Callable[[Target, Any], Built]
    unsuited: Callable[[Target, Any], str | None]
    uses_gradient: bool = False
    libraries: tuple[str, ...] = ()
    install: str = ""
    extra: str = ""
    detuned: Mapping[str, Any] = field(default_factory=dict)
    call: str = ""
