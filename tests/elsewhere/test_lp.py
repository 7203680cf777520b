"""Log-densities saved with draws: one constant apart from the model's, or of another target."""

import numpy as np
import pytest

from gradbench.draws import FloatArray
from gradbench.elsewhere import lp
from gradbench.elsewhere.chains import Chains
from gradbench.elsewhere.lp import Agreement
from gradbench.measure.known import LogDensities

N = 100
AT = (np.zeros(N, dtype=np.int64), np.arange(N))


@pytest.fixture
def ours() -> LogDensities:
    """Log-densities at draws of some model, its Jacobian another random number."""
    rng = np.random.default_rng(0)
    values = -rng.chisquare(5, N)
    return LogDensities(values, values - rng.standard_normal(N), values + 1e-12)


def compared(theirs: FloatArray, ours: LogDensities, digits: int = 17) -> Agreement:
    return lp.compared(theirs, ours, AT, digits)


def test_a_constant_is_allowed(ours: LogDensities) -> None:
    """Stan drops what doesn't depend on parameters."""
    found = compared(ours.unconstrained + 12.5, ours)
    assert not found.is_other
    assert "but for a constant of 12.5" in found.said


def test_a_density_of_the_parameters_themselves_is_the_same_target(ours: LogDensities) -> None:
    """Emcee's users write it without a Jacobian."""
    found = compared(ours.constrained, ours)
    assert not found.is_other
    assert "without the Jacobian" in found.said


def test_a_potential_energy_is_the_same_target(ours: LogDensities) -> None:
    """Its sign is the opposite."""
    assert "opposite sign" in compared(3 - ours.unconstrained, ours).said


@pytest.mark.parametrize("factor", [0.5, 1.01, 2.0])
def test_another_target_is_shown_by_two_draws(ours: LogDensities, factor: float) -> None:
    """Those where the difference is smallest and largest."""
    found = compared(factor * ours.unconstrained, ours)
    assert found.is_other
    extreme = [int(np.argmin(ours.unconstrained)) + 1, int(np.argmax(ours.unconstrained)) + 1]
    assert all(f"draw {i} of chain 1" in found.said for i in extreme)


def test_a_single_draw_that_differs_is_found(ours: LogDensities) -> None:
    """One among a hundred, by a tenth."""
    theirs = ours.unconstrained.copy()
    theirs[40] += 0.1
    found = compared(theirs, ours)
    assert found.is_other
    assert "draw 41 of chain 1" in found.said


def test_rounding_is_no_other_target(ours: LogDensities) -> None:
    """Six digits of CmdStan, in the draws and in the log-density."""
    rng = np.random.default_rng(1)
    moved = ours.unconstrained + 1e-4 * rng.standard_normal(N)
    rounded = LogDensities(ours.unconstrained, ours.constrained, moved)
    theirs = np.array([float(f"{x - 1e3:.6g}") for x in ours.unconstrained])
    assert not compared(theirs, rounded, digits=6).is_other
    assert compared(theirs, ours).is_other


def test_numbers_too_coarse_to_tell_are_told(ours: LogDensities) -> None:
    """A log-density of 1e7 with six digits says nothing of differences of 1."""
    found = compared(np.round(ours.unconstrained - 1e7, -2), ours, digits=6)
    assert not found.is_other
    assert "too coarse" in found.said


def test_draws_outside_the_support_are_of_another_target(ours: LogDensities) -> None:
    """The model has no density where theirs has one."""
    values = ours.unconstrained.copy()
    values[3] = -np.inf
    found = compared(ours.unconstrained, LogDensities(values, ours.constrained, ours.moved))
    assert found.is_other
    assert "not finite at draw 4 of chain 1" in found.said


def test_draws_with_the_extreme_values_are_among_those_picked() -> None:
    """They are where another target shows most."""
    saved = np.random.default_rng(0).standard_normal((3, 1000))
    chains = Chains(("x",), saved[..., None], np.arange(3), {"lp": saved})
    chain, draw = lp.picked(chains)
    assert {saved.min(), saved.max()} <= set(saved[chain, draw])
    assert len(chain) <= lp.N_COMPARED + 2
