"""Every way to a gradient keeps the protocol, and gives the gradient of a small model."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pymc as pm
import pytest

from gradbench import LogDensity, folders, gradients
from gradbench.draws import FloatArray
from gradbench.errors import MethodError
from gradbench.exact.gradient import Yardstick
from gradbench.gradients import Mode, Way
from gradbench.measure.gradients import EXACT, UNUSABLE
from gradbench.target import from_function
from gradbench.target.target import Target

N_LOOPED = 50
METHODS = gradients.names()
FUNCTIONS = {"autograd_reverse", "own", "stan_reverse"}  # they need more than a graph
FAST = {"jax_reverse", "jax_hessian_vector", "finite_forward"}


def marked(name: str) -> Any:
    """Return a method as a test's parameter; what takes long to compile is slow."""
    slow = [] if name in FAST else [pytest.mark.slow]
    smoke = [pytest.mark.smoke] if name == "pytensor_forward" else []
    return pytest.param(name, marks=[*slow, *smoke])


GRAPHS = [marked(name) for name in METHODS if name not in FUNCTIONS]


# Numba calls what is no graph by Python.
pytestmark = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")


@pytest.fixture(scope="module")
def target() -> Target:
    """A model of three coordinates, two of them on another scale, and not symmetric."""
    with pm.Model() as model:
        sd = pm.HalfNormal("sd")
        share = pm.Uniform("share")
        pm.Normal("at", share, sd)
    return Target(model)


@pytest.fixture(scope="module")
def at() -> FloatArray:
    """Four points of it."""
    return np.random.default_rng(2).normal(size=(4, 3))


