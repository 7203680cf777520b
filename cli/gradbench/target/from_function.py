"""Densities that PyTensor can't look into, as PyMC models: one Op for values, one for gradients.

Every sampler then has them as it has any other model, through graphs that end in these Ops.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pickle import PicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import IntervalTransform
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import _vectorize_node
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.rewriting.basic import register_canonicalize

from gradbench import compat, stan
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.logdensity import Library, LogDensity
from gradbench.stan import UNCONSTRAINED, StanProgram
from gradbench.target.retraced import prove, retraced

POTENTIAL = "logdensity__"


@dataclass(frozen=True, slots=True, eq=False)
class Functions:
    """What evaluates a density, many points (n, ndim) at a time, or other quantities.

    Attributes:
        values: points to densities (n,), or to quantities (n, size).
        gradients: points to densities (n,) and gradients (n, ndim), or None.
        traced: the same of one point, for JAX to trace, or None.
    """

    values: Callable[[FloatArray], FloatArray]
    gradients: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None = None
    traced: Callable[[Any], Any] | None = None


class _OfVectors(Op):  # type: ignore[misc]
    """An Op of vectors along the last axis; vectorizing it gives it more axes before that."""

    __props__: tuple[str, ...] = ("functions",)

    def __init__(self, functions: Any) -> None:
        self.functions = functions

    def __str__(self) -> str:
        return f"{type(self).__name__} outside PyTensor"

    def __getstate__(self) -> Any:
        # Numba then finds it by its address; a Stan program is in no other process.
        raise PicklingError(f"{self} can't be pickled")


class Density(compat.OwnGradient, _OfVectors):
    """The log-density: (..., ndim) to (...); NaN counts as outside the support."""

    def make_node(self, x: Any) -> Any:
        """Return the node."""
        x = pt.as_tensor(x)
        return Apply(self, [x], [pt.tensor(dtype="float64", shape=x.type.shape[:-1])])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate it."""
        (x,) = inputs
        values = self.functions.values(x.reshape(-1, x.shape[-1]))
        outputs[0][0] = _supported(values, x.shape[:-1])

    def infer_shape(self, *arguments: Any) -> Any:
        """Return the shapes."""
        return [arguments[-1][0][:-1]]

    def pullback(self, inputs: Any, _outputs: Any, gradients: Any) -> Any:
        """Return the gradient's graph."""
        if self.functions.gradients is None:
            raise NotImplementedError("its function comes without one")
        _, gradient = Gradient(self.functions)(inputs[0])
        return [gradients[0][..., None] * gradient]

    def jax(self) -> Any:
        """Return the function itself, for as many axes of points as there are."""
        function = self.functions.traced
        if function is None:
            raise NotImplementedError("the log-density is no JAX function")
        return lambda x: _mapped(function, x.ndim - 1)(x)


class Gradient(_OfVectors):
    """The log-density and its gradient: (..., ndim) to (...) and (..., ndim)."""

    def make_node(self, x: Any) -> Any:
        """Return the node."""
        x = pt.as_tensor(x)
        value = pt.tensor(dtype="float64", shape=x.type.shape[:-1])
        return Apply(self, [x], [value, x.type()])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate both."""
        (x,) = inputs
        values, gradients = self.functions.gradients(x.reshape(-1, x.shape[-1]))
        outputs[0][0] = _supported(values, x.shape[:-1])
        outputs[1][0] = np.array(gradients, dtype=np.float64).reshape(x.shape)

    def infer_shape(self, *arguments: Any) -> Any:
        """Return the shapes."""
        return [arguments[-1][0][:-1], arguments[-1][0]]


class Constrained(compat.OwnGradient, _OfVectors):
    """Named quantities that are computed from a point, flat: (..., ndim) to (..., size)."""

    __props__ = ("functions", "size")

    def __init__(self, functions: Functions, size: int) -> None:
        super().__init__(functions)
        self.size = size

    def make_node(self, x: Any) -> Any:
        """Return the node."""
        x = pt.as_tensor(x)
        return Apply(self, [x], [pt.tensor(dtype="float64", shape=(*x.type.shape[:-1], self.size))])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate it."""
        (x,) = inputs
        values = self.functions.values(x.reshape(-1, x.shape[-1]))
        outputs[0][0] = np.array(values, dtype=np.float64).reshape(*x.shape[:-1], self.size)

    def infer_shape(self, *arguments: Any) -> Any:
        """Return the shapes."""
        return [(*arguments[-1][0][:-1], pt.constant(self.size))]

    def jax(self) -> Any:
        """Return the function itself, for as many axes of points as there are."""
        function = self.functions.traced
        if function is None:
            raise NotImplementedError("what it computes is no JAX function")
        return lambda x: _mapped(function, x.ndim - 1)(x)


