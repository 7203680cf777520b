"""The target: one log-density on the unconstrained space, compiled from one ``pm.Model``.

Every sampler of a model gets this target, so that they sample the same density: PyMC's NUTS
samples the model it was compiled from, the others call what was compiled.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from gradbench import compat, stan
from gradbench.draws import FloatArray, IntArray
from gradbench.errors import ModelError, did_you_mean
from gradbench.logdensity import LogDensity
from gradbench.reference import Reference
from gradbench.stan import UNCONSTRAINED, StanProgram
from gradbench.target import batch
from gradbench.target.batch import Batch
from gradbench.target.search import MAX_TRIES, Search, search, search_around

if TYPE_CHECKING:
    import pymc as pm

Init = Literal["uniform", "reference", "model", "map", "own", "prior"]

UNIFORM_RADIUS = 2.0  # Stan Reference Manual, "Initialization": uniform(-2, 2) unconstrained
MODEL_JITTER = 1.0  # pm.sample's jitter+adapt_diag: uniform(-1, 1) around the initial point
MAP_JITTER = 0.1  # a ball around the mode, as emcee's users start
DIMENSIONS = frozenset({"chain", "draw"})
N_TRIAL = 3  # points at which the batched form is tried: a start, and two that are anywhere
N_TRIED = 8  # starting points that tell what varies, what is a whole number, where runs can start
MAX_TERMS = 4  # named in a message
MAX_COMPUTED = 200  # values of one deterministic; with more it is left out unless asked for
EVALUATED_BYTES = 64 * 2**20  # of constrained draws computed in one call
FURTHER = 5.0  # times as far out
ROUNDING = 1e-9  # relative: what varies less there is constant but for rounding
OTHER_WAYS: tuple[Init, ...] = ("own", "model", "prior", "reference")  # where uniform finds none


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


@dataclass(frozen=True, slots=True)
class ReferenceMoments:
    """A reference's moments in the order of ``Target.parameters``; NaN where nothing is known.

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


