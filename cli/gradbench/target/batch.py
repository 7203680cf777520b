"""From a graph of one point to a function of many, where each point gets what it gets alone.

PyTensor vectorizes a check with one ``all`` over the batch, so that one point outside the support
would take all others with it. Checks therefore become values before a graph is vectorized; what a
trial shows to be still another function goes through the points one by one.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gradbench import compat
from gradbench.draws import FloatArray

if TYPE_CHECKING:
    from pytensor.graph.basic import Variable

Form = Literal[
    "vectorized",  # every operation takes all points at once
    "loop",  # a loop over the points inside the compiled function
    "python loop",  # one call of a compiled function for each point
]

ROUNDING = 1e-6  # as the density check has it: a matrix product's order of summing may differ
NOT_FINITE = "array must not contain infs or NaNs"  # SciPy's eigh and others, as NumPy has it

Array = npt.NDArray[Any]
Function = Callable[[FloatArray], Sequence[Array]]


def tried(function: Function, points: FloatArray) -> Sequence[Array] | None:
    """Return the function's outputs, or None where it raises since that is outside the support.

    So do checks and assertions inside a ``scan``, and factorizations without a NaN form: the
    inverse of a singular matrix, the eigenvalues of NaN.

    Raises:
        Exception: what it raises says nothing of the support.
    """
    from pymc.logprob.utils import ParameterValueError

    try:
        return function(points)
    except (ParameterValueError, AssertionError, np.linalg.LinAlgError):
        return None
    except ValueError as error:
        if NOT_FINITE not in str(error):
            raise
        return None


def unchecked(flat: "Variable", output: "Variable", outside: float) -> "Variable":
    """Return the graph with the value ``outside`` where a check or an assertion would raise.

    Left as they are: those that don't depend on ``flat``, and so are no matter of points; PyMC's
    parameter checks, which become -inf when the graph is compiled; all behind a lazy ``ifelse``.
    """
    import pytensor.tensor as pt
    from pytensor.graph.fg import FunctionGraph
    from pytensor.raise_op import CheckAndRaise

    graph = FunctionGraph(outputs=[output], clone=True, copy_inputs=False)
    nodes = graph.toposort()
    if any(isinstance(node.op, compat.if_else()) for node in nodes):
        return output
    varying = {flat}
    for node in nodes:
        if varying.isdisjoint(node.inputs):
            continue
        value, *conditions = node.inputs
        if (
            isinstance(node.op, CheckAndRaise)
            and not getattr(node.op, "can_be_replaced_by_ninf", False)
            and not varying.isdisjoint(conditions)
        ):
            for condition in conditions:
                graph.add_output(condition)
            graph.replace(node.outputs[0], value)
            varying.add(value)
        varying.update(node.outputs)
    value, *conditions = graph.outputs
    if not conditions:
        return output
    return pt.switch(pt.all([pt.as_tensor(c) for c in conditions]), value, outside)


@dataclass(frozen=True, slots=True)
class Batch:
    """A function of points (n, ndim) that returns arrays (n, ...), each point as if it were alone.

    Attributes:
        form: how it goes through the points.
        function: of all points; in a Python loop, of one.
        outside: by output, what a point gets where the graph raises: NaN.
    """

    form: Form
    function: Function
    outside: Sequence[FloatArray]

    def __call__(self, points: FloatArray) -> Sequence[Array]:
        """Return the outputs at the points; one that depends on no point may come once.

        Raises:
            Exception: whatever the graph raises at a point that says nothing of the support.
        """
        if self.form != "python loop":
            with suppress(Exception):  # one by one tells where, and whether it matters
                return self.function(points)
        rows = [self._row(points[i : i + 1]) for i in range(len(points))]
        return [np.stack(arrays) for arrays in zip(*rows, strict=True)]

    def _row(self, point: FloatArray) -> Sequence[Array]:
        found = tried(self.function, point[0] if self.form == "python loop" else point)
        if found is None:
            return self.outside
        return _first(found, [empty.ndim for empty in self.outside])


def batched(
    flat: "Variable",
    outputs: "Sequence[Variable]",
    trial: FloatArray,
    *,
    compiled: Callable[..., Function],
) -> Batch:
    """Return the graph of one point as a function of many, in the first form that holds.

    A form holds where each point of the trial gets among the others what it gets among copies of
    itself.

    Args:
        flat: the point's symbol, shape (ndim,).
        outputs: graphs of it, ``unchecked``.
        trial: points (n, ndim).
        compiled: returns the function of a symbol and its outputs.
    """
    import pytensor.tensor as pt
    from pymc.logprob.utils import local_check_parameter_to_ninf_switch
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.rewriting.basic import in2out

    graph = FunctionGraph(outputs=list(outputs), clone=True, copy_inputs=False)
    in2out(local_check_parameter_to_ninf_switch).rewrite(graph)
    points, ndims = pt.dmatrix("points"), [output.type.ndim for output in outputs]
    outside = [np.full(_shape(flat, output, trial[0]), np.nan) for output in outputs]
    ways: dict[Form, Callable[..., Sequence[Variable]]]
    ways = {"vectorized": _vectorized, "loop": _looped}
    for form, way in ways.items():
        try:
            function = compiled(points, way(flat, graph.outputs, points))
        except Exception:  # an Op that has no such form says so in its own words
            continue
        together = _quietly(function, trial)
        alone = [_quietly(function, np.tile(x, (len(trial), 1))) for x in trial]
        rows = [_first(arrays, ndims) for arrays in alone if arrays is not None]
        if rows:
            outside = [np.full(array.shape, np.nan) for array in rows[0]]
        is_whole = len(rows) == len(trial)
        if together is None and not is_whole:
            break  # it raises at points, and of those there would be one in most batches
        if together is not None and is_whole and _agree(together, rows):
            return Batch(form, function, outside)
    return Batch("python loop", compiled(flat, graph.outputs), outside)


def _shape(flat: "Variable", output: "Variable", x: FloatArray) -> tuple[int, ...]:
    """Return an output's shape at x, which its type doesn't always know."""
    known: tuple[int | None, ...] = output.type.shape
    sizes = [n for n in known if n is not None]
    if len(sizes) == len(known):
        return tuple(sizes)
    return tuple(int(n) for n in output.shape.eval({flat: x}, mode="FAST_COMPILE"))


def without_shared(
    outputs: "Sequence[Variable]",
) -> "tuple[list[Variable], list[Variable], list[Variable]]":
    """Return the graphs' shared variables, plain ones in their place, and the graphs of those."""
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import graph_inputs

    shared = [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]
    plain = [variable.type() for variable in shared]
    return shared, plain, clone_replace(list(outputs), dict(zip(shared, plain, strict=True)))


