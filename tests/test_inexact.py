"""PyMC's NUTS and HMC with finite differences in the place of gradients: counts, and the price."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytensor.compile.mode import Mode

from gradbench import LogDensity, compat, samplers
from gradbench.config import loading, planning
from gradbench.draws import Draws, FloatArray
from gradbench.measure import density_check
from gradbench.stats import diagnostics
from gradbench.target import differences, from_function
from gradbench.target.differences import Scheme
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()

PYTHON = Mode("py", "fast_run").excluding("fusion")  # nothing to compile

SCALES = np.array([1.0, 2.0, 0.5])
METHODS = ("pymc_nuts", "pymc_hmc")


class Counted:
    """A normal log-density of three scales without a gradient, that counts its calls."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, x: FloatArray) -> float:
        self.n += 1
        return float(-0.5 * np.sum((x / SCALES) ** 2))


def target_of(function: Any, ndim: int = 3, **given: Any) -> Target:
    made = LogDensity(function, ndim=ndim, **given)
    return Target(from_function.of_function(made), function=made, mode=PYTHON)


def drawn(target: Target, name: str = "pymc_nuts", **options: Any) -> Draws:
    sampler = samplers.load(name)
    given = sampler.options(**{"tune": 100, "draws": 100, **options})
    assert sampler.unsuited(target, given) is None
    built = sampler.build(target, given)
    start = target.initial(np.random.default_rng(0), given.n_starts)
    return built.sample(start, seed=1, stopwatch=Stopwatch())


# -- differences ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["forward", "central", "five"])
def test_one_point_at_a_time_gives_what_all_points_do(scheme: Scheme) -> None:
    """Their number is as it is counted, and the point that is given stays as it is."""
    calls = []

    def logdensity(x: FloatArray) -> float:
        calls.append(x.copy())
        return float(np.sum(np.sin(x)))

    x = np.array([0.3, -40.0, 5.0])
    value, gradient = differences.of(logdensity, scheme)(x)
    assert value == logdensity(np.array([0.3, -40.0, 5.0]))
    assert gradient == pytest.approx(np.cos(x), abs=1e-6)
    at = differences.points(x, scheme, differences.textbook_step(scheme))
    assert len(calls) - 1 == differences.n_evaluations(3, scheme) == len(at)
    values = np.array([logdensity(point) for point in at])
    every = differences.gradient(values, x, scheme, differences.textbook_step(scheme))
    assert gradient == pytest.approx(every, rel=1e-12)


