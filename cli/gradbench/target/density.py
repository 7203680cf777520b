"""The log-density of one ``pm.Model`` on the unconstrained space, compiled in every form."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gradbench import compat
from gradbench.draws import FloatArray, IntArray
from gradbench.errors import ModelError, first_line
from gradbench.target import batch
from gradbench.target.batch import Batch

if TYPE_CHECKING:
    import pymc as pm

UNIFORM_RADIUS = 2.0  # Stan Reference Manual, "Initialization": uniform(-2, 2) unconstrained
N_TRIAL = 3  # points at which the batched form is tried: a start, and two that are anywhere


class CompiledDensity:
    """A model's log-density, Jacobian included, one flat vector in.

    What is needed is compiled at its first use, and called once then, so that a just-in-time
    compiler's work never falls into a timed region.

    Args:
        model: the PyMC model; its value variables, in PyMC's order, are the flat vector.
        mode: the PyTensor mode, None for PyMC's default.

    Raises:
        ModelError: the model has no free parameters, or a discrete one.
    """

    def __init__(self, model: "pm.Model", mode: Any = None) -> None:
        self.model = model
        self.mode = mode
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
        self._point: dict[str, FloatArray] = model.initial_point()
        self.variables: tuple[str, ...] = tuple(v.name for v in model.continuous_value_vars)
        self.ndim = sum(int(self._point[name].size) for name in self.variables)

    # -- the flat vector ---------------------------------------------------------------------

    @cached_property
    def own_point(self) -> FloatArray:
        """The model's own point, shape (ndim,): where PyMC starts before it moves."""
        return np.concatenate([np.ravel(self._point[name]) for name in self.variables])

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
    def graph(self) -> tuple[Any, Any]:
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

        flat, logp = self.graph
        return self._called(flat, [logp, pytensor.grad(logp, flat)])

    @cached_property
    def _logdensity_batch(self) -> Batch:
        flat, logp = self.graph
        return self.batched(flat, [logp])

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

        flat, logp = self.graph
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

        flat, logp = self.graph
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
            jax.eval_shape(jax.grad(self.jax_logdensity), self.own_point)
        except Exception as error:
            reason = _reason(error, _without_jax(self.graph[1]))
            return f"JAX can't compile it ({reason}); use a sampler without JAX"
        return None

    # -- graphs ------------------------------------------------------------------------------

    def joined(self, outputs: list[Any]) -> tuple[Any, list[Any]]:
        """Return a flat vector's symbol, and graphs of value variables as functions of it."""
        from pymc.pytensorf import join_nonshared_inputs

        variables = list(self.model.continuous_value_vars)
        joined, flat = join_nonshared_inputs(self._point, outputs, variables)
        return flat, joined

    @property
    def transformed(self) -> list[Any]:
        """The graphs of the value variables as functions of the random ones."""
        transforms = self.model.rvs_to_transforms
        return [
            rv if transforms[rv] is None else transforms[rv].forward(rv, *rv.owner.inputs)
            for rv in self.model.free_RVs
        ]

    def compiled(self, inputs: Any, outputs: Sequence[Any]) -> Callable[..., Any]:
        """Return graphs of one symbol, or of several, compiled and not yet called."""
        # PyMC's own compile: a scale that underflows to 0 then gives -inf, not an exception.
        from pymc.pytensorf import compile as pymc_compile

        symbols = inputs if isinstance(inputs, list) else [inputs]
        function = pymc_compile(symbols, outputs, mode=self.mode, on_unused_input="ignore")
        function.trust_input = True
        return cast("Callable[..., Any]", function)

    def _called(self, flat: Any, outputs: Sequence[Any]) -> Callable[[FloatArray], Any]:
        function = self.compiled(flat, outputs)
        batch.tried(function, self.own_point)
        return function

    def batched(self, flat: Any, outputs: Sequence[Any]) -> Batch:
        """Return graphs of the flat vector as one function of many points, compiled."""
        rng = np.random.default_rng(0)
        around = rng.uniform(-UNIFORM_RADIUS, UNIFORM_RADIUS, (N_TRIAL - 1, self.ndim))
        trial = np.stack([self.own_point, *around])
        return batch.batched(flat, outputs, trial, compiled=self.compiled)


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

    line = first_line(error)
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
