"""A PyTensor graph evaluated in as many digits as wanted, which tells how exact doubles are.

Floats are object arrays of MPFR's numbers (``gmpy2.mpfr``), which are rounded correctly and know
infinity and NaN as doubles do; mpmath adds the functions that MPFR lacks. Whole numbers, truth
values and indices stay NumPy's. What an Op computes is looked up by its class, as in PyTensor's own
backends; Ops that only move values about do it by their own ``perform``.

The digits are those of gmpy2's context: ``with gmpy2.context(precision=200): program(x)``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce, singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt
import pytensor.scalar as ps
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.ops import DeepCopyOp, ViewOp
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors, io_toposort
from pytensor.raise_op import CheckAndRaise
from pytensor.scalar.basic import Composite, ScalarType
from pytensor.scan.op import Scan
from pytensor.tensor import basic, extra_ops, special
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Argmax, Dot
from pytensor.tensor.reshape import JoinDims, SplitDims
from pytensor.tensor.shape import Reshape, Shape, Shape_i, SpecifyShape
from pytensor.tensor.sort import ArgSortOp, SortOp
from pytensor.tensor.type_other import NoneTypeT, SliceType

from gradbench import compat
from gradbench.implicit import MAX_STEPS, Root

Array = npt.NDArray[Any]
Function = Callable[..., Any]  # of a node's inputs; a list if it has many outputs
Translation = Callable[[Any, Any], Function]

GUARD_BITS = 64  # beyond the context's precision, where mpmath computes
MAX_NEWTON_STEPS = 30  # each doubles the digits of a root


class Untranslatable(Exception):  # noqa: N818 - what is caught is a graph's limit, not a mistake
    """An Op can't be evaluated in many digits; the text names it."""


class Program:
    """A graph as a function of arrays, in the digits of gmpy2's context at each call.

    What doesn't depend on the inputs is evaluated once for each precision.

    Args:
        inputs: symbols; the graph isn't followed beyond them.
        outputs: what is computed from them.

    Raises:
        Untranslatable: an Op isn't known, or a symbol without a value is among the roots.
    """

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self._inputs, self._outputs = list(inputs), list(outputs)
        varying = set(inputs)
        self._roots = {
            variable: _root_value(variable)
            for variable in ancestors(self._outputs, blockers=self._inputs)
            if variable.owner is None and variable not in varying
        }
        self._fixed: list[_Step] = []
        self._varying: list[_Step] = []
        for node in io_toposort(self._inputs, self._outputs):
            if varying.isdisjoint(node.inputs):
                self._fixed.append(_Step.of(node, is_fixed=True))
            else:
                self._varying.append(_Step.of(node))
                varying.update(node.outputs)
        self._known: dict[int, dict[Any, Any]] = {}  # by precision

    def __call__(self, *values: Any) -> list[Any]:
        """Return the outputs at these values of the inputs."""
        import gmpy2

        precision = gmpy2.get_context().precision
        if precision not in self._known:
            roots = {variable: _typed(value, variable) for variable, value in self._roots.items()}
            self._known[precision] = _run(self._fixed, roots)
        inputs = {x: _typed(value, x) for x, value in zip(self._inputs, values, strict=True)}
        found = _run(self._varying, self._known[precision] | inputs)
        return [found[output] for output in self._outputs]


@dataclass(frozen=True, slots=True)
class _Step:
    """A node, what computes its outputs, and whether that depends on no input of the program."""

    node: Any
    function: Function
    is_fixed: bool

    @classmethod
    def of(cls, node: Any, *, is_fixed: bool = False) -> "_Step":
        return cls(node, translated(node.op, node), is_fixed)

    def __call__(self, *inputs: Any) -> list[Any]:
        """Return the outputs, each of its type.

        Raises:
            Untranslatable: the Op does something that isn't known of it.
        """
        try:
            found = self.function(*inputs)
            values = found if isinstance(found, list) else [found]
            outputs = zip(values, self.node.outputs, strict=True)
            if self.is_fixed:
                # A constant in single precision, as PyMC's root of 2, is what all backends have.
                return [_typed(_as_stored(value, x), x) for value, x in outputs]
            return [_typed(value, x) for value, x in outputs]
        except Untranslatable:
            raise
        except Exception as error:
            raise Untranslatable(f"{self.node.op}: {error}") from error


