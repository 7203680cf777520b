"""What every sampler promises, checked on whatever is in the folder."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gradbench import compat, models, samplers
from gradbench.draws import Draws, FloatArray
from gradbench.errors import ModelError
from gradbench.measure import density_check
from gradbench.measure.check_sampler import Counting, promises
from gradbench.stan import StanProgram
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()
Errors = Callable[[Diagnostics, ReferenceMoments], FloatArray]
pytestmark = pytest.mark.slow

SMOKE = {"pymc_nuts", "emcee"}
INSTALLED = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(bool(samplers.remedy(name)), reason=f"{samplers.remedy(name)}"),
            *([pytest.mark.smoke] if name in SMOKE else []),
        ],
    )
    for name in samplers.names()
]

REQUIRED: dict[str, dict[str, Any]] = {"emcee": {"walkers": 24}, "zeus": {"walkers": 24}}

# What gives each sampler a few hundred effective samples on the target below.
LENGTH: dict[str, dict[str, float]] = {
    "blackjax_pathfinder": {},
    "pymc_advi": {"learning_rate": 0.01},
    "stan_advi": {},
    "dynesty": {},
    "pymc_smc": {},
    "blackjax_chees": {"tune": 300, "draws": 100},
    "blackjax_mclmc": {"tune": 3000, "draws": 20_000},
    "emcee": {"tune": 2000, "draws": 6000},
    "pymc_demetropolis_z": {"tune": 5000, "draws": 30_000},
    "pymc_metropolis": {"tune": 1000, "draws": 10_000},
    "pymc_slice": {"tune": 500, "draws": 4000},
    "zeus": {"tune": 200, "draws": 1000},
}
OTHERWISE = {"tune": 500, "draws": 2000}

ROUGHLY = {"blackjax_pathfinder": 0.8, "pymc_advi": 0.6, "stan_advi": 0.8}  # sds, root mean square

# Promises that can't be kept, and why.
BROKEN: dict[str, dict[str, str]] = {
    "zeus": {"random state": "it draws from the global generators, which it must seed"},
}

STAN = """
data { real b; }
parameters { vector[3] x; real<lower=0> scale; real<lower=0, upper=1> share; }
model {
  x ~ normal(1, 2); scale ~ normal(0, 3); share ~ beta(2, b); 2 ~ normal(x[1] + x[2], 1);
}
"""


def options_of(name: str, **given: Any) -> Any:
    """Return a sampler's options; ``tune`` is left out where there is no warm-up."""
    options = samplers.load(name).options
    if options.model_fields["tune"].default == 0:
        given.pop("tune", None)
    return options(**{**REQUIRED.get(name, {}), **given})


@cache
def known() -> tuple[Target, ReferenceMoments]:
    """Return a target of five dimensions with the exact means and variances of its parameters.

    Two are correlated by -0.8, and there is a transform of every common kind. The squares' standard
    deviations are as if every kurtosis were 5.
    """
    with pm.Model() as model:
        x = pm.Normal("x", 1.0, 2.0, shape=3)
        pm.HalfNormal("scale", 3.0)
        pm.Beta("share", 2.0, 3.0)
        pm.Normal("y", x[0] + x[1], 1.0, observed=2.0)
    summed = np.array([1.0, 1.0, 0.0])
    covariance = np.linalg.inv(np.eye(3) / 4 + np.outer(summed, summed))
    mean = np.array([*covariance @ (1 / 4 + 2 * summed), 3 * np.sqrt(2 / np.pi), 2 / 5])
    variance = np.array([*np.diag(covariance), 9 * (1 - 2 / np.pi), 6 / (25 * 6)])
    exact = np.zeros(5)
    return (
        Target(model, stan_program=StanProgram(STAN, {"b": 3.0})),
        ReferenceMoments(mean, np.sqrt(variance), 2 * variance, exact, exact),
    )


@pytest.fixture
def small() -> Target:
    """The known target."""
    return known()[0]


@cache
def long_run(name: str) -> Draws:
    """Return one long run on the known target, made once for all that look at it."""
    target, _ = known()
    options = options_of(name, **LENGTH.get(name, OTHERWISE))
    if (reason := samplers.load(name).unsuited(target, options)) is not None:
        pytest.skip(reason)
    built = samplers.load(name).build(target, options)
    start = target.initial(np.random.default_rng(1), options.n_starts)
    return built.sample(start, seed=1, stopwatch=Stopwatch())


