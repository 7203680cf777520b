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

if TYPE_CHECKING:
    import pymc as pm

Init = Literal["uniform", "reference", "model", "map"]

UNIFORM_RADIUS = 2.0  # Stan Reference Manual, "Initialization": uniform(-2, 2) unconstrained
MODEL_JITTER = 1.0  # pm.sample's jitter+adapt_diag: uniform(-1, 1) around the initial point
MAP_JITTER = 0.1  # a ball around the mode, as emcee's users start
DIMENSIONS = frozenset({"chain", "draw"})
MAX_TRIES = 100  # Stan gives up on finding a finite starting point after as many


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
    ) -> None:
        from pymc.util import get_default_varnames

        self.model = model
        self.stan_program = stan_program
        self.function = function
        self.mode = mode
        self._own_initial = initial
        self._reference = reference
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

    def ascended(self, x: FloatArray, **options: int) -> FloatArray:
        """Return where L-BFGS leads from x, shape (ndim,), to the mode; options are SciPy's."""
        from scipy.optimize import minimize

        def negative(x: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.logdensity_and_gradient(x)
            return -value, -gradient

        if self.lacks("gradient") is None:
            found = minimize(negative, x, jac=True, method="L-BFGS-B", options=options)
        else:
            found = minimize(lambda x: -self.logdensity(x), x, method="L-BFGS-B", options=options)
        return np.asarray(found.x)

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
            reason = _reason(error, _without_gradient(flat, logp))
            return f"it has no gradient ({reason}); use a sampler that needs none"
        return None

    @cached_property
    def _lacks_jax(self) -> str | None:
        import jax

        jax.config.update("jax_enable_x64", True)
        try:
            jax.eval_shape(jax.grad(self.jax_logdensity), self._flat_point)
        except Exception as error:
            _, outputs = self.joined([self.model.logp()])
            reason = _reason(error, _without_jax(outputs))
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

    @property
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
        """Return n overdispersed points (n, ndim), uniform(-2, 2) where the density is finite."""
        return self._finite(
            lambda k: rng.uniform(-UNIFORM_RADIUS, UNIFORM_RADIUS, (k, self.ndim)), n
        )

    def starts(self, init: Init, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n starting points (n, ndim) of the named kind.

        Raises:
            ModelError: no finite point was found, or the model can't draw from its reference.
        """
        if init == "uniform":
            return self.initial(rng, n)
        self.require(init)
        if init == "reference":
            assert self._reference is not None
            assert self._reference.draw is not None
            return self.unconstrain(self._reference.draw(rng, n))
        if init == "model":
            centre, spread = self._flat_point, MODEL_JITTER
        else:
            centre, spread = self._mode, MAP_JITTER
        return self._finite(lambda k: centre + rng.uniform(-spread, spread, (k, self.ndim)), n)

    def require(self, init: Init) -> None:
        """Raise what ``starts`` would, where that can be told without compiling anything.

        Raises:
            ModelError: init is ``reference``, and the model can't draw from its reference.
        """
        if init == "reference" and (self._reference is None or self._reference.draw is None):
            raise ModelError(
                "init: reference needs exact draws, and this model has none;"
                " give its reference() a draw function, or use init: uniform"
            )

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

    def _finite(self, propose: Callable[[int], FloatArray], n: int) -> FloatArray:
        points = propose(n)
        for _ in range(MAX_TRIES):
            values = self.logdensity_batch(points)
            if np.isposinf(values).any():
                raise ModelError(
                    "the log-density is +inf where a run would start, and no density is; outside"
                    " the support it must be -inf"
                )
            bad = ~np.isfinite(values)
            if not bad.any():
                return points
            points[bad] = propose(int(bad.sum()))
        raise ModelError(
            f"no starting point with a finite log-density in {MAX_TRIES} tries:"
            " the density is -inf or NaN where the run would start; check the model's"
            " support, or start with init: model or init: reference"
        )

    @cached_property
    def _mode(self) -> FloatArray:
        return self.ascended(self._flat_point)

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
        imputed = [
            np.full(int(np.prod(s)), name in self._imputed) for name, s in self.shapes.items()
        ]
        varies &= ~np.concatenate(imputed)
        return varies

    @cached_property
    def _constrain(self) -> Callable[[FloatArray], Any]:
        values = self.model.replace_rvs_by_values(self._shown)
        return self._compile(*_batched(*self.joined(values)))

    @cached_property
    def _unconstrain(self) -> Callable[..., Any]:
        import pytensor

        transforms = self.model.rvs_to_transforms
        return cast(
            "Callable[..., Any]",
            pytensor.function(
                self.model.free_RVs,
                [
                    rv if transforms[rv] is None else transforms[rv].forward(rv, *rv.owner.inputs)
                    for rv in self.model.free_RVs
                ],
                mode=self.mode,
                on_unused_input="ignore",
            ),
        )

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


def _described(rv: Any) -> str:
    """Return a variable's name and distribution, and how many values it has if more than one."""
    kind = getattr(rv.owner.op, "_print_name", ("a distribution",))[0]
    shape = "×".join("?" if size is None else str(size) for size in rv.type.shape)
    return f"{rv.name} ~ {kind}" + (f" of shape {shape}" if shape else "")


def _reason(error: Exception, op: Any) -> str:
    """Return an error's first line, and the Op that it is about, where the line doesn't name it."""
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return line if op is None or type(op).__name__ in line else f"{op}: {line}"


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


def _without_jax(outputs: list[Any]) -> Any:
    """Return the first Op of a graph that has no JAX version."""
    from pytensor.graph.traversal import ancestors

    convert = compat.jax_funcify()
    for node in dict.fromkeys(x.owner for x in ancestors(outputs) if x.owner is not None):
        try:
            convert(node.op, node=node)
        except NotImplementedError:
            return node.op
        except Exception:  # another Op may ask for more than its node
            continue
    return None


def _batched(flat: Any, outputs: list[Any]) -> tuple[Any, list[Any]]:
    import pytensor.tensor as pt
    from pytensor.graph.replace import vectorize_graph

    points = pt.dmatrix("points")
    return points, list(vectorize_graph(outputs, {flat: points}))