def test_a_gradient_in_many_dimensions_takes_little_memory() -> None:
    """The points of 10,000 coordinates together would take 1.6 GB."""
    logdensity = differences.of(lambda x: -0.5 * float(x @ x), "central")
    x = np.linspace(-1, 1, 10_000)
    tracemalloc.start()
    _, gradient = logdensity(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert gradient == pytest.approx(-x, abs=1e-5)
    assert peak < 50 * x.nbytes


# -- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("gradient", "n_each"), [("finite_central", 7), ("finite_forward", 4)])
def test_evaluations_are_counted_to_the_last_one(name: str, gradient: str, n_each: int) -> None:
    """A model without a gradient runs; what it costs is log-densities, in warm-up and after it."""
    function = Counted()
    target = target_of(function)
    assert target.why_no_gradient is not None
    sampler = samplers.load(name)
    options: dict[str, Any] = {"tune": 30, "draws": 20, "gradient": gradient}
    built = sampler.build(target, sampler.options(**options))
    start = target.initial(np.random.default_rng(0), 2)
    before = function.n
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    spent = draws.evaluations
    assert (spent.n_grad_warmup, spent.n_grad_sampling) == (0, 0)
    assert spent.n_logp == function.n - before
    n_steps = int(draws.stats["n_steps"].sum())
    assert spent.n_logp_sampling == n_each * (n_steps + draws.stats["n_steps"].size)


@pytest.mark.parametrize("name", METHODS)
def test_draws_have_the_right_moments(name: str) -> None:
    """Means and variances lie within five standard errors of the normal's."""
    target = target_of(Counted())
    draws = drawn(target, name, gradient="finite_central", tune=300, draws=600)
    found = diagnostics.compute(draws.values, draws.groups, reference_mean=np.zeros(3))
    assert np.all(np.abs(found.mean) < 5 * SCALES / np.sqrt(found.ess_mean))
    error = np.abs(found.second_moment / SCALES**2 - 1)
    assert np.all(error < 5 * np.sqrt(2 / found.ess_square))


def test_a_bad_step_costs_more_gradients() -> None:
    """A forward step of 0.3 moves every slope: shorter leapfrog steps, more of them for a draw."""

    def cost(target: Target, **options: Any) -> float:
        options |= {"gradient": "finite_forward", "max_treedepth": 5, "tune": 100, "draws": 100}
        draws = drawn(target, **options)
        found = diagnostics.compute(draws.values, draws.groups)
        return draws.evaluations.n_logp / float(found.ess_mean.min())

    target = target_of(lambda x: float(-0.5 * x @ x), 5)
    assert cost(target, step=0.3) > 2 * cost(target)


# -- options -------------------------------------------------------------------------------------

CONFIG = """
name: steps
models:
  gaussian: {use: gaussian}
samplers:
  nuts: {use: pymc_nuts}
  finite: {use: pymc_nuts, gradient: finite_central}
  coarse: {use: pymc_nuts, gradient: finite_forward, step: 0.1}
"""


def test_defaults_leave_cells_as_they_were(tmp_path: Any) -> None:
    """Exact gradients aren't named, so that ids and baselines of older versions stay valid."""
    cells = planning.cells(loading.read(CONFIG, "config.yaml", tmp_path))
    nuts, finite, coarse = ({c.sampler: c for c in cells}[n] for n in ("nuts", "finite", "coarse"))
    assert not {"gradient", "step"} & {*nuts.options, *nuts.defaults}
    assert finite.options["gradient"] == "finite_central"
    assert "step" not in finite.options
    assert (coarse.options["gradient"], coarse.options["step"]) == ("finite_forward", 0.1)
    assert replace(nuts, options={**nuts.options, "gradient": "exact"}).id != nuts.id


@pytest.mark.parametrize("name", METHODS)
def test_a_step_without_differences_is_refused(name: str) -> None:
    """It would say nothing."""
    options: Any = samplers.load(name).options
    with pytest.raises(ValidationError, match="step is of finite differences"):
        options(step=1e-3)
    with pytest.raises(ValidationError, match="step"):
        options(gradient="finite_central", step=0.0)


@pytest.mark.parametrize("name", METHODS)
def test_without_a_gradient_differences_are_the_way_out(name: str) -> None:
    """The reason why exact gradients don't suit names them."""
    sampler, target = samplers.load(name), target_of(Counted())
    reason = str(sampler.unsuited(target, sampler.options()))
    assert "it has no gradient" in reason
    assert "gradient: finite_central" in reason


# -- the density check ---------------------------------------------------------------------------


@pytest.mark.parametrize("has_gradient", [True, False])
def test_an_inexact_gradient_that_was_asked_for_is_noted(has_gradient: bool) -> None:
    """A step of 0.1 runs with a note, the textbook's without; neither is the model's error."""
    slope = (lambda x: -x / SCALES**2) if has_gradient else None
    target, sampler = target_of(Counted(), gradient=slope), samplers.load("pymc_nuts")
    at = density_check.points(target)
    given: dict[str, dict[str, Any]] = {
        "good": {"gradient": "finite_central"},
        "coarse": {"gradient": "finite_forward", "step": 0.1},
        **({"exact": {}} if has_gradient else {}),
    }
    probes: dict[str, density_check.Probe] = {}
    for label, options in given.items():
        built = sampler.build(target, sampler.options(**options))
        probes[label] = density_check.probe(built, None if probes else target, at)
    check = density_check.check_density("model", at, probes)
    assert check.is_passed, check.refused
    assert [*check.notes] == (["coarse"] if has_gradient else [])
    if has_gradient:
        assert check.notes["coarse"].startswith("inexact gradient, as asked for: ")
        assert check.gradient_error is not None
        assert check.gradient_error < density_check.INEXACT_GRADIENT
