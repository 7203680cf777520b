"""A model looked at on its own: parameters, checks, what one evaluation takes, what suits it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradbench import density, models, samplers, timing
from gradbench.batch import Form
from gradbench.density import DensityCheck
from gradbench.draws import FloatArray
from gradbench.models import Source
from gradbench.records import from_plain
from gradbench.stan import UNCONSTRAINED
from gradbench.target import Target
from gradbench.timing import Stopwatch

ITSELF = "the model"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One variable of a model.

    Attributes:
        name: as in the model.
        shape: on the constrained space.
        transform: what leads to the unconstrained space; empty for none, None if it is computed.
    """

    name: str
    shape: tuple[int, ...]
    transform: str | None


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found.

    Attributes:
        ndim: the dimension of the unconstrained space.
        parameters: with everything that is computed from them.
        reference: where its reference moments come from, or None.
        compile_s: wall seconds to load it and compile the density and its gradient.
        batch_form: how the density goes through many points at once.
        check: the density's many-points form against its single one, gradients against differences.
        logdensity_s, gradient_s: CPU seconds of one evaluation; None without a gradient.
        unsuited: by sampler, why it can't run on the model, or None; those that are installed.
        missing: by sampler, the command that installs it.
    """

    ndim: int
    parameters: tuple[Parameter, ...]
    reference: str | None
    compile_s: float
    batch_form: Form
    check: DensityCheck
    logdensity_s: float
    gradient_s: float | None
    unsuited: Mapping[str, str | None]
    missing: Mapping[str, str]

    @property
    def is_passed(self) -> bool:
        """Whether the checks found nothing, and some sampler suits the model."""
        return self.check.is_passed and None in self.unsuited.values()

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Examination":
        """Return what ``records.to_plain`` gave."""
        return from_plain(cls, plain)


def examine(source: Source, params: Mapping[str, Any]) -> Examination:
    """Return what there is to say of a model, from this very process.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
    """
    stopwatch = Stopwatch()
    stopwatch.start("compile")
    target = Target(*models.load(source, params))
    alone = _Alone(target)
    at = np.zeros((1, target.ndim))
    alone.logdensity(at)
    alone.gradient(at)
    stopwatch.stop()
    points = density.points(target)
    check = density.judge(source.path.stem, points, {ITSELF: density.probe(alone, target, points)})
    x = points[0]
    missing = {name: samplers.remedy(name) for name in samplers.names()}
    return Examination(
        ndim=target.ndim,
        parameters=_parameters(target),
        reference=target.reference_source,
        compile_s=stopwatch.timing.compile.wall_s,
        batch_form=target.batch_form,
        check=check,
        logdensity_s=timing.seconds(lambda: target.logdensity(x)),
        gradient_s=timing.seconds(lambda: target.logdensity_and_gradient(x))
        if target.lacks("gradient") is None
        else None,
        unsuited={name: _unsuited(name, target) for name in missing if missing[name] is None},
        missing={name: remedy for name, remedy in missing.items() if remedy is not None},
    )


class _Alone:
    """The target's densities, one point at a time: a sampler that only evaluates."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def logdensity(self, points: FloatArray) -> FloatArray:
        return np.array([self._target.logdensity(x) for x in points])

    def gradient(self, points: FloatArray) -> FloatArray | None:
        if self._target.lacks("gradient") is not None:
            return None
        return np.array([self._target.logdensity_and_gradient(x)[1] for x in points])

    def sample(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def _unsuited(name: str, target: Target) -> str | None:
    sampler = samplers.load(name)
    return sampler.unsuited(target, sampler.Options.fewest(target.ndim))


def _parameters(target: Target) -> tuple[Parameter, ...]:
    transforms = {rv.name: transform for rv, transform in target.model.rvs_to_transforms.items()}
    computed = "by Stan" if UNCONSTRAINED in transforms else None
    return tuple(
        Parameter(name, shape, _word(transforms[name]) if name in transforms else computed)
        for name, shape in target.shapes.items()
    )


def _word(transform: Any) -> str:
    """Return PyMC's name of a transform: log, interval, simplex."""
    return "" if transform is None else str(getattr(transform, "name", type(transform).__name__))
