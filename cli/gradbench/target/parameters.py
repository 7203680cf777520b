"""The scalars of a model that are diagnosed: their names, which count, what is known of them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray
from gradbench.errors import ModelError, did_you_mean
from gradbench.reference import Reference
from gradbench.target.density import UNIFORM_RADIUS, CompiledDensity
from gradbench.target.quantities import MAX_COMPUTED, Quantities, Quantity
from gradbench.target.starts import N_TRIED, Starts

EVALUATED_BYTES = 64 * 2**20  # of constrained draws computed in one call
FURTHER = 5.0  # times as far out
ROUNDING = 1e-9  # relative: what varies less there is constant but for rounding


@dataclass(frozen=True, slots=True)
class ReferenceMoments:
    """A reference's moments in the order of ``Target.names``; NaN where nothing is known.

    Attributes are those of ``gradbench.reference.Moments``, shape (n_parameters,) each.
    """

    mean: FloatArray
    sd: FloatArray
    square_sd: FloatArray
    mean_se: FloatArray
    variance_se: FloatArray

    def only(self, those: npt.NDArray[np.bool_]) -> "ReferenceMoments":
        """Return the moments of some of the parameters, those shape (n_parameters,)."""
        return ReferenceMoments(*(getattr(self, name)[those] for name in self.__slots__))


class Parameters:
    """The scalars that are diagnosed, and what each of them is there for.

    Deterministics are among them; what never varies (the diagonal of a correlation matrix) is not,
    and those with many values only where they are asked for.

    Args:
        density: the model's.
        quantities: of the same model.
        starts: of the same model: what varies is told from where runs may start.
        reference: what is known of the posterior, or None.
        counted: which quantities count, as ``Target`` takes them.
    """

    def __init__(
        self,
        density: CompiledDensity,
        quantities: Quantities,
        starts: Starts,
        *,
        reference: Reference | None = None,
        counted: Sequence[str] = (),
    ) -> None:
        self._density = density
        self._model = density.model
        self._quantities = quantities
        self._starts = starts
        self._reference = reference
        self._counted = tuple(counted)

    def require(self) -> None:
        """Raise what a run would, where that can be told without compiling a density.

        Raises:
            ModelError: ``counted`` names what the model hasn't, or leaves nothing.
        """
        if self._counted:
            _ = self._chosen

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names, as ArviZ writes them (``x[0, 1]``)."""
        every = [scalar for quantity in self._diagnosed for scalar in quantity.scalars]
        return tuple(np.array(every)[self._kept].tolist())

    @property
    def diagnosed(self) -> list[str]:
        """The names of the quantities that ``names`` are of."""
        return [quantity.name for quantity in self._diagnosed]

    @cached_property
    def is_free(self) -> npt.NDArray[np.bool_]:
        """Which of ``names`` are not computed from others."""
        return self._of_scalars(lambda q: np.full(q.size, q.is_free))

    @cached_property
    def is_candidate(self) -> npt.NDArray[np.bool_]:
        """Which of ``names`` count unless their draws say otherwise."""
        return self._of_scalars(lambda q: self._chosen[q.name]) & (
            self._is_asked_for | ~self._whole
        )

    @cached_property
    def may_tie(self) -> npt.NDArray[np.bool_]:
        """Which of ``names`` count however many of their draws are the same."""
        return self.is_free | self._is_asked_for

    @cached_property
    def uncounted(self) -> dict[str, str]:
        """Why a quantity doesn't count, by name, for those of which no scalar does.

        What ``counted`` leaves out is not among them.
        """
        owner = self._of_scalars(lambda q: np.full(q.size, q.name))
        counting = set(owner[self.is_candidate].tolist())
        varying = set(owner.tolist())
        why = {}
        for quantity in self._quantities:
            name = quantity.name
            if quantity.is_large and name not in self.diagnosed:
                if not self._is_asked_for:
                    why[name] = f"{quantity.size:,} values, more than {MAX_COMPUTED}"
            elif name in self._imputed:
                why[name] = f"repeats {name}_unobserved"
            elif name not in varying:
                why[name] = "the same wherever tried"
            elif name not in counting and self._chosen[name].any():
                why[name] = "whole numbers"
        return why

    def constrain(self, values: FloatArray) -> FloatArray:
        """Return the scalar parameters as in ``names``: (..., ndim) to (..., n_parameters)."""
        *outer, ndim = values.shape
        points = values.reshape(-1, ndim)
        found = np.empty((len(points), len(self.names)))
        width = sum(quantity.size for quantity in self._diagnosed)
        n_together = max(1, EVALUATED_BYTES // (8 * max(1, width)))
        for first in range(0, len(points), n_together):
            some = slice(first, first + n_together)
            found[some] = self._flattened(points[some])[:, self._kept]
        return found.reshape((*outer, -1))

    def _flattened(self, points: FloatArray) -> FloatArray:
        """Return all scalars of the diagnosed quantities at points (n, ndim), a row for each."""
        named = self._quantities.named(points, self.diagnosed)
        return np.concatenate([array.reshape(len(points), -1) for array in named.values()], axis=1)

    @property
    def _is_asked_for(self) -> bool:
        return any(not pattern.startswith("~") for pattern in self._counted)

    @cached_property
    def _chosen(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which scalars ``counted`` chooses, by quantity, shape (size,).

        Raises:
            ModelError: it has a name that nothing has, or leaves nothing.
        """
        chosen = {
            q.name: np.full(q.size, not (self._is_asked_for or q.is_large))
            for q in self._quantities
        }
        # What is left out is left out last, wherever it is written.
        for pattern in sorted(self._counted, key=lambda pattern: pattern.startswith("~")):
            plain = pattern.removeprefix("~")
            form = re.escape(plain).replace(r"\*", ".*").replace(r"\?", ".")
            matches = {q.name: _matches(re.compile(form), q) for q in self._quantities}
            if not any(match.any() for match in matches.values()):
                hint = did_you_mean(plain, list(self._quantities.shapes))
                raise ModelError(
                    f"parameters: the model has no {plain!r}{hint}"
                    f" (there are: {', '.join(self._quantities.shapes)})"
                )
            for name, match in matches.items():
                chosen[name][match] = not pattern.startswith("~")
        if not any(mask.any() for mask in chosen.values()):
            raise ModelError(f"parameters: {', '.join(self._counted)} leaves nothing that counts")
        return chosen

    @cached_property
    def _diagnosed(self) -> list[Quantity]:
        return [q for q in self._quantities if not q.is_large or self._chosen[q.name].any()]

    @cached_property
    def _kept(self) -> npt.NDArray[np.bool_]:
        """Which scalars of the diagnosed quantities are in ``names``.

        What is constant where runs start may vary where they go, as what is cut off at 0 does.
        """
        starts, further = self._tried[:N_TRIED], self._tried[N_TRIED:]
        varies = np.ptp(starts, axis=0) != 0
        if len(further):
            scale = np.abs(self._tried).max(axis=0)
            with np.errstate(invalid="ignore"):
                varies |= np.ptp(self._tried, axis=0) > ROUNDING * scale
        masks = [
            self._chosen[q.name] if q.is_large else np.full(q.size, q.name not in self._imputed)
            for q in self._diagnosed
        ]
        if self._is_asked_for:
            varies |= np.concatenate([self._chosen[q.name] for q in self._diagnosed])
        kept: npt.NDArray[np.bool_] = np.concatenate(masks) & varies
        return kept

    @cached_property
    def _whole(self) -> npt.NDArray[np.bool_]:
        """Which of ``names`` are computed, and whole numbers: by type, or wherever tried."""
        tried = self._tried[:, self._kept]
        by_type = self._of_scalars(lambda q: np.full(q.size, q.is_whole))
        whole: npt.NDArray[np.bool_] = by_type | (tried == np.floor(tried)).all(axis=0)
        return whole & ~self.is_free

    @cached_property
    def _tried(self) -> FloatArray:
        """All scalars of the diagnosed quantities where runs may start and further out."""
        starts = self._starts.initial(np.random.default_rng(0), N_TRIED)
        radius = FURTHER * UNIFORM_RADIUS
        further = np.random.default_rng(1).uniform(-radius, radius, starts.shape)
        inside = further[np.isfinite(self._density.logdensity_batch(further))]
        return self._flattened(np.concatenate([starts, inside]))

    def _of_scalars(self, of: Callable[[Quantity], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return an array over ``names`` from one over each quantity's scalars."""
        return np.concatenate([of(quantity) for quantity in self._diagnosed])[self._kept]

    @cached_property
    def reference(self) -> ReferenceMoments | None:
        """The reference's moments in the order of ``names``, or None.

        Raises:
            ModelError: it names a parameter the model lacks, or gives a wrong shape.
        """
        if self._reference is None:
            return None
        unknown = set(self._reference.moments) - set(self._quantities.shapes)
        if unknown:
            raise ModelError(
                f"reference() names {', '.join(sorted(unknown))};"
                f" the model's parameters are {', '.join(self._quantities.shapes)}"
            )
        return ReferenceMoments(
            **{
                field: self._moment(field)
                for field in ("mean", "sd", "square_sd", "mean_se", "variance_se")
            }
        )

    @property
    def reference_source(self) -> str | None:
        """Where the reference moments come from, or None where there are none."""
        return None if self._reference is None else self._reference.source

    def _moment(self, field: str) -> FloatArray:
        assert self._reference is not None
        parts = []
        for quantity in self._diagnosed:
            name, shape = quantity.name, quantity.shape
            moments = self._reference.moments.get(name)
            value = None if moments is None else getattr(moments, field)
            try:
                array = np.broadcast_to(
                    np.nan if value is None else np.asarray(value, float), shape
                )
            except ValueError as error:
                raise ModelError(
                    f"reference(): {field} of {name} doesn't have the shape {shape}"
                ) from error
            parts.append(array.ravel())
        return np.concatenate(parts)[self._kept]

    @cached_property
    def _imputed(self) -> set[str]:
        """The names under which PyMC gives data with gaps as a whole: they repeat ``_unobserved``.

        The gaps are parameters of their own, and the data beside them never vary.
        """
        free = {rv.name for rv in self._model.free_RVs}
        whole = {str(rv.name).removesuffix("_observed") for rv in self._model.observed_RVs}
        return {name for name in whole if f"{name}_unobserved" in free}


def _matches(pattern: re.Pattern[str], quantity: Quantity) -> npt.NDArray[np.bool_]:
    """Return which of a quantity's scalars a pattern names, all where it names the quantity."""
    if pattern.fullmatch(quantity.name):
        return np.full(quantity.size, True)
    if "[" not in pattern.pattern or not quantity.shape:
        return np.full(quantity.size, False)
    return np.array([pattern.fullmatch(scalar) is not None for scalar in quantity.scalars])