def _run(steps: Iterable[_Step], values: dict[Any, Any]) -> dict[Any, Any]:
    """Return the values with those that the steps compute."""
    for step in steps:
        found = step(*(values[x] for x in step.node.inputs))
        values.update(zip(step.node.outputs, found, strict=True))
    return values


def _root_value(variable: Any) -> Any:
    if isinstance(variable, Constant):
        return variable.data
    if isinstance(variable, SharedVariable):
        return variable.get_value(borrow=True)
    raise Untranslatable(f"{variable} has no value")


# -- values -----------------------------------------------------------------------------------


def exact(values: Any) -> Array:
    """Return numbers as an object array of the same numbers in gmpy2's precision."""
    import gmpy2

    array = np.asarray(values)
    if array.dtype == object:
        return array
    plain = array.astype(int) if array.dtype.kind == "b" else array
    return np.asarray(_each(gmpy2.mpfr, 1)(plain.astype(object)), dtype=object)


def _typed(value: Any, variable: Any) -> Any:
    """Return a value as a program has it: floats exact, what isn't an array as it is."""
    if not isinstance(variable.type, pt.TensorType | ScalarType):
        return value
    if _is_float(variable):
        return exact(value)
    if np.dtype(variable.type.dtype).kind not in "biu":
        raise Untranslatable(f"{variable.type} isn't real")
    return np.asarray(value, dtype=variable.type.dtype)


def _as_stored(value: Any, variable: Any) -> Any:
    """Return a value as a number of its own type, if that has fewer digits than a double."""
    is_short = getattr(variable.type, "dtype", "") in {"float16", "float32"}
    return np.asarray(value).astype(variable.type.dtype) if is_short else value


def _is_float(variable: Any) -> bool:
    return getattr(variable.type, "dtype", "").startswith("float")


def _is_discrete(variable: Any) -> bool:
    """Whether a value is no real number: a whole one, a slice, nothing."""
    if isinstance(variable.type, pt.TensorType | ScalarType):
        return np.dtype(variable.type.dtype).kind in "biu"
    return isinstance(variable.type, NoneTypeT | SliceType)


# -- Ops of arrays ----------------------------------------------------------------------------


@singledispatch
def translated(op: Any, node: Any) -> Function:
    """Return what computes a node's outputs: of an unknown Op, if they are all whole numbers.

    It decides in doubles, as it does in every backend.

    Raises:
        Untranslatable: the Op isn't known.
    """
    if not all(map(_is_discrete, node.outputs)):
        raise Untranslatable(str(op))
    perform = _performed(op, node)

    def decide(*inputs: Any) -> Any:
        return perform(
            *(
                value.astype(x.type.dtype) if _is_float(x) else value
                for value, x in zip(inputs, node.inputs, strict=True)
            )
        )

    return decide


def _performed(op: Any, node: Any) -> Function:
    """Return the Op's own way, which moves objects as it moves numbers."""

    def perform(*inputs: Any) -> list[Any]:
        storage: list[list[Any]] = [[None] for _ in node.outputs]
        op.perform(node, inputs, storage)
        return [cell[0] for cell in storage]

    return perform


for _op in (
    *compat.indexing_ops(),
    *(Shape, Shape_i, SpecifyShape, Reshape, JoinDims, SplitDims, DimShuffle, ViewOp, DeepCopyOp),
    *(basic.ScalarFromTensor, basic.TensorFromScalar, basic.Split, basic.ExtractDiag, basic.Eye),
    *(basic.Nonzero, basic.PermuteRowElements, SortOp, ArgSortOp, Argmax),
    *(extra_ops.CumOp, extra_ops.Repeat, extra_ops.SearchsortedOp, extra_ops.CpuContiguous),
    *(extra_ops.FillDiagonal, extra_ops.FillDiagonalOffset),
):
    translated.register(_op, _performed)