def _vectorized(op: _OfVectors, _node: Any, x: Any) -> Any:
    return op.make_node(x)


for _op in (Density, Gradient, Constrained):
    _vectorize_node.register(_op)(_vectorized)


@register_canonicalize  # type: ignore[untyped-decorator]
@node_rewriter([Density])  # type: ignore[untyped-decorator]
def value_of_gradient(fgraph: Any, node: Any) -> Any:
    """Take a density's value from its gradient, where that is computed anyway: one evaluation."""
    for client, _ in fgraph.clients[node.inputs[0]]:
        if client.op == Gradient(node.op.functions):
            return [client.outputs[0]]
    return None


def of_function(density: LogDensity) -> pm.Model:
    """Return a plain function as a model: a variable for each name, and one potential.

    The variables are flat, or uniform between their bounds.

    Raises:
        TypeError: the function doesn't return one number, or constrained no map of numbers.
        ValueError: a variable's bounds can't be transformed, or constrained gives its name.
        Exception: whatever one of them raises at its first evaluation, where runs start or at zero.
    """
    functions = _traced(density) if density.kind == "jax" else _bounded(_called(density), density)
    if density.library is not None:
        functions = _given(functions, density, density.library)
    with pm.Model() as model:
        parts = _variables(density)
        x = pt.concatenate([part.ravel() for part in parts])
        pm.Potential(POTENTIAL, Density(functions)(x))
        if density.constrained is not None:
            _add(*_quantities(density), x)
    return model


def likelihood(density: LogDensity) -> Callable[[FloatArray], float]:
    """Return a plain function's likelihood: x, shape (ndim,), to its log; -inf where it is NaN.

    Raises:
        TypeError: it doesn't return one number.
        Exception: whatever it raises at its first evaluation, where runs start or at zero.
    """
    assert density.log_likelihood is not None
    alone = replace(density, function=density.log_likelihood, gradient=None)
    values = (_traced(alone) if density.kind == "jax" else _called(alone)).values

    def loglikelihood(x: FloatArray) -> float:
        return float(_supported(values(x[None]), (1,))[0])

    return loglikelihood


