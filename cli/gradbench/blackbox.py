"""Densities that PyTensor can't look into, as PyMC models: one Op for values, one for gradients.

Every sampler then has them as it has any other model, through graphs that end in these Ops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import _vectorize_node
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.rewriting.basic import register_canonicalize

from gradbench import compat, stan
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.logdensity import LogDensity
from gradbench.stan import UNCONSTRAINED, StanProgram

POTENTIAL = "logdensity__"


@dataclass(frozen=True, slots=True, eq=False)
class Functions:
    """What evaluates a density, many points (n, ndim) at a time.

    Attributes:
        values: points to densities (n,).
        gradients: points to densities (n,) and gradients (n, ndim), or None.
        traced: the same density of one point, for JAX to trace, or None.
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


class Constrained(_OfVectors):
    """A Stan program's parameters and transformed parameters, flat: (..., ndim) to (..., n)."""

    __props__ = ("functions", "size")

    def __init__(self, functions: Callable[[FloatArray], FloatArray], size: int) -> None:
        super().__init__(functions)
        self.size = size

    def make_node(self, x: Any) -> Any:
        """Return the node."""
        x = pt.as_tensor(x)
        return Apply(self, [x], [pt.tensor(dtype="float64", shape=(*x.type.shape[:-1], self.size))])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate it."""
        (x,) = inputs
        values = [self.functions(point) for point in x.reshape(-1, x.shape[-1])]
        outputs[0][0] = np.array(values, dtype=np.float64).reshape(*x.shape[:-1], self.size)

    def infer_shape(self, *arguments: Any) -> Any:
        """Return the shapes."""
        return [(*arguments[-1][0][:-1], pt.constant(self.size))]


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
    """Return a plain function as a model: a flat variable for each name, and one potential.

    Raises:
        TypeError: the function doesn't return one number.
        Exception: whatever it raises at its first evaluation, at zero.
    """
    functions = _traced(density) if density.kind == "jax" else _called(density)
    with pm.Model() as model:
        parts = [pm.Flat(name, shape=shape) for name, shape in density.shapes.items()]
        x = pt.concatenate([part.ravel() for part in parts])
        pm.Potential(POTENTIAL, Density(functions)(x))
    return model


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
        dims = dict(zip(compiled.names(True), compiled.dims(True), strict=True))
        sizes = [int(np.prod(shape)) for shape in dims.values()]
        values = Constrained(compiled.constrain, sum(sizes))(x)
        for (name, shape), end, size in zip(dims.items(), np.cumsum(sizes), sizes, strict=True):
            # Stan's first index runs fastest.
            pm.Deterministic(name, values[end - size : end].reshape(shape[::-1]).T)
    return model


def _called(density: LogDensity) -> Functions:
    """Return a NumPy function's evaluations, one point after another unless it is vectorized."""
    slope = density.gradient

    def one_by_one(points: FloatArray) -> FloatArray:
        return np.array([_number(density.function(x)) for x in points])

    def at_once(points: FloatArray) -> FloatArray:
        found = np.asarray(density.function(points), dtype=np.float64)
        if found.shape != points.shape[:1]:
            raise TypeError(
                f"the vectorized log-density of points {points.shape} must have the shape"
                f" {points.shape[:1]}, not {found.shape}"
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

    (gradients if slope else values)(np.zeros((1, density.size)))
    return Functions(values, gradients if slope else None)


def _traced(density: LogDensity) -> Functions:
    """Return a JAX function's evaluations, compiled by JAX."""
    import jax

    jax.config.update("jax_enable_x64", True)
    shape = jax.eval_shape(density.function, np.zeros(density.size)).shape
    if shape != ():
        raise TypeError(f"the log-density must be one number, a scalar; its shape is {shape}")
    return Functions(
        values=jax.jit(jax.vmap(density.function)),
        gradients=jax.jit(jax.vmap(jax.value_and_grad(density.function))),
        # What computes in float32 would not fit into the loops of JAX's samplers.
        traced=lambda x: density.function(x).astype(np.float64),
    )


def _mapped(function: Callable[[Any], Any], n_axes: int) -> Callable[[Any], Any]:
    import jax

    return function if n_axes == 0 else _mapped(jax.vmap(function), n_axes - 1)


def _number(value: Any) -> float:
    number = np.asarray(value, dtype=np.float64)
    if number.size != 1:
        raise TypeError(f"the log-density must be one number; its shape is {number.shape}")
    return float(number.reshape(()))


def _supported(values: Any, shape: tuple[int, ...]) -> FloatArray:
    found = np.array(values, dtype=np.float64).reshape(shape)
    return np.where(np.isnan(found), -np.inf, found)
