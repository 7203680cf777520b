"""The yardstick: gradients right to the last digit of a double, or a reason why not."""

from typing import Any

import numpy as np
import pytest

from gradbench import LogDensity, compat
from gradbench.draws import FloatArray
from gradbench.exact.gradient import FLOOR, Errors, Exact, Yardstick, errors
from gradbench.target.target import Target

pm = compat.pymc()
import pytensor  # noqa: E402 - after pymc, whose import is kept quiet
import pytensor.tensor as pt  # noqa: E402
from pytensor.compile.mode import Mode  # noqa: E402
from pytensor.graph.basic import Apply  # noqa: E402
from pytensor.graph.op import Op  # noqa: E402

from gradbench.exact.graph import Untranslatable  # noqa: E402
from gradbench.target import from_function  # noqa: E402

gmpy2 = pytest.importorskip("gmpy2")
mp = pytest.importorskip("mpmath").mp


def errors_of(gradient: FloatArray, exact: Exact) -> Errors:
    return errors(gradient, exact.gradient, exact.rest)


PYTHON = Mode("py", "fast_compile")  # C would compile for minutes


def of_graph(expression: Any, *x: float) -> Exact:
    """Return what the yardstick says of an expression of a vector."""
    flat = pt.dvector("flat")
    return Yardstick(flat, expression(flat))(np.array(x))


def of_model(model: Any, x: FloatArray) -> Exact:
    flat, [logp] = Target(model).density.joined([model.logp()])
    return Yardstick(flat, logp)(x)


def rounded(formula: Any, *x: float) -> list[float]:
    """Return what a closed formula gives in 60 digits, rounded to doubles."""
    with mp.workdps(60):
        return [float(value) for value in formula(*(mp.mpf(value) for value in x))]


# -- closed forms -----------------------------------------------------------------------------


def test_normal() -> None:
    """The gradient of a normal is the closed one to the last digit."""
    with pm.Model() as model:
        pm.Normal("x", [0.3, -2.0, 1e5], 0.7, shape=3)
    x = 0.1, 4.0, -7e-5
    means = mp.mpf(0.3), mp.mpf(-2), mp.mpf(10) ** 5
    known = rounded(
        lambda *x: [(m - v) / mp.mpf(0.7) ** 2 for v, m in zip(x, means, strict=True)], *x
    )
    found = of_model(model, np.array(x))
    assert found.gradient.tolist() == known
    assert found.agreement < 1e-30


def test_jacobian_of_constrained_parameters() -> None:
    """The gradients of transformed parameters contain the derivative of the transform."""
    with pm.Model() as model:
        pm.HalfNormal("scale", 2.0)
        pm.Beta("share", 2.0, 5.0)
    x = 0.7, -1.3

    def closed(scale: Any, share: Any) -> list[Any]:
        return [1 - mp.exp(2 * scale) / 4, 2 - 7 / (1 + mp.exp(-share))]

    assert of_model(model, np.array(x)).gradient.tolist() == rounded(closed, *x)


@pytest.mark.parametrize(("logit", "n_digits"), [(1.0, 60), (100.0, 120), (300.0, 240)])
def test_lost_digits_are_found_again(logit: float, n_digits: int) -> None:
    """Where a logit loses digits, more are taken until two precisions agree."""
    found = of_graph(lambda x: pt.log(1 - pt.sigmoid(x[0])) - x[0] ** 2 / 200, logit)
    known = rounded(lambda x: [-1 / (1 + mp.exp(-x)) - x / 100], logit)
    assert found.gradient.tolist() == known
    assert found.n_digits == n_digits
    assert found.reason is None


def test_constants_in_single_precision_are_part_of_the_density() -> None:
    """A constant that PyMC computes in single precision counts as it is in every backend."""
    flat = pt.dvector("flat")
    logp = pt.log(pm.math.invprobit(flat[0]))  # divides by the root of 2 in float32
    gradient = pytensor.function([flat], pytensor.grad(logp, flat), mode=PYTHON)(np.array([0.3]))
    assert errors_of(gradient, Yardstick(flat, logp)(np.array([0.3]))).of_own[0] < 1e-14


def test_reverse_mode_isnt_always_exact() -> None:
    """PyTensor's derivative of the incomplete beta function has half a double's digits."""
    flat, at = pt.dvector("flat"), np.array([0.3])
    logp = pt.betainc(2.0, 0.5, flat[0])
    exact = Yardstick(flat, logp)(at)
    with mp.workdps(60):
        density = mp.mpf(0.3) / mp.sqrt(1 - mp.mpf(0.3)) / mp.beta(2, 0.5)
        assert exact.gradient.tolist() == [float(density)]
    gradient = pytensor.function([flat], pytensor.grad(logp, flat), mode=PYTHON)(at)
    assert 1e-9 < errors_of(gradient, exact).of_own[0] < 1e-7


def test_what_rounding_took_is_kept() -> None:
    """The gradient and its rest together have twice a double's digits."""
    found = of_graph(lambda x: pt.exp(x[0]), 1.0)
    with mp.workdps(60):
        left = abs(mp.mpf(found.gradient[0]) + mp.mpf(found.rest[0]) - mp.e)
        assert left < mp.mpf(10) ** -31


