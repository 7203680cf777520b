"""Functions as other people write them: arguments, blobs, methods, named quantities, a prior."""

import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytensor.compile.mode import Mode
from scipy.special import log_ndtr, ndtri

from gradbench import LogDensity, compat, samplers
from gradbench.measure import density_check
from gradbench.samplers import _prior
from gradbench.target import from_function
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()

PYTHON = Mode("py", "fast_run").excluding("fusion")  # nothing to compile

needs_jax = pytest.mark.skipif(bool(samplers.remedy("numpyro_nuts")), reason="needs JAX")
needs_dynesty = pytest.mark.skipif(bool(samplers.remedy("dynesty")), reason="needs dynesty")


def target_of(function: LogDensity) -> Target:
    return Target(from_function.of_function(function), function=function, mode=PYTHON)


# -- arguments, blobs, methods -------------------------------------------------------------------

AT = np.array([[0.3, -1.0], [2.0, 0.5], [-3.0, 0.0]])


def tempered(x: Any, centre: Any, *, power: float = 1.0) -> Any:
    """Return what emcee's users write: the log-density, and what else they want to keep."""
    chi2 = ((x - centre) ** 2).sum(axis=-1)
    return -0.5 * power * chi2, chi2, {"any": "thing"}


def slope(x: Any, centre: Any, *, power: float = 1.0) -> Any:
    return -power * (x - centre)


def in_rows(x: Any, centre: Any, *, power: float = 1.0) -> Any:
    logp, chi2, _ = tempered(x, centre, power=power)
    return np.stack([logp, chi2, chi2], axis=-1)


def in_jax(x: Any, centre: Any, *, power: float = 1.0) -> Any:
    return tempered(x, centre, power=power)[:2]


class Fit:
    """A class whose method is the log-density."""

    def __init__(self, centre: float) -> None:
        self.centre = centre

    def logp(self, x: Any, power: float) -> Any:
        return tempered(x, self.centre, power=power)[0]


GIVEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "numpy": (tempered, {"gradient": slope, "blobs": True}),
    "vectorized": (in_rows, {"vectorized": True, "blobs": True}),
    "jax": (in_jax, {"kind": "jax", "blobs": True}),
    "method": (Fit(1.0).logp, {"args": (2.0,), "kwargs": {}}),
    "no arguments": (functools.partial(Fit(1.0).logp, power=2.0), {"args": (), "kwargs": {}}),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_the_first_value_counts(kind: str) -> None:
    """Arguments reach every function of x, and blobs are left alone, for each kind of function."""
    if kind == "jax":
        pytest.importorskip("jax")
    function, given = GIVEN[kind]
    made = LogDensity(function, ndim=2, **{"args": (1.0,), "kwargs": {"power": 2.0}, **given})
    target = target_of(made)
    expected = [-((x - 1.0) ** 2).sum() for x in AT]
    assert target.logdensity_batch(AT) == pytest.approx(expected)
    assert [target.logdensity(x) for x in AT] == pytest.approx(expected)
    if made.gradient or made.kind == "jax":
        assert target.logdensity_and_gradient(AT[0])[1] == pytest.approx(-2 * (AT[0] - 1.0))


def test_what_a_function_lacks_is_told_in_its_terms() -> None:
    """No Op is named that its author never wrote."""
    target = target_of(LogDensity(lambda x: -x @ x, ndim=2))
    assert "it has no gradient (its function comes without one)" in str(target.why_no_gradient)
    pytest.importorskip("jax")
    assert "JAX can't compile it (the log-density is no JAX function)" in str(
        target.why_not_on("jax")
    )


def test_blobs_may_be_left_out_of_the_support() -> None:
    """What returns -inf alone outside the support, and blobs inside, is what emcee takes too."""
    target = target_of(
        LogDensity(lambda x: (-x[0], 1) if x[0] > 0 else -np.inf, ndim=1, blobs=True)
    )
    assert target.logdensity_batch(np.array([[1.0], [-1.0]])).tolist() == [-1.0, -np.inf]