@pytest.fixture(scope="module")
def right(target: Target, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Its values and gradients there, exact."""
    exact = [Yardstick(*target.density.graph)(x) for x in at]
    return np.array([one.value for one in exact]), np.array([one.gradient for one in exact])


def built(name: str, target: Target) -> Way:
    """Return a way to the target's gradient, or skip."""
    if (remedy := gradients.remedy(name)) is not None:
        pytest.skip(remedy)
    method = gradients.load(name)
    if (reason := method.unsuited(target)) is not None:
        pytest.skip(reason)
    return method.build(target)


def tolerance(name: str) -> float:
    """Return what a gradient may be off by, relative to its largest component."""
    return UNUSABLE if gradients.load(name).MODE == "finite" else EXACT


@pytest.mark.parametrize("name", METHODS)
def test_says_what_it_is(name: str) -> None:
    """Every method has a line that says what it is, a mode, its libraries and their extra."""
    method = gradients.load(name)
    assert method.SUMMARY
    assert "\n" not in method.SUMMARY
    assert method.MODE in get_args(Mode)
    assert bool(method.EXTRA) == bool(method.LIBRARIES)


@pytest.mark.parametrize("name", GRAPHS)
def test_alone_and_batched_are_right(
    name: str, target: Target, at: FloatArray, right: tuple[FloatArray, FloatArray]
) -> None:
    """Values and gradients of one point and of many are the exact ones."""
    way = built(name, target)
    values, exact = right
    found = [way.alone.gradient(x) for x in at]
    forms = [(np.array([v for v, _ in found]), np.array([g for _, g in found]))]
    if (batched := way.batched()) is not None:
        forms.append(batched.gradient(at))
        assert np.allclose(batched.logdensity(at), values, rtol=1e-12)
    assert np.allclose([way.alone.logdensity(x) for x in at], values, rtol=1e-12)
    for got_values, got in forms:
        assert np.allclose(np.asarray(got_values, dtype=float), values, rtol=1e-12)
        assert np.shape(got) == exact.shape
        if gradients.load(name).MODE != "second":
            scale = np.abs(exact).max(axis=1, keepdims=True)
            assert (np.abs(got - exact) <= tolerance(name) * scale).all()


@pytest.mark.parametrize(
    "name", [*map(marked, ("pytensor_numba", "jax_reverse", "jax_forward_loop"))]
)
def test_looped_evaluates_each_time(name: str, target: Target, at: FloatArray) -> None:
    """A compiled loop gives a sum over as many evaluations as were asked for."""
    way = built(name, target)
    looped = way.looped(N_LOOPED)
    assert looped is not None
    value = float(way.alone.logdensity(at[0]))
    assert float(looped.logdensity(at[0])) == pytest.approx(N_LOOPED * value, rel=1e-9)
    total, _ = looped.gradient(at[0])
    assert np.isfinite(total)


def test_a_hessian_times_a_vector(target: Target, at: FloatArray) -> None:
    """The product with ones is the derivative of the exact gradient along ones."""
    way = built("jax_hessian_vector", target)
    step = 1e-5
    sides = [built("jax_reverse", target).alone.gradient(at[0] + s * step)[1] for s in (-1, 1)]
    _, product = way.alone.gradient(at[0])
    assert np.allclose(product, (sides[1] - sides[0]) / (2 * step), rtol=1e-6, atol=1e-6)


def quartic(x: Any) -> Any:
    """Return a log-density that NumPy writes."""
    return -0.5 * np.sum(x**2) - 0.1 * np.sum(x**4)


def slope(x: FloatArray) -> FloatArray:
    """Return its gradient."""
    return np.asarray(-x - 0.4 * x**3)


@pytest.fixture(scope="module")
def function() -> Target:
    """The same as a model that brings its gradient."""
    density = LogDensity(quartic, ndim=2, gradient=slope)
    return Target(from_function.of_function(density), function=density)


@pytest.mark.parametrize("name", ["own", "autograd_reverse"])
def test_functions_are_right(name: str, function: Target) -> None:
    """What is for plain functions alone gives their value and gradient."""
    x = np.array([0.3, -1.2])
    value, gradient = built(name, function).alone.gradient(x)
    assert value == pytest.approx(quartic(x), rel=1e-14)
    assert np.allclose(gradient, slope(x), rtol=1e-14)


def test_what_is_for_functions_is_unsuited_to_graphs(target: Target) -> None:
    """Each method that needs more than a graph says what it needs."""
    reasons = {
        name: gradients.load(name).unsuited(target)
        for name in ("own", "autograd_reverse", "stan_reverse")
    }
    assert all(reasons.values()), reasons


@pytest.mark.parametrize("name", ["pytensor_jax", "pytensor_forward", "jax_reverse"])
def test_what_looks_into_graphs_is_unsuited_to_functions(name: str, function: Target) -> None:
    """A method that must see the operations says that it can't."""
    assert gradients.load(name).unsuited(function)


def test_a_density_without_a_gradient_has_differences() -> None:
    """Without a gradient reverse mode is unsuited, in its own words; differences are not."""
    density = LogDensity(quartic, ndim=2)
    target = Target(from_function.of_function(density), function=density)
    assert "no gradient" in str(gradients.load("pytensor_c").unsuited(target))
    x = np.array([0.3, -1.2])
    _, gradient = built("finite_central", target).alone.gradient(x)
    assert np.allclose(gradient, slope(x), rtol=1e-8)


@pytest.mark.parametrize(
    "name", [*map(marked, ("pytensor_forward", "jax_forward_loop", "finite_forward"))]
)
def test_no_matrix_of_all_axes(name: str) -> None:
    """A pass for each coordinate takes memory in proportion to the dimension."""
    import tracemalloc

    n = 3000
    with pm.Model() as model:
        pm.Normal("x", shape=n)
    way = built(name, Target(model))
    x = np.zeros(n)
    way.alone.gradient(x)
    tracemalloc.start()
    try:
        way.alone.gradient(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * n * n / 10


@pytest.mark.slow
def test_differences_of_many_dimensions_have_no_batch() -> None:
    """The points that a gradient takes are not put into one call where they are too many."""
    with pm.Model() as model:
        pm.Normal("x", shape=3000)
    assert gradients.load("finite_five").build(Target(model)).batched() is None


def batched_of(method: str, target: Target) -> Callable[[FloatArray], Any]:
    """Return the gradients of many points."""
    pair = built(method, target).batched()
    assert pair is not None
    return pair.gradient


@pytest.mark.slow
def test_differences_are_batched_in_parts(
    target: Target, at: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many points go into a call as fit, and the result is the same."""
    from gradbench.gradients import _finite

    whole = batched_of("finite_central", target)(at)
    monkeypatch.setattr(_finite, "MATRIX_BYTES", 8 * 7 * 3)  # the points of one gradient
    parts = batched_of("finite_central", target)(at)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_an_unknown_method_is_told() -> None:
    """An unknown method is named, with the nearest known one and all others."""
    with pytest.raises(MethodError, match="no method 'jax_revers'; did you mean 'jax_reverse'"):
        gradients.load("jax_revers")


def test_a_missing_library_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method whose library isn't there says how to install it; another is not concerned."""
    monkeypatch.setattr(folders, "find_spec", lambda name: None if name == "jax" else object)
    assert gradients.remedy("jax_reverse") == 'pip install "gradbench-mcmc[jax]"'
    assert gradients.remedy("finite_central") is None