@translated.register(basic.Alloc)
def _(_op: Any, _node: Any) -> Function:
    return lambda value, *shape: np.broadcast_to(value, tuple(map(int, shape)))


@translated.register(basic.AllocEmpty)
def _(_op: Any, _node: Any) -> Function:
    return lambda *shape: np.zeros(tuple(map(int, shape)))


@translated.register(basic.ARange)
def _(op: Any, node: Any) -> Function:
    if not _is_float(node.outputs[0]):
        return _performed(op, node)
    return lambda start, stop, step: (
        start + step * np.arange(max(0, int(np.ceil(float((stop - start) / step)))))
    )


@translated.register(basic.MakeVector)
def _(_op: Any, node: Any) -> Function:
    (output,) = node.outputs
    dtype = object if _is_float(output) else output.type.dtype
    return lambda *elements: np.array([_typed(x, output)[()] for x in elements], dtype=dtype)


@translated.register(basic.Join)
def _(op: Any, node: Any) -> Function:
    def join(*inputs: Array) -> Array:
        axis, parts = compat.axis_and_parts(op, inputs)
        return np.concatenate([_typed(part, node.outputs[0]) for part in parts], axis=axis)

    return join


@translated.register(CheckAndRaise)
def _(_op: Any, _node: Any) -> Function:
    def checked(value: Array, *conditions: Array) -> Array:
        return value if all(map(np.all, conditions)) else np.full(value.shape, -np.inf)

    return checked


@translated.register(compat.if_else())
def _(_op: Any, node: Any) -> Function:
    n = len(node.outputs)
    return lambda condition, *values: list(values[:n] if condition else values[n:])


@translated.register(Dot)
def _(_op: Any, _node: Any) -> Function:
    return np.dot


@translated.register(special.Softmax)
def _(op: Any, _node: Any) -> Function:
    def softmax(x: Array) -> Array:
        powers = _named("exp")(x - np.max(x, axis=op.axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis=op.axis, keepdims=True))

    return softmax


@translated.register(special.LogSoftmax)
def _(op: Any, _node: Any) -> Function:
    def log_softmax(x: Array) -> Array:
        below = x - np.max(x, axis=op.axis, keepdims=True)
        total = _named("exp")(below).sum(axis=op.axis, keepdims=True)
        return np.asarray(below - _named("log")(total))

    return log_softmax


@translated.register(CAReduce)
def _(op: Any, node: Any) -> Function:
    ufunc = UFUNCS.get(type(op.scalar_op).__name__)
    if ufunc is None:
        raise Untranslatable(str(op))
    (output,) = node.outputs
    dtype = object if _is_float(output) else output.type.dtype
    axis = op.axis[0] if op.axis is not None and len(op.axis) == 1 else op.axis
    return lambda x: ufunc.reduce(_typed(x, output), axis=axis, dtype=dtype)


# -- Ops that hold graphs ---------------------------------------------------------------------


@translated.register(OpFromGraph)
def _(op: Any, _node: Any) -> Function:
    return Program(op.inner_inputs, op.inner_outputs)


@translated.register(Blockwise)
def _(op: Any, node: Any) -> Function:
    core = op._create_dummy_core_node(node.inputs)
    step = _Step.of(core)

    def of_one(*inputs: Any) -> Any:
        found = step(*(_typed(value, x) for value, x in zip(inputs, core.inputs, strict=True)))
        found = [value[()] for value in found]  # NumPy would wrap an array of no axes once more
        return found[0] if len(found) == 1 else tuple(found)

    dtypes = [object if _is_float(x) else x.type.dtype for x in core.outputs]
    of_many = np.vectorize(of_one, signature=op.signature, otypes=dtypes)
    return of_many if len(dtypes) == 1 else lambda *inputs: list(of_many(*inputs))


