"""The rule that judges a gradient: every planted fault is told, and nothing right is rejected."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from gradbench.measure.density_check import N_DIRECTIONS, directions
from gradbench.measure.gradient_cost import Cost, Given
from gradbench.measure.gradient_points import SCHEMES, STEPS, Points
from gradbench.measure.gradients import Answer, Comparison, Measured, judged, what_is_right

NO_COST = cast("Cost", None)  # none is judged by it
N, NDIM = 6, 3
NOISE = 1e-10  # of extrapolated differences


def normal(*, is_known: bool = True, is_function: bool = False) -> Points:
    """Return points of a standard normal: its gradient at x is -x."""
    at = np.random.default_rng(1).normal(size=(N, NDIM))
    nothing = np.full((N, NDIM), np.nan)
    return Points(
        at=at,
        values=-0.5 * (at**2).sum(axis=1),
        exact=-at if is_known else nothing,
        rest=np.zeros((N, NDIM)),
        slopes=-at @ directions(N_DIRECTIONS, NDIM).T,
        uncertainties=np.full((N, N_DIRECTIONS), NOISE),
        condition=np.full(N, 1e-16),
        n_digits=60 if is_known else 0,
        reason="" if is_known else "it can't be evaluated in many digits",
        is_function=is_function,
        flaws={},
        steps={scheme: np.full(len(STEPS), np.nan) for scheme in SCHEMES},
    )


def right_of(points: Points) -> Given:
    """Return what a method gives that is right."""
    return Given(points.values.copy(), -points.at, points.values)


def off(points: Points, error: float) -> Given:
    """Return what a method gives whose second component is off by this share of itself."""
    gradients = -points.at
    gradients[:, 1] *= 1 + error
    return Given(points.values, gradients, points.values)


def of(points: Points, name: str, given: Given) -> Measured:
    """Return the verdict on a method that is the only one."""
    right = what_is_right(points, {name: given})
    return judged(name, Answer(NO_COST, given), points, right)


@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-6, 1e-8])
def test_a_component_that_is_off_is_wrong(error: float) -> None:
    """Reverse mode with one component off is wrong, with the place and both values."""
    found = of(normal(), "jax_reverse", off(normal(), error))
    assert found.status == "wrong"
    assert "coordinate 1, it is" in found.reason
    assert found.error is not None
    assert found.error.own == pytest.approx(error, rel=1e-6)


def test_rounding_is_exact() -> None:
    """What differs by rounding alone is exact, and its error is no less than what is told."""
    found = of(normal(), "jax_reverse", off(normal(), 1e-15))
    assert found.status == "exact"
    assert found.reason == ""
    assert of(normal(), "jax_reverse", right_of(normal())).error is not None


def test_a_point_that_is_badly_conditioned_may_be_less_exact() -> None:
    """Where a point's last digits change its gradient, as much is rounding; elsewhere it isn't."""
    points = normal()
    condition = points.condition.copy()
    condition[0] = 1e-8
    points = replace(points, condition=condition)
    given = right_of(points)
    given.gradients[0, 0] *= 1 + 1e-9
    assert of(points, "jax_reverse", given).status == "exact"
    given.gradients[1, 0] *= 1 + 1e-6
    assert of(points, "jax_reverse", given).status == "wrong"


@pytest.mark.parametrize(
    ("error", "status"), [(1e-15, "exact"), (1e-6, "approximate"), (1e-4, "wrong")]
)
def test_a_gradient_by_hand_may_be_approximate(error: float, status: str) -> None:
    """A gradient of one's own may be as inexact as the density check lets pass without a note."""
    assert of(normal(), "own", off(normal(), error)).status == status


@pytest.mark.parametrize(
    ("error", "status"), [(0.0, "approximate"), (1e-6, "approximate"), (0.1, "wrong")]
)
def test_differences_are_approximate(error: float, status: str) -> None:
    """Finite differences are approximate, and wrong where they are of no use."""
    assert of(normal(), "finite_forward", off(normal(), error)).status == status


@pytest.mark.parametrize("what", ["values", "gradients"])
def test_what_is_not_finite_is_told(what: str) -> None:
    """NaN where the density is finite is told with the point, in value and gradient."""
    given = right_of(normal())
    getattr(given, what)[2] = np.nan
    found = of(normal(), "jax_reverse", given)
    assert found.status == "nonfinite"
    assert found.is_failure
    assert "x = (" in found.reason


def test_a_density_of_nothing_may_be_infinite() -> None:
    """A backend may have -inf where another has what is 30 below the highest value."""
    points = normal()
    values = points.values.copy()
    values[2] -= 40
    points = replace(points, values=values)
    given = right_of(points)
    given.values[2], given.gradients[2] = -np.inf, np.nan
    assert of(points, "jax_reverse", given).status == "exact"


