"""The density check: passes what agrees, refuses what does not, and shows where."""

import json
from typing import Any

import numpy as np
import pytensor.tensor as pt
import pytest

from gradbench import compat, samplers
from gradbench.draws import FloatArray
from gradbench.logdensity import LogDensity
from gradbench.measure import check_model, density_check
from gradbench.models import Source
from gradbench.records import from_plain, to_json
from gradbench.sampler import Evaluator
from gradbench.target import from_function
from gradbench.target.target import Target

pm = compat.pymc()


class Planted(Evaluator):
    """A sampler's view of a density, wrong as asked."""

    def __init__(self, target: Target, *, value: Any = None, gradient: Any = None) -> None:
        self._target, self._value, self._gradient = target, value, gradient

    def logdensity(self, points: FloatArray) -> FloatArray:
        values = self._target.logdensity_batch(points)
        return values if self._value is None else values + self._value(points)

    def gradient(self, points: FloatArray) -> FloatArray | None:
        found = np.array([self._target.logdensity_and_gradient(x)[1] for x in points])
        return found if self._gradient is None else np.asarray(self._gradient(found))


class Slopeless(Planted):
    """A sampler's view that has no gradient."""

    def gradient(self, points: FloatArray) -> None:  # noqa: ARG002 - the protocol's signature
        return


@pytest.fixture(scope="module")
def target() -> Target:
    """A positive parameter, whose log-transform has a Jacobian, beside a plain one."""
    with pm.Model() as model:
        pm.Normal("x", 0.0, pm.HalfNormal("scale"))
    return Target(model, mode="FAST_COMPILE")


@pytest.fixture(scope="module")
def edged() -> Target:
    """Two standard normals of which the sum must be above 1."""
    with pm.Model() as model:
        a, b = pm.Normal("a"), pm.Normal("b")
        pm.Potential("enough", pm.math.switch(a + b > 1.0, 0.0, -np.inf))
    return Target(model, mode="FAST_COMPILE")


def of_function(function: Any, ndim: int = 2, **given: Any) -> Target:
    """Return the target of a plain function."""
    density = LogDensity(function, ndim=ndim, **given)
    return Target(from_function.of_function(density), function=density, mode="FAST_COMPILE")


def judge(target: Target, **planted: Any) -> density_check.DensityCheck:
    at = density_check.points(target)
    probes = {
        name: density_check.probe(Planted(target, **wrong), target, at)
        for name, wrong in {"honest": {}, **planted}.items()
    }
    return density_check.check_density("model", at, probes)


def test_passes_what_agrees_up_to_a_constant(target: Target) -> None:
    """A constant makes no difference to a sampler, and none here."""
    check = judge(target, shifted={"value": lambda points: np.full(len(points), 17.0)})
    assert check.is_passed
    assert check.value_error is not None
    assert check.value_error < density_check.VALUE_TOLERANCE
    assert check.gradient_error is not None
    assert check.gradient_error < 1e-9


def test_refuses_a_missing_jacobian(target: Target) -> None:
    """A density without the log-transform's Jacobian is refused, with points and values."""
    check = judge(
        target, bare={"value": lambda points: -points[:, target.variables.index("scale_log__")]}
    )
    assert set(check.refused) == {"bare"}
    assert "differs from the model's by more than a constant: at x = (" in check.refused["bare"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda gradient: -gradient,
        lambda gradient: 1.1 * gradient,
        lambda gradient: gradient * [1.0, 0.0],
        lambda gradient: gradient + np.array([0.0, 1.0]),
        lambda gradient: np.full(gradient.shape, np.nan),
    ],
    ids=["sign", "factor", "component", "jacobian", "nan"],
)
def test_refuses_a_wrong_gradient(target: Target, wrong: Any) -> None:
    """A gradient that costs a sampler more is refused, with the slopes that it should have."""
    check = judge(target, wrong={"gradient": wrong})
    assert set(check.refused) == {"wrong"}
    assert "its gradient is not that of the log-density" in check.refused["wrong"]


def test_an_inexact_gradient_passes_with_a_note(target: Target) -> None:
    """What is off by 3e-5 costs no sampler anything: it passes, and is told, also from JSON."""
    check = judge(target, rough={"gradient": lambda gradient: gradient * (1 + 3e-5)})
    assert check.is_passed
    assert check.notes == {"rough": "inexact gradient: 3e-05"}
    assert from_plain(density_check.DensityCheck, json.loads(to_json(check))) == check