@pytest.mark.parametrize(
    ("function", "given", "words"),
    [
        (lambda x: (x.sum(), "blob"), {}, r"that of a tuple of 2 \(.*blobs=True"),
        (lambda x: x, {}, r"its shape is \(2,\) \(.*blobs=True"),
        (lambda _: None, {}, "that of a NoneType"),
        (lambda _: "text", {}, "that of a str"),
        (
            lambda x: x,
            {"vectorized": True},
            r"shape \(1,\), not \(1, 2\).* in each row.*blobs=True",
        ),
        (lambda x: (x[:, 0], x), {"vectorized": True, "blobs": True}, "not that of a tuple of 2"),
    ],
)
def test_what_is_no_number_is_told(function: Any, given: dict[str, Any], words: str) -> None:
    """Where a tuple or an array comes back, the message names the option."""
    with pytest.raises(TypeError, match=words):
        from_function.of_function(LogDensity(function, ndim=2, **given))


@needs_jax
def test_a_tuple_from_jax_is_told() -> None:
    """The same, where JAX traces the function."""
    with pytest.raises(
        TypeError, match=r"a scalar; its shape is that of a tuple of 2 .*blobs=True"
    ):
        from_function.of_function(LogDensity(lambda x: (x.sum(), x), ndim=2, kind="jax"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"args": 3.0}, "args must be a tuple"),
        ({"args": "ab"}, "args must be a tuple"),
        ({"prior_transform": lambda u: u}, "together"),
        ({"log_likelihood": lambda x: x}, "together"),
    ],
)
def test_what_cant_be_meant_is_refused(given: dict[str, Any], words: str) -> None:
    """Contradictions are told where they are written."""
    with pytest.raises(ValueError, match=words):
        LogDensity(lambda x: x.sum(), ndim=2, **given)


# -- named quantities ----------------------------------------------------------------------------


def named(x: Any, scale: float) -> dict[str, Any]:
    return {"period": scale * x[0] ** 2, "both": x[None, :] + np.array([[0.0], [1.0]])}


@pytest.mark.parametrize("kind", ["numpy", "jax"])
def test_named_quantities_are_reported(kind: Any) -> None:
    """They are beside the coordinates, with their shapes, for one point and for many."""
    if kind == "jax":
        pytest.importorskip("jax")
    target = target_of(
        LogDensity(
            lambda x, _: -0.5 * (x**2).sum(),
            names=["a", "b"],
            kind=kind,
            args=(3.0,),
            constrained=named,
        )
    )
    assert target.names == (
        *("a", "b", "period"),
        *("both[0, 0]", "both[0, 1]", "both[1, 0]", "both[1, 1]"),
    )
    found = target.named(AT.reshape(1, 3, 2))
    assert found["period"] == pytest.approx(3.0 * AT[None, :, 0] ** 2)
    assert found["both"][0, 1] == pytest.approx(np.stack([AT[1], AT[1] + 1]))
    assert target.quantities.unconstrain(target.named(AT)) == pytest.approx(AT)
    if kind == "jax":
        jax = Target(target.model, mode=compat.mode("jax"))
        assert jax.named(AT)["both"] == pytest.approx(found["both"][0])


@pytest.mark.parametrize(
    ("constrained", "words"),
    [
        (lambda x: x, "must return a map of names"),
        (lambda x: {1: x}, "must return a map of names"),
        (lambda x: {"a": x}, "gives a another value"),
    ],
)
def test_wrong_quantities_are_told(constrained: Any, words: str) -> None:
    """They need names, and none of the coordinates'."""
    with pytest.raises((TypeError, ValueError), match=words):
        from_function.of_function(
            LogDensity(lambda x: x.sum(), names=["a"], constrained=constrained)
        )


# -- a prior -------------------------------------------------------------------------------------

# log y = a + b t with a ~ normal(0, 1), b ~ uniform(-1, 3), and a scale s ~ exponential(1) on which
# the last coordinate's prior depends.


def transform(u: Any) -> Any:
    scale = -np.log1p(-u[2])
    return np.array([ndtri(u[0]), -1.0 + 4.0 * u[1], scale, scale * ndtri(u[3])])