def diagnosed(draws: Draws, target: Target, reference: ReferenceMoments) -> Diagnostics:
    """Return the diagnostics of a run, weighted or not."""
    values = target.constrain(draws.values)
    if draws.weights is None:
        return diagnostics.compute(values, draws.groups, reference_mean=reference.mean)
    return diagnostics.compute_weighted(
        values, draws.weights, draws.families, reference_mean=reference.mean
    )


@pytest.mark.parametrize("name", INSTALLED)
def test_draws_have_the_right_moments(name: str, errors: Errors) -> None:
    """Means and variances are within 4 MCSE of the exact ones, through the transforms.

    Those of an approximation are what it can't be trusted for: its means are near, no more.
    """
    target, exact = known()
    if (draws := long_run(name)).is_approximate:
        off = (target.constrain(draws.values).mean(axis=(0, 1)) - exact.mean) / exact.sd
        assert np.sqrt(np.mean(off**2)) < ROUGHLY[name]
        return
    assert np.abs(errors(diagnosed(draws, target, exact), exact)).max() < 4


@pytest.mark.parametrize("name", INSTALLED)
def test_the_check_of_moments_can_fail(name: str, errors: Errors) -> None:
    """The same check refuses means that are a third of a standard deviation off."""
    target, exact = known()
    if (draws := long_run(name)).is_approximate:
        pytest.skip("an approximation is not held to it")
    off = replace(exact, mean=exact.mean + 0.33 * exact.sd)
    assert np.abs(errors(diagnosed(draws, target, off), off)).max() > 4


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")  # PyMC's ratio
@pytest.mark.parametrize("name", INSTALLED)
def test_every_promise_is_kept(name: str, small: Target) -> None:
    """What ``check-sampler`` looks at: no line fails for a shipped sampler."""
    options = options_of(name, tune=100, draws=40)
    found = promises(samplers.load(name), small, options)
    failed = {line.name: line.reason for line in found if line.outcome == "failed"}
    assert failed.keys() == BROKEN.get(name, {}).keys(), failed


@pytest.mark.parametrize("name", INSTALLED)
def test_warm_up_may_be_left_out(name: str, small: Target) -> None:
    """Without warm-up all time is sampling; where a library needs warm-up, options say so."""
    try:
        options = options_of(name, tune=0, draws=40)
    except ValidationError as error:
        assert error.errors()[0]["loc"] == ("tune",)  # noqa: PT017 - either outcome is allowed
        return
    built = samplers.load(name).build(small, options)
    stopwatch = Stopwatch()
    start = small.initial(np.random.default_rng(0), options.n_starts)
    draws = built.sample(start, seed=1, stopwatch=stopwatch)
    assert draws.values.shape[-1] == 5
    assert stopwatch.timing.warmup.wall_s == 0 < stopwatch.timing.sampling.wall_s
    assert draws.evaluations.n_logp_warmup == draws.evaluations.n_grad_warmup == 0


@pytest.fixture
def calls() -> Counting:
    """Return a model that counts how often it is evaluated, whoever compiles it."""
    return Counting()


# What defaults don't show; nutpie in numba, Pathfinder and Stan have tests of their own below.
COUNTED = [
    ("nutpie", {"backend": "jax"}),
    ("emcee", {"moves": {"de": 0.5, "snooker": 0.5}}),
    ("emcee", {"moves": {"kde": 0.5, "walk": 0.5}}),
    # Few steps: a global move fits a mixture to the walkers each time.
    ("zeus", {"moves": {"gaussian": 0.5, "global": 0.5}, "tune": 20, "draws": 10}),
]


