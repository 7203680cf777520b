"""Graphs in many digits: every Op gives what PyTensor gives, but for rounding."""

from typing import Any

import numpy as np
import pytest

from gradbench import compat

pm = compat.pymc()
import pytensor  # noqa: E402 - after pymc, whose import is kept quiet
import pytensor.tensor as pt  # noqa: E402
from pytensor.compile.mode import Mode  # noqa: E402
from pytensor.scan.utils import until as ends  # noqa: E402

from gradbench.exact.graph import Program  # noqa: E402

gmpy2 = pytest.importorskip("gmpy2")
pytest.importorskip("mpmath")

AT = np.array([0.3, 0.7, 0.2, 0.45])
INTEGERS = np.array([3, 0, 2, 1])
AS_WRITTEN = Mode("py", None)


def matrix(x: Any) -> Any:
    """Return a positive definite matrix, (3, 3)."""
    near = pt.exp(-((x[:3, None] - x[None, :3]) ** 2))
    return near + pt.eye(3) * x[3]


def summed(x: Any, **options: Any) -> Any:
    """Return an AR(2) of its inputs, by a loop."""
    return pytensor.scan(
        lambda new, before, last, factor: new + factor * before - last,
        sequences=[x],
        outputs_info=[{"initial": x[:2], "taps": [-2, -1]}],
        non_sequences=[x[3]],
        return_updates=False,
        **options,
    )


def outputs_and_states(x: Any) -> Any:
    """Return a loop's sums so far and their squares, which no later step sees."""
    sums, squares = pytensor.scan(
        lambda new, total: (total + new, total**2),
        sequences=[x],
        outputs_info=[x[0], None],
        return_updates=False,
    )
    return sums + squares


def until(x: Any) -> Any:
    """Return the doublings of x up to 2, by a loop that ends by itself."""
    return pytensor.scan(
        lambda value: (2 * value, ends(value > 1)),
        outputs_info=[x[0]],
        n_steps=20,
        return_updates=False,
    )


SCALAR: dict[str, Any] = {
    name: getattr(pt, name)
    for name in (
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
        *("sqrt", "sqr", "sin", "cos", "tan", "sinh", "cosh", "tanh"),
        *("arcsin", "arccos", "arctan", "arcsinh", "arctanh"),
        *("ceil", "floor", "trunc", "round", "sign", "neg", "abs"),
        *("erf", "erfc", "erfcx", "erfinv", "erfcinv"),
        *("gamma", "gammaln", "psi", "tri_gamma"),
        *("j0", "j1", "i0", "i1"),
        *("sigmoid", "softplus", "isnan", "isinf", "reciprocal"),
    )
} | {
    "arccosh": lambda x: pt.arccosh(1 + x),
    "log1mexp": lambda x: pt.log1mexp(-x),
    "softplus far out": lambda x: pt.softplus(3000 * (x - 0.4)),
    "polygamma": lambda x: pt.polygamma(2, x),
    "arctan2": lambda x: pt.arctan2(x, x - 0.5),
    "betainc": lambda x: pt.betainc(x, 2.0, x / 2),
    "gammainc": lambda x: pt.gammainc(2.0, x),
    "gammaincc": lambda x: pt.gammaincc(x, 2.0),
    "jv": lambda x: pt.jv(1.5, x),
    "ive": lambda x: pt.ive(1.5, x),
    "kve": lambda x: pt.kve(0.5, x),
    "hyp2f1": lambda x: pt.hyp2f1(0.5, 1.5, 2.5, x),
    "power": lambda x: x**2.5 + x**2 + 2**x + x**-1,
    "divisions": lambda x: x / 3 + x // 0.2 + x % 0.2 + 1 / x,
    "whole numbers": lambda x: x * INTEGERS + INTEGERS / 2 + pt.as_tensor(INTEGERS) // 2,
    "comparisons": lambda x: pt.and_(x > 0.25, x <= 0.7) + 2.0 * pt.or_(x < 0.25, pt.eq(x, 0.3)),
    "switch": lambda x: pt.switch(x > 0.4, x, pt.log(x)),
    "clip": lambda x: pt.clip(x, 0.25, 0.5) + pt.maximum(x, 0.4) * pt.minimum(x, 0.4),
    "casts": lambda x: pt.cast(10 * x + 0.1, "int64") + pt.cast(x > 0.4, "float64") * x,
    "float32": lambda x: x * pt.constant(np.float32(0.1)),
    "float32, computed": lambda x: x * pt.sqrt(np.float32(2)) + pt.log(np.float32(3)),
    "single": lambda x: pt.second(x, 0.5) + pt.zeros_like(x) + pt.ones_like(x),
}

