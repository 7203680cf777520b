"""What every sampler promises, checked on whatever is in the folder."""

from typing import Any

import numpy as np
import pytest

from gradbench import compat, diagnostics, models, samplers
from gradbench.draws import Draws, FloatArray
from gradbench.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()
pytestmark = pytest.mark.slow

REQUIRED: dict[str, dict[str, Any]] = {"emcee": {"walkers": 24}}
LENGTH = {"emcee": {"tune": 1000, "draws": 6000}, "pymc_nuts": {"tune": 500, "draws": 2000}}


def options_of(name: str, **given: Any) -> Any:
    return samplers.load(name).Options(**{**REQUIRED.get(name, {}), **given})


@pytest.fixture(scope="module", params=["correlated", "constrained"])
def known(request: pytest.FixtureRequest) -> tuple[Target, FloatArray, FloatArray]:
    """A target with the exact means and variances of its parameters."""
    with pm.Model() as model:
        if request.param == "correlated":
            lags = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
            pm.MvNormal("x", np.arange(5.0), 0.7**lags)
            mean, variance = np.arange(5.0), np.ones(5)
        else:
            pm.Beta("b", 2.0, 3.0)
            pm.Gamma("g", 3.0, 2.0)
            mean, variance = np.array([2 / 5, 3 / 2]), np.array([6 / (25 * 6), 3 / 4])
    return Target(model), mean, variance