def _vectorized(
    flat: "Variable", outputs: "Sequence[Variable]", points: "Variable"
) -> "Sequence[Variable]":
    from pytensor.graph.replace import vectorize_graph

    return list(vectorize_graph(outputs, {flat: points}))


def _looped(
    flat: "Variable", outputs: "Sequence[Variable]", points: "Variable"
) -> "Sequence[Variable]":
    from pytensor.compile.builders import OpFromGraph
    from pytensor.tensor.blockwise import Blockwise
    from pytensor.tensor.utils import safe_signature

    shared, plain, body = without_shared(outputs)
    core = OpFromGraph([flat, *plain], body)
    ndims = ([v.type.ndim for v in variables] for variables in ([flat, *plain], body))
    looped = Blockwise(core, signature=safe_signature(*ndims))
    return list(looped.make_node(points, *shared).outputs)


def _quietly(function: Function, points: FloatArray) -> Sequence[Array] | None:
    """Return the outputs at the points, or None if it raises there, for whatever reason."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(points)
        except Exception:
            return None


def _first(arrays: Sequence[Array], ndims: Sequence[int]) -> Sequence[Array]:
    """Return the first point's outputs; one that depends on no point has no axis of points."""
    return [
        array[0] if np.ndim(array) > ndim else np.asarray(array)
        for array, ndim in zip(arrays, ndims, strict=True)
    ]


def _agree(together: Sequence[Array], rows: Sequence[Sequence[Array]]) -> bool:
    return all(
        np.allclose(array, np.stack(alone), rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
        for array, alone in zip(together, zip(*rows, strict=True), strict=True)
    )