@translated.register(Scan)
def _(op: Any, _node: Any) -> Function:
    """Run the inner graph step by step; a state's buffer begins with what came before the first."""
    info = op.info
    if info.mit_mot_in_slices:
        raise Untranslatable(f"{op}: it writes to past states, as gradients of loops do")
    inner = Program(op.inner_inputs, op.inner_outputs)
    taps = [*info.mit_sot_in_slices, *info.sit_sot_in_slices]
    first = [-min(each) for each in taps]

    def scan(n_steps: Array, *inputs: Any) -> list[Any]:
        rest = iter(inputs)
        sequences = _taken(rest, info.n_seqs)
        states = [buffer.copy() for buffer in _taken(rest, len(taps))]
        carried = _taken(rest, info.n_untraced_sit_sot)
        _taken(rest, info.n_nit_sot)  # their lengths
        constant = list(rest)
        collected: list[list[Any]] = [[] for _ in range(info.n_nit_sot)]
        n_done = 0
        for t in range(int(n_steps)):
            n_done = t + 1
            seen = [
                state[(t + begin + tap) % len(state)]
                for state, begin, each in zip(states, first, taps, strict=True)
                for tap in each
            ]
            found = iter(inner(*(s[t] for s in sequences), *seen, *carried, *constant))
            for state, begin, value in zip(states, first, _taken(found, len(taps)), strict=True):
                state[(t + begin) % len(state)] = value[()]
            for values, value in zip(collected, _taken(found, info.n_nit_sot), strict=True):
                values.append(value)
            carried = _taken(found, info.n_untraced_sit_sot)
            if info.as_while and next(found):
                break
        filled = [
            state[: begin + n_done] if len(state) > begin + n_done else state
            for state, begin in zip(states, first, strict=True)
        ]
        return [*filled, *map(np.stack, collected), *carried]

    return scan


def _taken(values: Iterator[Any], n: int) -> list[Any]:
    return [next(values) for _ in range(n)]


# -- linear algebra ---------------------------------------------------------------------------


def _linear_algebra(name: str) -> Callable[[Translation], Translation]:
    """Return what registers the translation of an Op, which has another home in each PyTensor."""
    register: Callable[[Translation], Translation] = translated.register(
        compat.linear_algebra()[name]
    )
    return register


@_linear_algebra("Cholesky")
def _(op: Any, _node: Any) -> Function:
    return lambda matrix: _cholesky(matrix) if op.lower else _cholesky(matrix.T).T


@_linear_algebra("SolveTriangular")
def _(op: Any, _node: Any) -> Function:
    def solve(matrix: Array, b: Array) -> Array:
        if op.unit_diagonal:
            matrix = matrix.copy()
            np.fill_diagonal(matrix, exact(1.0)[()])
        return _substituted(matrix, b, is_lower=op.lower)

    return solve


@_linear_algebra("CholeskySolve")
def _(op: Any, _node: Any) -> Function:
    def solve(factor: Array, b: Array) -> Array:
        lower = factor if op.lower else factor.T
        return _substituted(lower.T, _substituted(lower, b, is_lower=True), is_lower=False)

    return solve


@_linear_algebra("Solve")
def _(op: Any, _node: Any) -> Function:
    def solve(matrix: Array, b: Array) -> Array:
        if op.assume_a in {"sym", "her", "pos"}:
            matrix = _symmetric(matrix, is_lower=op.lower)
        return _eliminated(matrix, b)[1]

    return solve


@_linear_algebra("MatrixInverse")
def _(_op: Any, _node: Any) -> Function:
    return lambda matrix: _eliminated(matrix, exact(np.eye(len(matrix))))[1]


@_linear_algebra("Det")
def _(_op: Any, _node: Any) -> Function:
    return lambda matrix: np.prod(_eliminated(matrix, matrix[:, :0])[0])


@_linear_algebra("SLogDet")
def _(_op: Any, _node: Any) -> Function:
    def sign_and_log(matrix: Array) -> list[Array]:
        determinant = np.prod(_eliminated(matrix, matrix[:, :0])[0])
        sign = 1 if determinant > 0 else -1 if determinant < 0 else 0
        return [np.asarray(sign), _named("log")(abs(determinant))]

    return sign_and_log