class Counting:
    """Counts calls of the function a sampler evaluates its density through."""

    def __init__(self, function: Any) -> None:
        self._function, self.n_points = function, 0

    def __call__(self, points: Any, *more: Any) -> Any:
        self.n_points += len(points) if np.ndim(points) == 2 else 1
        return self._function(points, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def run(name: str, target: Target, seed: int = 1, **given: Any) -> tuple[Draws, Stopwatch]:
    options = options_of(name, **given)
    built = samplers.load(name).build(target, options)
    start = target.initial(np.random.default_rng(seed), options.n_starts)
    stopwatch = Stopwatch()
    return built.sample(start, seed=seed, stopwatch=stopwatch), stopwatch


def errors(draws: Draws, target: Target, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return errors of means and variances in their Monte Carlo standard errors."""
    found = diagnostics.compute(target.constrain(draws.values), draws.groups, reference_mean=mean)
    of_mean = (found.mean - mean) / np.sqrt(variance / found.ess_mean)
    return np.concatenate(
        [of_mean, (found.second_moment / variance - 1) * np.sqrt(found.ess_square / 4)]
    )


@pytest.mark.parametrize("name", samplers.names())
def test_draws_have_the_right_moments(
    name: str, known: tuple[Target, FloatArray, FloatArray]
) -> None:
    """Means and variances are within 4 MCSE of the exact ones, through the transforms."""
    target, mean, variance = known
    draws, _ = run(name, target, **LENGTH[name])
    assert np.abs(errors(draws, target, mean, variance)).max() < 4


@pytest.mark.parametrize("name", samplers.names())
def test_the_check_of_moments_can_fail(
    name: str, known: tuple[Target, FloatArray, FloatArray]
) -> None:
    """The same check refuses means that are a fifth of a standard deviation off."""
    target, mean, variance = known
    draws, _ = run(name, target, **LENGTH[name])
    assert np.abs(errors(draws, target, mean + 0.2 * np.sqrt(variance), variance)).max() > 4


@pytest.fixture(scope="module")
def normal() -> Target:
    """The zoo's Gaussian in five dimensions."""
    from pathlib import Path

    return Target(*models.load(models.find("gaussian", Path()), {"dim": 5}))


@pytest.mark.parametrize("name", samplers.names())
def test_same_seed_same_draws(name: str, normal: Target) -> None:
    """A run repeats to the last bit with its seed, also in a warm sampler, and differs without."""
    options = options_of(name, tune=50, draws=40)
    built = samplers.load(name).build(normal, options)
    start = normal.initial(np.random.default_rng(0), options.n_starts)
    first, again, other = (
        built.sample(start, seed=seed, stopwatch=Stopwatch()).values for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", samplers.names())
@pytest.mark.parametrize("tune", [0, 50])
def test_draws_have_the_promised_shape(name: str, tune: int, normal: Target) -> None:
    """Warm-up is removed, every phase is timed, and statistics are one per kept draw."""
    options = options_of(name, tune=tune, draws=40)
    draws, stopwatch = run(name, normal, tune=tune, draws=40)
    assert draws.values.shape == (options.n_starts, 40, 5)
    assert draws.groups.shape == (options.n_starts,)
    assert all(stat.shape == (options.n_starts, 40) for stat in draws.stats.values())
    assert (stopwatch.timing.warmup.wall_s > 0) == (tune > 0)
    assert stopwatch.timing.sampling.wall_s > 0
    counts = draws.evaluations
    assert (counts.n_logp_warmup + counts.n_grad_warmup > 0) == (tune > 0)
    assert (counts.n_grad > 0) == samplers.load(name).USES_GRADIENT


def test_emcee_counts_are_exact(normal: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point that emcee's density is evaluated at is counted, and none else."""
    options = options_of("emcee", tune=30, draws=70)
    built = samplers.load("emcee").build(normal, options)
    counting = Counting(built.logdensity)
    monkeypatch.setattr(built, "logdensity", counting)
    start = normal.initial(np.random.default_rng(0), 24)
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    assert draws.evaluations.n_logp == counting.n_points == 24 * (1 + 30 + 70)
    assert draws.evaluations.n_logp_sampling == 24 * 70


def test_nuts_counts_are_exact() -> None:
    """NUTS' counts from its tree statistics equal those of an Op that counts its evaluations."""
    import pytensor.tensor as pt
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op

    calls = {"value": 0}

    class CountingNormal(Op):  # type: ignore[misc]
        """A standard normal's log-density; its gradient goes through another Op."""

        def make_node(self, x: Any) -> Any:
            return Apply(self, [x], [pt.dscalar()])

        def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
            calls["value"] += 1
            outputs[0][0] = np.asarray(-0.5 * np.sum(inputs[0] ** 2))

        def grad(self, inputs: Any, gradients: Any) -> Any:
            return [-inputs[0] * gradients[0]]

        def pullback(self, inputs: Any, _outputs: Any, gradients: Any) -> Any:
            return [-inputs[0] * gradients[0]]

    with pm.Model() as model:
        x = pm.Flat("x", shape=3)
        pm.Potential("counted", CountingNormal()(x))
    target = Target(model, mode=compat.mode("c"))
    options = options_of("pymc_nuts", tune=60, draws=40)
    built = samplers.load("pymc_nuts").build(target, options)
    start = np.random.default_rng(0).standard_normal((2, 3))
    calls["value"] = 0
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    assert draws.evaluations.n_grad == calls["value"] > 0


@pytest.mark.parametrize("constrained", [False, True])
def test_nuts_draws_are_pm_samples(constrained: bool) -> None:
    """PyMC's NUTS run here gives the very draws of ``pm.sample`` from the same start and seed."""
    with pm.Model() as model:
        pm.Normal("x", shape=4) if not constrained else pm.LogNormal("x", shape=4)
    target = Target(model)
    built = samplers.load("pymc_nuts").build(target, options_of("pymc_nuts", tune=100, draws=80))
    start = target.initial(np.random.default_rng(3), 2)
    ours = target.named(built.sample(start, seed=11, stopwatch=Stopwatch()).values)["x"]
    with model:
        trace = pm.sample(
            80,
            tune=100,
            chains=2,
            cores=1,
            init="adapt_diag",
            random_seed=11,
            initvals=[{"x": value} for value in target.named(start)["x"]],
            progressbar=False,
            compute_convergence_checks=False,
        )
    theirs = trace.posterior["x"].to_numpy()
    assert ours == pytest.approx(theirs, rel=1e-9)
