"""The target: the model's own density, its Jacobian, its gradient, and where runs start."""

import numpy as np
import pytest

from gradbench import compat
from gradbench.errors import ModelError
from gradbench.reference import Moments, Reference
from gradbench.target import Target

pm = compat.pymc()


@pytest.fixture(scope="module")
def target() -> Target:
    """A model with transforms, a hierarchy, deterministics, and one that never varies."""
    with pm.Model() as model:
        scale = pm.HalfNormal("scale")
        share = pm.Dirichlet("share", np.ones(3))
        x = pm.Normal("x", 0.0, scale, shape=(2, 2))
        pm.Deterministic("total", x.sum() * share[0])
        pm.Deterministic("fixed", pm.math.stack([1.0, 2.0]))
    return Target(model)


def test_density_is_the_models(target: Target) -> None:
    """Values are PyMC's own log-density of the transformed variables, Jacobian included."""
    compiled = target.model.compile_logp(jacobian=True)
    for x in target.initial(np.random.default_rng(0), 5):
        assert target.logdensity(x) == pytest.approx(float(compiled(target.point(x))), rel=1e-12)


def test_batch_is_the_single_one(target: Target) -> None:
    """The batched form gives at each point what the single one gives."""
    points = target.initial(np.random.default_rng(1), 7)
    singles = [target.logdensity(x) for x in points]
    assert target.logdensity_batch(points) == pytest.approx(singles, rel=1e-12)


def test_gradient_is_the_slope(target: Target) -> None:
    """Reverse mode agrees with central differences in every coordinate."""
    (x,) = target.initial(np.random.default_rng(2), 1)
    _, gradient = target.logdensity_and_gradient(x)
    steps = 1e-5 * np.eye(target.ndim)
    slopes = (target.logdensity_batch(x + steps) - target.logdensity_batch(x - steps)) / 2e-5
    assert gradient == pytest.approx(slopes, rel=1e-6, abs=1e-6)


def test_parameters_are_arviz_names(target: Target) -> None:
    """Every scalar that varies is named as ArviZ names it, deterministics among them."""
    assert {"scale", "share[2]", "x[1, 1]", "total"} <= set(target.parameters)
    assert not any(name.startswith("fixed") for name in target.parameters)
    values = target.constrain(np.zeros((3, 4, target.ndim)))
    assert values.shape == (3, 4, len(target.parameters))


def test_constrained_points_come_back(target: Target) -> None:
    """Unconstraining what was constrained gives the same points."""
    points = target.initial(np.random.default_rng(3), 6)
    assert target.unconstrain(target.named(points)) == pytest.approx(points, abs=1e-9)


@pytest.mark.parametrize("init", ["uniform", "model", "map"])
def test_starts_are_finite_and_repeatable(target: Target, init: str) -> None:
    """Starting points have a finite density, differ, and repeat with the generator's seed."""
    first, again = (target.starts(init, np.random.default_rng(4), 20) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first, again)
    assert np.isfinite(target.logdensity_batch(first)).all()
    assert np.ptp(first, axis=0).min() > 0


def test_starting_from_a_reference_needs_one(target: Target) -> None:
    """init: reference on a model without exact draws says what to do."""
    with pytest.raises(ModelError, match="init: uniform"):
        target.starts("reference", np.random.default_rng(0), 3)


def test_starts_stay_in_the_support() -> None:
    """Points outside the support are drawn again."""
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Potential("positive", pm.math.switch(x > 0, 0.0, -np.inf))
    assert (Target(model).initial(np.random.default_rng(0), 50) > 0).all()


def test_impossible_models_are_refused() -> None:
    """No parameters, discrete ones, and a density finite nowhere are each refused in words."""
    with pm.Model() as empty:
        pm.Deterministic("one", pm.math.constant(1.0))
    with pm.Model() as discrete:
        pm.Bernoulli("coin", 0.5)
    with pm.Model() as nowhere:
        pm.Potential("never", pm.math.exp(pm.Normal("x")) * -np.inf)
    with pm.Model() as everywhere:
        pm.Potential("always", pm.math.exp(pm.Normal("x")) * np.inf)
    with pytest.raises(ModelError, match="no free parameters"):
        Target(empty)
    with pytest.raises(ModelError, match=r"discrete parameters \(coin\)"):
        Target(discrete)
    with pytest.raises(ModelError, match="no starting point with a finite log-density"):
        Target(nowhere).initial(np.random.default_rng(0), 2)
    with pytest.raises(ModelError, match=r"is \+inf where a run would start"):
        Target(everywhere).initial(np.random.default_rng(0), 2)


def test_reference_follows_the_parameters() -> None:
    """Moments are laid out as the parameters are; what is not named is NaN."""
    with pm.Model() as model:
        pm.Normal("a", shape=2)
        pm.Normal("b")
    moments = {"a": Moments(mean=[1.0, 2.0], sd=3.0)}
    reference = Target(model, Reference("here", moments)).reference
    assert reference is not None
    assert np.array_equal(reference.mean, [1, 2, np.nan], equal_nan=True)
    assert np.array_equal(reference.sd, [3, 3, np.nan], equal_nan=True)
    assert np.isnan(reference.square_sd).all()
    for wrong, words in {"c": "reference\\(\\) names c", "a": "doesn't have the shape"}.items():
        bad = Reference("here", {wrong: Moments(mean=[1.0, 2.0, 3.0], sd=1.0)})
        with pytest.raises(ModelError, match=words):
            _ = Target(model, bad).reference