def log_likelihood(x: Any) -> Any:
    return -0.5 * ((x[0] - 0.5) ** 2 / 0.25 + (x[1] - 1.0) ** 2 / 0.04 + (x[3] - 1.0) ** 2)


def log_prior(x: Any) -> Any:
    if not -1 < x[1] < 3 or x[2] <= 0:
        return -np.inf
    return -0.5 * x[0] ** 2 - x[2] - 0.5 * (x[3] / x[2]) ** 2 - np.log(x[2])


def posterior(x: Any) -> Any:
    return log_prior(x) + log_likelihood(x)


WITH_PRIOR = LogDensity(
    posterior,
    names=["a", "b", "s", "c"],
    prior_transform=transform,
    log_likelihood=log_likelihood,
)


@needs_dynesty
def test_map_and_likelihood_are_held_to_the_density() -> None:
    """Inside and outside the prior they imply the function's density, up to one constant.

    A coordinate may depend on one that comes before or after it.
    """
    prior = _prior.OfFunction(target_of(WITH_PRIOR))
    points = np.array([[0.1, 1.2, 0.7, -0.4], [-2.0, -0.9, 3.0, 5.0], [1.5, 2.9, 0.1, 0.0]])
    offsets = [prior.logdensity(x) - posterior(x) for x in points]
    assert np.ptp(offsets) < 1e-8
    for outside in ([0.0, 3.1, 1.0, 0.0], [0.0, 0.0, -1.0, 0.0]):
        assert prior.logdensity(np.array(outside)) == -np.inf
    reverse = LogDensity(
        lambda x: posterior(x[::-1]),
        ndim=4,
        prior_transform=lambda u: transform(u[::-1])[::-1],
        log_likelihood=lambda x: log_likelihood(x[::-1]),
    )
    backwards = _prior.OfFunction(target_of(reverse))
    assert backwards.logdensity(points[0, ::-1]) == pytest.approx(prior.logdensity(points[0]))
    assert samplers.load("dynesty").unsuited(target_of(reverse), _options("dynesty")) is None


@pytest.mark.parametrize("kind", ["plain", "transformed"])
def test_runs_start_from_its_prior(kind: str) -> None:
    """init: prior draws through the map, on the target's own scale."""
    given: dict[str, Any] = {"bounds": ([-9, -1, 0, -99], [9, 3, 99, 99]), "transform": True}
    made = replace(WITH_PRIOR, **(given if kind == "transformed" else {}))
    target = target_of(made)
    points = target.starts.find("prior", np.random.default_rng(0), 400)
    named = target.named(points)
    assert named["b"].mean() == pytest.approx(1.0, abs=0.25)
    assert named["s"].mean() == pytest.approx(1.0, abs=0.25)
    assert (named["s"] > 0).all()
    prior = _prior.OfFunction(target)
    reached = itertools.islice(filter(prior.reaches, points), 5)
    offsets = [prior.logdensity(x) - target.logdensity(x) for x in reached]
    assert np.ptp(offsets) < 1e-6


WRONG: dict[str, tuple[LogDensity, str]] = {
    "another prior": (
        LogDensity(
            posterior,
            ndim=4,
            prior_transform=lambda u: transform(u) * np.array([2.0, 1.0, 1.0, 1.0]),
            log_likelihood=log_likelihood,
        ),
        "not that of prior_transform and log_likelihood: at points of the cube they differ by",
    ),
    "the posterior as likelihood": (
        LogDensity(posterior, ndim=4, prior_transform=transform, log_likelihood=posterior),
        "not that of prior_transform and log_likelihood",
    ),
    "turned round": (
        LogDensity(
            lambda x: -0.5 * (x**2).sum(),
            ndim=2,
            prior_transform=lambda u: np.array([[0.6, 0.8], [-0.8, 0.6]]) @ ndtri(u),
            log_likelihood=lambda _: 0.0,
        ),
        "can't check prior_transform",
    ),
}


@needs_dynesty
@pytest.mark.parametrize("case", WRONG)
def test_a_map_of_another_prior_is_told(case: str) -> None:
    """Before anything runs, in one sentence; SMC needs no inverse, so that one may be missing."""
    function, words = WRONG[case]
    target = target_of(function)
    reason = samplers.load("dynesty").unsuited(target, _options("dynesty"))
    assert words in str(reason)
    by_smc = samplers.load("pymc_smc").unsuited(target, _options("pymc_smc"))
    assert by_smc is None if case == "turned round" else words in str(by_smc)