class Target:
    """A model's log-density on the unconstrained space, Jacobian included, one flat vector in.

    What is needed is compiled at its first use, and called once then, so that a just-in-time
    compiler's work never falls into a timed region.

    Args:
        model: the PyMC model; its value variables, in PyMC's order, are the flat vector.
        reference: what is known of its posterior, or None.
        stan_program: the same density for Stan's own samplers, or None.
        initial: makes starting points of the model's own, as ``models.Loaded`` has it, or None.
        function: the plain function that the model was made from, or None.
        mode: the PyTensor mode, None for PyMC's default.
        init: the kind of its run's starting points, or None where there is no run.
        counted: which quantities count: names, of scalars too, with ``*`` and ``?``; ``~name`` is
            left out. Empty, or with nothing but names to leave out: free parameters, and what is
            computed from them but for whole numbers and what has many values.

    Raises:
        ModelError: the model has no free parameters, or a discrete one, or a name that is taken.
    """

    def __init__(
        self,
        model: "pm.Model",
        reference: Reference | None = None,
        stan_program: StanProgram | None = None,
        initial: Callable[..., Any] | None = None,
        function: LogDensity | None = None,
        *,
        mode: Any = None,
        init: Init | None = None,
        counted: Sequence[str] = (),
    ) -> None:
        from pymc.util import get_default_varnames

        self.model = model
        self.stan_program = stan_program
        self.function = function
        self.mode = mode
        self.init = init
        self.counted = tuple(counted)
        self._own_initial = initial
        self._reference = reference
        self._constrained: dict[tuple[str, ...], Batch] = {}
        if not model.free_RVs:
            raise ModelError("the model has no free parameters: there is nothing to sample")
        moved = set(model.discrete_value_vars)
        if discrete := [rv for rv in model.free_RVs if model.rvs_to_values[rv] in moved]:
            names = [rv.name for rv in discrete]
            raise ModelError(
                f"the model has discrete parameters ({', '.join(map(_described, discrete))}), along"
                " which there is no gradient: sum them out of the density with pm.Mixture, or with"
                f" pymc_extras.marginalize(model, {names}); what PyMC does with them, one step"
                " method for these and NUTS for the others, draws from no density of a vector that"
                " other samplers could be compared on"
            )
        # As PyMC does: what ends in __ is not shown.
        self._shown = get_default_varnames(model.unobserved_RVs, include_transformed=False)
        if taken := DIMENSIONS & {rv.name for rv in self._shown}:
            raise ModelError(
                f"a variable can't be called {' or '.join(sorted(taken))}: in what is saved,"
                " ArviZ's dimensions are; rename it"
            )
        self._point: dict[str, FloatArray] = model.initial_point()
        self.variables: tuple[str, ...] = tuple(v.name for v in model.continuous_value_vars)
        self.ndim = sum(int(self._point[name].size) for name in self.variables)

    # -- densities ---------------------------------------------------------------------------

    def logdensity(self, x: FloatArray) -> float:
        """Return the log-density at x, shape (ndim,); -inf outside the support.

        Outside it is also where a check fails, a factorization doesn't exist, or the value is NaN.
        """
        return self._logdensity(x)

    def logdensity_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-density at x, shape (ndim,), and its gradient, by reverse mode.

        Outside the support the gradient is finite or NaN, and says nothing.
        """
        found = batch.tried(self._logdensity_and_gradient, x)
        if found is None:
            return -np.inf, np.full(self.ndim, np.nan)
        value, gradient = found
        return -np.inf if np.isnan(value) else float(value), gradient

    def logdensity_batch(self, points: FloatArray) -> FloatArray:
        """Return the log-density at many points, (n, ndim) to (n,): ``logdensity`` of each."""
        values = self._logdensity_batch(points)[0]
        return np.where(np.isnan(values), -np.inf, values)

    @property
    def batch_form(self) -> batch.Form:
        """How ``logdensity_batch`` goes through the points."""
        return self._logdensity_batch.form

    @cached_property
    def _density(self) -> tuple[Any, Any]:
        """The flat vector's symbol, and the log-density as a graph of it."""
        flat, [logp] = self.joined([self.model.logp()])
        return flat, batch.unchecked(flat, logp, -np.inf)

    def scalar(self, graph: Any) -> Callable[[FloatArray], float]:
        """Return a log-density of value variables as a function of x, shape (ndim,), compiled.

        It is -inf where ``logdensity`` is.
        """
        flat, [logp] = self.joined([graph])
        function = self._called(flat, [batch.unchecked(flat, logp, -np.inf)])

        def value(x: FloatArray) -> float:
            found = batch.tried(function, x)
            return -np.inf if found is None or np.isnan(found[0]) else float(found[0])

        return value

    @cached_property
    def _logdensity(self) -> Callable[[FloatArray], float]:
        return self.scalar(self.model.logp())

    @cached_property
    def _logdensity_and_gradient(self) -> Callable[[FloatArray], Any]:
        import pytensor

        flat, logp = self._density
        return self._called(flat, [logp, pytensor.grad(logp, flat)])

    @cached_property
    def _logdensity_batch(self) -> Batch:
        flat, logp = self._density
        return self._batched(flat, [logp])

    @cached_property
    def jax_logdensity(self) -> Callable[[Any], Any]:
        """The log-density as a function that JAX traces: x, shape (ndim,), to a scalar.

        Unlike in PyMC's own conversion, a failed check is -inf, as where PyMC compiles, and shared
        variables become constants only after the graph was simplified: work that was planted as
        zero times something would vanish. What JAX itself makes NaN outside the support, as a
        matrix without a factorization, stays NaN, which JAX's samplers reject.
        """
        from pytensor.compile.mode import get_mode
        from pytensor.graph.fg import FunctionGraph

        flat, logp = self._density
        shared, plain, outputs = batch.without_shared([logp])
        graph = FunctionGraph([flat, *plain], outputs, clone=True)
        mode = get_mode("JAX").including("local_check_parameter_to_ninf_switch")
        mode.optimizer.rewrite(graph)
        function = compat.jax_funcify()(graph)
        values = [variable.get_value() for variable in shared]
        return lambda x: function(x, *values)[0]

    def ascended(
        self, x: FloatArray, *, units: FloatArray | float = 1.0, **options: int
    ) -> FloatArray:
        """Return where L-BFGS leads from x, shape (ndim,), to the mode.

        Args:
            x: where it begins.
            units: of the coordinates, shape (ndim,): its first step is about one of them.
            options: SciPy's.
        """
        from scipy.optimize import minimize

        def value_at(z: FloatArray) -> float:
            return -self.logdensity(units * z)

        def both_at(z: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.logdensity_and_gradient(units * z)
            return -value, -gradient * units

        has_gradient = self.why_no_gradient is None
        function: Callable[[FloatArray], Any] = both_at if has_gradient else value_at
        with np.errstate(invalid="ignore"):  # the way there may lead outside the support
            found = minimize(
                function, x / units, jac=has_gradient, method="L-BFGS-B", options=options
            )
        return np.asarray(found.x * units)

    def why_not_on(self, backend: str) -> str | None:
        """Return why a backend can't compile the density, and what to do, or None if it can.

        Only ``jax`` may not: it has no way to call Python, which all others have.
        """
        return self._why_not_on_jax if backend == "jax" else None

    @cached_property
    def why_no_gradient(self) -> str | None:
        """Why the density has no gradient by reverse mode, and what to do, or None if it has."""
        import pytensor

        flat, logp = self._density
        try:
            pytensor.grad(logp, flat)
        except (NotImplementedError, TypeError, ValueError) as error:
            reason = _reason(error, _without_gradient(flat, logp))
            return f"it has no gradient ({reason}); use a sampler that needs none"
        return None

    @cached_property
    def _why_not_on_jax(self) -> str | None:
        import jax

        jax.config.update("jax_enable_x64", True)
        try:
            jax.eval_shape(jax.grad(self.jax_logdensity), self._flat_point)
        except Exception as error:
            reason = _reason(error, _without_jax(self._density[1]))
            return f"JAX can't compile it ({reason}); use a sampler without JAX"
        return None

    def point(self, x: FloatArray) -> dict[str, FloatArray]:
        """Return x, shape (ndim,), as PyMC's point: arrays by name of the value variable."""
        sizes = [self._point[name].size for name in self.variables]
        parts = np.split(x, np.cumsum(sizes)[:-1])
        return {
            name: part.reshape(self._point[name].shape)
            for name, part in zip(self.variables, parts, strict=True)
        }

    def positions(self, names: Iterable[str]) -> IntArray:
        """Return where the coordinates of these value variables, in this order, stand in x."""
        starts = np.cumsum([0, *(self._point[name].size for name in self.variables)])
        at = {name: np.arange(starts[i], starts[i + 1]) for i, name in enumerate(self.variables)}
        return np.concatenate([at[name] for name in names])

    # -- parameters --------------------------------------------------------------------------

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

    def constrain(self, values: FloatArray) -> FloatArray:
        """Return the scalar parameters as in ``parameters``: (..., ndim) to (..., n_parameters)."""
        *outer, ndim = values.shape
        points = values.reshape(-1, ndim)
        found = np.empty((len(points), len(self.parameters)))
        width = sum(quantity.size for quantity in self._diagnosed)
        n_together = max(1, EVALUATED_BYTES // (8 * max(1, width)))
        for first in range(0, len(points), n_together):
            some = slice(first, first + n_together)
            found[some] = self._flattened(points[some])[:, self._kept]
        return found.reshape((*outer, -1))

    def _flattened(self, points: FloatArray) -> FloatArray:
        """Return all scalars of the diagnosed quantities at points (n, ndim), a row for each."""
        named = self.named(points, self.diagnosed)
        return np.concatenate([array.reshape(len(points), -1) for array in named.values()], axis=1)

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """Every parameter and deterministic, in the model's order."""
        from pymc.pytensorf import compile as pymc_compile

        flat, values = self.joined(self.model.replace_rvs_by_values(self._shown))
        # Compiled to Python, at once: what has many elements may take long to compile otherwise.
        of_shapes = pymc_compile(
            [flat], [v.shape for v in values], mode="FAST_COMPILE", on_unused_input="ignore"
        )
        free = self._free
        return tuple(
            Quantity(
                rv.name,
                tuple(int(length) for length in shape),
                is_free=rv.name in free,
                is_whole=rv.dtype == "bool" or "int" in rv.dtype,
            )
            for rv, shape in zip(self._shown, of_shapes(self._flat_point), strict=True)
        )

    @cached_property
    def _free(self) -> set[str]:
        names = {rv.name for rv in self.model.free_RVs}
        if UNCONSTRAINED in names and self.stan_program is not None:
            return {*stan.load(self.stan_program).names()}
        return names

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter and deterministic, by name, as ``named`` gives them."""
        return {quantity.name: quantity.shape for quantity in self.quantities}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the scalars that are diagnosed, as ArviZ writes them (``x[0, 1]``).

        Deterministics are among them; what never varies (the diagonal of a correlation matrix)
        is not, and those with many values only where ``counted`` asks for them.
        """
        every = [scalar for quantity in self._diagnosed for scalar in quantity.scalars]
        return tuple(np.array(every)[self._kept].tolist())

    @property
    def diagnosed(self) -> list[str]:
        """The names of the quantities that ``parameters`` are of."""
        return [quantity.name for quantity in self._diagnosed]

    @cached_property
    def is_free(self) -> npt.NDArray[np.bool_]:
        """Which of ``parameters`` are not computed from others."""
        return self._of_scalars(lambda q: np.full(q.size, q.is_free))

    @cached_property
    def is_candidate(self) -> npt.NDArray[np.bool_]:
        """Which of ``parameters`` count unless their draws say otherwise."""
        return self._of_scalars(lambda q: self._chosen[q.name]) & (
            self._is_asked_for | ~self._whole
        )

    @cached_property
    def may_tie(self) -> npt.NDArray[np.bool_]:
        """Which of ``parameters`` count however many of their draws are the same."""
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
        for quantity in self.quantities:
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

    @property
    def coordinates(self) -> list[str]:
        """Names of the unconstrained vector's coordinates: a parameter's, where it is of one."""
        owners = {self.model.rvs_to_values[rv].name: rv.name for rv in self.model.free_RVs}
        return [
            scalar
            for name in self.variables
            for scalar in scalars(owners[name], self._point[name].shape)
        ]

    @property
    def _is_asked_for(self) -> bool:
        return any(not pattern.startswith("~") for pattern in self.counted)

    @cached_property
    def _chosen(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which scalars ``counted`` chooses, by quantity, shape (size,).

        Raises:
            ModelError: it has a name that nothing has, or leaves nothing.
        """
        chosen = {
            q.name: np.full(q.size, not (self._is_asked_for or q.is_large)) for q in self.quantities
        }
        # What is left out is left out last, wherever it is written.
        for pattern in sorted(self.counted, key=lambda pattern: pattern.startswith("~")):
            plain = pattern.removeprefix("~")
            form = re.escape(plain).replace(r"\*", ".*").replace(r"\?", ".")
            matches = {q.name: _matches(re.compile(form), q) for q in self.quantities}
            if not any(match.any() for match in matches.values()):
                hint = did_you_mean(plain, list(self.shapes))
                raise ModelError(
                    f"parameters: the model has no {plain!r}{hint}"
                    f" (there are: {', '.join(self.shapes)})"
                )
            for name, match in matches.items():
                chosen[name][match] = not pattern.startswith("~")
        if not any(mask.any() for mask in chosen.values()):
            raise ModelError(f"parameters: {', '.join(self.counted)} leaves nothing that counts")
        return chosen

    @cached_property
    def _diagnosed(self) -> list[Quantity]:
        return [q for q in self.quantities if not q.is_large or self._chosen[q.name].any()]

    @cached_property
    def _kept(self) -> npt.NDArray[np.bool_]:
        """Which scalars of the diagnosed quantities are ``parameters``.

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
        """Which of ``parameters`` are computed, and whole numbers: by type, or wherever tried."""
        tried = self._tried[:, self._kept]
        by_type = self._of_scalars(lambda q: np.full(q.size, q.is_whole))
        whole: npt.NDArray[np.bool_] = by_type | (tried == np.floor(tried)).all(axis=0)
        return whole & ~self.is_free

    @cached_property
    def _tried(self) -> FloatArray:
        """All scalars of the diagnosed quantities where runs may start and further out."""
        starts = self.initial(np.random.default_rng(0), N_TRIED)
        radius = FURTHER * UNIFORM_RADIUS
        further = np.random.default_rng(1).uniform(-radius, radius, starts.shape)
        inside = further[np.isfinite(self.logdensity_batch(further))]
        return self._flattened(np.concatenate([starts, inside]))

    def _of_scalars(self, of: Callable[[Quantity], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return an array over ``parameters`` from one over each quantity's scalars."""
        return np.concatenate([of(quantity) for quantity in self._diagnosed])[self._kept]

    @cached_property
    def reference(self) -> ReferenceMoments | None:
        """The reference's moments in the order of ``parameters``, or None.

        Raises:
            ModelError: it names a parameter the model lacks, or gives a wrong shape.
        """
        if self._reference is None:
            return None
        unknown = set(self._reference.moments) - set(self.shapes)
        if unknown:
            raise ModelError(
                f"reference() names {', '.join(sorted(unknown))};"
                f" the model's parameters are {', '.join(self.shapes)}"
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
        free = {rv.name for rv in self.model.free_RVs}
        whole = {str(rv.name).removesuffix("_observed") for rv in self.model.observed_RVs}
        return {name for name in whole if f"{name}_unobserved" in free}

    @property
    def dims(self) -> Mapping[str, Sequence[str | None]]:
        """The names of the axes of the model's variables, by variable, where they have any."""
        return {name: tuple(dims) for name, dims in self.model.named_vars_to_dims.items()}

    @property
    def coords(self) -> Mapping[str, Sequence[Any]]:
        """The labels along the axes that have labels, by name of the axis."""
        return {name: labels for name, labels in self.model.coords.items() if labels is not None}

    # -- starting points ---------------------------------------------------------------------

    def initial(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n points (n, ndim) for all that is no cell's run: checks, the untimed first steps.

        They are those of ``init: uniform`` wherever it finds any, whatever a run starts from, so
        that they are the same in every run; else those of the run's own ``init``, or of the first
        other way that finds some where that isn't known.

        Raises:
            ModelError: no point with a finite log-density was found.
        """
        for init in self.ways:
            if (found := self._search(init, rng, n)).is_successful:
                return found.points
        return self.starts(self.init or "uniform", rng, n)

    def starts(self, init: Init, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n starting points (n, ndim) of the named kind.

        Raises:
            ModelError: no finite point was found, or the model can't start in this way.
        """
        self.require(init)
        found = self._search(init, rng, n)
        if not found.is_successful:
            raise ModelError(self._no_start(init, found))
        return found.points

    def require(self, init: Init) -> None:
        """Raise what a run would, where that can be told without compiling a density.

        Raises:
            ModelError: the model can't draw from its reference or its prior, or gives no points;
                or ``counted`` names what the model hasn't.
        """
        if (lacking := self._lacks_way(init)) is not None:
            raise ModelError(f"init: {init} {lacking}")
        if self.counted:
            _ = self._chosen

    @cached_property
    def ways(self) -> tuple[Init, ...]:
        """The kinds of starting points that ``initial`` tries, in this order."""
        others = OTHER_WAYS if self.init in {None, "map"} else (self.init,)
        known = [init for init in others if self._lacks_way(init) is None and init != "uniform"]
        # Tried with a seed of its own: which points a check has must not depend on how many were
        # asked for before.
        return ("uniform", *known) if self._works("uniform") or not known else tuple(known)

    def meaning(self, init: Init) -> str:
        """Return what a kind of starting points is here: ``uniform`` may be in ``bounds``."""
        is_bounded = self.function is not None and self.function.bounds is not None
        return "bounds" if init == "uniform" and is_bounded else init

    @property
    def improper(self) -> list[str]:
        """The names of the variables whose prior is flat on an unbounded range.

        There are none where a plain function comes with its prior.
        """
        if self.function is not None and self.function.prior_transform is not None:
            return []
        return [rv.name for rv in self.model.free_RVs if "flat" in str(rv.owner.op.name)]

    def _lacks_way(self, init: Init) -> str | None:
        """Return why runs can't start in this way, or None, as far as nothing need be compiled."""
        if init == "reference" and (self._reference is None or self._reference.draw is None):
            return (
                "needs exact draws, and this model has none; give its reference() a draw function,"
                " or use init: uniform"
            )
        if init == "own" and self._own_initial is None:
            return (
                "needs the model's own starting points, and it gives none; give its file a function"
                " initial(rng, n), or use init: uniform"
            )
        if init == "prior" and (names := self.improper):
            shown = "the Stan program" if names == [UNCONSTRAINED] else ", ".join(names)
            return (
                f"needs a prior to draw from, and that of {shown} is improper or not told; give"
                " proper priors (a plain function: bounds or prior_transform), or use init:"
                " uniform"
            )
        return None

    def _search(self, init: Init, rng: np.random.Generator, n: int) -> Search:
        """Return what a search for n points of this kind, which the model has, found."""
        evaluate = self.logdensity_batch
        if init == "model":
            return search_around(self._flat_point, MODEL_JITTER, n, evaluate, rng=rng)
        if init == "map":
            return search_around(self._mode, MAP_JITTER, n, evaluate, rng=rng)
        if init == "reference":
            assert self._reference is not None
            assert self._reference.draw is not None
            points = self.unconstrain(self._reference.draw(rng, n))
            return Search(points, np.zeros(n, dtype=np.bool_), n, n)
        propose = {"own": self._own, "prior": self._from_prior}.get(init, self._uniform)
        return search(lambda k: propose(rng, k), n, evaluate)

    def _uniform(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return points uniform in the bounds of the model's function, else in (-2, 2)."""
        points = rng.uniform(-UNIFORM_RADIUS, UNIFORM_RADIUS, (n, self.ndim))
        if self.function is None or self.function.bounds is None:
            return points
        return self.of_function(self.function.inside(points, radius=UNIFORM_RADIUS))

    def of_function(self, x: FloatArray) -> FloatArray:
        """Return points of a plain function, (n, ndim), on the unconstrained space."""
        assert self.function is not None
        return self.unconstrain(self.function.named(x)) if self.function.transform else x

    def _own(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return the points that the model itself gives.

        Raises:
            ModelError: they are not n points, or not of this model.
        """
        assert self._own_initial is not None
        given = self._own_initial(rng, n)
        if isinstance(given, Mapping):
            return self._own_named(given, n)
        try:
            points = np.array(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"initial() must return points, an array ({n}, {self.ndim}), or a map of names to"
                f" values, not {type(given).__name__}"
            ) from error
        if points.shape != (n, self.ndim):
            raise ModelError(
                f"initial(rng, {n}) returned an array of shape {points.shape}; it must return"
                f" an array of shape ({n}, {self.ndim})"
            )
        self._refuse_nonfinite(points, "it must give finite values")
        return points

    def _own_named(self, given: Mapping[str, Any], n: int) -> FloatArray:
        names = [rv.name for rv in self.model.free_RVs]
        if names == [UNCONSTRAINED]:
            assert self.stan_program is not None
            names = stan.load(self.stan_program).names()
        known = {name: self.shapes[name] for name in names}
        if missing := [name for name in known if name not in given]:
            raise ModelError(f"initial() lacks {', '.join(missing)}, of {', '.join(known)}")
        if unknown := [name for name in given if name not in self.shapes]:
            raise ModelError(
                f"initial() names {', '.join(map(str, unknown))};"
                f" the model's parameters are {', '.join(known)}"
            )
        values = {}
        for name, shape in known.items():
            values[name] = np.array(given[name], dtype=np.float64)
            if values[name].shape != (n, *shape):
                raise ModelError(
                    f"initial(rng, {n}) returned {name} of shape {values[name].shape}; it must be"
                    f" {(n, *shape)}: {n} values"
                )
            if not np.isfinite(values[name]).all():
                raise ModelError(f"initial() gives NaN or infinity for {name}")
        points = self.unconstrain(values)
        self._refuse_nonfinite(points, "its value is outside its range")
        return points

    def _refuse_nonfinite(self, points: FloatArray, why: str) -> None:
        for name in self.variables:
            if not np.isfinite(points[:, self.positions([name])]).all():
                raise ModelError(f"initial() gives NaN or infinity for {name}: {why}")

    def _from_prior(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return draws from the prior, potentials left aside."""
        from pymc.pytensorf import reseed_rngs

        if self.function is not None and self.function.prior_transform is not None:
            return self.of_function(self.function.from_prior(rng, n))

        try:
            draw, generators = self._prior
            reseed_rngs(generators, int(rng.integers(2**63)))
            return np.array([draw() for _ in range(n)])
        except (NotImplementedError, ValueError) as error:
            raise ModelError(
                f"init: prior can't draw from the model's prior: {_first_line(error)}"
            ) from error

    @cached_property
    def _prior(self) -> tuple[Callable[[], FloatArray], list[Any]]:
        """The function that draws an unconstrained point from the prior, and its generators."""
        import pytensor.tensor as pt
        from pymc.pytensorf import collect_default_updates
        from pymc.pytensorf import compile as pymc_compile

        flat = pt.concatenate([value.ravel() for value in self._transformed])
        # One mode for all backends, so that all samplers start from the same draws.
        draw = pymc_compile([], flat, mode="FAST_COMPILE")
        return draw, [*collect_default_updates(outputs=[flat])]

    def _no_start(self, init: Init, found: Search) -> str:
        """Return why a search found nothing, which terms of the density are to blame, what helps.

        Every other way that the model has is tried.
        """
        lines = [
            f"no starting point with a finite log-density in {MAX_TRIES} tries:"
            f" {found.n_finite:,} of the {found.n_tried:,} points that init: {init} tried had one"
        ]
        if terms := self._nonfinite_terms(found.points[found.is_outside]):
            shown = [f"{name} is {what}" for name, what in [*terms.items()][:MAX_TERMS]]
            lines.append(", ".join(shown) + (", …" if len(terms) > MAX_TERMS else ""))
        ways: tuple[Init, ...] = ("uniform", *OTHER_WAYS, "map")
        works = [way for way in ways if way != init and self._works(way)]
        if works:
            lines.append("it can start with " + " or ".join(f"init: {way}" for way in works))
        else:
            remedy = "its file a function initial(rng, n)"
            if self.function is not None:
                remedy = "LogDensity the argument initial or bounds"
            lines.append(f"no other init finds one: check the model's support, or give {remedy}")
        return "; ".join(lines)

    def _works(self, init: Init) -> bool:
        if self._lacks_way(init) is not None:
            return False
        try:
            found = self._search(init, np.random.default_rng(0), N_TRIED)
        except ModelError:
            if (
                init == "uniform"
            ):  # only a density of +inf raises it here, and that is none anywhere
                raise
            return False
        except Exception:  # whatever a model's own code raises: it is no way to start
            return False
        return found.is_successful and bool(np.isfinite(self.logdensity_batch(found.points)).all())

    def _nonfinite_terms(self, points: FloatArray) -> dict[str, str]:
        """Return the terms of the density that aren't finite at these points, and what they are."""
        from pymc.pytensorf import compile as pymc_compile

        from gradbench.target.from_function import POTENTIAL

        model, points = self.model, points[:N_TRIED]
        factors = [*model.free_RVs, *model.observed_RVs, *model.potentials]
        flat, terms = self.joined([term.sum() for term in model.logp(sum=False)])
        evaluate = pymc_compile([flat], terms, mode="FAST_COMPILE", on_unused_input="ignore")
        seen = np.array([evaluate(x) for x in points])
        told = {}
        for factor, values in zip(factors, seen.T, strict=True):
            name = factor.name
            if name == POTENTIAL:
                name = "the Stan program" if self.function is None else "the function"
            kinds = {"NaN": np.isnan(values).any(), "-inf": np.isneginf(values).any()}
            if any(kinds.values()):
                told[name] = " and ".join(kind for kind, is_met in kinds.items() if is_met)
        return told

    def unconstrain(self, named: Mapping[str, FloatArray]) -> FloatArray:
        """Return points (n, ndim) from constrained values by name, (n, *shape) each.

        Raises:
            ModelError: a free parameter is missing.
        """
        missing = [rv.name for rv in self.model.free_RVs if rv.name not in named]
        if missing == [UNCONSTRAINED]:
            return self._unconstrained_by_stan(named)
        if missing:
            raise ModelError(f"the reference's draws lack {', '.join(missing)}")
        columns = [np.asarray(named[rv.name]) for rv in self.model.free_RVs]
        rows = zip(*columns, strict=True)
        return np.array(
            [np.concatenate([np.ravel(v) for v in self._unconstrain(*r)]) for r in rows]
        )

    def _unconstrained_by_stan(self, named: Mapping[str, FloatArray]) -> FloatArray:
        assert self.stan_program is not None
        program = stan.load(self.stan_program)
        rows = zip(*(named[name] for name in program.names()), strict=True)
        inits = (stan.to_json(dict(zip(program.names(), row, strict=True))) for row in rows)
        return np.array([program.unconstrain(init) for init in inits])

    @cached_property
    def _mode(self) -> FloatArray:
        """The mode, from the model's own point or, where that is outside the support, another."""
        start = self._flat_point
        if not np.isfinite(self.logdensity(start)):
            ways: tuple[Init, ...] = ("uniform", *OTHER_WAYS)
            for way in ways:
                if self._works(way):
                    (start,) = self._search(way, np.random.default_rng(0), 1).points
                    break
        mode = self.ascended(start)
        return mode if np.isfinite(self.logdensity(mode)) else start

    # -- graphs ------------------------------------------------------------------------------

    @cached_property
    def _flat_point(self) -> FloatArray:
        return np.concatenate([np.ravel(self._point[name]) for name in self.variables])

    def _constrain(self, names: tuple[str, ...]) -> Batch:
        """Return the function that computes these quantities, compiled at its first use."""
        if names not in self._constrained:
            chosen = [rv for rv in self._shown if rv.name in names]
            flat, values = self.joined(self.model.replace_rvs_by_values(chosen))
            graphs = [batch.unchecked(flat, value, np.nan) for value in values]
            self._constrained[names] = self._batched(flat, graphs)
        return self._constrained[names]

    @cached_property
    def _unconstrain(self) -> Callable[..., Any]:
        import pytensor

        return cast(
            "Callable[..., Any]",
            pytensor.function(
                self.model.free_RVs, self._transformed, mode=self.mode, on_unused_input="ignore"
            ),
        )

    @property
    def _transformed(self) -> list[Any]:
        """The graphs of the value variables as functions of the random ones."""
        transforms = self.model.rvs_to_transforms
        return [
            rv if transforms[rv] is None else transforms[rv].forward(rv, *rv.owner.inputs)
            for rv in self.model.free_RVs
        ]

    def joined(self, outputs: list[Any]) -> tuple[Any, list[Any]]:
        """Return a flat vector's symbol, and graphs of value variables as functions of it."""
        from pymc.pytensorf import join_nonshared_inputs

        variables = list(self.model.continuous_value_vars)
        joined, flat = join_nonshared_inputs(self._point, outputs, variables)
        return flat, joined

    def _compile(self, symbol: Any, outputs: Sequence[Any]) -> Callable[[FloatArray], Any]:
        # PyMC's own compile: a scale that underflows to 0 then gives -inf, not an exception.
        from pymc.pytensorf import compile as pymc_compile

        function = pymc_compile([symbol], outputs, mode=self.mode, on_unused_input="ignore")
        function.trust_input = True
        return cast("Callable[[FloatArray], Any]", function)

    def _called(self, flat: Any, outputs: Sequence[Any]) -> Callable[[FloatArray], Any]:
        function = self._compile(flat, outputs)
        batch.tried(function, self._flat_point)
        return function

    def _batched(self, flat: Any, outputs: list[Any]) -> Batch:
        rng = np.random.default_rng(0)
        around = rng.uniform(-UNIFORM_RADIUS, UNIFORM_RADIUS, (N_TRIAL - 1, self.ndim))
        trial = np.stack([self._flat_point, *around])
        return batch.batched(flat, outputs, trial, compiled=self._compile)


def scalars(name: str, shape: Sequence[int]) -> list[str]:
    """Return the names of an array's scalars, as ArviZ writes them: ``x[0, 1]``."""
    return [
        name + (f"[{', '.join(map(str, index))}]" if index else "") for index in np.ndindex(*shape)
    ]


def _described(rv: Any) -> str:
    """Return a variable's name and distribution, and how many values it has if more than one."""
    kind = getattr(rv.owner.op, "_print_name", ("a distribution",))[0]
    shape = "×".join("?" if size is None else str(size) for size in rv.type.shape)
    return f"{rv.name} ~ {kind}" + (f" of shape {shape}" if shape else "")


def _reason(error: Exception, op: Any) -> str:
    """Return an error's first line, and the Op that it is about, where the line doesn't name it.

    Those that stand for a function or a Stan program say what they lack in its terms.
    """
    from gradbench.target.from_function import Density

    line = next(iter(str(error).splitlines()), type(error).__name__)
    is_told = op is None or type(op).__name__ in line or isinstance(op, Density)
    return line if is_told else f"{op}: {line}"


def _without_gradient(flat: Any, logp: Any) -> Any:
    """Return the first Op on the way from x to the log-density that can't be differentiated."""
    import pytensor
    from pytensor.graph.traversal import io_toposort

    depends = {flat}
    for node in io_toposort([flat], [logp]):
        inputs = [x for x in node.inputs if x in depends]
        if not inputs:
            continue
        depends.update(node.outputs)
        known = {y: y.zeros_like() for y in node.outputs if y.dtype.startswith("float")}
        try:
            pytensor.grad(None, inputs, known_grads=known, disconnected_inputs="ignore")
        except (NotImplementedError, TypeError, ValueError):
            return node.op
    return None


def _without_jax(logp: Any) -> Any:
    """Return the first Op of a graph that has no JAX version."""
    from pytensor.graph.traversal import ancestors

    convert = compat.jax_funcify()
    for node in dict.fromkeys(x.owner for x in ancestors([logp]) if x.owner is not None):
        try:
            convert(node.op, node=node)
        except NotImplementedError:
            return node.op
        except Exception:  # another Op may ask for more than its node
            continue
    return None


def _matches(pattern: re.Pattern[str], quantity: Quantity) -> npt.NDArray[np.bool_]:
    """Return which of a quantity's scalars a pattern names, all where it names the quantity."""
    if pattern.fullmatch(quantity.name):
        return np.full(quantity.size, True)
    if "[" not in pattern.pattern or not quantity.shape:
        return np.full(quantity.size, False)
    return np.array([pattern.fullmatch(scalar) is not None for scalar in quantity.scalars])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