@pytest.mark.parametrize(("name", "given"), COUNTED, ids=lambda v: str(v) if v else "defaults")
def test_counts_are_exact(name: str, given: dict[str, Any], calls: Counting) -> None:
    """What a sampler says it evaluated is what a density that counts its calls has seen."""
    if (remedy := samplers.remedy(name)) is not None:
        pytest.skip(remedy)
    options = options_of(name, **{"tune": 120, "draws": 80, **given})
    if (reason := samplers.load(name).unsuited(calls.target, options)) is not None:
        pytest.skip(reason)
    built = samplers.load(name).build(calls.target, options)
    start = np.random.default_rng(0).standard_normal((options.n_starts, 4))
    calls.n = 0
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    calls.settle(options)
    counts = draws.evaluations
    assert counts.n_logp + counts.n_grad == calls.n > 0
    assert draws.is_approximate or counts.n_logp_sampling + counts.n_grad_sampling > 0


def test_stans_counts_are_its_leapfrog_steps(small: Target) -> None:
    """What the bridge counts is a gradient for each leapfrog step and one for each draw."""
    if (remedy := samplers.remedy("stan_nuts")) is not None:
        pytest.skip(remedy)
    built = samplers.load("stan_nuts").build(small, options_of("stan_nuts", tune=100, draws=300))
    start = small.initial(np.random.default_rng(0), 2)
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    counts = draws.evaluations
    assert counts.n_grad_sampling == (draws.stats["n_steps"] + 1).sum()
    assert counts.n_grad_warmup > 100
    assert (counts.n_logp_warmup, counts.n_logp_sampling) == (2, 0), "one at each chain's start"


def test_a_stan_program_of_another_model_is_refused(small: Target) -> None:
    """Other names or other transforms are told; another density fails the density check."""
    if (remedy := samplers.remedy("stan_nuts")) is not None:
        pytest.skip(remedy)
    stan_nuts, options = samplers.load("stan_nuts"), options_of("stan_nuts")
    program = StanProgram(STAN, {"b": 4.0})
    target = Target(small.model, stan_program=program)
    points = density_check.points(target)
    built = stan_nuts.build(target, options)
    check = density_check.check_density(
        "other", points, {"stan": density_check.probe(built, target, points)}
    )
    assert "differs from the model's by more than a constant" in check.refused["stan"]

    with pm.Model() as renamed:
        pm.Normal("y", shape=5)
    with pytest.raises(ModelError, match=r"are x, scale, share; the model's are y"):
        stan_nuts.build(Target(renamed, stan_program=program), options)
    with pm.Model() as unbounded:
        pm.Normal("x", 1.0, 2.0, shape=3)
        pm.Normal("scale")
        pm.Beta("share", 2.0, 3.0)
    with pytest.raises(ModelError, match=r"none of the Stan program's: .*must be greater"):
        stan_nuts.build(Target(unbounded, stan_program=program), options)
    broken = StanProgram("parameters { real x } model { x ~ normal(0, 1); }", {})
    with pytest.raises(ModelError, match="can't be compiled: Syntax error"):
        stan_nuts.build(Target(unbounded, stan_program=broken), options)


def test_pathfinders_density_counts() -> None:
    """A density evaluated at so many points counts them, with gradients apart, mapped or not."""
    if (remedy := samplers.remedy("blackjax_pathfinder")) is not None:
        pytest.skip(remedy)
    import jax

    from gradbench.samplers import blackjax_pathfinder

    seen: list[tuple[str, int]] = []
    density = blackjax_pathfinder._counting(
        lambda x: -0.5 * (x**2).sum(), lambda kind, n: seen.append((kind, n))
    )
    points = np.ones((6, 4, 3))
    jax.block_until_ready(jax.jit(density)(points[0, 0]))
    jax.block_until_ready(jax.jit(jax.vmap(jax.vmap(density)))(points))
    gradients = jax.block_until_ready(jax.jit(jax.vmap(jax.grad(density)))(points[0]))
    jax.effects_barrier()
    assert sorted(seen) == [("grad", 4), ("logp", 1), ("logp", 24)]
    assert np.array_equal(gradients, -points[0])


def test_nutpies_two_backends_count_alike() -> None:
    """The count in compiled code is that of the same run in Python."""
    target = Target(*models.load(models.find("gaussian", Path()), {"dim": 5}))
    if (remedy := samplers.remedy("nutpie")) is not None:
        pytest.skip(remedy)
    start = target.initial(np.random.default_rng(0), 2)
    compiled, python = (
        samplers.load("nutpie")
        .build(target, options_of("nutpie", tune=100, draws=50, backend=backend))
        .sample(start, seed=1, stopwatch=Stopwatch())
        for backend in ("numba", "jax")
    )
    assert compiled.values == pytest.approx(python.values, rel=1e-6)
    assert compiled.evaluations == python.evaluations


