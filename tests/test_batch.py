"""Many points at once: each gets what it gets alone, whatever the others are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import _vectorize_node
from pytensor.raise_op import Assert, CheckAndRaise

from gradbench import compat
from gradbench.draws import FloatArray
from gradbench.target.target import Target

pm = compat.pymc()

B = np.array([0.1, 0.5, -4.0, 0.2, -1.2, 3.5, 0.9])
OBSERVED = np.full(3, 0.5)


def matrix(b: Any) -> Any:
    """Return a matrix that is positive definite for |b| < 1, and singular at 1."""
    return pt.stack([1.0, b, b, 1.0]).reshape((2, 2))


def potential(value: Any) -> None:
    """Add a term to the model's density."""
    pm.Potential("term", value)


# What may fail for some b, and where it doesn't.
CHECKS: dict[str, tuple[Callable[[Any], object], Callable[[Any], Any]]] = {
    "normal_sigma": (
        lambda b: pm.Normal("y", 0, 1 + 0.3 * b, observed=OBSERVED),
        lambda b: 1 + 0.3 * b > 0,
    ),
    "poisson_mean": (
        lambda b: pm.Poisson("y", pt.exp(b) - 0.3 * np.arange(3), observed=[1, 2, 3]),
        lambda b: np.exp(b) > 0.6,
    ),
    "bernoulli_p": (
        lambda b: pm.Bernoulli("y", 0.5 + 0.3 * b, observed=[1, 0]),
        lambda b: abs(0.3 * b) < 0.5,
    ),
    "categorical_p": (
        lambda b: pm.Categorical("y", pt.stack([0.5 + 0.3 * b, 0.5 - 0.3 * b]), observed=[1, 0]),
        lambda b: abs(0.3 * b) < 0.5,
    ),
    "studentt_nu": (
        lambda b: pm.StudentT("y", nu=1 + 0.5 * b, sigma=1.0, observed=OBSERVED),
        lambda b: 1 + 0.5 * b > 0,
    ),
    "mvnormal_covariance": (
        lambda b: pm.MvNormal("y", np.zeros(2), cov=matrix(b), observed=[0.1, 0.2]),
        lambda b: abs(b) < 1,
    ),
    "lkj_scale": (
        lambda b: pm.LKJCholeskyCov(
            "c", n=2, eta=1.5, sd_dist=pm.HalfNormal.dist(1 + 0.3 * b), compute_corr=False
        ),
        lambda b: 1 + 0.3 * b > 0,
    ),
    "censored_bounds": (
        lambda b: pm.Censored("y", pm.Normal.dist(), lower=-1 - b, upper=1, observed=[0.3]),
        lambda b: -1 - b <= 0.3,
    ),
    "assertion": (lambda b: potential(Assert("no")(b, b > -1.0)), lambda b: b > -1),
    "two_checks": (
        lambda b: potential(CheckAndRaise(ValueError, "no")(b, b > -1.0, b < 3.0)),
        lambda b: (b > -1) & (b < 3),
    ),
    "check_that_raises": (
        lambda b: potential(CheckParameterValue("no")(b, b > -1.0)),
        lambda b: b > -1,
    ),
    "check_of_integers": (
        lambda b: potential(Assert("no")(pt.ceil(b).astype("int64"), b > -1.0) * 0.5),
        lambda b: b > -1,
    ),
    "cholesky": (
        lambda b: potential(pt.diagonal(pt.linalg.cholesky(matrix(b))).sum()),
        lambda b: abs(b) < 1,
    ),
    "inverse": (
        lambda b: potential(pt.linalg.inv(matrix(pt.switch(b > -1, 0.2 * b, 1.0))).sum()),
        lambda b: b > -1,
    ),
    "eigenvalues": (
        lambda b: potential(pt.linalg.eigh(matrix(pt.sqrt(1 + b)))[0].max()),
        lambda b: b >= -1,
    ),
}


class Worst(Op):  # type: ignore[misc]
    """Its value minus the largest of all that it is given: wrong for more than one point."""

    def make_node(self, x: Any) -> Any:
        """Return the node."""
        x = pt.as_tensor(x)
        return Apply(self, [x], [x.type()])

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate it."""
        outputs[0][0] = np.asarray(inputs[0] - np.max(inputs[0]))


class Broken(Worst):
    """An operation that never works."""

    def perform(self, _node: Any, _inputs: Any, _outputs: Any) -> None:
        """Raise."""
        raise TypeError("broken")


_vectorize_node.register(Worst)(lambda op, _node, x: op.make_node(x))


def target_of(add: Callable[[Any], object], backend: str) -> Target:
    """Return a target of a normal b, and what is added to the model."""
    with pm.Model() as model:
        add(pm.Normal("b"))
    return Target(model, mode="FAST_COMPILE" if backend == "python" else compat.mode(backend))


def mixture(target: Target) -> FloatArray:
    """Return points whose first coordinate is B."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (len(B), target.ndim))
    points[:, 0] = B
    return points


