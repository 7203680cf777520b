"""What every model promises, checked on whatever is in the folder."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytensor.compile.mode import Mode

from gradbench import compat, models, samplers
from gradbench.config.benchmark import Gates
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.measure import density_check
from gradbench.measure.density_check import Probe
from gradbench.reference import Reference
from gradbench.sampler import Evaluator
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

Errors = Callable[[Diagnostics, ReferenceMoments], FloatArray]
slow = pytest.mark.slow

# Graphs are simplified but run by Python: a model is ready in a second or two. What is fused,
# Python would round to single precision.
PYTHON = Mode("py", "fast_run").excluding("fusion")
BY_JAX = {"implicit_root", "kepler", "transit"}  # here Python would take a minute, C to compile

# What is looked at of each model, if not its defaults: a form that is quick, and every form it has.
FORMS: dict[str, list[dict[str, Any]]] = {
    "bimodal": [{}, {"dim": 1, "separation": 3.0, "weight": 0.8}],
    "correlated_gaussian": [{"dim": 20}],
    "eight_schools": [{}, {"centered": True}],
    "funnel": [{}, {"centered": False}],
    "hep_counting": [{}, {"bins": 20}],
    "horseshoe": [{}, {"centered": True}],
    "hybrid_rosenbrock": [{}, {"n2": 1, "a": 1.0, "b": 0.5}],
    "logistic_regression": [{"n": 300, "k": 6}],
    "radon": [{}, {"centered": True}],
    "rosenbrock": [{}],
    "stochastic_volatility": [{}, {"centered": True}],
    "student_t": [{}, {"nu": 2.5}],
}

# What a run of NUTS needs there to be right, or to be seen to fail, if not the usual; less where a
# gradient is dear.
LENGTH: dict[str, dict[str, Any]] = {
    "horseshoe centered=True": {"draws": 4000},
    "lotka_volterra": {"tune": 250, "draws": 300, "max_tree_depth": 6, "dense_mass": True},
    "transit": {"tune": 250, "draws": 700, "max_tree_depth": 6, "dense_mass": True},
    "rosenbrock": {"tune": 1000, "draws": 10_000, "target_accept_prob": 0.98},
    "hybrid_rosenbrock n2=1 a=1.0 b=0.5": {"draws": 10_000, "target_accept_prob": 0.99},
}

# Where NUTS fails, as it should, and why.
FAILS = {
    "bimodal": "a chain never leaves the mode it starts in",
    "eight_schools centered=True": "no one step size fits both ends of the funnel of tau and theta",
    "funnel": "no one step size fits the neck and the mouth",
    "horseshoe centered=True": "no one step size fits both ends of the funnels of its scales",
    "hybrid_rosenbrock": "no chain gets often enough to the ends of the ridge of its last column",
    "radon centered=True": "no one step size fits both ends of the funnels of its scales",
}

# Values that a model must refuse, beside a negative size and a number that is none.
REFUSED: dict[str, list[dict[str, Any]]] = {
    "bimodal": [{"weight": 1.0}, {"weight": 0.0}, {"separation": -1.0}],
    "correlated_gaussian": [{"dim": 1}, {"rho": 1.0}],
    "funnel": [{"dim": 1}],
    "hybrid_rosenbrock": [{"n1": 1}, {"n1": 7}, {"n2": 0}, {"a": 0.0}, {"b": -1.0}],
    "ill_conditioned_gaussian": [{"dim": 1}, {"condition": 0.5}, {"condition": np.inf}],
    "rosenbrock": [{"b": 0.0}, {"t": -1.0}, {"a": np.inf}],
    "student_t": [{"nu": 2.0}, {"nu": np.inf}],
}


def label(name: str, params: dict[str, Any]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in params.items())])


EVERY = {
    label(name, params): (name, params)
    for name in models.names()
    for params in FORMS.get(name, [{}])
}
SMOKE = {"eight_schools", "gaussian"}
forms = pytest.mark.parametrize(
    "form",
    [pytest.param(f, marks=pytest.mark.smoke) if f in SMOKE else f for f in EVERY],
)


@cache
def loaded(form: str) -> tuple[Target, Reference | None]:
    """Return a model's target and its reference, made once for all that look at it."""
    name, params = EVERY[form]
    model, reference, *_ = models.load(models.find(name, Path()), params)
    return Target(
        model, reference, mode=compat.mode("jax") if name in BY_JAX else PYTHON
    ), reference