DENSE: dict[str, dict[str, Any]] = {
    "pymc_nuts": {"init": "adapt_full"},
    "pymc_hmc": {"init": "adapt_full"},
    "numpyro_nuts": {"dense_mass": True},
    "blackjax_nuts": {"is_mass_matrix_diagonal": False},
}


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_mass_matrix_sees_correlations(name: str) -> None:
    """On a normal correlated by 0.99 it takes half the steps of a diagonal one, or fewer."""
    if (remedy := samplers.remedy(name)) is not None:
        pytest.skip(remedy)
    with pm.Model() as model:
        pm.MvNormal("x", np.zeros(2), np.array([[1.0, 0.99], [0.99, 1.0]]))
    target = Target(model, mode=compat.mode("c"))
    start = np.random.default_rng(0).standard_normal((2, 2))
    steps = []
    for given in ({}, DENSE[name]):
        built = samplers.load(name).build(target, options_of(name, tune=500, draws=200, **given))
        draws = built.sample(start, seed=1, stopwatch=Stopwatch())
        steps.append(float(np.mean(draws.stats["n_steps"].astype(float))))
    assert steps[1] < 0.5 * steps[0]


def pymc_step(name: str, start: FloatArray, init: str) -> Any:
    """Return the step method as a PyMC user makes it; None is what ``pm.sample`` picks."""
    from pymc.step_methods.hmc import quadpotential

    ndim, mean = start.shape[1], start.mean(axis=0)
    if init == "adapt_full":
        potential = quadpotential.QuadPotentialFullAdapt(ndim, mean, np.eye(ndim), 10)
        return {"pymc_nuts": pm.NUTS, "pymc_hmc": pm.HamiltonianMC}[name](potential=potential)
    if name == "pymc_hmc":
        potential = quadpotential.QuadPotentialDiagAdapt(ndim, mean, np.ones(ndim), 10)
        return pm.HamiltonianMC(potential=potential)
    steps = {
        "pymc_metropolis": pm.Metropolis,
        "pymc_demetropolis_z": pm.DEMetropolisZ,
        "pymc_slice": pm.Slice,
    }
    return steps[name]() if name in steps else None


@pytest.mark.filterwarnings("ignore:QuadPotentialFullAdapt is an experimental feature")
@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("pymc_nuts", {"init": init}) for init in ("adapt_diag", "adapt_full")),
        *(("pymc_hmc", {"init": init}) for init in ("adapt_diag", "adapt_full")),
        *((name, {}) for name in ("pymc_metropolis", "pymc_demetropolis_z", "pymc_slice")),
    ],
    ids=lambda v: v if isinstance(v, str) else v.get("init", "defaults"),
)
def test_pymcs_draws_are_pm_samples(name: str, given: dict[str, Any]) -> None:
    """A step method of PyMC gives the very draws of ``pm.sample`` from the same start and seed."""
    with pm.Model() as model:
        pm.LogNormal("x", shape=3)
        pm.Normal("y")
    target = Target(model)
    built = samplers.load(name).build(target, options_of(name, tune=200, draws=80, **given))
    begun = target.named(target.initial(np.random.default_rng(3), 2))
    # To the last bit as pm.sample does: HMC makes more of less.
    start = target.quantities.unconstrain(begun)
    found = target.named(built.sample(start, seed=11, stopwatch=Stopwatch()).values)
    with model:
        trace = pm.sample(
            80,
            tune=200,
            chains=2,
            cores=1,
            init="adapt_diag",
            step=pymc_step(name, start, given.get("init", "")),
            random_seed=11,
            initvals=[{name: begun[name][i] for name in ("x", "y")} for i in range(2)],
            progressbar=False,
            compute_convergence_checks=False,
        )
    for parameter in ("x", "y"):
        theirs = trace.posterior[parameter].to_numpy()
        assert found[parameter] == pytest.approx(theirs, rel=1e-9)