def test_differences_know_their_own_error() -> None:
    """A density that is rough in its seventh digit is held to no more than differences resolve."""

    def rough(x: FloatArray) -> float:
        return float(-0.5 * x @ x + 1e-7 * np.sin(1e9 * x.sum()))

    target = of_function(rough, gradient=lambda x: -x)
    check = judge(target)
    assert check.is_passed, check.refused
    assert judge(target, wrong={"gradient": lambda gradient: 1.1 * gradient}).refused


def test_an_ill_conditioned_covariance_is_not_refused() -> None:
    """A Gaussian process with 1e-10 on its diagonal and Poisson counts, as in posteriordb."""
    at = np.linspace(-10, 10, 11)
    counts = [40, 37, 29, 12, 4, 3, 9, 19, 77, 82, 33]
    with pm.Model() as model:
        rho, alpha = pm.Gamma("rho", 25, 4), pm.HalfNormal("alpha", 2)
        f = pm.Normal("f", shape=11)
        distances = (at[:, None] - at) ** 2
        covariance = alpha**2 * pt.exp(-0.5 * distances / rho**2) + 1e-10 * np.eye(11)
        pm.Poisson("k", pt.exp(pt.linalg.cholesky(covariance) @ f), observed=counts)
    target = Target(model, mode="FAST_COMPILE")
    assert judge(target).is_passed
    assert judge(target, wrong={"gradient": lambda gradient: 1.1 * gradient}).refused


def test_refuses_nan_where_the_model_is_finite(target: Target) -> None:
    """A value that is finite on one side only is a disagreement."""
    check = judge(target, holes={"value": lambda points: np.where(points[:, 0] > 0, np.nan, 0.0)})
    assert "holes" in check.refused
    assert check.value_error is None


class TestOutside:
    """Points outside the support among the others."""

    def test_are_found_and_agree(self, edged: Target) -> None:
        """The model's own density is -inf there, one by one and in a batch with others."""
        at = density_check.points(edged)
        assert np.isfinite([edged.logdensity(x) for x in at[: 2 * density_check.N_POINTS]]).all()
        beyond = at[2 * density_check.N_POINTS :]
        assert len(beyond) > 0
        assert (beyond.sum(axis=1) <= 1).all()
        check = judge(edged)
        assert check.is_passed
        assert (check.n_points, check.n_outside) == (2 * density_check.N_POINTS, len(beyond))

    def test_a_point_that_voids_its_batch_is_refused(self, edged: Target) -> None:
        """One point outside makes all of them -inf: another density, whatever they are alone."""

        def voided(points: FloatArray) -> FloatArray:
            return np.where((points.sum(axis=1) <= 1).any(), -np.inf, np.zeros(len(points)))

        check = judge(edged, voided={"value": voided})
        assert set(check.refused) == {"voided"}
        assert "it is -inf, the model's is " in check.refused["voided"]

    @pytest.mark.parametrize(("value", "is_refused"), [(0.0, True), (-1e3, False), (np.inf, True)])
    def test_a_value_there_is_refused_unless_negligible(
        self, edged: Target, value: float, is_refused: bool
    ) -> None:
        """A finite value outside widens the support; far below the largest it changes nothing."""

        class Wide(Planted):
            def logdensity(self, points: FloatArray) -> FloatArray:
                values = super().logdensity(points)
                return np.where(np.isfinite(values), values, value)

        at = density_check.points(edged)
        check = density_check.check_density(
            "model", at, {"wide": density_check.probe(Wide(edged), edged, at)}
        )
        assert bool(check.refused) == is_refused

    @pytest.mark.parametrize("name", ["pymc_metropolis", "pymc_demetropolis_z", "pymc_slice"])
    def test_step_methods_are_probed_from_inside(self, edged: Target, name: str) -> None:
        """Differences are taken between points inside, though variables move one by one."""
        sampler = samplers.load(name)
        built = sampler.build(edged, sampler.options().fitted(2))
        at = density_check.points(edged)
        check = density_check.check_density(
            "model", at, {name: density_check.probe(built, edged, at)}
        )
        assert check.is_passed, check.refused
        assert check.n_outside > 0


