"""The parameters and deterministics of a model: names, shapes, and the way to them and back."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np

from gradbench import stan
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.stan import UNCONSTRAINED, StanProgram
from gradbench.target import batch
from gradbench.target.batch import Batch
from gradbench.target.density import CompiledDensity

DIMENSIONS = frozenset({"chain", "draw"})
MAX_COMPUTED = 200  # values of one deterministic; with more it is left out unless asked for


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parameter or deterministic of a model.

    Attributes:
        name: as in the model.
        shape: on the constrained space.
        is_free: a parameter of the model's own, not computed from others.
        is_whole: its type is that of whole numbers or truth values.
    """

    name: str
    shape: tuple[int, ...]
    is_free: bool
    is_whole: bool

    @property
    def size(self) -> int:
        """Its scalars."""
        return prod(self.shape)

    @property
    def is_large(self) -> bool:
        """Whether it is left out unless it is asked for."""
        return not self.is_free and self.size > MAX_COMPUTED

    @property
    def scalars(self) -> list[str]:
        """The names of its scalars."""
        return scalars(self.name, self.shape)


class Quantities:
    """Every parameter and deterministic of a model, on the constrained space.

    Args:
        density: the model's.
        stan_program: the program that the model was made from, or None.

    Raises:
        ModelError: one of them has a name that is taken.
    """

    def __init__(self, density: CompiledDensity, stan_program: StanProgram | None = None) -> None:
        from pymc.util import get_default_varnames

        self._density = density
        self._model = density.model
        self._stan_program = stan_program
        self._constrained: dict[tuple[str, ...], Batch] = {}
        # As PyMC does: what ends in __ is not shown.
        self._shown = get_default_varnames(self._model.unobserved_RVs, include_transformed=False)
        if taken := DIMENSIONS & {rv.name for rv in self._shown}:
            raise ModelError(
                f"a variable can't be called {' or '.join(sorted(taken))}: in what is saved,"
                " ArviZ's dimensions are; rename it"
            )

    def __iter__(self) -> Iterator[Quantity]:
        """Return an iterator over them, in the model's order."""
        return iter(self._every)

    @cached_property
    def _every(self) -> tuple[Quantity, ...]:
        from pymc.pytensorf import compile as pymc_compile

        flat, values = self._density.joined(self._model.replace_rvs_by_values(self._shown))
        # Compiled to Python, at once: what has many elements may take long to compile otherwise.
        of_shapes = pymc_compile(
            [flat], [v.shape for v in values], mode="FAST_COMPILE", on_unused_input="ignore"
        )
        return tuple(
            Quantity(
                rv.name,
                tuple(int(length) for length in shape),
                is_free=rv.name in self.free,
                is_whole=rv.dtype == "bool" or "int" in rv.dtype,
            )
            for rv, shape in zip(self._shown, of_shapes(self._density.own_point), strict=True)
        )

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The names of those that are not computed from others: a Stan program's own."""
        names = tuple(rv.name for rv in self._model.free_RVs)
        if UNCONSTRAINED in names and self._stan_program is not None:
            return tuple(stan.load(self._stan_program).names())
        return names

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter and deterministic, by name, as ``named`` gives them."""
        return {quantity.name: quantity.shape for quantity in self}

    @property
    def coordinates(self) -> list[str]:
        """Names of the unconstrained vector's coordinates: a parameter's, where it is of one."""
        owners = {self._model.rvs_to_values[rv].name: rv.name for rv in self._model.free_RVs}
        return [
            scalar
            for name, value in self._density.point(self._density.own_point).items()
            for scalar in scalars(owners[name], value.shape)
        ]

    @property
    def dims(self) -> Mapping[str, Sequence[str | None]]:
        """The names of the axes of the model's variables, by variable, where they have any."""
        return {name: tuple(dims) for name, dims in self._model.named_vars_to_dims.items()}

    @property
    def coords(self) -> Mapping[str, Sequence[Any]]:
        """The labels along the axes that have labels, by name of the axis."""
        return {name: labels for name, labels in self._model.coords.items() if labels is not None}

    def named(
        self, values: FloatArray, names: Iterable[str] | None = None
    ) -> dict[str, FloatArray]:
        """Return parameters and deterministics by name: (..., ndim) to (..., *shape).

        Args:
            values: points on the unconstrained space.
            names: of those to compute; None for all.
        """
        *outer, ndim = values.shape
        points = np.ascontiguousarray(values.reshape(-1, ndim))
        wanted = None if names is None else set(names)
        chosen = [rv for rv in self._shown if wanted is None or rv.name in wanted]
        arrays = self._constrain(tuple(rv.name for rv in chosen))(points)
        named = {}
        for rv, array in zip(chosen, arrays, strict=True):
            # A deterministic that depends on no parameter comes once, not once a point.
            shape = array.shape[array.ndim - rv.ndim :]
            rows = np.broadcast_to(np.asarray(array, dtype=np.float64), (len(points), *shape))
            named[rv.name] = rows.reshape((*outer, *shape))
        return named

    def unconstrain(self, named: Mapping[str, FloatArray]) -> FloatArray:
        """Return points (n, ndim) from constrained values by name, (n, *shape) each.

        Raises:
            ModelError: a free parameter is missing.
        """
        missing = [rv.name for rv in self._model.free_RVs if rv.name not in named]
        if missing == [UNCONSTRAINED]:
            return self._unconstrained_by_stan(named)
        if missing:
            raise ModelError(f"the reference's draws lack {', '.join(missing)}")
        columns = [np.asarray(named[rv.name]) for rv in self._model.free_RVs]
        rows = zip(*columns, strict=True)
        return np.array(
            [np.concatenate([np.ravel(v) for v in self._unconstrain(*r)]) for r in rows]
        )

    def _unconstrained_by_stan(self, named: Mapping[str, FloatArray]) -> FloatArray:
        assert self._stan_program is not None
        program = stan.load(self._stan_program)
        rows = zip(*(named[name] for name in program.names()), strict=True)
        inits = (stan.to_json(dict(zip(program.names(), row, strict=True))) for row in rows)
        return np.array([program.unconstrain(init) for init in inits])

    def _constrain(self, names: tuple[str, ...]) -> Batch:
        """Return the function that computes these quantities, compiled at its first use."""
        if names not in self._constrained:
            chosen = [rv for rv in self._shown if rv.name in names]
            flat, values = self._density.joined(self._model.replace_rvs_by_values(chosen))
            graphs = [batch.unchecked(flat, value, np.nan) for value in values]
            self._constrained[names] = self._density.batched(flat, graphs)
        return self._constrained[names]

    @cached_property
    def _unconstrain(self) -> Callable[..., Any]:
        import pytensor

        return cast(
            "Callable[..., Any]",
            pytensor.function(
                self._model.free_RVs,
                self._density.transformed,
                mode=self._density.mode,
                on_unused_input="ignore",
            ),
        )


def scalars(name: str, shape: Sequence[int]) -> list[str]:
    """Return the names of an array's scalars, as ArviZ writes them: ``x[0, 1]``."""
    return [
        name + (f"[{', '.join(map(str, index))}]" if index else "") for index in np.ndindex(*shape)
    ]
