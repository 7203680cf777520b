"""No exact gradient of a shipped model is rejected, and no planted fault of one is missed."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from gradbench import gradients, models
from gradbench.draws import FloatArray
from gradbench.measure.gradient_cost import Cost, Given
from gradbench.measure.gradient_points import Points, points
from gradbench.measure.gradients import Answer, judged, what_is_right
from gradbench.target.target import Target

Evaluate = Callable[[Target, str, FloatArray], Given | None]

N_POINTS = 4
TIMEOUT_S = 60.0
NO_COST = cast("Cost", None)  # none is judged by it
MODELS = [
    pytest.param(name, marks=[pytest.mark.slow, *([pytest.mark.smoke] if name == "kepler" else [])])
    for name in models.names()
]
BY_NATURE = {"finite": "approximate", "second": "unverified"}


def status(name: str, given: Given, at: Points) -> str:
    """Return the status of a method that gave this, alone."""
    right = what_is_right(at, {name: given})
    return judged(name, Answer(NO_COST, given), at, right).status


def off(given: Given, coordinate: int, factor: float) -> Given:
    """Return what was given, one component of all gradients off by a factor."""
    gradients = given.gradients.copy()
    gradients[:, coordinate] *= factor
    return Given(given.values, gradients, given.default)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", MODELS)
def test_every_method_is_judged_rightly(name: str, evaluated: Evaluate) -> None:
    """Exact gradients are exact, differences approximate, and no density has a flaw; faults tell.

    A component is off by 1 %, by 1e-4 and by 1e-6, in turn, in each method that is exact.
    """
    source = models.find(name, Path())
    at = points(source, {}, n=N_POINTS, timeout_s=TIMEOUT_S)
    assert at.flaws == {}
    target = Target(*models.load(source, {}))
    is_known = np.isfinite(at.exact).any()
    largest = int(np.argmax(np.abs(at.exact[0]))) if is_known else 0
    for method in gradients.names():
        given = evaluated(target, method, at.at)
        if given is None:
            continue
        usual = "exact" if is_known else "unverified"
        assert status(method, given, at) == BY_NATURE.get(gradients.load(method).MODE, usual), (
            method
        )
        if gradients.load(method).MODE in {"reverse", "forward"}:
            for factor in (1.01, 1 + 1e-4, 1 + 1e-6):
                planted = off(given, largest, factor)
                assert status(method, planted, at) == "wrong", (method, factor)
