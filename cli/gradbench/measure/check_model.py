"""A model looked at on its own: parameters, checks, what one evaluation takes, what suits it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from gradbench import models, samplers, timing
from gradbench.draws import FloatArray, IntArray
from gradbench.errors import ModelError
from gradbench.logdensity import Library, LogDensity
from gradbench.measure import density_check
from gradbench.measure.density_check import DensityCheck
from gradbench.models import Source
from gradbench.records import from_plain
from gradbench.sampler import Evaluator
from gradbench.stan import UNCONSTRAINED
from gradbench.target.batch import Form
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

ITSELF = "the model"
DROP = 0.5  # of a normal log-density, one sd from its mode
MAX_COORDINATES = 100  # whose scales are looked at: each takes some 84 evaluations
N_CENTRES = 3  # points from which they are looked at; the median counts
EXPONENTS = (-20.0, 20.0)  # of 10: scales that can be told
N_BISECTIONS = 7  # to a factor of 2
SCALES = (1e-3, 1e3)  # of coordinates that samplers that start at unit scale soon adapt to
SPREAD = 1e3  # between the scales of two coordinates, the same


@dataclass(frozen=True, slots=True)
class Parameter:
    """One variable of a model.

    Attributes:
        name: as in the model.
        shape: on the constrained space.
        transform: what leads to the unconstrained space; empty for none, None if it is computed.
        uncounted: why it doesn't count; empty if it does.
    """

    name: str
    shape: tuple[int, ...]
    transform: str | None
    uncounted: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """How wide the density is along one coordinate of the unconstrained space, about."""

    name: str
    scale: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A library that might make a gradient of a NumPy function that has none.

    Attributes:
        library: what ``gradient=`` of the function would name.
        cost: of a value with its gradient, in log-densities; None where it can't be.
        reason: why not; empty where it can.
    """

    library: str
    cost: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found.

    Attributes:
        ndim: the dimension of the unconstrained space.
        parameters: with everything that is computed from them.
        reference: where its reference moments come from, or None.
        compile_s: wall seconds to load it and compile the density and its gradient.
        batch_form: how the density goes through many points at once.
        starts: the kinds of starting points that find any, of ``uniform`` and, where that finds
            none, the others.
        narrowest, widest: coordinates, where their scales are unlike enough to hinder samplers.
        check: the density's many-points form against its single one, gradients against differences.
        logdensity_s, gradient_s: CPU seconds of one evaluation; None without a gradient.
        unsuited: by sampler, why it can't run on the model, or None; those that are installed.
        missing: by sampler, the command that installs it.
        offers: what could make a gradient, where the model is a NumPy function without one.
    """

    ndim: int
    parameters: tuple[Parameter, ...]
    reference: str | None
    compile_s: float
    batch_form: Form
    check: DensityCheck
    logdensity_s: float
    gradient_s: float | None
    starts: tuple[str, ...]
    narrowest: Scale | None
    widest: Scale | None
    unsuited: Mapping[str, str | None]
    missing: Mapping[str, str]
    offers: tuple[Offer, ...] = ()

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
    itself = _Itself(target)
    at = np.zeros((1, target.ndim))
    target.logdensity(at[0])
    itself.logdensity(at)
    itself.gradient(at)
    stopwatch.stop()
    points = density_check.points(target)
    seen = density_check.probe(itself, target, points)
    check = density_check.check_density(source.path.stem, points, {ITSELF: seen})
    of_values = density_check.check_density(
        source.path.stem, points, {ITSELF: replace(seen, slopes=None)}
    )
    x = points[0]
    logdensity_s = timing.seconds(lambda: target.logdensity(x))
    narrowest, widest = _ends(_scales(target))
    missing = {name: samplers.remedy(name) for name in samplers.names()}
    return Examination(
        ndim=target.ndim,
        parameters=_parameters(target),
        reference=target.parameters.reference_source,
        compile_s=stopwatch.timing.compile.wall_s,
        batch_form=target.density.batch_form,
        check=check,
        logdensity_s=logdensity_s,
        gradient_s=timing.seconds(lambda: target.logdensity_and_gradient(x))
        if target.why_no_gradient is None
        else None,
        starts=target.starts.ways,
        narrowest=narrowest,
        widest=widest,
        unsuited={
            name: _unsuited(name, target, check, of_values)
            for name in missing
            if missing[name] is None
        },
        missing={name: remedy for name, remedy in missing.items() if remedy is not None},
        offers=_offers(target, x, logdensity_s),
    )


class _Itself(Evaluator):
    """The target's densities of many points at once: a sampler that only evaluates."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def logdensity(self, points: FloatArray) -> FloatArray:
        return self._target.logdensity_batch(points)

    def gradient(self, points: FloatArray) -> FloatArray | None:
        if self._target.why_no_gradient is not None:
            return None
        return np.array([self._target.logdensity_and_gradient(x)[1] for x in points])