ARRAY: dict[str, Any] = {
    "reductions": lambda x: pt.stack([x.sum(), x.prod(), x.max(), x.min(), x.mean(), x.var()]),
    "axes": lambda x: pt.outer(x, x).sum(axis=0) + pt.outer(x, x).max(axis=1),
    "of nothing": lambda x: x[:0].sum() + x[:0].prod() * x,
    "all and any": lambda x: pt.switch(pt.all(x > 0) & pt.any(x > 0.6), x, 0.0),
    "order": lambda x: pt.sort(x) + pt.argsort(x) + pt.argmax(x),
    "cumulated": lambda x: pt.cumsum(x) + pt.cumprod(x),
    "indices": lambda x: x[::-1] + x[pt.as_tensor(INTEGERS)] + x[x > 0.25].sum() + x[-1],
    "rows": lambda x: pt.outer(x, x)[pt.as_tensor(INTEGERS), 1],
    "set": lambda x: pt.set_subtensor(x[1:3], x[:2] ** 2),
    "increased": lambda x: pt.inc_subtensor(x[pt.as_tensor([0, 0, 1])], x[:3]),
    "shapes": lambda x: x.reshape((2, 2)).T.ravel() + x.shape[0] + pt.arange(4) / 3,
    "joined": lambda x: pt.concatenate([x, [1.0], x[:2]]) * pt.arange(0.1, 0.75, 0.1),
    "tiled": lambda x: pt.repeat(x, 2) + pt.tile(x, 2),
    "diagonals": lambda x: pt.diag(x) + pt.diag(pt.diagonal(pt.outer(x, x))) + pt.tri(4),
    "filled": lambda x: pt.fill_diagonal(pt.outer(x, x), x[0]),
    "split": lambda x: sum(pt.split(x, [2, 2], n_splits=2)),
    "softmax": lambda x: pt.special.softmax(x) + pt.special.log_softmax(x, axis=0),
    "logsumexp": lambda x: pt.logsumexp(x) + pt.logaddexp(x, 2 * x),
    "products": lambda x: pt.dot(x, x) + pt.outer(x, x) @ x,
    "batched": lambda x: pt.matmul(pt.outer(x, x).reshape((4, 2, 2)), x[:2]),
    "einsum": lambda x: pt.einsum("i,j,j->i", x, x, x),
    "ifelse": lambda x: compat.if_else()(1)(x[0] > 0.5, pt.log(x - 1), x),
    "cholesky": lambda x: pt.linalg.cholesky(matrix(x)),
    "cholesky, batched": lambda x: pt.linalg.cholesky(pt.stack([matrix(x), 2 * matrix(x)])),
    "cholesky, upper": lambda x: pt.linalg.cholesky(matrix(x), lower=False),
    "triangular": lambda x: pt.linalg.solve_triangular(matrix(x), x[:3], lower=True),
    "transposed": lambda x: pt.linalg.solve_triangular(matrix(x), x[:3], trans=1, lower=True),
    "cho_solve": lambda x: pt.linalg.cho_solve((pt.linalg.cholesky(matrix(x)), True), x[:3]),
    "solve": lambda x: pt.linalg.solve(matrix(x) - 1, x[:3]),
    "solve, positive": lambda x: pt.linalg.solve(matrix(x), pt.eye(3), assume_a="pos"),
    "inverse": lambda x: pt.linalg.inv(matrix(x)),
    "determinant": lambda x: pt.linalg.det(matrix(x) - 1) + pt.linalg.det(pt.outer(x, x)),
    "slogdet": lambda x: pt.stack(pt.linalg.slogdet(matrix(x) - 1)),
    "eigenvalues": lambda x: pt.linalg.eigh(matrix(x))[0],
    "eigenvalues of two": lambda x: compat.linear_algebra()["Eigvalsh"]()(
        matrix(x), 2 * matrix(x / 2)
    ),
    "eigenvectors": lambda x: abs(pt.linalg.eigh(matrix(x))[1]),
    "expm": lambda x: pt.linalg.expm(2 * matrix(x)),
    "kronecker": lambda x: pt.linalg.kron(matrix(x), matrix(x)),
    "scan": summed,
    "scan, of states and outputs": outputs_and_states,
    "scan, backwards": lambda x: summed(x, go_backwards=True),
    "scan until": until,
}


@pytest.mark.parametrize("name", [*SCALAR, *ARRAY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # logarithms on branches not taken
def test_op(name: str) -> None:
    """An expression's value is PyTensor's, whatever the precision."""
    expression = {**SCALAR, **ARRAY}[name]
    x = pt.dvector("x")
    output = pt.as_tensor(expression(x))
    known = pytensor.function([x], output, mode=AS_WRITTEN)(AT)
    with gmpy2.context(precision=200):
        (found,) = Program([x], [output])(AT)
    assert found.shape == known.shape
    assert found.astype(float) == pytest.approx(known.astype(float), rel=1e-9, abs=1e-14)


def test_digits_are_those_of_the_context() -> None:
    """One program gives as many digits as are asked for at each call, of constants too."""
    x = pt.dvector("x")
    program = Program([x], [x[0] * pt.exp(pt.constant(np.float64(1)))])
    with gmpy2.context(precision=1000):
        exact = gmpy2.exp(gmpy2.mpfr(1))
        for precision in (100, 800, 200):
            with gmpy2.context(precision=precision):
                (found,) = program(np.ones(1))
            assert gmpy2.mpfr(2) ** (-precision - 8) < abs(found[()] - exact)
            assert abs(found[()] - exact) < gmpy2.mpfr(2) ** (-precision + 2)


def test_shared_values_are_read_at_each_precision() -> None:
    """A shared variable is a constant of the program."""
    x, shared = pt.dvector("x"), pytensor.shared(np.array([1.5, 2.5]))
    with gmpy2.context(precision=200):
        (found,) = Program([x], [(x * shared).sum()])(np.array([2.0, 4.0]))
    assert found[()] == 13
