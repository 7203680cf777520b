"""No exact gradient of a shipped model is rejected, and no planted fault of one is missed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gradbench import compat, gradients, models
from gradbench.draws import FloatArray
from gradbench.exact.gradient import Yardstick
from gradbench.measure import gradient_points
from gradbench.measure.gradient_cost import Cost, Given
from gradbench.measure.gradient_points import Points
from gradbench.measure.gradients import Answer, judged, what_is_right
from gradbench.target.target import Target

Evaluate = Callable[[Target, str, FloatArray], Given | None]

N_POINTS = 2
TIMEOUT_S = 60.0
ROUNDED = 1e-9  # relative: what a value stays below, with constants that PyMC has in float32
NO_COST = cast("Cost", None)  # none is judged by it
FAULTS = 1.01, 1 + 1e-4, 1 + 1e-6  # times the largest component
BY_NATURE = {"finite": "approximate", "second": "unverified"}

# What is looked at of each model where its defaults have many dimensions or data.
SMALL: dict[str, dict[str, Any]] = {
    "correlated_gaussian": {"dim": 10},
    "gaussian": {"dim": 5},
    "gaussian_process": {"n": 20},
    "horseshoe": {"n": 20, "k": 4},
    "ill_conditioned_gaussian": {"dim": 10},
    "implicit_root": {"n": 8},
    "item_response": {"persons": 8, "items": 4},
    "kepler": {"n": 8},
    "logistic_regression": {"n": 50, "k": 5},
    "ordered_mixture": {"n": 20},
    "radon": {"counties": 5, "houses": 30},
    "stochastic_volatility": {"length": 15},
    "transit": {"n": 20},
}
# The operation of these takes milliseconds in Python; of all others Python is ready in a second,
# where compilers take up to a minute.
BY_JAX = {"implicit_root", "kepler", "transit"}
SLOW = {*BY_JAX, "hep_counting", "horseshoe", "ordered_mixture", "radon"}
# Those on which every way is tried: transforms and a Stan program, a factorization, a product of
# matrices on data, an operation with a gradient of its own.
FACTORED = "gaussian_process"
KINDS = "eight_schools", FACTORED, "logistic_regression", "implicit_root"
UNTRANSLATABLE = "lotka_volterra"  # its operation is none of a graph


@pytest.fixture(autouse=True)
def without_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the errors of differences by step, which no verdict rests on."""
    monkeypatch.setattr(gradient_points, "STEPS_S", 0.0)


def loaded(name: str) -> tuple[Target, Points]:
    """Return a shipped model, small, and what is right of its gradient."""
    if name in BY_JAX:
        pytest.importorskip("jax")
    mode = compat.mode("jax") if name in BY_JAX else "FAST_COMPILE"
    target = Target(*models.load(models.find(name, Path()), SMALL.get(name, {})), mode=mode)
    return target, gradient_points.of_target(target, n=N_POINTS, timeout_s=TIMEOUT_S)


def status(name: str, given: Given, at: Points) -> str:
    """Return the status of a method that gave this, alone."""
    right = what_is_right(at, {name: given})
    return judged(name, Answer(NO_COST, given), at, right).status


def with_faults(given: Given) -> Iterator[Given]:
    """Yield what was given, the component that is largest at the first point off by each fault."""
    largest = int(np.argmax(np.abs(given.gradients[0])))
    for factor in FAULTS:
        faulty = given.gradients.copy()
        faulty[:, largest] *= factor
        yield Given(given.values, faulty, given.default)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in models.names()]
)
def test_every_model_is_judged_rightly(name: str) -> None:
    """No density has a flaw, reverse mode is exact, and a component that is off is wrong."""
    target, at = loaded(name)
    assert at.flaws == {}
    both = [target.logdensity_and_gradient(x) for x in at.at]
    values = np.array([value for value, _ in both])
    given = Given(values, np.array([gradient for _, gradient in both]), values)
    is_known = name != UNTRANSLATABLE
    assert np.isfinite(at.exact).all() == is_known
    if is_known:
        value = Yardstick(*target.density.graph).value
        assert values == pytest.approx([value(x) for x in at.at], rel=ROUNDED)
    assert status("pytensor_c", given, at) == ("exact" if is_known else "unverified")
    assert {status("pytensor_c", faulty, at) for faulty in with_faults(given)} == {"wrong"}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_way_is_judged_rightly(name: str, evaluated: Evaluate) -> None:
    """Exact gradients are exact, differences approximate, and a component that is off is wrong."""
    target, at = loaded(name)
    methods = set(gradients.names())
    if name == FACTORED and compat.backend_name("default") != "numba":
        methods.discard("pytensor_numba")  # it takes half a minute to compile before PyTensor 3
    for method in sorted(methods):
        given = evaluated(target, method, at.at)
        if given is None:
            continue
        mode = gradients.load(method).MODE
        assert status(method, given, at) == BY_NATURE.get(mode, "exact"), method
        if mode not in BY_NATURE:
            assert {status(method, faulty, at) for faulty in with_faults(given)} == {"wrong"}
