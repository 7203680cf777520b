r"""Functions that an equation defines: a root finder gives the value, the equation the gradient.

Where :math:`F(y, x) = 0` says what :math:`y(x)` is, the implicit function theorem gives

.. math:: \frac{\partial y}{\partial x_i} =
          -\frac{\partial F}{\partial x_i} \bigg/ \frac{\partial F}{\partial y},

so that no derivative goes through the root finder's iterations. ``root`` makes the operation from
the equation alone, for every backend and for arrays of any shape.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytensor
import pytensor.scalar as ps
import pytensor.tensor as pt
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import graph_replace
from pytensor.scalar.basic import Composite
from pytensor.scalar.loop import ScalarLoop
from pytensor.tensor.elemwise import Elemwise

from gradbench import compat

MAX_STEPS = 200  # at least every second step halves, and 100 halvings are enough
TOLERANCE = 1e-9  # a Newton step as small as this leaves an error of about its square


def root(
    residual: Callable[..., Any], *, bracket: Callable[..., tuple[Any, Any]]
) -> Callable[..., Any]:
    """Return the function y(*x) of tensors, elementwise, at which ``residual(y, *x)`` is zero.

    Both arguments are functions of float64 scalars, made of the operations in ``pytensor.scalar``.
    Newton's method starts in the middle of the bracket; where a step would leave it or converge
    slowly, it is halved instead, so that the search ends whatever the residual's shape.

    Args:
        residual: continuous, and zero once, where it rises with y; y is of the order of 1, or more.
        bracket: ``bracket(*x)`` returns a lower y, where the residual isn't positive, and an upper
            one, where it isn't negative.
    """
    elementwise = Elemwise(Root(residual, bracket))
    return lambda *x: elementwise(*(pt.cast(value, "float64") for value in x))


class Root(compat.OwnGradient, Composite):  # type: ignore[misc]
    """The scalar Op behind ``root``: PyTensor's own loop for the value, the theorem for the rest.

    It holds graphs, not the functions that made them, so that it can be pickled.

    Attributes:
        start: the symbols of x, and the graphs of the state in which the search starts, y first.
        advance: the symbols of state and x, and the graphs of the next state and whether it is the
            last.
        newton: the symbols of y and x, and the graph of the step by which Newton's method lowers y.
    """

    def __init__(self, residual: Callable[..., Any], bracket: Callable[..., Any]) -> None:
        self._x = x = [ps.float64(name) for name in inspect.signature(bracket).parameters]
        self._state = y, low, high, last = [ps.float64(n) for n in ("y", "low", "high", "last")]
        value = _distinct([y, *x], residual(y, *x))
        slope, *by_x = pytensor.grad(value, [y, *x], disconnected_inputs="ignore")
        self._slopes = [-by / slope for by in by_x]

        step = value / slope
        self.newton = [y, *x], [step]
        low, high = ps.switch(value < 0, y, low), ps.switch(value < 0, high, y)
        newton, slack = y - step, TOLERANCE * (1 + ps.abs(y))
        is_inside = (low - slack <= newton) & (newton <= high + slack)
        is_newton = is_inside & (2 * ps.abs(step) <= last)
        after = ps.switch(is_newton, newton, 0.5 * (low + high))
        is_done = is_newton & (ps.abs(step) <= slack)
        self._advanced = [after, low, high, ps.abs(after - y), is_done]
        self.advance = [*self._state, *x], self._advanced

        low, high = (ps.cast(bound, "float64") for bound in bracket(*x))
        self._start = [0.5 * (low + high), low, high, high - low]
        self.start = x, self._start
        self._loop = ScalarLoop(self._state, self._advanced[:-1], constant=x, until=is_done)
        super().__init__(x, [self._loop(MAX_STEPS, *self._start, *x)[0]])

    def clone(self) -> "Root":
        """Return itself: nothing in it ever changes."""
        return self

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Search in Python: PyTensor's own way takes the loop's last output for its first."""
        start = Composite(self._x, [ps.identity(value) for value in self._start])
        outputs[0][0] = self._loop.impl(MAX_STEPS, *start.impl(*inputs), *inputs)[0]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        """Return the cotangents of x, by the implicit function theorem."""
        here = dict(zip([self._state[0], *self._x], [outputs[0], *inputs], strict=True))
        return [cotangents[0] * slope for slope in graph_replace(self._slopes, here, strict=False)]

    def jax(self) -> Any:
        """Return y(*x) for JAX, differentiated by the same theorem."""
        import jax

        start = _traced(self._x, self._start)
        advance = _traced([*self._state, *self._x], self._advanced)
        slopes = _traced([self._state[0], *self._x], self._slopes)

        @jax.custom_jvp  # type: ignore[untyped-decorator]
        def solve(*x: Any) -> Any:
            def goes_on(carry: Any) -> Any:
                n, *_, is_done = carry
                return (n < MAX_STEPS) & ~is_done

            def step(carry: Any) -> Any:
                n, *state, _ = carry
                return n + 1, *advance(*state, *x)

            return jax.lax.while_loop(goes_on, step, (0, *start(*x), False))[1]

        @solve.defjvp  # type: ignore[untyped-decorator]
        def _(x: Any, tangents: Any) -> Any:
            y = solve(*x)
            return y, sum(s * t for s, t in zip(slopes(y, *x), tangents, strict=True))

        return jax.numpy.vectorize(solve)


def _distinct(inputs: list[Any], value: Any) -> Any:
    """Return the same scalar of the same inputs, no product of which has one factor twice.

    PyTensor (2.38.3 and 3.3.8) differentiates a scalar product by leaving out a factor wherever it
    occurs, so that the slope of ``y * y`` would be 2. What is the factor again, but by another
    name, is left in.
    """
    graph = FunctionGraph(inputs, [value], clone=False)
    for node in graph.toposort():
        if isinstance(node.op, ps.Mul):
            for i, factor in enumerate(node.inputs):
                if factor in node.inputs[:i]:
                    graph.change_node_input(node, i, ps.identity(factor))
    return graph.outputs[0]


def _traced(inputs: list[Any], outputs: list[Any]) -> Any:
    """Return a graph as a function that JAX traces."""
    return compat.jax_funcify()(FunctionGraph(inputs, outputs, clone=True))