def _scales(target: Target) -> list[Scale]:
    """Return the scale of each coordinate, of some where they are many, as far as it can be told.

    From draws of the prior, where it has any, or else from starting points, a few steps of an
    optimiser towards the mode, taken in units of the scales where it begins.
    """
    rng = np.random.default_rng(0)
    try:
        centres = target.starts.find("prior", rng, N_CENTRES)
    except ModelError:
        centres = target.initial(rng, N_CENTRES)
    at = np.linspace(0, target.ndim - 1, min(target.ndim, MAX_COORDINATES)).astype(int)
    found = []
    for centre in centres:
        units = np.ones(target.ndim)
        units[at] = np.nan_to_num(_widths(target, centre, at), nan=1.0)
        nearer = target.density.ascended(centre, units=units, maxiter=5)
        found.append(_widths(target, nearer, at))
    names = np.array(target.quantities.coordinates)[at].tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a coordinate without any is NaN
        widths = np.nanmedian(found, axis=0)
    return [Scale(name, float(w)) for name, w in zip(names, widths, strict=True) if np.isfinite(w)]


def _widths(target: Target, centre: FloatArray, at: IntArray) -> FloatArray:
    """Return how far the nearer point lies, along each coordinate, that is lower by ``DROP``.

    NaN where there is none.
    """
    low, high = np.full(len(at), EXPONENTS[0]), np.full(len(at), EXPONENTS[1])
    moves = np.zeros((2, len(at), target.ndim))
    here = target.logdensity(centre)

    def is_lower(exponents: FloatArray) -> npt.NDArray[np.bool_]:
        distances = 10.0**exponents
        for side, sign in zip(moves, (-1, 1), strict=True):
            side[np.arange(len(at)), at] = sign * distances
        values = target.logdensity_batch((centre + moves).reshape(-1, target.ndim))
        return np.asarray((~(values >= here - DROP)).reshape(2, -1).any(axis=0))

    ends = is_lower(high)
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        lower = is_lower(middle)
        low, high = np.where(lower, low, middle), np.where(lower, middle, high)
    return np.where(ends & np.isfinite(here), 10.0 ** ((low + high) / 2), np.nan)


def _ends(scales: Sequence[Scale]) -> tuple[Scale | None, Scale | None]:
    """Return the narrowest and the widest coordinate, where they differ much from others or one."""
    if not scales:
        return None, None
    narrowest = min(scales, key=lambda scale: scale.scale)
    widest = max(scales, key=lambda scale: scale.scale)
    is_alike = widest.scale <= SPREAD * narrowest.scale
    is_unit = SCALES[0] <= narrowest.scale and widest.scale <= SCALES[1]
    return (None, None) if is_alike and is_unit else (narrowest, widest)


def _unsuited(
    name: str, target: Target, check: DensityCheck, of_values: DensityCheck
) -> str | None:
    """Return why a sampler can't run: what it needs, gradients too or values alone, is refused."""
    sampler = samplers.load(name)
    if not (check if sampler.uses_gradient else of_values).is_passed:
        return "it would be refused, as above"
    return sampler.unsuited(target, sampler.options().fitted(target.ndim))


def _offers(target: Target, x: FloatArray, logdensity_s: float) -> tuple[Offer, ...]:
    """Return which libraries could make a gradient at x, shape (ndim,), and at what price."""
    function = target.function
    if function is None or function.kind != "numpy" or function.gradient is not None:
        return ()
    return tuple(_offer(function, library, x, logdensity_s) for library in get_args(Library))


def _offer(function: LogDensity, library: Library, x: FloatArray, logdensity_s: float) -> Offer:
    from gradbench.target import from_function

    try:
        given = replace(function, gradient=library)
        target = Target(from_function.of_function(given), function=given)
        gradient_s = timing.seconds(lambda: target.logdensity_and_gradient(x))
    except ModelError as error:
        return Offer(library, reason=str(error).removeprefix(f"LogDensity: gradient={library!r} "))
    return Offer(library, gradient_s / logdensity_s)


def _parameters(target: Target) -> tuple[Parameter, ...]:
    transforms = {rv.name: transform for rv, transform in target.model.rvs_to_transforms.items()}
    computed = "by Stan" if UNCONSTRAINED in transforms else None
    return tuple(
        Parameter(
            quantity.name,
            quantity.shape,
            _word(transforms[quantity.name]) if quantity.name in transforms else computed,
            target.parameters.uncounted.get(quantity.name, ""),
        )
        for quantity in target.quantities
    )


def _word(transform: Any) -> str:
    """Return PyMC's name of a transform: log, interval, simplex."""
    return "" if transform is None else str(getattr(transform, "name", type(transform).__name__))