def test_nested_sampling_is_held_to_what_it_can_reach() -> None:
    """Where no number of the unit cube is, 36 sds out, its map can't be the model's density."""
    pytest.importorskip("dynesty")
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("x", 0.0, 0.05, shape=2), 0.3, observed=[0.3, 0.6])
    target = Target(model, mode="FAST_COMPILE")
    dynesty = samplers.load("dynesty")
    at = density_check.points(target)
    built = dynesty.build(target, dynesty.options())
    check = density_check.check_density(
        "model", at, {"dynesty": density_check.probe(built, target, at)}
    )
    assert check.is_passed, check.refused


@pytest.mark.parametrize(
    ("error", "value", "is_refused"),
    [(1e-7, 0.0, False), (1e-4, 0.0, True), (1e-3, 4e5, False), (1.0, 4e5, True)],
)
def test_values_are_held_to_an_absolute_error(error: float, value: float, is_refused: bool) -> None:
    """1e-6 harms no sampler, and of large values rounding takes what it takes."""
    target = of_function(lambda x: float(-0.5 * x @ x - value), gradient=lambda x: -x)
    check = judge(target, off={"value": lambda points: error * (points[:, 0] > 0)})
    assert bool(check.refused) == is_refused


FIRST = np.array([1.0, 0.0])
LINES = {
    "step": (lambda x: 0.44 * (x[0] > 0.3), lambda _: 0.0, 0.44),
    "floor": (lambda x: -0.1 * np.floor(3 * x[0]), lambda _: 0.0, 0.1),
    "kink": (lambda x: -np.abs(x[0] - 0.3), lambda x: -np.sign(x[0] - 0.3), None),
    "steep": (lambda x: -20 * np.tanh(50 * x[0]), lambda x: -1e3 / np.cosh(50 * x[0]) ** 2, None),
}


@pytest.mark.parametrize(("extra", "slope", "jump"), LINES.values(), ids=LINES)
def test_a_jump_is_told_and_a_kink_is_none(extra: Any, slope: Any, jump: float | None) -> None:
    """The gradient's integral misses a jump, however finely a line is cut; nobody is refused."""
    target = of_function(
        lambda x: float(-0.5 * x @ x + extra(x)), gradient=lambda x: -x + slope(x) * FIRST
    )
    check = judge(target)
    assert check.is_passed, check.refused
    assert [finding.split(" near ")[0] for finding in check.findings] == (
        [] if jump is None else [f"the log-density jumps by {jump:g}"]
    )


@pytest.mark.parametrize("kind", ["minibatch", "numpy"])
def test_a_random_density_is_named(kind: str) -> None:
    """Asked twice at a point it has two values: that, not a difference, is what is said."""
    rng = np.random.default_rng(0)
    if kind == "numpy":
        target = of_function(lambda x: float(-0.5 * x @ x + rng.normal()))
    else:
        with pm.Model() as model:
            rows = pm.Minibatch(rng.normal(size=1000), batch_size=10)
            pm.Normal("y", pm.Normal("x"), observed=rows, total_size=1000)
        target = Target(model, mode="FAST_COMPILE")
    at = density_check.points(target)
    check = density_check.check_density(
        "model", at, {"any": density_check.probe(Slopeless(target), target, at)}
    )
    assert "the log-density is random: asked twice at x = (" in check.refused["any"]


FLOAT32 = """
from gradbench.logdensity import LogDensity
import jax.numpy as jnp

def model():
    data = jnp.arange(20, dtype=jnp.float32)
    return LogDensity(lambda x: -0.5 * jnp.sum((x.astype(jnp.float32)[0] - data) ** 2),
                      ndim=1, kind="jax")
"""


@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
def test_float32_is_named_once(model_file: Any) -> None:
    """check-model says it, and that only samplers which compare densities can run."""
    pytest.importorskip("jax")
    found = check_model.examine(Source(model_file(FLOAT32)), {})
    assert "computes in float32" in found.check.refused[check_model.ITSELF]
    assert found.unsuited["emcee"] is None
    assert "refused" in str(found.unsuited["pymc_nuts"])


def test_samplers_that_compare_float32_densities_are_marked() -> None:
    """A gradient in float32 is refused; values alone pass with a note."""

    def single(x: FloatArray) -> Any:
        return np.float32(-0.5 * x @ x)

    target = of_function(single, gradient=lambda x: -x)
    at = density_check.points(target)
    probes = {
        "nuts": density_check.probe(Planted(target), target, at),
        "emcee": density_check.probe(Slopeless(target), None, at),
    }
    check = density_check.check_density("model", at, probes)
    assert set(check.refused) == {"nuts"}
    assert check.notes == {"emcee": "computes in float32"}