@pytest.mark.parametrize("kind", CHECKS)
def test_one_point_voids_no_other(kind: str) -> None:
    """Where some points fail a check, all get what they get alone, and those -inf."""
    add, is_valid = CHECKS[kind]
    target = target_of(add, "python")
    points = mixture(target)
    alone = [target.logdensity(x) for x in points]
    assert np.array_equal(np.isfinite(alone), is_valid(B))
    assert target.logdensity_batch(points) == pytest.approx(alone, rel=1e-12)
    assert target.density.batch_form == "vectorized"
    slopes = [target.logdensity_and_gradient(x) for x in points]
    assert [value for value, _ in slopes] == pytest.approx(alone, rel=1e-12)
    assert all(np.isfinite(slope).all() for value, slope in slopes if value > -np.inf)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("c", marks=pytest.mark.slow),
        pytest.param("numba", marks=pytest.mark.slow),
        "jax",
    ],
)
def test_every_backend_agrees(backend: str) -> None:
    """Compiled by any backend, the point that fails one of many checks is the only one of -inf."""
    kinds = ["normal_sigma", "mvnormal_covariance", "assertion", "two_checks", "cholesky"]
    if backend != "jax":  # there it is infinite or NaN, as LAPACK leaves it
        kinds.append("inverse")
    with pm.Model() as model:
        for kind in kinds:
            with pm.Model(name=kind):
                CHECKS[kind][0](pm.Normal("b"))
    target = Target(model, mode=compat.mode(backend))
    points = 0.1 - 4.1 * np.eye(len(kinds) + 2, len(kinds))
    alone = [target.logdensity(x) for x in points]
    assert np.array_equal(np.isfinite(alone), points.min(axis=1) > 0)
    assert target.logdensity_batch(points) == pytest.approx(alone, rel=1e-12)
    if backend == "jax":
        import jax

        both = jax.jit(jax.vmap(jax.value_and_grad(target.jax_logdensity)))
        values, slopes = both(points)
        # JAX's own NaN stays: its samplers reject it, and a switch would change their rounding.
        outside = np.where(np.isnan(values), -np.inf, values)
        assert outside == pytest.approx(alone, rel=1e-12)
        assert np.isfinite(slopes[np.isfinite(alone)]).all()


def test_shapes_may_differ_from_point_to_point() -> None:
    """What can't be one array for all points goes through a compiled loop."""
    target = target_of(
        lambda b: potential(-pt.arange(9.0)[: pt.ceil(pt.exp(b)).astype("int64")].sum()), "python"
    )
    points = mixture(target)
    alone = [target.logdensity(x) for x in points]
    assert target.density.batch_form == "loop"
    assert target.logdensity_batch(points) == pytest.approx(alone, rel=1e-12)


def test_a_shape_that_no_type_knows_is_found() -> None:
    """A variable whose type leaves its length open has a gradient of many points, too."""
    with pm.Model() as model:
        pm.CustomDist("x", dist=lambda size: pt.log(pm.HalfCauchy.dist(1.0, size=size)), shape=2)
    density = Target(model, mode="FAST_COMPILE").density
    flat, logp = density.graph
    assert flat.type.shape == (None,)
    slopes = pytensor.grad(logp, flat)
    (found,) = density.batched(flat, [slopes])(B[:, None] + [0.0, 0.1])
    alone = [density.logdensity_and_gradient(x)[1] for x in B[:, None] + [0.0, 0.1]]
    assert found == pytest.approx(np.array(alone), rel=1e-12)


def test_an_operation_that_mixes_points_is_caught() -> None:
    """An Op whose vectorized form isn't its single one is used point by point."""
    target = target_of(lambda b: potential(Worst()(b)), "python")
    points = mixture(target)
    assert target.density.batch_form != "vectorized"
    expected = [target.logdensity(x) for x in points]
    assert target.logdensity_batch(points) == pytest.approx(expected, rel=1e-12)


def test_a_deterministic_fails_at_its_point_alone() -> None:
    """What can't be computed from one point is NaN there, and as always for the others."""
    with pm.Model() as model:
        b = pm.Normal("b")
        pm.Deterministic("root", Assert("no")(pt.sqrt(b), b > 0.0))
        pm.Deterministic("half", 0.5 * b)
    named = Target(model, mode="FAST_COMPILE").named(B[:, None])
    with np.errstate(invalid="ignore"):
        assert np.array_equal(named["root"], np.sqrt(B), equal_nan=True)
    assert np.array_equal(named["half"], 0.5 * B)


def test_other_exceptions_are_not_the_support() -> None:
    """An error that says nothing of the support is raised, by one point and by many."""
    target = target_of(lambda b: potential(Broken()(b)), "python")
    with pytest.raises(TypeError, match="broken"):
        target.logdensity_batch(B[:, None])