def of_program(program: StanProgram) -> pm.Model:
    """Return a Stan program as a model: one unconstrained vector, and all else computed from it.

    Raises:
        ModelError: it can't be compiled, doesn't take its data, or has no parameters.
    """
    compiled = stan.load(program)
    if compiled.ndim == 0:
        raise ModelError("the Stan program has no parameters: there is nothing to sample")

    def gradients(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = [compiled.gradient(x) for x in points]
        return np.array([value for value, _ in found]), np.array([slope for _, slope in found])

    functions = Functions(
        values=lambda points: np.array([compiled.logdensity(x) for x in points]),
        gradients=gradients,
    )
    with pm.Model() as model:
        x = pm.Flat(UNCONSTRAINED, shape=compiled.ndim)
        pm.Potential(POTENTIAL, Density(functions)(x))
        places = stan.places(compiled)
        order = np.concatenate([at.ravel() for at in places.values()])
        constrained = Functions(
            values=lambda points: np.array([compiled.constrain(x) for x in points])[:, order]
        )
        _add(constrained, {name: at.shape for name, at in places.items()}, x)
    return model


def _add(functions: Functions, shapes: Mapping[str, tuple[int, ...]], x: Any) -> None:
    """Add quantities of x to the model that is being built, as deterministics."""
    sizes = [prod(shape) for shape in shapes.values()]
    values = Constrained(functions, sum(sizes))(x)
    for (name, shape), end, size in zip(shapes.items(), np.cumsum(sizes), sizes, strict=True):
        pm.Deterministic(name, values[end - size : end].reshape(shape))


def _quantities(density: LogDensity) -> tuple[Functions, Mapping[str, tuple[int, ...]]]:
    """Return what computes the named quantities of a plain function, and their shapes.

    Raises:
        TypeError: they are no map of names to numbers.
        ValueError: a name is a coordinate's.
    """
    assert density.constrained is not None
    of_x = density.of_x(density.constrained)
    first = of_x(density.somewhere)
    if not isinstance(first, Mapping) or not all(isinstance(name, str) for name in first):
        raise TypeError(f"constrained must return a map of names to numbers, not {first!r}")
    if taken := {*density.shapes, POTENTIAL} & first.keys():
        raise ValueError(f"constrained gives {', '.join(sorted(taken))} another value: rename it")
    shapes = {name: np.shape(value) for name, value in first.items()}

    def flat(x: Any, library: Any = np) -> Any:
        found = of_x(x)
        if (seen := {name: np.shape(value) for name, value in found.items()}) != shapes:
            raise TypeError(f"constrained must always return the same names and shapes: {seen}")
        return library.concatenate([library.ravel(found[name]) for name in shapes])

    if density.kind == "numpy":

        def values(points: FloatArray) -> FloatArray:
            return np.array([flat(x) for x in points])

        is_called = density.library == "jax"
        return Functions(values, traced=_calling(flat, density) if is_called else None), shapes
    import jax

    traced = partial(flat, library=jax.numpy)
    return Functions(values=jax.jit(jax.vmap(traced)), traced=traced), shapes


def _calling(function: Callable[[Any], Any], density: LogDensity) -> Callable[[Any], Any]:
    """Return a NumPy function of one point as one that JAX calls back."""
    import jax

    size = len(function(density.somewhere))
    shape = jax.ShapeDtypeStruct((size,), np.float64)
    return lambda x: jax.pure_callback(
        lambda at: np.asarray(function(np.asarray(at)), dtype=np.float64),
        shape,
        x,
        vmap_method="sequential",
    )


def _variables(density: LogDensity) -> list[Any]:
    """Return a function's variables, made in the model that is being built."""
    ends = zip(*(density.named(end).values() for end in density.limits), strict=True)
    begin = density.named(density.somewhere)
    parts = []
    for (name, shape), (low, high) in zip(density.shapes.items(), ends, strict=True):
        is_low, is_high = np.isfinite(low), np.isfinite(high)
        given: dict[str, Any] = {"shape": shape, "initval": begin[name]}
        if is_low.all() and is_high.all():
            given |= {} if density.transform else {"default_transform": None}
            parts.append(pm.Uniform(name, low, high, **given))
            continue
        if density.transform and (is_low | is_high).any():
            given["transform"] = _one_sided(name, low, high)
        parts.append(pm.Flat(name, **given))
    return parts


def _one_sided(name: str, low: FloatArray, high: FloatArray) -> Any:
    """Return the transform of a variable whose elements have a bound on one side, the same one."""
    is_low, is_high = np.isfinite(low), np.isfinite(high)
    if is_low.all() and not is_high.any():
        return IntervalTransform(lambda *_: (pt.constant(low), None))
    if is_high.all() and not is_low.any():
        return IntervalTransform(lambda *_: (None, pt.constant(high)))
    raise ValueError(
        f"LogDensity: the elements of {name} have bounds on different sides, and one transform"
        " can't have that; give them different names"
    )


def _bounded(functions: Functions, density: LogDensity) -> Functions:
    """Return the evaluations with density 0 outside the bounds, where the function isn't called."""
    if density.bounds is None:
        return functions
    low, high = density.limits
    slope = functions.gradients

    def values(points: FloatArray) -> FloatArray:
        is_inside = _is_inside(points, low, high)
        found = np.full(len(points), -np.inf)
        if is_inside.any():
            found[is_inside] = functions.values(points[is_inside])
        return found

    def gradients(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert slope is not None
        is_inside = _is_inside(points, low, high)
        found, slopes = np.full(len(points), -np.inf), np.zeros(points.shape)
        if is_inside.any():
            found[is_inside], slopes[is_inside] = slope(points[is_inside])
        return found, slopes

    return Functions(values, gradients if slope else None)


def _bounded_for_jax(function: Callable[[Any], Any], density: LogDensity) -> Callable[[Any], Any]:
    """Return a function that JAX traces, -inf outside the bounds."""
    if density.bounds is None:
        return function
    (low, high), centre = density.limits, density.somewhere

    def bounded(x: Any) -> Any:
        import jax.numpy as jnp

        is_inside = ((low <= x) & (x <= high)).all()
        # The inner where keeps the gradient free of the NaN that the function may give outside.
        return jnp.where(is_inside, function(jnp.where(is_inside, x, centre)), -jnp.inf)

    return bounded


def _is_inside(points: FloatArray, low: FloatArray, high: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(((low <= points) & (points <= high)).all(axis=1))


def _called(density: LogDensity) -> Functions:
    """Return a NumPy function's evaluations, one point after another unless it is vectorized."""
    function = density.of_x(density.function)
    slope = density.of_x(density.gradient) if callable(density.gradient) else None

    def one_by_one(points: FloatArray) -> FloatArray:
        return np.array([_number(function(x), density) for x in points])

    def at_once(points: FloatArray) -> FloatArray:
        rows = function(points)
        found = _numbers([_first(row) for row in rows] if density.blobs else rows)
        if found is None or found.shape != points.shape[:1]:
            raise TypeError(
                f"the vectorized log-density of points {points.shape} must have the shape"
                f" {points.shape[:1]}, not {_shape(rows)}{_blobs(density, 'in each row')}"
            )
        return found

    values = at_once if density.vectorized else one_by_one

    def gradients(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert slope is not None
        found = np.array([slope(x) for x in points], dtype=np.float64)
        if found.shape != points.shape:
            raise TypeError(
                f"the gradient must have the shape {points.shape[1:]}, not {found.shape[1:]}"
            )
        return values(points), found

    (gradients if slope else values)(density.somewhere[None])
    return Functions(values, gradients if slope else None)


def _given(functions: Functions, density: LogDensity, library: Library) -> Functions:
    """Return a NumPy function's evaluations with the gradients that a library makes of it.

    Raises:
        ModelError: the library isn't installed, or can't, with the reason.
    """
    copy = retraced(density, library)
    made = (
        _recorded(copy, density)
        if library == "autograd"
        else _of_jax(_bounded_for_jax(copy, density))
    )
    assert made.gradients is not None
    prove(density, library, functions.values, made.gradients)

    def gradients(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert made.gradients is not None
        return functions.values(points), made.gradients(points)[1]

    return replace(made, values=functions.values, gradients=gradients)


def _recorded(function: Callable[[Any], Any], density: LogDensity) -> Functions:
    """Return the evaluations of a function that autograd records, one point after another."""
    import autograd

    both = autograd.value_and_grad(function)

    def values(points: FloatArray) -> FloatArray:
        return np.array([function(x) for x in points])

    def gradients(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = [both(x) for x in points]
        return np.array([value for value, _ in found]), np.array([slope for _, slope in found])

    return _bounded(Functions(values, gradients), density)


def _traced(density: LogDensity) -> Functions:
    """Return a JAX function's evaluations, compiled by JAX."""
    jax = _jax()
    of_x = density.of_x(density.function)
    function = (lambda x: _first(of_x(x))) if density.blobs else of_x
    found = jax.eval_shape(function, np.zeros(density.size))
    if getattr(found, "shape", None) != ():
        raise TypeError(
            f"the log-density must be one number, a scalar; its shape is {_shape(found)}"
            f"{_blobs(density)}"
        )
    return _of_jax(_bounded_for_jax(function, density))


def _of_jax(function: Callable[[Any], Any]) -> Functions:
    """Return the evaluations of a function that JAX traces."""
    jax = _jax()
    return Functions(
        values=jax.jit(jax.vmap(function)),
        gradients=jax.jit(jax.vmap(jax.value_and_grad(function))),
        # What computes in float32 would not fit into the loops of JAX's samplers.
        traced=lambda x: function(x).astype(np.float64),
    )


def _jax() -> Any:
    """Return the library, which from now on computes in float64."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _mapped(function: Callable[[Any], Any], n_axes: int) -> Callable[[Any], Any]:
    import jax

    return function if n_axes == 0 else _mapped(jax.vmap(function), n_axes - 1)


def _number(value: Any, density: LogDensity) -> float:
    found = _numbers(_first(value) if density.blobs else value)
    if found is None or found.size != 1:
        raise TypeError(
            f"the log-density must be one number; its shape is {_shape(value)}{_blobs(density)}"
        )
    return float(found.reshape(()))


def _first(value: Any) -> Any:
    """Return what comes before the blobs; the value itself where a function left them out."""
    return value[0] if isinstance(value, tuple | list) or np.ndim(value) else value


def _numbers(value: Any) -> FloatArray | None:
    """Return an array of numbers, or None if the value is none."""
    try:
        return None if value is None else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _shape(value: Any) -> str:
    """Return in words what came back in place of a number."""
    if isinstance(value, tuple | list):
        return f"that of a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"that of a {type(value).__name__}" if shape is None else str(tuple(shape))


def _blobs(density: LogDensity, where: str = "") -> str:
    """Return what a function with blobs needs, if it isn't said."""
    if density.blobs:
        return ""
    first = " ".join(["is the first", where]).strip()
    return f" (if the log-density {first}, and blobs follow: LogDensity(..., blobs=True))"


def _supported(values: Any, shape: tuple[int, ...]) -> FloatArray:
    found = np.array(values, dtype=np.float64).reshape(shape)
    return np.where(np.isnan(found), -np.inf, found)