def test_a_missing_jacobian_is_another_density() -> None:
    """A log-density that differs by more than a constant is told, with both values."""
    points = normal()
    given = Given(points.values + points.at[:, 0], -points.at + [1.0, 0, 0], points.values)
    found = of(points, "stan_reverse", given)
    assert found.status == "wrong"
    assert "more than a constant" in found.reason


def test_a_constant_is_no_difference() -> None:
    """Log-densities up to a constant are the same."""
    points = normal()
    given = Given(points.values + 17.0, -points.at, points.values)
    assert of(points, "stan_reverse", given).status == "exact"


def test_of_a_random_density_nothing_is_verified() -> None:
    """Where the density is random no method is blamed, and the comparison fails."""
    points = replace(normal(), flaws={"noisy": "the log-density is random"})
    found = of(points, "jax_reverse", off(points, 0.1))
    assert found.status == "unverified"
    assert Comparison({}, points, "", [found]).is_failure


@pytest.mark.parametrize(
    ("flaw", "is_failure"),
    [("jump", True), ("kink", False), ("single_precision", False), ("no_gradient", False)],
)
def test_some_flaws_fail(flaw: str, is_failure: bool) -> None:
    """A density that jumps fails the command; one with a kink, or in float32, doesn't."""
    points = replace(normal(), flaws={flaw: "so it is"})  # type: ignore[dict-item]
    assert Comparison({}, points, "").is_failure == is_failure


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [
        ("jax_reverse", 1e-15, "exact"),
        ("jax_reverse", 1e-7, "single_precision"),
        ("jax_reverse", 0.1, "wrong"),
        ("finite_forward", 8.0, "single_precision"),
    ],
)
def test_in_float32_no_more_is_asked_than_it_has(name: str, error: float, status: str) -> None:
    """The errors that float32 leaves are no method's fault; others are."""
    points = replace(normal(), flaws={"single_precision": "it computes in float32"})
    assert of(points, name, off(points, error)).status == status


# -- without exact gradients ------------------------------------------------------------------


def test_two_that_have_nothing_in_common_are_right() -> None:
    """Without exact gradients, two implementations that agree judge a third."""
    points = normal(is_known=False)
    given = {
        "pytensor_numba": right_of(points),
        "jax_reverse": right_of(points),
        "stan_reverse": off(points, 1e-6),
    }
    right = what_is_right(points, given)
    assert right.known_by == "pytensor_numba and jax_reverse, which agree"
    found = {n: judged(n, Answer(NO_COST, g), points, right).status for n, g in given.items()}
    assert found == {
        "pytensor_numba": "exact",
        "jax_reverse": "exact",
        "stan_reverse": "wrong",
    }


@pytest.mark.parametrize(
    ("names", "is_function"),
    [
        (("pytensor_c", "pytensor_numba"), False),
        (("pytensor_jax", "jax_reverse"), False),
        (("pytensor_c", "jax_reverse"), True),
        (("pytensor_c", "own"), True),
    ],
)
def test_two_that_share_their_rules_prove_nothing(
    names: tuple[str, str], is_function: bool
) -> None:
    """Methods that run the same rules of differentiation may be wrong together."""
    points = normal(is_known=False, is_function=is_function)
    wrong = dict.fromkeys(names, off(points, 1e-2))
    right = what_is_right(points, wrong)
    assert "differences" in right.known_by
    answers = [judged(n, Answer(NO_COST, wrong[n]), points, right) for n in names]
    assert [one.status for one in answers] == ["wrong", "wrong"]


@pytest.mark.parametrize(
    ("name", "error", "status"),
    [
        ("pytensor_numba", 1e-15, "unverified"),
        ("pytensor_numba", 1e-6, "wrong"),
        ("own", 1e-6, "approximate"),
        ("own", 1e-3, "wrong"),
        ("finite_central", 1e-8, "approximate"),
        ("finite_forward", 0.5, "wrong"),
    ],
)
def test_differences_alone_find_faults(name: str, error: float, status: str) -> None:
    """With differences alone nothing is shown to be exact, and what is wrong is found."""
    points = normal(is_known=False, is_function=True)
    found = of(points, name, off(points, error))
    assert found.status == status
    assert found.error is not None


def test_where_nothing_is_known_nothing_is_said() -> None:
    """Without exact gradients, a second implementation or differences, there is no error."""
    points = normal(is_known=False)
    unknown = np.full((N, N_DIRECTIONS), np.nan)
    points = replace(points, slopes=unknown, uncertainties=unknown)
    found = of(points, "jax_reverse", right_of(points))
    assert (found.status, found.error) == ("unverified", None)
    assert found.reason == points.reason


def test_a_density_that_differs_between_processes_is_told() -> None:
    """A model whose file draws data without a seed is named, not its methods."""
    from gradbench.measure.gradients import _differs

    points = normal()
    given = Given(points.values, -points.at, points.values + 0.1)
    assert _differs(points, {"jax_reverse": right_of(points)}) is None
    assert "from one process to the next" in str(_differs(points, {"jax_reverse": given}))
