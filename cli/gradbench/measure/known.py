"""What a model says of draws made elsewhere: its parameters, and its log-density there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import models
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.models import Source
from gradbench.records import from_plain, to_plain
from gradbench.stats.diagnostics import Roles
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.target import Target


@dataclass(frozen=True, slots=True)
class Known:
    """What a model says of its parameters.

    Attributes:
        names: of the scalars that are diagnosed, as ``Target`` has them.
        roles: of these.
        uncounted: as ``Parameters`` has it.
        reference: of the same scalars, or None.
        reference_source: where it comes from, or None.
        shapes: of every parameter and deterministic, by name.
        free: the names of the parameters that are not computed from others.
        variables: the names of the value variables, those of the unconstrained space.
    """

    names: tuple[str, ...]
    roles: Roles
    uncounted: Mapping[str, str]
    reference: ReferenceMoments | None
    reference_source: str | None
    shapes: Mapping[str, tuple[int, ...]]
    free: tuple[str, ...]
    variables: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not finite becomes None."""
        return dict(to_plain(self))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Known":
        """Return what ``to_json`` gave."""
        return from_plain(cls, plain)


@dataclass(frozen=True, slots=True)
class LogDensities:
    """A model's log-densities at n draws, shape (n,) each; -inf where the draw has none.

    Attributes:
        unconstrained: of the unconstrained vector, Jacobian included.
        constrained: of the parameters themselves, without it.
        moved: as ``unconstrained``, of draws that were moved by half a unit of their last digit.
    """

    unconstrained: FloatArray
    constrained: FloatArray
    moved: FloatArray

    def to_json(self) -> dict[str, list[float]]:
        """Return plain lists, infinities among them."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: Mapping[str, list[float]]) -> "LogDensities":
        """Return what ``to_json`` gave."""
        return cls(**{name: np.array(values, dtype=float) for name, values in plain.items()})


def load(source: Source, params: Mapping[str, Any], counted: Sequence[str]) -> Target:
    """Return a model's target.

    Raises:
        ModelError: it can't be loaded, or ``counted`` names what it hasn't.
    """
    target = Target(*models.load(source, params), counted=counted)
    target.parameters.require()
    return target


def of(target: Target) -> Known:
    """Return what a target says of its parameters."""
    parameters, quantities = target.parameters, target.quantities
    return Known(
        names=target.names,
        roles=Roles(parameters.is_free, parameters.is_candidate, parameters.may_tie),
        uncounted=parameters.uncounted,
        reference=target.reference,
        reference_source=parameters.reference_source,
        shapes=quantities.shapes,
        free=quantities.free,
        variables=target.variables,
    )


def log_densities(target: Target, path: Path, digits: int) -> LogDensities:
    """Return the log-densities at the draws of an ``.npz`` file, (n, *shape) by free parameter.

    Args:
        target: of the model.
        path: of the file.
        digits: significant ones that the draws were written with.

    Raises:
        ModelError: the draws are none of the model's.
    """
    with np.load(path, allow_pickle=False) as held:
        named = {name: np.asarray(held[name], dtype=np.float64) for name in held.files}
    with np.errstate(all="ignore"):
        try:
            points, moved = (
                target.quantities.unconstrain(n) for n in (named, _moved(named, digits))
            )
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the draws are none of the model's: {error}") from error
        plain = target.density.scalar(target.model.logp(jacobian=False))
        return LogDensities(
            unconstrained=_inside(target.logdensity_batch, points),
            constrained=np.array([plain(x) if np.isfinite(x).all() else -np.inf for x in points]),
            moved=_inside(target.logdensity_batch, moved),
        )


def _moved(named: Mapping[str, FloatArray], digits: int) -> dict[str, FloatArray]:
    """Return draws as they may have been before they were rounded to so many digits."""
    rng = np.random.default_rng(0)
    found = {}
    for name, values in named.items():
        with np.errstate(divide="ignore"):
            leading = np.floor(np.log10(np.abs(values)))
        unit = np.where(values == 0, 0.0, 10.0 ** (leading - digits + 1))
        found[name] = values + unit * rng.uniform(-0.5, 0.5, values.shape)
    return found


def _inside(logdensity: Any, points: FloatArray) -> FloatArray:
    """Return log-densities at points (n, ndim), -inf at those that are not finite."""
    inside = np.isfinite(points).all(axis=1)
    values = np.full(len(points), -np.inf)
    if inside.any():
        values[inside] = logdensity(points[inside])
    return values