@needs_dynesty
def test_a_density_without_the_priors_bounds_is_refused() -> None:
    """What is finite outside the prior's support is another density, and dynesty's says so."""
    function = LogDensity(
        lambda x: -0.5 * (x**2).sum(),
        ndim=2,
        prior_transform=lambda u: 2 * u - 1,
        log_likelihood=lambda x: -0.5 * (x**2).sum(),
    )
    target = target_of(function)
    points = density_check.points(target)
    built = samplers.load("dynesty").build(target, _options("dynesty"))
    check = density_check.check_density(
        "box", points, {"dynesty": density_check.probe(built, target, points)}
    )
    assert "differs from the model's by more than a constant" in check.refused["dynesty"]


def _options(name: str, **given: Any) -> Any:
    return samplers.load(name).options(**given)


@pytest.mark.parametrize(("name", "given"), [("dynesty", {}), ("pymc_smc", {"chains": 2})])
def test_samplers_of_a_prior_sample_a_function(name: str, given: dict[str, Any]) -> None:
    """They find moments and evidence, and their density passes the check; all calls are counted."""
    if (remedy := samplers.remedy(name)) is not None:
        pytest.skip(remedy)
    calls = 0

    def counted(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return log_likelihood(x)

    def whole(x: Any) -> Any:
        nonlocal calls
        calls += name == "pymc_smc"
        return log_prior(x) + log_likelihood(x)

    function = LogDensity(
        whole, names=WITH_PRIOR.names, prior_transform=transform, log_likelihood=counted
    )
    target = target_of(function)
    options = _options(name, draws=500, **given)
    assert samplers.load(name).unsuited(target, options) is None
    built = samplers.load(name).build(target, options)
    points = target.initial(np.random.default_rng(0), 8)
    check = density_check.check_density(
        "function", points, {name: density_check.probe(built, target, points)}
    )
    assert check.is_passed, check.refused
    calls = 0
    draws = built.sample(np.zeros((1, 4)), seed=1, stopwatch=Stopwatch())
    assert draws.evaluations.n_logp == calls > 0
    assert draws.weights is not None
    mean = draws.weights @ draws.values[0]
    assert mean[:2] == pytest.approx([0.4, 1.0], abs=0.1)  # 0.5 / 0.25 of 1 + 1 / 0.25
    assert draws.log_evidence is not None
    assert draws.log_evidence[0] == pytest.approx(_log_evidence(), abs=0.4)
    again = built.sample(np.zeros((1, 4)), seed=1, stopwatch=Stopwatch())
    assert np.array_equal(again.values, draws.values)
    assert again.evaluations == draws.evaluations


def _log_evidence() -> float:
    """Return the log of the likelihood's mean over the prior: three factors, one by quadrature."""
    a = -0.5 * np.log1p(1 / 0.25) - 0.5 * 0.25 / 1.25
    b = np.log(0.2 * np.sqrt(2 * np.pi) / 4) + np.log1p(-2 * np.exp(log_ndtr(-10.0)))
    s = (np.arange(200_000) + 0.5) * 2e-4
    c = np.sum(np.exp(-s - 0.5 / (1 + s**2)) / np.sqrt(1 + s**2)) * 2e-4
    return float(a + b + np.log(c))


@pytest.mark.parametrize("name", ["dynesty", "pymc_smc"])
def test_a_missing_prior_is_told_in_the_users_words(name: str) -> None:
    """A function is told what to give, and a model which of its variables."""
    plain = target_of(LogDensity(lambda x: -x @ x, ndim=2))
    assert "give LogDensity prior_transform and log_likelihood" in str(
        samplers.load(name).unsuited(plain, _options(name))
    )
    with pm.Model() as model:
        pm.Potential("p", -(pm.Flat("wide") ** 2))
    assert "the priors of wide are improper" in str(
        samplers.load(name).unsuited(Target(model), _options(name))
    )