# -- where nothing is known -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "at", "reason"),
    [
        (lambda x: pt.log(1 - pt.sigmoid(x[0])) - x[0], 1500.0, "digits disagree"),
        (lambda x: pt.log(1 - pt.sigmoid(x[0])) - x[0], 5000.0, "isn't finite"),
        (lambda x: pt.switch(x[0] > 1, 1.0, 0.0) - x[0] ** 2, 1.0, "a jump"),
        (lambda x: -abs(x[0] - 1), 1.0, "a kink"),
        (lambda x: -pt.maximum(x[0], 2 * x[0] - 1), 1.0, "a kink"),
        (lambda x: pt.log(x[0]), -1.0, "isn't finite"),
        (lambda x: pt.log(x[0]), 0.0, "isn't finite"),
        (lambda x: pt.switch(x[0] >= 0, -x[0], -np.inf) - x[0], 0.0, "right beside"),
    ],
)
def test_no_reference(expression: Any, at: float, reason: str) -> None:
    """Where there is no gradient, or too many digits are lost, there is a reason instead."""
    found = of_graph(expression, at)
    assert reason in str(found.reason)
    assert np.isnan(found.gradient).all()


def test_outside_the_support() -> None:
    """A failed check of PyMC's is outside the support, not an error."""
    x = pt.dvector("x")
    logp = pm.logp(pm.Normal.dist(0.0, x[0]), 1.0)
    assert "isn't finite" in str(Yardstick(x, logp)(np.array([-1.0])).reason)
    assert Yardstick(x, logp)(np.array([1.0])).gradient.tolist() == [0.0]


@pytest.mark.parametrize("at", [0.0, 3.0])
def test_a_gradient_of_zero(at: float) -> None:
    """Zero is a gradient like any other, and no noise is left of it."""
    found = of_graph(lambda x: 5 - (x[0] ** 2 - 9) ** 2 + 0 * x[1], at, 0.3)
    assert found.reason is None
    assert found.gradient.tolist() == [0.0, 0.0]


def test_functions_without_a_graph_are_named() -> None:
    """A plain function and a random variable can't be evaluated in many digits."""
    model = from_function.of_function(LogDensity(lambda x: -(x**2).sum(), ndim=2))
    flat, [logp] = Target(model).density.joined([model.logp()])
    with pytest.raises(Untranslatable, match="Density outside PyTensor"):
        Yardstick(flat, logp)
    with pytest.raises(Untranslatable, match="normal"):
        Yardstick(flat, flat.sum() + pm.Normal.dist())
    with pytest.raises(Untranslatable, match="free has no value"):
        Yardstick(flat, flat.sum() + pt.dscalar("free"))


# -- judging ----------------------------------------------------------------------------------


class Tilted(Op):  # type: ignore[misc]
    """The square, with a gradient that is wrong by a millionth."""

    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return Apply(self, [x], [x.type()])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        outputs[0][0] = inputs[0] * inputs[0]

    def pullback(self, inputs: Any, _outputs: Any, cotangents: Any) -> Any:
        return [cotangents[0] * 2 * inputs[0] * (1 + 1e-6)]

    def L_op(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:  # noqa: N802
        return self.pullback(inputs, outputs, cotangents)


def test_a_wrong_gradient_is_told() -> None:
    """An error of a millionth in one component is measured as such, and the others are exact."""
    from gradbench.exact.graph import _performed, translated

    translated.register(Tilted, _performed)
    flat, at = pt.dvector("flat"), np.array([0.3, 2.0])
    logp = -Tilted()(flat[0]) - flat[1]
    gradient = pytensor.function([flat], pytensor.grad(logp, flat), mode=PYTHON)(at)
    found = errors_of(gradient, Yardstick(flat, logp)(at))
    assert found.of_own == pytest.approx([1e-6, FLOOR], rel=1e-6)
    assert found.of_largest == pytest.approx([0.6e-6, FLOOR], rel=1e-6)


def test_errors_are_relative_to_the_largest_component_and_to_their_own() -> None:
    """Both kinds of error have a floor, and a component of 0 has none of its own."""
    exact = Exact(0.0, np.array([4.0, 1.0, 0.0]), np.array([1e-17, 0.0, 0.0]), 0.0, 60)
    found = errors_of(np.array([4.0, 1.001, 1e-8]), exact)
    assert found.of_largest == pytest.approx([FLOOR, 2.5e-4, 2.5e-9])
    assert found.of_own[:2] == pytest.approx([FLOOR, 1e-3])
    assert np.isnan(found.of_own[2])


def test_no_error_of_a_gradient_of_zero() -> None:
    """Where all of the gradient is 0, so is the error of 0, and that of all else is infinite."""
    exact = Exact(0.0, np.zeros(2), np.zeros(2), 0.0, 60)
    assert errors_of(np.array([0.0, 1e-9]), exact).of_largest.tolist() == [FLOOR, np.inf]
