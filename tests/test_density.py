"""The density check: passes what agrees, refuses what does not, and shows where."""

from typing import Any

import numpy as np
import pytest

from gradbench import compat, density
from gradbench.draws import FloatArray
from gradbench.target import Target

pm = compat.pymc()


class Planted:
    """A sampler's view of a density, wrong as asked."""

    def __init__(self, target: Target, *, value: Any = None, gradient: Any = None) -> None:
        self._target, self._value, self._gradient = target, value, gradient

    def logdensity(self, points: FloatArray) -> FloatArray:
        values = self._target.logdensity_batch(points)
        return values if self._value is None else values + self._value(points)

    def gradient(self, points: FloatArray) -> FloatArray:
        found = np.array([self._target.logdensity_and_gradient(x)[1] for x in points])
        return found if self._gradient is None else found + self._gradient(points)

    def sample(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="module")
def target() -> Target:
    """A positive parameter, whose log-transform has a Jacobian, beside a plain one."""
    with pm.Model() as model:
        pm.Normal("x", 0.0, pm.HalfNormal("scale"))
    return Target(model)


def judge(target: Target, **planted: Any) -> density.DensityCheck:
    at = density.points(target)
    probes = {
        name: density.probe(Planted(target, **wrong), target, at)
        for name, wrong in {"honest": {}, **planted}.items()
    }
    return density.judge("model", at, probes)


def test_passes_what_agrees_up_to_a_constant(target: Target) -> None:
    """A constant makes no difference to a sampler, and none here."""
    check = judge(target, shifted={"value": lambda points: np.full(len(points), 17.0)})
    assert check.is_passed
    assert check.value_error is not None
    assert check.value_error < density.VALUE_TOLERANCE
    assert check.gradient_error is not None
    assert check.gradient_error < 1e-9


def test_refuses_a_missing_jacobian(target: Target) -> None:
    """A density without the log-transform's Jacobian is refused, with points and values."""
    check = judge(
        target, bare={"value": lambda points: -points[:, target.variables.index("scale_log__")]}
    )
    assert set(check.refused) == {"bare"}
    assert "differs from the model's by more than a constant: at x = (" in check.refused["bare"]


def test_refuses_a_wrong_gradient(target: Target) -> None:
    """A gradient off in one coordinate by a thousandth is refused."""
    check = judge(target, steep={"gradient": lambda _: np.array([1e-3, 0.0])})
    assert set(check.refused) == {"steep"}
    assert "its gradient is not that of the log-density" in check.refused["steep"]


def test_refuses_nan_where_the_model_is_finite(target: Target) -> None:
    """A value that is finite on one side only is a disagreement."""
    check = judge(target, holes={"value": lambda points: np.where(points[:, 0] > 0, np.nan, 0.0)})
    assert "holes" in check.refused
    assert check.value_error is None