class Itself(Evaluator):
    """A target seen as a sampler sees it: a point at a time, gradients by reverse mode."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def logdensity(self, points: FloatArray) -> FloatArray:
        return np.array([self._target.logdensity(x) for x in points])

    def gradient(self, points: FloatArray) -> FloatArray:
        return np.array([self._target.logdensity_and_gradient(x)[1] for x in points])


@cache
def probed(form: str) -> tuple[FloatArray, Probe]:
    """Return points, from starting points to nearer the mode, and what the target says there."""
    target, _ = loaded(form)
    at = density_check.points(target)
    return at, density_check.probe(Itself(target), target, at)


@slow
@forms
def test_the_gradient_is_the_densitys(form: str) -> None:
    """One point gives what many give, and reverse mode what finite differences give."""
    at, seen = probed(form)
    check = density_check.check_density(form, at, {"itself": seen})
    assert check.is_passed, check.refused
    assert check.n_points == 2 * density_check.N_POINTS
    assert not check.findings
    assert seen.values == pytest.approx(seen.target_values, rel=1e-9, abs=1e-9, nan_ok=True)
    scale = 1 + np.abs(np.array(seen.differences))
    certain = np.array(seen.uncertainties) < density_check.UNUSABLE * scale
    assert certain[: 2 * density_check.N_POINTS].mean() > 0.5, (
        "the differences hold the gradient to nothing"
    )


@slow
@forms
def test_the_check_of_gradients_can_fail(form: str) -> None:
    """The same check refuses a gradient that is a tenth off."""
    at, seen = probed(form)
    assert seen.slopes is not None
    off = replace(seen, slopes=(1.1 * np.array(seen.slopes)).tolist())
    assert density_check.check_density(form, at, {"off": off}).refused


@slow
@forms
def test_starts_are_finite(form: str) -> None:
    """Where runs start, density and gradient are finite; where they can't, it is -inf, not NaN."""
    target, _ = loaded(form)
    anywhere = np.random.default_rng(1).uniform(-2, 2, (100, target.ndim))
    assert not np.isnan(target.logdensity_batch(anywhere)).any()
    start = target.initial(np.random.default_rng(1), 10)
    assert np.isfinite(target.logdensity_batch(start)).all()
    assert np.isfinite(Itself(target).gradient(start)).all()


def known(form: str) -> tuple[Target, ReferenceMoments]:
    """Return a model's target and its reference's moments, which every shipped model has."""
    target, _ = loaded(form)
    assert target.reference is not None, f"make it: gradbench reference {EVERY[form][0]}"
    return target, target.reference


@slow
@forms
def test_references_make_sense(form: str) -> None:
    """A reference fits the model's parameters, and scores at least one; spreads are positive."""
    _, of = known(form)
    scored = np.isfinite(of.mean)
    assert scored.any()
    assert (of.sd[scored] > 0).all()
    assert np.isfinite(of.sd[scored]).all()
    squares = of.square_sd[~np.isnan(of.square_sd)]
    assert (squares > 0).all()
    assert np.isfinite(squares).all()
    assert (of.mean_se[scored] >= 0).all()
    assert (of.variance_se[scored] >= 0).all()


@cache
def drawn(form: str, n: int) -> dict[str, FloatArray]:
    """Return exact draws by parameter; skip the test if there are none."""
    _, reference = loaded(form)
    if reference is None or reference.draw is None:
        pytest.skip("it can't be drawn from")
    return dict(reference.draw(np.random.default_rng(1), n))


def errors_of_draws(form: str, *, shift: float = 0.0) -> FloatArray:
    """Return errors of the draws' means and variances in standard errors, moved by so many sds."""
    n = 50_000
    draws, reference = drawn(form, n), loaded(form)[1]
    assert reference is not None
    z = []
    for name, of in reference.moments.items():
        mean, sd = np.asarray(of.mean), np.asarray(of.sd)
        off = draws[name] + shift * sd - mean
        z.append(off.mean(axis=0) / sd * np.sqrt(n))
        if of.square_sd is not None:
            z.append(((off**2).mean(axis=0) - sd**2) / np.asarray(of.square_sd) * np.sqrt(n))
    return np.concatenate([np.ravel(each) for each in z])


@slow
@forms
def test_draws_have_the_references_moments(form: str) -> None:
    """Means and variances of exact draws are within 4 standard errors of the reference's.

    The same check refuses draws that are a twentieth of a standard deviation off.
    """
    assert np.abs(errors_of_draws(form)).max() < 4
    assert np.abs(errors_of_draws(form, shift=0.05)).max() > 4