@_linear_algebra("Expm")
def _(_op: Any, _node: Any) -> Function:
    def exponential(matrix: Array) -> Array:
        """Taylor's series of the matrix, halved until it is small, then squared as often."""
        n_halvings = max(0, int(_named("log2")(abs(matrix).sum() + 1)) + 1)
        small = _named("div")(matrix, 2**n_halvings)
        term = total = exact(np.eye(len(matrix)))
        k = 0
        while np.any(total + term != total) or k == 0:
            k += 1
            term = _named("div")(np.dot(term, small), k)
            total = total + term
        return reduce(lambda power, _: np.dot(power, power), range(n_halvings), total)

    return exponential


@_linear_algebra("Eigh")
def _(op: Any, _node: Any) -> Function:
    is_lower = getattr(op, "UPLO", "L") == "L" and getattr(op, "lower", True)
    return lambda matrix: _eigen(_symmetric(matrix, is_lower=is_lower))


@_linear_algebra("Eigvalsh")
def _(op: Any, _node: Any) -> Function:
    def values(matrix: Array, metric: Array | None = None) -> Array:
        matrix = _symmetric(matrix, is_lower=op.lower)
        if metric is not None:
            factor = _cholesky(metric if op.lower else metric.T)
            half = _substituted(factor, matrix, is_lower=True)
            matrix = _substituted(factor, half.T, is_lower=True)
        return _eigen(matrix)[0]

    return values


def _eigen(matrix: Array) -> list[Array]:
    """Return the eigenvalues of a symmetric matrix, rising, and its eigenvectors."""
    import gmpy2
    from mpmath import mp

    with mp.workprec(gmpy2.get_context().precision + GUARD_BITS):
        values, vectors = mp.eigsy(mp.matrix(_each(_to_mpmath, 1)(matrix).tolist()))
        return [
            np.array([_from_mpmath(value) for value in values], dtype=object),
            np.array([[_from_mpmath(x) for x in row] for row in vectors.tolist()], dtype=object),
        ]


def _symmetric(matrix: Array, *, is_lower: bool) -> Array:
    """Return the symmetric matrix of which only one triangle is looked at."""
    half = np.tril(matrix, -1) if is_lower else np.triu(matrix, 1)
    return half + half.T + np.diag(np.diagonal(matrix))


def _cholesky(matrix: Array) -> Array:
    """Return the lower factor, from the lower triangle; NaN where there is none."""
    factor = exact(np.zeros(matrix.shape))
    for j in range(len(matrix)):
        column = matrix[j:, j] - np.dot(factor[j:, :j], factor[j, :j])
        if not column[0] > 0:
            return exact(np.full(matrix.shape, np.nan))
        factor[j:, j] = column / _named("sqrt")(column[0])
    return factor


def _substituted(matrix: Array, b: Array, *, is_lower: bool) -> Array:
    """Return the solution of a triangular system."""
    solution = b.copy()
    order = range(len(matrix)) if is_lower else reversed(range(len(matrix)))
    for i in order:
        done = slice(None, i) if is_lower else slice(i + 1, None)
        left = b[i] - np.dot(matrix[i, done], solution[done])
        solution[i] = _named("div")(left, matrix[i, i])
    return solution


def _eliminated(matrix: Array, b: Array) -> tuple[Array, Array]:
    """Return Gauss's pivots, their product the determinant, and the solution of the system."""
    a, b = matrix.copy(), b.copy()
    pivots = exact(np.ones(len(a)))
    for i in range(len(a)):
        largest = i + int(np.argmax(abs(a[i:, i])))
        if largest != i:
            a[[i, largest]], b[[i, largest]] = a[[largest, i]], b[[largest, i]]
        pivots[i] = a[i, i] if largest == i else -a[i, i]
        if a[i, i] == 0:
            continue
        factors = _named("div")(a[i + 1 :, i], a[i, i])
        a[i + 1 :] = a[i + 1 :] - np.multiply.outer(factors, a[i])
        b[i + 1 :] = b[i + 1 :] - np.multiply.outer(factors, b[i])
    return pivots, _substituted(a, b, is_lower=False)


# -- Ops of scalars, elementwise --------------------------------------------------------------

