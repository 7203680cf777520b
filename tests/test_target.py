"""The target: the model's own density, its Jacobian, its gradient, and where runs start."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import compat
from gradbench.errors import ModelError
from gradbench.reference import Moments, Reference
from gradbench.target.target import Target

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
    return Target(model, mode="FAST_COMPILE")


def test_density_is_the_models(target: Target) -> None:
    """Values are PyMC's own log-density of the transformed variables, Jacobian included."""
    compiled = target.model.compile_logp(jacobian=True, mode="FAST_COMPILE")
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
    assert {"scale", "share[2]", "x[1, 1]", "total"} <= set(target.names)
    assert not any(name.startswith("fixed") for name in target.names)
    values = target.constrain(np.zeros((3, 4, target.ndim)))
    assert values.shape == (3, 4, len(target.names))


def test_constrained_points_come_back(target: Target) -> None:
    """Unconstraining what was constrained gives the same points."""
    points = target.initial(np.random.default_rng(3), 6)
    assert target.quantities.unconstrain(target.named(points)) == pytest.approx(points, abs=1e-9)


@pytest.mark.parametrize("init", ["uniform", "model", "map"])
def test_starts_are_finite_and_repeatable(target: Target, init: str) -> None:
    """Starting points have a finite density, differ, and repeat with the generator's seed."""
    first, again = (target.starts.find(init, np.random.default_rng(4), 20) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first, again)
    assert np.isfinite(target.logdensity_batch(first)).all()
    assert np.ptp(first, axis=0).min() > 0


def test_starting_from_a_reference_needs_one(target: Target) -> None:
    """init: reference on a model without exact draws says what to do."""
    with pytest.raises(ModelError, match="init: uniform"):
        target.starts.find("reference", np.random.default_rng(0), 3)


def test_starts_stay_in_the_support() -> None:
    """Points outside the support are drawn again."""
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Potential("positive", pm.math.switch(x > 0, 0.0, -np.inf))
    target = Target(model, mode="FAST_COMPILE")
    assert (target.initial(np.random.default_rng(0), 50) > 0).all()


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
    with pytest.raises(
        ModelError, match=r"coin ~ Bernoulli\).*pm.Mixture.*marginalize\(model, \['coin'"
    ):
        Target(discrete)
    with pytest.raises(ModelError, match="no starting point with a finite log-density"):
        Target(nowhere, mode="FAST_COMPILE").initial(np.random.default_rng(0), 2)
    with pytest.raises(ModelError, match=r"is \+inf where a run would start"):
        Target(everywhere, mode="FAST_COMPILE").initial(np.random.default_rng(0), 2)


def test_imputed_values_count_once() -> None:
    """The gaps in data are parameters; the data with the gaps filled repeat them: no count."""
    data = np.ma.masked_invalid([1.0, np.nan, 2.0, np.nan])
    with pm.Model() as model:
        mu = pm.Normal("mu")
        with pytest.warns(UserWarning, match="will be automatically imputed"):
            pm.Normal("y", mu, 1.0, observed=data)
        pm.Deterministic("twice", 2 * mu)
    target = Target(model, mode="FAST_COMPILE")
    assert target.names == ("mu", "y_unobserved[0]", "y_unobserved[1]", "twice")
    named = target.named(np.array([[0.5, 10.0, 20.0]]))
    assert named["y"].tolist() == [[1.0, 10.0, 2.0, 20.0]], "saved draws have it whole"
    assert target.constrain(np.array([0.5, 10.0, 20.0])).tolist() == [0.5, 10.0, 20.0, 1.0]


def test_an_op_without_a_gradient_is_named() -> None:
    """An Op that raises a bare NotImplementedError is named, also where others come after it."""
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op
    from pytensor.tensor import dscalar

    class Opaque(compat.OwnGradient, Op):  # type: ignore[misc]
        __props__ = ()

        def make_node(self, x: object) -> object:
            return Apply(self, [x], [dscalar()])

        def perform(self, _node: object, inputs: list[Any], outputs: list[Any]) -> None:
            outputs[0][0] = np.asarray(-np.sum(inputs[0] ** 2))

    with pm.Model() as model:
        x = pm.Normal("x", shape=2)
        pm.Potential("opaque", pm.math.exp(Opaque()(2 * x)) + pm.math.sum(x))
    target = Target(model, mode="FAST_COMPILE")
    assert "it has no gradient (Opaque" in str(target.why_no_gradient)
    pytest.importorskip("jax")
    assert "JAX can't compile it (Opaque" in str(target.why_not_on("jax"))


def test_saved_draws_keep_dims_and_coords(tmp_path: Path) -> None:
    """Axes have the model's names and labels, where they have any that netCDF can hold."""
    import xarray

    coords: dict[str, Any] = {
        "school": ["a", "b"],
        "year": [2001, 2002, 2003],
        "day": np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]"),
        "odd": [("a", 1), ("b", 2)],
    }
    with pm.Model(coords=coords) as model:
        model.add_coord("bare", length=2)
        pm.Normal("x", dims=("school", "year"))
        pm.Normal("plain", shape=2)
        pm.Normal("when", dims="day")
        pm.Normal("what", dims="odd")
        pm.Normal("unlabelled", dims="bare")
        pm.Deterministic("sum", model["x"].sum(axis=1), dims="school")
    target = Target(model, mode="FAST_COMPILE")
    named = target.named(np.random.default_rng(0).standard_normal((2, 5, target.ndim)))
    stats = {"diverging": np.zeros((2, 5), dtype=bool)}
    path = tmp_path / "draws.nc"
    compat.save_draws(
        path, named, stats, {}, dims=target.quantities.dims, coords=target.quantities.coords
    )
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        posterior = tree["posterior"].dataset
        assert {str(name): value.dims[2:] for name, value in posterior.data_vars.items()} == {
            "x": ("school", "year"),
            "plain": ("plain_dim_0",),
            "when": ("day",),
            "what": ("odd",),
            "unlabelled": ("bare",),
            "sum": ("school",),
        }
        assert posterior.coords["school"].to_numpy().tolist() == ["a", "b"]
        assert np.array_equal(posterior["x"].sel(school="b", year=2002), named["x"][..., 1, 1])
        assert np.array_equal(posterior.coords["day"], coords["day"])
        assert posterior.coords["odd"].to_numpy().tolist() == ["('a', 1)", "('b', 2)"]
        assert "bare" not in posterior.coords
    read = compat.arviz().from_netcdf(path)
    assert np.array_equal(read["posterior"]["x"].to_numpy(), named["x"])


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
