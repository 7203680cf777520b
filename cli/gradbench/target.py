"""The target: one log-density on the unconstrained space, compiled from one ``pm.Model``.

Every sampler of a model gets this target, so that they sample the same density: PyMC's NUTS
samples the model it was compiled from, the others call what was compiled.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from gradbench import compat, stan
from gradbench.draws import FloatArray, IntArray
from gradbench.errors import ModelError
from gradbench.logdensity import LogDensity
from gradbench.reference import Reference
from gradbench.stan import UNCONSTRAINED, StanProgram
from gradbench.starts import MAX_TRIES, Search, search, search_around

if TYPE_CHECKING:
    import pymc as pm

Init = Literal["uniform", "reference", "model", "map", "own", "prior"]

UNIFORM_RADIUS = 2.0  # Stan Reference Manual, "Initialization": uniform(-2, 2) unconstrained
MODEL_JITTER = 1.0  # pm.sample's jitter+adapt_diag: uniform(-1, 1) around the initial point
MAP_JITTER = 0.1  # a ball around the mode, as emcee's users start
DIMENSIONS = frozenset({"chain", "draw"})
N_TRIAL = 8  # points that tell whether runs can start in some way
MAX_TERMS = 4  # named in a message
OTHER_WAYS: tuple[Init, ...] = ("own", "model", "prior", "reference")  # where uniform finds none


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
    ) -> None:
        from pymc.util import get_default_varnames

        self.model = model
        self.stan_program = stan_program
        self.function = function
        self.mode = mode
        self.init = init
        self._own_initial = initial
        self._reference = reference
        if not model.free_RVs:
            raise ModelError("the model has no free parameters: there is nothing to sample")
        if model.discrete_value_vars:
            names = ", ".join(v.name for v in model.discrete_value_vars)
            raise ModelError(
                f"the model has discrete parameters ({names}); gradient-based samplers can't move"
                " them: sum them out of the density, or use pm.Mixture"
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
        """Return the log-density at x, shape (ndim,); -inf outside the support."""
        return float(self._logdensity(x)[0])

    def logdensity_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-density at x, shape (ndim,), and its gradient, by reverse mode."""
        value, gradient = self._logdensity_and_gradient(x)
        return float(value), gradient

    def logdensity_batch(self, points: FloatArray) -> FloatArray:
        """Return the log-density at many points at once: (n, ndim) to (n,), no loop in Python."""
        values: FloatArray = self._logdensity_batch(points)[0]
        return values

    @cached_property
    def _logdensity(self) -> Callable[[FloatArray], Any]:
        return self._compile(*self.joined([self.model.logp()]))

    @cached_property
    def _logdensity_and_gradient(self) -> Callable[[FloatArray], Any]:
        import pytensor

        flat, [logp] = self.joined([self.model.logp()])
        return self._compile(flat, [logp, pytensor.grad(logp, flat)])

    @cached_property
    def _logdensity_batch(self) -> Callable[[FloatArray], Any]:
        return self._compile(*_batched(*self.joined([self.model.logp()])))

    @cached_property
    def jax_logdensity(self) -> Callable[[Any], Any]:
        """The log-density as a function that JAX traces: x, shape (ndim,), to a scalar.

        Unlike in PyMC's own conversion, a parameter out of its range gives -inf, as it does where
        PyMC compiles, and shared variables become constants only after the graph was simplified:
        work that was planted as zero times something would vanish.
        """
        from pytensor.compile.mode import get_mode
        from pytensor.compile.sharedvalue import SharedVariable
        from pytensor.graph.fg import FunctionGraph
        from pytensor.graph.replace import clone_replace
        from pytensor.graph.traversal import graph_inputs

        flat, outputs = self.joined([self.model.logp()])
        shared = [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]
        plain = [variable.type() for variable in shared]
        outputs = clone_replace(outputs, dict(zip(shared, plain, strict=True)))
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

        has_gradient = self.lacks("gradient") is None
        function: Callable[[FloatArray], Any] = both_at if has_gradient else value_at
        with np.errstate(invalid="ignore"):  # the way there may lead outside the support
            found = minimize(
                function, x / units, jac=has_gradient, method="L-BFGS-B", options=options
            )
        return np.asarray(found.x * units)

    def lacks(self, what: str) -> str | None:
        """Return why the density can't be had so, and what to do, or None if it can.

        Args:
            what: ``gradient``, by reverse mode; or a backend. Only ``jax`` can lack anything: it
                has no way to call Python, which all others have.
        """
        if what == "gradient":
            return self._lacks_gradient
        return self._lacks_jax if what == "jax" else None

    @cached_property
    def _lacks_gradient(self) -> str | None:
        import pytensor

        flat, [logp] = self.joined([self.model.logp()])
        try:
            pytensor.grad(logp, flat)
        except (NotImplementedError, TypeError, ValueError) as error:
            return f"it has no gradient ({_first_line(error)}); use a sampler that needs none"
        return None

    @cached_property
    def _lacks_jax(self) -> str | None:
        import jax

        jax.config.update("jax_enable_x64", True)
        try:
            jax.eval_shape(jax.grad(self.jax_logdensity), self._flat_point)
        except Exception as error:
            return f"JAX can't compile it ({_first_line(error)}); use a sampler without JAX"
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

    @property
    def coordinates(self) -> list[str]:
        """The names of the unconstrained vector's coordinates: ``sigma_log__``, ``x[0]``."""
        names = [rv.name for rv in self.model.free_RVs]
        return [
            scalar
            for name, variable in zip(names, self.variables, strict=True)
            for scalar in scalars(name, self._point[variable].shape)
        ]

    # -- parameters --------------------------------------------------------------------------

    def named(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return every parameter and deterministic by name: (..., ndim) to (..., *shape)."""
        *outer, ndim = values.shape
        points = np.ascontiguousarray(values.reshape(-1, ndim))
        named = {}
        for rv, array in zip(self._shown, self._constrain(points), strict=True):
            # A deterministic that depends on no parameter comes once, not once a point.
            shape = array.shape[array.ndim - rv.ndim :]
            rows = np.broadcast_to(np.asarray(array, dtype=np.float64), (len(points), *shape))
            named[rv.name] = rows.reshape((*outer, *shape))
        return named

    def constrain(self, values: FloatArray) -> FloatArray:
        """Return the scalar parameters as in ``parameters``: (..., ndim) to (..., n_parameters)."""
        outer = values.shape[:-1]
        columns = [array.reshape((*outer, -1)) for array in self.named(values).values()]
        return np.concatenate(columns, axis=-1)[..., self._varies]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter and deterministic, by name, as ``named`` gives them."""
        return {name: array.shape for name, array in self.named(self._flat_point).items()}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of every scalar on the constrained space, as ArviZ writes them (``x[0, 1]``).

        Deterministics are among them; what never varies (the diagonal of a correlation matrix)
        is not.
        """
        return tuple(np.array(self._scalars)[self._varies].tolist())

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
        for name, shape in self.shapes.items():
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
        return np.concatenate(parts)[self._varies]

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
        """Raise what ``starts`` would, where that can be told without compiling anything.

        Raises:
            ModelError: the model can't draw from its reference or its prior, or gives no points.
        """
        if (lacking := self._lacks_way(init)) is not None:
            raise ModelError(f"init: {init} {lacking}")

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
        """The names of the variables whose prior is flat on an unbounded range."""
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
                " proper priors (a plain function: bounds), or use init: uniform"
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
        return self._of_function(self.function.inside(points, radius=UNIFORM_RADIUS))

    def _of_function(self, x: FloatArray) -> FloatArray:
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
            found = self._search(init, np.random.default_rng(0), N_TRIAL)
        except Exception:  # whatever a model's own code raises: it is no way to start
            return False
        return found.is_successful and bool(np.isfinite(self.logdensity_batch(found.points)).all())

    def _nonfinite_terms(self, points: FloatArray) -> dict[str, str]:
        """Return the terms of the density that aren't finite at these points, and what they are."""
        from pymc.pytensorf import compile as pymc_compile

        from gradbench.blackbox import POTENTIAL

        model, points = self.model, points[:N_TRIAL]
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

    @cached_property
    def _scalars(self) -> list[str]:
        return [scalar for name, shape in self.shapes.items() for scalar in scalars(name, shape)]

    @cached_property
    def _varies(self) -> npt.NDArray[np.bool_]:
        rng = np.random.default_rng(0)
        columns = self.named(self.initial(rng, 8)).values()
        scalars = np.concatenate([array.reshape(8, -1) for array in columns], axis=1)
        varies: npt.NDArray[np.bool_] = np.ptp(scalars, axis=0) != 0
        return varies

    @cached_property
    def _constrain(self) -> Callable[[FloatArray], Any]:
        values = self.model.replace_rvs_by_values(self._shown)
        return self._compile(*_batched(*self.joined(values)))

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

    def _compile(self, flat: Any, outputs: list[Any]) -> Callable[[FloatArray], Any]:
        # PyMC's own compile: a scale that underflows to 0 then gives -inf, not an exception.
        from pymc.pytensorf import compile as pymc_compile

        function = pymc_compile([flat], outputs, mode=self.mode, on_unused_input="ignore")
        function.trust_input = True
        point = self._flat_point
        function(point if flat.ndim == 1 else np.stack([point, point]))
        return cast("Callable[[FloatArray], Any]", function)


def scalars(name: str, shape: Sequence[int]) -> list[str]:
    """Return the names of an array's scalars, as ArviZ writes them: ``x[0, 1]``."""
    return [
        name + (f"[{', '.join(map(str, index))}]" if index else "") for index in np.ndindex(*shape)
    ]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _batched(flat: Any, outputs: list[Any]) -> tuple[Any, list[Any]]:
    import pytensor.tensor as pt
    from pytensor.graph.replace import vectorize_graph

    points = pt.dmatrix("points")
    return points, list(vectorize_graph(outputs, {flat: points}))