# NumPy's own, which call the numbers' operators.
UFUNCS: Mapping[str, np.ufunc] = {
    "Abs": np.absolute,
    "Add": np.add,
    "AND": np.bitwise_and,
    "EQ": np.equal,
    "GE": np.greater_equal,
    "GT": np.greater,
    "IntDiv": np.floor_divide,
    "Invert": np.invert,
    "LE": np.less_equal,
    "LT": np.less,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mod": np.remainder,
    "Mul": np.multiply,
    "Neg": np.negative,
    "NEQ": np.not_equal,
    "OR": np.bitwise_or,
    "Pow": np.power,
    "Sub": np.subtract,
    "XOR": np.bitwise_xor,
}

# gmpy2's functions; those of two arguments are BINARY.
NAMED: Mapping[str, str] = {
    "ArcCos": "acos",
    "ArcCosh": "acosh",
    "ArcSin": "asin",
    "ArcSinh": "asinh",
    "ArcTan": "atan",
    "ArcTan2": "atan2",
    "ArcTanh": "atanh",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Erfc": "erfc",
    "Exp": "exp",
    "Exp2": "exp2",
    "Expm1": "expm1",
    "Floor": "floor",
    "Gamma": "gamma",
    "IsInf": "is_infinite",
    "IsNan": "is_nan",
    "J0": "j0",
    "J1": "j1",
    "Log": "log",
    "Log10": "log10",
    "Log1p": "log1p",
    "Log2": "log2",
    "Psi": "digamma",
    "RoundHalfAwayFromZero": "rint_round",
    "RoundHalfToEven": "rint",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqr": "square",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
    "TrueDiv": "div",
    "Trunc": "trunc",
}
BINARY = frozenset({"atan2", "div"})

# Of arrays.
ARRAYS: Mapping[str, Callable[..., Any]] = {
    "Identity": lambda x: x,
    "Second": lambda like, value: np.broadcast_arrays(like, value)[1],
    "Switch": lambda condition, then, other: np.where(condition.astype(bool), then, other),
    "Clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
}

# Made of gmpy2's functions, of one element.
FORMULAS: Mapping[str, Callable[..., Any]] = {
    "Reciprocal": lambda g, x: g.div(1, x),
    "Sigmoid": lambda g, x: g.div(1, 1 + g.exp(-x)),
    "Softplus": lambda g, x: g.maxnum(x, 0) + g.log1p(g.exp(-abs(x))),
    "Log1mexp": lambda g, x: g.log(-g.expm1(x)),
    "Sign": lambda g, x: x if g.is_nan(x) else g.sign(x),
    "GammaLn": lambda g, x: g.lgamma(x)[0],
    "Erfcx": lambda g, x: g.exp(x * x) * g.erfc(x),
    "XlogX": lambda g, x: x * g.log(x) if x else x,
    "XlogY0": lambda g, x, y: x * g.log(y) if x else x,
    "Deg2Rad": lambda g, x: x * g.const_pi() / 180,
    "Rad2Deg": lambda g, x: x * 180 / g.const_pi(),
}

# mpmath's, of one element.
SPECIAL: Mapping[str, Callable[..., Any]] = {
    "Erfinv": lambda mp, x: mp.erfinv(x),
    "Erfcinv": lambda mp, x: mp.erfinv(1 - x),
    "TriGamma": lambda mp, x: mp.psi(1, x),
    "PolyGamma": lambda mp, n, x: mp.psi(n, x),
    "GammaInc": lambda mp, k, x: mp.gammainc(k, 0, x, regularized=True),
    "GammaIncC": lambda mp, k, x: mp.gammainc(k, x, regularized=True),
    "GammaL": lambda mp, k, x: mp.gammainc(k, 0, x),
    "GammaU": lambda mp, k, x: mp.gammainc(k, x),
    "BetaInc": lambda mp, a, b, x: mp.betainc(a, b, 0, x, regularized=True),
    "Hyp2F1": lambda mp, a, b, c, x: mp.hyp2f1(a, b, c, x),
    "Jv": lambda mp, v, x: mp.besselj(v, x),
    "I0": lambda mp, x: mp.besseli(0, x),
    "I0e": lambda mp, x: mp.besseli(0, x) * mp.exp(-abs(x)),
    "I1": lambda mp, x: mp.besseli(1, x),
    "Iv": lambda mp, v, x: mp.besseli(v, x),
    "Ive": lambda mp, v, x: mp.besseli(v, x) * mp.exp(-abs(x)),
    "Kve": lambda mp, v, x: mp.besselk(v, x) * mp.exp(x),
}