@slow
@forms
def test_draws_are_the_densitys(form: str) -> None:
    """Metropolis steps from exact draws, a coordinate at a time, climb as much as they descend.

    So they do from draws of the density that accepts them, and of no other: the same check refuses
    its square root. Steps are short: how much far-off modes weigh it can't see.
    """
    n = 1000
    target, _ = loaded(form)
    points = target.quantities.unconstrain(drawn(form, n))
    scale = 1 / np.median(np.abs(Itself(target).gradient(points[:200])), axis=0)
    steps = np.random.default_rng(2).standard_normal((n, target.ndim)) * scale
    moved = points[:, None] + steps[:, None] * np.eye(target.ndim)
    there = target.logdensity_batch(moved.reshape(-1, target.ndim)).reshape(steps.shape)
    climb = np.maximum(there - target.logdensity_batch(points)[:, None], -1e6)

    def errors(power: float) -> FloatArray:
        accepted = np.exp(np.minimum(0, power * climb)) * climb
        return np.asarray(accepted.mean(axis=0) / accepted.std(axis=0) * np.sqrt(n))

    assert np.abs(errors(1.0)).max() < 4
    assert np.abs(errors(0.5)).max() > 4


@cache
def run(form: str) -> tuple[Diagnostics, density_check.DensityCheck]:
    """Return what a run of NUTS finds, and whether JAX has the same density."""
    if (remedy := samplers.remedy("numpyro_nuts")) is not None:
        pytest.skip(remedy)
    target, of = known(form)
    nuts = samplers.load("numpyro_nuts")
    options = nuts.options(**{"tune": 500, "draws": 2000, "chains": 4} | LENGTH.get(form, {}))
    built = nuts.build(target, options)
    start = target.initial(np.random.default_rng(1), options.n_starts)
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    values = target.constrain(draws.values)
    at, _ = probed(form)
    return (
        diagnostics.compute(values, draws.groups, reference_mean=of.mean),
        density_check.check_density(
            form, at, {"numpyro_nuts": density_check.probe(built, target, at)}
        ),
    )


@slow
@forms
def test_runs_find_the_reference(form: str, errors: Errors) -> None:
    """A run of NUTS converges to means and variances within 4 MCSE of the reference's.

    Where NUTS must fail, the gates or the moments tell. JAX has the density that PyTensor has.
    """
    _, of = known(form)
    found, check = run(form)
    assert check.is_passed, check.refused
    scored = np.isfinite(of.mean)
    ess = np.maximum(np.fmin(found.ess_bulk, found.ess_square), Gates().ess)
    limit = np.maximum(Gates().rhat, diagnostics.rhat_by_chance(ess, 4))
    is_trusted = (found.rhat <= limit)[scored].all() and found.ess_bulk[scored].min() > Gates().ess
    is_right = np.abs(errors(found, of)).max() < 4
    if form in FAILS:
        assert not (is_trusted and is_right), f"it should fail: {FAILS[form]}"
    else:
        assert is_trusted
        assert is_right


@slow
@forms
def test_the_check_of_runs_can_fail(form: str, errors: Errors) -> None:
    """The same check refuses means that are a third of a standard deviation off."""
    if form in FAILS:
        pytest.skip(FAILS[form])
    _, of = known(form)
    found, _ = run(form)
    off = replace(of, mean=of.mean + 0.33 * of.sd)
    assert np.abs(errors(found, off)).max() > 4


def bad_values() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what models must refuse: what is listed, every negative size, every NaN."""
    for name in models.names():
        yield from ((name, params) for params in REFUSED.get(name, []))
        for parameter, default in models.about(name).parameters.items():
            kind = type(ast.literal_eval(default))
            if kind is float:
                yield name, {parameter: np.nan}
            elif kind is int and parameter != "seed":
                yield name, {parameter: -1}


@pytest.mark.parametrize(("name", "params"), [*bad_values()], ids=str)
def test_bad_parameters_are_refused(name: str, params: dict[str, Any]) -> None:
    """A value out of range is refused in one line: the file's, what is allowed, what was given."""
    source = models.find(name, Path())
    with pytest.raises(ModelError) as refusal:
        models.load(source, params)
    (given,) = params.values()
    pattern = rf"{re.escape(str(source.path))}:\d+: ValueError: .* not .*{re.escape(str(given))}.*"
    assert re.fullmatch(pattern, str(refusal.value))


@pytest.mark.parametrize("name", models.names())
def test_files_say_what_they_are(name: str) -> None:
    """A model's file opens with a summary, then its mathematics and where all of it is from."""
    words = ast.get_docstring(ast.parse(models.find(name, Path()).path.read_bytes())) or ""
    summary, blank, *_ = words.splitlines()
    assert summary.endswith(".")
    assert not blank
    parts = [".. math::", "Origin:", "Parameters:", "Geometry:", "Reference:"]
    places = [words.find(part) for part in parts]
    assert min(places) > 0, f"it lacks {parts[places.index(-1)]}"
    assert places == sorted(places)
