"""Functions that an equation defines: right values and slopes, in every backend."""

import importlib
import pickle
from typing import Any

import numpy as np
import pytest

from gradbench import compat
from gradbench.draws import FloatArray

pm = compat.pymc()
import pytensor  # noqa: E402 - after pymc, whose import is kept quiet
import pytensor.scalar as ps  # noqa: E402
import pytensor.tensor as pt  # noqa: E402

from gradbench import implicit  # noqa: E402

kepler = importlib.import_module("gradbench.models.kepler")


@pytest.fixture(scope="module")
def orbit() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean anomalies, eccentricities up to 0.98, and the eccentric anomalies they come from."""
    around = np.concatenate([np.linspace(-7.0, 7.0, 141), np.pi * np.arange(-2, 3), [1e-9, 300.0]])
    anomaly, e = (a.ravel() for a in np.meshgrid(around, [0.0, 1e-12, 0.1, 0.5, 0.9, 0.98]))
    return anomaly - e * np.sin(anomaly), e, anomaly


@pytest.mark.parametrize("backend", ["c", "numba", "jax"])
def test_keplers_equation(backend: str, orbit: tuple[FloatArray, FloatArray, FloatArray]) -> None:
    """Value and gradient are the exact ones for all anomalies and eccentricities."""
    pytest.importorskip({"c": "pytensor"}.get(backend, backend))
    mean, e, anomaly = orbit
    x, y = pt.dvector(), pt.dvector()
    solved = kepler.eccentric_anomaly(x, y)
    outputs = [solved, *pytensor.grad(solved.sum(), [x, y])]
    found = pytensor.function([x, y], outputs, mode=compat.mode(backend))(mean, e)
    slope = 1 - e * np.cos(anomaly)
    for value, exact in zip(found, [anomaly, 1 / slope, np.sin(anomaly) / slope], strict=True):
        assert np.asarray(value) == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_jax_differentiates_it_by_the_theorem(
    orbit: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    """JAX's own gradient is the exact one too, also where JAX maps over points."""
    jax = pytest.importorskip("jax")
    mean, e, anomaly = orbit
    x, y = pt.dscalar(), pt.dscalar()
    op = kepler.eccentric_anomaly(x, y).owner.op.scalar_op
    by_mean, by_e = jax.jit(jax.vmap(jax.grad(op.jax(), argnums=(0, 1))))(mean, e)
    slope = 1 - e * np.cos(anomaly)
    assert np.asarray(by_mean) == pytest.approx(1 / slope, rel=1e-9)
    assert np.asarray(by_e) == pytest.approx(np.sin(anomaly) / slope, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("residual", "solution"),
    [
        (lambda y, x: ps.arctan(50 * (y - x)), lambda x: x),
        (lambda y, x: ps.exp(y) - x, np.log),
        (lambda y, x: y**3 - x, np.cbrt),
    ],
    ids=["flat far away", "steep far away", "flat between"],
)
def test_newtons_method_alone_would_fail(residual: Any, solution: Any) -> None:
    """The root is found within a wide bracket where Newton's method diverges or crawls."""
    wide = implicit.root(residual, bracket=lambda _: (-60.0, 90))
    x = pt.dvector()
    at = np.array([1e-3, 0.5, 1.0, 20.0])
    found = pytensor.function([x], wide(x), mode="FAST_COMPILE")(at)
    assert found == pytest.approx(solution(at), rel=1e-12, abs=1e-12)


REPEATED: dict[str, tuple[Any, Any]] = {
    "y*y": (lambda y, x: y * y + x * x - 1, lambda x: np.sqrt(1 - x**2)),
    "y*y*y": (lambda y, x: y * y * y - x, np.cbrt),
    "mul(y, y, y)": (lambda y, x: ps.mul(y, y, y) - x, np.cbrt),
    "x*y*x": (lambda y, x: x * y * x - 1, lambda x: x**-2),
    "y*y/y": (lambda y, x: y * y / y - x * x / x, lambda x: x),
    "y*exp(y*y)": (lambda y, x: y * ps.exp(y * y) - x * ps.exp(x * x), lambda x: x),
    "y**y": (lambda y, x: (y + 1) ** (y + 1) - (x + 1) ** (x + 1), lambda x: x),
}


@pytest.mark.parametrize("backend", ["c", "numba", "jax"])
def test_a_variable_may_occur_more_than_once(backend: str) -> None:
    """Values and slopes are right where a product has a factor twice, in every backend."""
    pytest.importorskip({"c": "pytensor"}.get(backend, backend))
    x, at = pt.dvector(), np.array([0.3, 0.5, 0.9])
    ys = [
        implicit.root(equation, bracket=lambda _: (0.0, 20.0))(x)
        for equation, _ in REPEATED.values()
    ]
    outputs = [*ys, *(pytensor.grad(y.sum(), x) for y in ys)]
    found = pytensor.function([x], outputs, mode=compat.mode(backend))(at)
    for name, value, slope in zip(REPEATED, found, found[len(ys) :], strict=False):
        exact = REPEATED[name][1]
        assert np.asarray(value) == pytest.approx(exact(at), rel=1e-9), name
        slopes = (exact(at + 1e-6) - exact(at - 1e-6)) / 2e-6
        assert np.asarray(slope) == pytest.approx(slopes, rel=1e-7), name


def test_arguments_broadcast_and_may_be_integers() -> None:
    """Arrays of any shape and type go together, and what doesn't matter has the slope 0."""
    line = implicit.root(lambda y, a, b, _c: y - a * b, bracket=lambda a, b, _c: (a * b, a * b))
    x = pt.dscalar()
    y = line(np.arange(3), np.ones((2, 1), dtype=int), x)
    value, slope = pytensor.function([x], [y, pytensor.grad(y.sum(), x)], mode="FAST_COMPILE")(5.0)
    assert np.array_equal(value, [[0, 1, 2], [0, 1, 2]])
    assert slope == 0


def test_an_op_survives_pickling() -> None:
    """Another process gets the same Op, with its gradient."""
    x = pt.dscalar()
    op = kepler.eccentric_anomaly(x, 0.5).owner.op
    again = pickle.loads(pickle.dumps(op))
    assert again == op
    slope = pytensor.function([x], pytensor.grad(again(x, np.float64(0.5)), x), mode="FAST_COMPILE")
    assert slope(0.0) == pytest.approx(2.0)