@translated.register(Elemwise)
def _(op: Any, node: Any) -> Function:
    return translated(op.scalar_op, node)


@translated.register(ps.ScalarOp)
def _(op: Any, node: Any) -> Function:
    function = _scalar(op, len(node.inputs))
    if not any(map(_is_float, [*node.inputs, *node.outputs])):
        return function
    return lambda *x: function(*map(exact, x))


@translated.register(ps.Cast)
def _(_op: Any, node: Any) -> Function:
    (x,), (output,) = node.inputs, node.outputs
    if _is_float(x) and np.dtype(output.type.dtype).kind in "iu":
        return _named("trunc")
    return lambda value: value


@translated.register(Composite)
def _(op: Any, _node: Any) -> Function:
    return Program(op.inputs, op.outputs)


@translated.register(Root)
def _(op: Any, _node: Any) -> Function:
    """Search as the Op does until it would stop; then take Newton's steps until nothing is left."""
    start, advance, newton = (Program(*graph) for graph in (op.start, op.advance, op.newton))

    def root(*x: Any) -> Any:
        import gmpy2

        state, is_done = start(*x), np.False_
        for _ in range(MAX_STEPS):
            *ahead, ends = advance(*state, *x)
            state = [np.where(is_done, old, new) for old, new in zip(state, ahead, strict=True)]
            is_done = is_done | ends
            if np.all(is_done):
                break
        y = state[0]
        # The error after a step is about its square: one as small as this leaves none.
        enough = gmpy2.mpfr(2) ** (-3 * gmpy2.get_context().precision // 5)
        for _ in range(MAX_NEWTON_STEPS):
            (step,) = newton(y, *x)
            y = y - step
            if np.all(abs(step) <= enough * (1 + abs(y))):
                return y
        return np.full(np.shape(y), np.nan)

    return root


def _scalar(op: Any, n_inputs: int) -> Function:
    """Return what a scalar Op of PyTensor's or PyMC's computes, of arrays."""
    import gmpy2

    is_known = type(op).__module__.startswith(("pytensor.", "pymc."))
    name = type(op).__name__ if is_known else ""
    if name in UFUNCS:
        ufunc = UFUNCS[name]
        return ufunc if ufunc.nin == 1 else lambda *x: reduce(ufunc, x)
    if name in NAMED:
        return _named(NAMED[name])
    if name in ARRAYS:
        return ARRAYS[name]
    if name in FORMULAS:
        return _each(partial(FORMULAS[name], gmpy2), n_inputs)
    if name in SPECIAL:
        return _each(partial(_by_mpmath, SPECIAL[name]), n_inputs)
    raise Untranslatable(str(op))


def _named(name: str) -> Function:
    """Return a function of gmpy2's, of arrays."""
    import gmpy2

    return _each(getattr(gmpy2, name), 2 if name in BINARY else 1)


def _each(function: Function, n_inputs: int) -> Function:
    """Return a function of numbers as one of arrays."""
    of_arrays: Function = np.frompyfunc(function, n_inputs, 1)
    return of_arrays


def _by_mpmath(function: Callable[..., Any], *x: Any) -> Any:
    """Return a function of mpmath's at numbers of gmpy2's; NaN where it has no real value."""
    import gmpy2
    from mpmath import mp

    with mp.workprec(gmpy2.get_context().precision + GUARD_BITS):
        try:
            return _from_mpmath(function(mp, *map(_to_mpmath, x)))
        except (ValueError, ZeroDivisionError, mp.NoConvergence):
            return gmpy2.nan()


def _to_mpmath(number: Any) -> Any:
    from mpmath import mp

    return mp.mpf(str(number))


def _from_mpmath(number: Any) -> Any:
    """Return a number as gmpy2's; NaN if it isn't real."""
    import gmpy2
    from mpmath import mp

    return gmpy2.mpfr(mp.nstr(number, mp.dps)) if isinstance(number, mp.mpf) else gmpy2.nan()
