"""Models of one's own: plain functions, Stan programs, posteriors of posteriordb, odd models."""

import csv
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import LogDensity, StanProgram, compat, models, posteriordb, samplers, stan
from gradbench.cli import gradbench as program
from gradbench.config import loading as configs
from gradbench.errors import ConfigError, GradbenchError, ModelError
from gradbench.measure import density_check
from gradbench.measure.check_model import examine
from gradbench.models import Source
from gradbench.results import store
from gradbench.target import from_function
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()

Write = Callable[..., Path]
Gradbench = Callable[..., subprocess.CompletedProcess[str]]

COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])
PRECISION = np.linalg.inv(COVARIANCE)

# One program for all tests: it takes half a minute to compile.
PROGRAM = """
data { int n; vector[n] y; vector<lower=0>[n] sigma; }
parameters { real mu; real<lower=0> tau; vector[n] eta; array[2] vector[3] a; matrix[2, 3] b; }
transformed parameters { vector[n] theta = mu + tau * eta; real<upper=100> bounded = tau; }
model {
  mu ~ normal(0, 5);
  tau ~ normal(0, 5);
  eta ~ std_normal();
  y ~ normal(theta, sigma);
  a[1] ~ std_normal();
  a[2] ~ normal(5, 1);
  to_vector(b) ~ std_normal();
}
generated quantities { real noise = normal_rng(0, 1); }
"""
DATA = {"n": 2, "y": [1.0, 3.0], "sigma": [1.0, 2.0]}

needs_stan = pytest.mark.skipif(bool(samplers.remedy("stan_nuts")), reason="needs httpstan")
needs_jax = pytest.mark.skipif(bool(samplers.remedy("numpyro_nuts")), reason="needs JAX")
in_object_mode = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
needs_posteriordb = pytest.mark.skipif(find_spec("posteriordb") is None, reason="needs posteriordb")


def logp(x: Any) -> Any:
    return -0.5 * x @ PRECISION @ x


def slope(x: Any) -> Any:
    return -PRECISION @ x


def target_of(function: LogDensity) -> Target:
    return Target(from_function.of_function(function), mode="FAST_COMPILE")


# -- plain functions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "names or ndim"),
        ({"ndim": 2, "names": ["a", "b"]}, "names or ndim"),
        ({"ndim": 0}, "one coordinate at least"),
        ({"names": "ab"}, "different names"),
        ({"names": ["a", "a"]}, "different names"),
        ({"ndim": 2, "kind": "torch"}, "'numpy' or 'jax', not 'torch'"),
        ({"ndim": 2, "kind": "jax", "gradient": slope}, "JAX itself makes gradients"),
    ],
)
def test_contradictions_are_told(given: dict[str, Any], words: str) -> None:
    """What can't be meant is refused where it is written."""
    with pytest.raises(ValueError, match=words):
        LogDensity(logp, **given)


@pytest.mark.parametrize(
    ("naming", "parameters"),
    [
        ({"ndim": 2}, ("x[0]", "x[1]")),
        ({"names": ["m", "b"]}, ("m", "b")),
        ({"names": {"m": (), "b": 1}}, ("m", "b[0]")),
    ],
)
def test_a_function_is_a_target(naming: dict[str, Any], parameters: tuple[str, ...]) -> None:
    """Its values, one by one and many at once, are the function's, its coordinates named."""
    target = target_of(LogDensity(logp, **naming))
    points = target.initial(np.random.default_rng(0), 5)
    expected = [logp(x) for x in points]
    assert target.logdensity_batch(points) == pytest.approx(expected)
    assert [target.logdensity(x) for x in points] == pytest.approx(expected)
    assert target.names == parameters
    assert np.array_equal(target.constrain(points), points)
    assert target.quantities.unconstrain(target.named(points)) == pytest.approx(points)


def test_one_gradient_is_one_evaluation() -> None:
    """Value and gradient together call each function once, a value alone only the density."""
    calls = {"value": 0, "gradient": 0}

    def counted(x: Any) -> Any:
        calls["value"] += 1
        return logp(x)

    def counted_slope(x: Any) -> Any:
        calls["gradient"] += 1
        return slope(x)

    target = target_of(LogDensity(counted, names=["a", "b"], gradient=counted_slope))
    x = np.array([0.5, -1.0])
    target.logdensity(x), target.logdensity_and_gradient(x)  # compiled, with a call each
    calls.update(value=0, gradient=0)
    value, gradient = target.logdensity_and_gradient(x)
    assert value == pytest.approx(logp(x))
    assert gradient == pytest.approx(slope(x))
    assert calls == {"value": 1, "gradient": 1}
    target.logdensity(x)
    assert calls == {"value": 2, "gradient": 1}


def test_a_vectorized_function_takes_all_points_at_once() -> None:
    """A batch is one call, and the shape that comes back is held to."""
    shapes = []

    def at_once(points: Any) -> Any:
        shapes.append(points.shape)
        return -0.5 * np.einsum("ni,ij,nj->n", points, PRECISION, points)

    target = target_of(LogDensity(at_once, ndim=2, vectorized=True))
    points = target.initial(np.random.default_rng(0), 7)
    shapes.clear()
    assert target.logdensity_batch(points) == pytest.approx([logp(x) for x in points])
    assert shapes == [(7, 2)]
    with pytest.raises(TypeError, match=r"must have the shape \(1,\)"):
        target_of(LogDensity(lambda points: points.sum(), ndim=2, vectorized=True))


def test_nan_is_outside_the_support() -> None:
    """A function's NaN counts as -inf; runs start where it is a number."""
    with np.errstate(all="ignore"):
        target = target_of(LogDensity(lambda x: np.log(x).sum() - x.sum(), ndim=2))
        assert target.logdensity(np.array([-1.0, 1.0])) == -np.inf
        assert (target.initial(np.random.default_rng(0), 20) > 0).all()


def test_without_a_gradient_the_mode_is_found_all_the_same() -> None:
    """init: map, and the points of the density check, need no gradient."""
    target = target_of(LogDensity(lambda x: logp(x - 3), ndim=2))
    starts = target.starts.find("map", np.random.default_rng(0), 4)
    assert starts == pytest.approx(np.full((4, 2), 3.0), abs=0.11)
    inside = density_check.points(target)[: 2 * density_check.N_POINTS]
    assert np.isfinite(target.logdensity_batch(inside)).all()


@needs_jax
def test_a_jax_function_goes_through() -> None:
    """JAX traces it into the samplers' own density; elsewhere it brings its own gradient."""
    import jax

    target = target_of(LogDensity(logp, names=["a", "b"], kind="jax"))
    assert target.why_not_on("jax") is None
    x = np.array([0.5, -1.0])
    assert target.logdensity_and_gradient(x)[1] == pytest.approx(slope(x))
    assert np.asarray(jax.grad(target.jax_logdensity)(x)) == pytest.approx(slope(x))
    points = np.stack([x, -2 * x])
    assert target.logdensity_batch(points) == pytest.approx([logp(x) for x in points])
    with pytest.raises(TypeError, match=r"a scalar; its shape is \(2,\)"):
        from_function.of_function(LogDensity(slope, ndim=2, kind="jax"))


KINDS: dict[str, LogDensity] = {
    "numpy": LogDensity(logp, names=["a", "b"]),
    "with_gradient": LogDensity(logp, names=["a", "b"], gradient=slope),
    "jax": LogDensity(logp, names=["a", "b"], kind="jax"),
}


@cache
def of_kind(kind: str) -> Target:
    return target_of(KINDS[kind])


@needs_jax
@pytest.mark.parametrize("name", samplers.names())
@pytest.mark.parametrize("kind", KINDS)
def test_what_suits_a_function(kind: str, name: str) -> None:
    """No gradient, no JAX, no prior, no Stan program: each in one line, before anything runs."""
    if samplers.remedy(name) is not None:
        pytest.skip("not installed")
    sampler = samplers.load(name)
    options = sampler.options().fitted(2)
    reason = sampler.unsuited(of_kind(kind), options)
    needs_prior = name in {"dynesty", "pymc_smc"}
    if needs_prior or name.startswith("stan_"):
        assert reason is not None
    elif options.backend == "jax":
        assert (reason is None) == (kind == "jax")
    elif sampler.uses_gradient:
        assert (reason is None) == (kind != "numpy")
    else:
        assert reason is None
    assert reason is None or "\n" not in reason


@needs_jax
def test_a_backend_that_cant_is_told() -> None:
    """backend: jax asks of every sampler what JAX's own samplers ask."""
    for name, more in {"pymc_nuts": {}, "pymc_slice": {}, "emcee": {"walkers": 4}}.items():
        sampler: Any = samplers.load(name)
        for backend, is_suited in {"jax": False, "c": True}.items():
            options = sampler.options(**more, backend=backend)
            assert (sampler.unsuited(of_kind("with_gradient"), options) is None) == is_suited


@needs_jax
def test_an_op_of_ones_own_is_unsuited_not_failed() -> None:
    """A PyMC model with an Op that has no gradient and no JAX version is told apart in words."""
    import pytensor.tensor as pt
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op

    class Opaque(Op):  # type: ignore[misc]
        __props__ = ()

        def make_node(self, x: Any) -> Any:
            return Apply(self, [x], [pt.dscalar()])

        def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = np.asarray(-np.sum(inputs[0] ** 2))

    with pm.Model() as model:
        pm.Potential("opaque", Opaque()(pm.Normal("x", shape=2)))
    target = Target(model, mode="FAST_COMPILE")
    assert "has no gradient" in str(target.why_no_gradient)
    assert "Opaque" in str(target.why_not_on("jax"))
    assert target.why_not_on("c") is None


COUNTED: dict[str, dict[str, Any]] = {
    "emcee": {"walkers": 8},
    "zeus": {"walkers": 8},
    "pymc_metropolis": {},
    "pymc_slice": {},
    "pymc_nuts": {"backend": "c"},
    "nutpie": {},
}


@in_object_mode
@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_the_functions_calls(name: str) -> None:
    """What a sampler says it evaluated is how often the function was called."""
    if (remedy := samplers.remedy(name)) is not None:
        pytest.skip(remedy)
    calls = 0

    def counted(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return logp(x)

    target = target_of(LogDensity(counted, names=["a", "b"], gradient=slope))
    sampler = samplers.load(name)
    options = sampler.options(**{"tune": 50, "draws": 40, **COUNTED[name]})
    built = sampler.build(target, options)
    start = target.initial(np.random.default_rng(0), options.n_starts)
    calls = 0
    counts = built.sample(start, seed=1, stopwatch=Stopwatch()).evaluations
    assert counts.n_logp + counts.n_grad == calls > 0


MY_MODEL = """
    from gradbench import LogDensity, Moments, Reference

    def model(rho=0.5, sign=1.0):
        precision = np.linalg.inv([[1.0, rho], [rho, 1.0]])
        return LogDensity(
            lambda x: -0.5 * x @ precision @ x,
            names=["a", "b"],
            gradient=lambda x: -sign * precision @ x,
        )

    def reference(rho=0.5, sign=1.0):
        known = {"a": Moments(mean=0.0, sd=1.0, square_sd=2.0**0.5)}
        return Reference("exact", known) if rho == 0.9 else None
"""


@pytest.mark.smoke
@pytest.mark.slow
def test_a_function_runs_like_any_model(
    config: Write, model_file: Write, gradbench: Gradbench, tmp_path: Path
) -> None:
    """Swept over, without a reference the accuracy columns are empty, with one they are filled."""
    model_file(MY_MODEL)
    path = config(
        models={"mine": {"use": "./my_model.py", "sweep": {"rho": [0.0, 0.9]}}},
        samplers={
            "nuts": {"use": "pymc_nuts", "tune": 200, "draws": 300, "backend": "c"},
            "emcee": {"use": "emcee", "walkers": 8, "tune": 100, "draws": 500, "backend": "c"},
        },
    )
    done = gradbench("run", path, "--quiet")
    assert done.returncode == 0, done.stderr + done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    found = {result.cell.key: result.measured for result in store.read(folder).results}
    assert len(found) == 4
    for (model, _), measured in found.items():
        assert measured is not None
        assert measured.parameters == ("a", "b")
        assert (measured.reference is None) == (model == "mine[rho=0.0]")
    with (folder / "parameters.csv").open() as file:
        for row in csv.DictReader(file):
            is_known = row["model"] == "mine[rho=0.9]" and row["parameter"] == "a"
            assert (row["error_sd"] != "") == is_known


# -- Stan programs -------------------------------------------------------------------------------


@cache
def of_stan() -> Target:
    program = StanProgram(PROGRAM, DATA)
    return Target(from_function.of_program(program), None, program, mode=compat.mode("c"))


@needs_stan
@pytest.mark.slow
@pytest.mark.timeout(900)  # it may have to compile the bridge first
def test_a_program_is_a_target() -> None:
    """Its density and gradient are Stan's; its parameters have their names, shapes and values."""
    target, program = of_stan(), stan.load(StanProgram(PROGRAM, DATA))
    points = target.initial(np.random.default_rng(0), 4)
    assert target.logdensity_batch(points) == pytest.approx([program.logdensity(x) for x in points])
    for x in points:
        value, gradient = target.logdensity_and_gradient(x)
        theirs = program.gradient(x)  # without the constant that no sampler needs
        assert gradient == pytest.approx(theirs[1])
        assert value == pytest.approx(theirs[0])
    named = target.named(points)
    shapes = {name: array.shape[1:] for name, array in named.items()}
    assert shapes == {
        "mu": (),
        "tau": (),
        "eta": (2,),
        "a": (2, 3),
        "b": (2, 3),
        "theta": (2,),
        "bounded": (),
    }
    assert named["tau"] == pytest.approx(np.exp(points[:, 1]))
    theta = named["mu"][:, None] + named["tau"][:, None] * named["eta"]
    assert named["theta"] == pytest.approx(theta)
    # Unconstrained, Stan has arrays row by row and matrices column by column.
    assert named["a"] == pytest.approx(points[:, 4:10].reshape(-1, 2, 3))
    assert named["b"] == pytest.approx(points[:, 10:].reshape(-1, 3, 2).swapaxes(1, 2))
    assert target.quantities.unconstrain(named) == pytest.approx(points)


@needs_stan
@pytest.mark.slow
def test_a_rejected_point_is_outside_the_support() -> None:
    """Where the program rejects, the density is -inf and its parameters are NaN: no exception."""
    target = of_stan()
    x = np.zeros(target.ndim)
    x[1] = 6.0  # tau = exp(6) is above the bound
    assert target.logdensity(x) == -np.inf
    assert np.isnan(target.named(x)["bounded"])


@in_object_mode
@needs_stan
@pytest.mark.slow
@pytest.mark.parametrize("name", ["stan_nuts", "stan_advi", "pymc_nuts", "nutpie", "emcee"])
def test_samplers_run_on_a_program(name: str) -> None:
    """Stan's own and others sample it, their density its own up to a constant."""
    if (remedy := samplers.remedy(name)) is not None:
        pytest.skip(remedy)
    target, sampler = of_stan(), samplers.load(name)
    options = (
        sampler.options()
        .fitted(target.ndim)
        .model_copy(update={"tune": 1000 if name == "emcee" else 300, "draws": 500})
    )
    assert sampler.unsuited(target, options) is None
    built = sampler.build(target, options)
    start = target.initial(np.random.default_rng(0), options.n_starts)
    draws = built.sample(start, seed=1, stopwatch=Stopwatch())
    points = density_check.points(target)
    check = density_check.check_density(
        "program", points, {name: density_check.probe(built, target, points)}
    )
    assert check.is_passed, check.refused
    assert target.named(draws.values)["a"][..., 1, :].mean() == pytest.approx(5.0, abs=0.5)


@needs_stan
@pytest.mark.slow
def test_a_program_runs_from_a_config(config: Write, gradbench: Gradbench, tmp_path: Path) -> None:
    """use: ./model.stan with its data; another data file is another model to a resumed run."""
    (tmp_path / "model.stan").write_text(PROGRAM)
    data = tmp_path / "data.json"
    data.write_text(json.dumps(DATA))
    path = config(
        models={"program": {"use": "./model.stan", "data": "data.json"}},
        samplers={"stan": {"use": "stan_nuts"}, "emcee": {"use": "emcee", "walkers": 36}},
    )
    done = gradbench("run", path, "--only", "stan", "--quiet", "--save-draws")
    assert done.returncode == 0, done.stderr + done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    (result,) = store.read(folder).results
    assert result.measured is not None, result.reason
    assert {"mu", "a[1, 2]", "theta[0]"} <= set(result.measured.parameters)
    assert not {"noise", stan.UNCONSTRAINED} & set(result.measured.parameters)
    assert list((folder / "draws").glob("*.nc"))
    data.write_text(json.dumps({**DATA, "y": [0.0, 0.0]}))
    resumed = gradbench("run", "--resume", folder)
    assert resumed.returncode == 2
    assert "has changed since this run began" in resumed.stderr


@needs_stan
@pytest.mark.slow
def test_data_that_a_program_lacks_are_told(tmp_path: Path) -> None:
    """A variable that is missing in the data is named, with the program's file."""
    (tmp_path / "model.stan").write_text(PROGRAM)
    with pytest.raises(ModelError, match=r"model\.stan: .*doesn't take its data: .*variable"):
        models.load(Source(tmp_path / "model.stan"), {})


# -- configs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "place", "words"),
    [
        ({"use": "./model.stan", "data": "none.json"}, "data", "can't be read: No such file"),
        ({"use": "./model.stan", "data": "broken.json"}, "data", "is not valid JSON"),
        ({"use": "./model.stan", "data": "list.json"}, "data", "must hold a JSON object"),
        ({"use": "gaussian", "data": "data.json"}, "data", "only a Stan program"),
        ({"use": "./model.stan", "params": {"n": 3}}, "params.n", "no such parameter"),
        ({"use": "./model.txt"}, "use", "a .py or a .stan file"),
        ({"use": "missing.stan"}, "use", "no such file"),
        ({"use": "gaussian", "posteriordb": "."}, "posteriordb", "belongs to a model with use"),
        ({"use": "posteriordb:x"}, "use", "git clone https://github.com/stan-dev/posteriordb"),
        ({"use": "posteriordb:x", "posteriordb": "."}, "use", "is no copy of posteriordb"),
    ],
    ids=str,
)
def test_mistakes_in_a_config_have_their_place(
    entry: dict[str, Any],
    place: str,
    words: str,
    config: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """File, line, column and key come first, then what is wrong."""
    monkeypatch.delenv(posteriordb.VARIABLE, raising=False)
    for name, text in {"model.stan": PROGRAM, "model.txt": "", "data.json": "{}"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    path = config(models={"mine": entry})
    with pytest.raises(ConfigError) as caught:
        configs.load(str(path))
    assert str(caught.value).startswith(f"{path}:")
    assert f": models.mine.{place}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_fingerprint_covers_program_and_data(tmp_path: Path) -> None:
    """It changes with either file, and a Python model's is what it was before there were others."""
    import hashlib

    program, data = tmp_path / "model.stan", tmp_path / "data.json"
    program.write_text("parameters { real x; }")
    data.write_text("{}")
    seen = {models.fingerprint(Source(program)), models.fingerprint(Source(program, data))}
    data.write_text('{"n": 1}')
    seen.add(models.fingerprint(Source(program, data)))
    program.write_text("parameters { real y; }")
    seen.add(models.fingerprint(Source(program, data)))
    assert len(seen) == 4
    shipped = models.find("gaussian", Path())
    expected = hashlib.sha256(shipped.path.read_bytes()).hexdigest()
    assert models.fingerprint(shipped) == expected


# -- posteriordb ---------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Write a copy of posteriordb: the program above, its data, and exact draws of ``a``."""
    home = tmp_path / "copy" / "posterior_database"
    rng = np.random.RandomState(1)
    means = {1: 0.0, 2: 5.0}
    draws = [
        {f"a[{i},{j}]": rng.normal(means[i], 1.0, 250).tolist() for i in means for j in (1, 2, 3)}
        for _ in range(4)
    ]
    posterior = {"name": "mine-data", "model_name": "mine", "data_name": "data"}
    known = {"reference_posterior_name": "mine-data", "dimensions": {"a": [2, 3]}}
    texts: dict[str, Any] = {
        "posteriors/mine-data.json": {**posterior, **known},
        "posteriors/mine-bare.json": {**posterior, "reference_posterior_name": None},
        "models/info/mine.info.json": {
            "name": "mine",
            "title": "A hierarchy of two",
            "model_implementations": {"stan": {"model_code": "models/stan/mine.stan"}},
        },
        "data/info/data.info.json": {"name": "data", "data_file": "data/data/data.json"},
        "reference_posteriors/draws/info/mine-data.info.json": {"name": "mine-data"},
    }
    for name, content in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(json.dumps(content))
    (home / "models" / "stan").mkdir()
    (home / "models" / "stan" / "mine.stan").write_text(PROGRAM)
    for name, content in (
        ("data/data/data.json", DATA),
        ("reference_posteriors/draws/draws/mine-data.json", draws),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(home / f"{name}.zip", "w") as archive:
            archive.writestr(Path(name).name, json.dumps(content))
    return home


@needs_posteriordb
def test_reference_draws_are_moments_with_their_errors(database: Path) -> None:
    """Mean and variance of exact draws are within 4 of their own standard errors, not 0."""
    source = models.find("posteriordb:mine-data", Path(), database=str(database.parent))
    program, reference = posteriordb.load(source.path)
    assert (program.code, program.data) == (PROGRAM, DATA)
    assert reference is not None
    assert reference.source == "posteriordb, 1000 draws"
    found = reference.moments["a"]
    expected = np.array([[0.0] * 3, [5.0] * 3])
    assert np.shape(found.mean_se) == np.shape(found.variance_se) == (2, 3)
    assert found.mean_se == pytest.approx(np.full((2, 3), 1000**-0.5), rel=0.3)
    assert found.variance_se == pytest.approx(np.full((2, 3), (2 / 1000) ** 0.5), rel=0.3)
    assert (np.abs(np.asarray(found.mean) - expected) < 4 * np.asarray(found.mean_se)).all()
    off = np.abs(np.asarray(found.sd) ** 2 - 1)
    assert (off < 4 * np.asarray(found.variance_se)).all()
    bare = models.find("posteriordb:mine-bare", Path(), database=str(database))
    assert posteriordb.load(bare.path)[1] is None


@needs_posteriordb
def test_a_fingerprint_covers_the_reference_draws(database: Path) -> None:
    """Program, data and reference draws are all of the model."""
    source = models.find("posteriordb:mine-data", Path(), database=str(database))
    assert {path.name for path in posteriordb.files(source.path)} == {
        "mine-data.json",
        "mine.stan",
        "data.json.zip",
        "mine-data.json.zip",
    }
    before = models.fingerprint(source)
    (database / "models" / "stan" / "mine.stan").write_text(PROGRAM + "\n")
    assert models.fingerprint(source) != before


@needs_posteriordb
def test_the_copy_is_found_and_listed(
    database: Path, gradbench: Gradbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path or the environment; those with reference draws are listed, others not."""
    monkeypatch.setenv(posteriordb.VARIABLE, str(database))
    assert models.find("posteriordb:mine-data", Path()).path.parents[1] == database
    with pytest.raises(ModelError, match="did you mean 'mine-data'"):
        models.find("posteriordb:mine-dat", Path())
    shown = gradbench("list", "models", "--posteriordb", database)
    assert shown.returncode == 0, shown.stderr
    assert "mine-data" in shown.stdout
    assert "A hierarchy of two" in shown.stdout
    assert "mine-bare" not in shown.stdout


@needs_posteriordb
@needs_stan
@pytest.mark.slow
def test_a_whole_copy_is_run(
    config: Write, database: Path, gradbench: Gradbench, tmp_path: Path
) -> None:
    """Each posterior ends with a status: one without data, one whose program is broken, too."""
    posterior = {"model_name": "mine", "data_name": "data", "reference_posterior_name": None}
    broken = {
        "name": "broken",
        "model_implementations": {"stan": {"model_code": "models/stan/broken.stan"}},
    }
    texts = {
        "posteriors/broken-data.json": {**posterior, "name": "broken-data", "model_name": "broken"},
        "posteriors/mine-lost.json": {**posterior, "name": "mine-lost", "data_name": "lost"},
        "posteriors/mine-out.json": {**posterior, "name": "mine-out"},
        "models/info/broken.info.json": broken,
        "data/info/lost.info.json": {"name": "lost", "data_file": "data/data/lost.json"},
    }
    for name, content in texts.items():
        (database / name).write_text(json.dumps(content))
    (database / "models" / "stan" / "broken.stan").write_text("parameters { real x")
    some = {"use": "posteriordb:*", "posteriordb": "copy", "exclude": ["*-out"]}
    path = config(models={"all": some}, samplers={"walk": {"use": "pymc_metropolis", "draws": 500}})
    done = gradbench("run", path, "--quiet")
    assert done.returncode == 1, done.stderr + done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    stored = store.read(folder)
    found = {result.cell.model: result for result in stored.results}
    assert sorted(found) == ["broken-data", "mine-bare", "mine-data", "mine-lost"]
    assert {found[name].status for name in ("broken-data", "mine-lost")} == {"failed"}
    assert "lost.json" in found["mine-lost"].reason
    assert all(found[name].measured is not None for name in ("mine-bare", "mine-data"))
    (folder / "cells" / f"{found['mine-lost'].cell.id}.json").unlink()
    assert gradbench("run", "--resume", folder, "--quiet").returncode == 1
    assert len(store.read(folder).results) == 4


@needs_posteriordb
def test_a_posterior_travels_whole(database: Path, tmp_path: Path) -> None:
    """The files that a posterior needs on another machine are all that loading it takes."""
    source = models.find("posteriordb:mine-data", Path(), database=str(database)).pinned
    copy = tmp_path / "elsewhere"
    for path in models.carried(source):
        there = copy / path.relative_to(database)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(path.read_bytes())
    shutil.rmtree(database)
    moved = models.Source(copy / "posteriors" / "mine-data.json", digest=source.digest)
    program, reference = posteriordb.load(moved.path)
    assert models.fingerprint(moved) == source.digest
    assert (program.code, program.data) == (PROGRAM, DATA)
    assert reference is not None


@needs_posteriordb
@pytest.mark.usefixtures("database")
def test_a_pattern_names_posteriors(config: Write, gradbench: Gradbench) -> None:
    """A label for each; what matches nothing, or isn't for a pattern, is a mistake that is told."""
    flags = ("--samplers", "pymc_nuts,emcee", "--posteriordb", "copy", "--dry-run")
    named = gradbench("run", "--models", "posteriordb:mine*", *flags, "--set", "replicates=1")
    assert named.returncode == 0, named.stderr
    assert "4 cells; nothing was run" in named.stdout
    assert "mine-bare" in named.stdout
    for entry, said in (
        ({"use": "posteriordb:x*"}, "models.all.use: no posterior in"),
        ({"use": "posteriordb:*", "exclude": ["*"]}, "matches '*' and is not left out"),
        ({"use": "posteriordb:*", "params": {"n": 1}}, "models.all.params: a posterior of"),
        ({"use": "posteriordb:mine-data", "exclude": ["*"]}, "exclude: belongs to a pattern"),
    ):
        done = gradbench("run", config(models={"all": {**entry, "posteriordb": "copy"}}))
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    twice = {label: {"use": "posteriordb:*", "posteriordb": "copy"} for label in ("a", "b")}
    assert "is a model of this config already" in gradbench("run", config(models=twice)).stderr


@needs_posteriordb
@needs_stan
@pytest.mark.slow
def test_a_posterior_runs_against_its_reference_draws(
    config: Write, database: Path, gradbench: Gradbench, tmp_path: Path
) -> None:
    """Its moments are in the result, and the copy's path in the resolved config is absolute."""
    path = config(
        models={"known": {"use": "posteriordb:mine-data", "posteriordb": "copy"}},
        samplers={"stan": {"use": "stan_nuts"}},
    )
    done = gradbench("run", path, "--quiet")
    assert done.returncode == 0, done.stderr + done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    stored = store.read(folder)
    assert stored.benchmark.models["known"].posteriordb == str(database)
    (result,) = stored.results
    assert result.measured is not None, result.reason
    assert result.measured.reference_source == "posteriordb, 1000 draws"
    assert result.measured.reference is not None
    known = dict(zip(result.measured.parameters, result.measured.reference.mean, strict=True))
    assert known["a[1, 0]"] == pytest.approx(5.0, abs=0.2)
    assert np.isnan(known["mu"])


REAL = Path(__file__).parents[1] / ".." / "shared" / "reference"


@pytest.mark.skipif(not REAL.is_dir(), reason="the moments of real posteriors are not here")
@pytest.mark.parametrize("centered", [True, False])
def test_eight_schools_exact_moments_are_posteriordbs(centered: bool) -> None:
    """The exact means and variances are within 4 standard errors of the reference draws'."""
    name = "centered" if centered else "noncentered"
    text = (REAL / f"eight_schools-eight_schools_{name}.json").read_text()
    path = models.find("eight_schools", Path()).path
    _, reference, *_ = models.load(Source(path), {"centered": centered})
    assert reference is not None
    for scalar, theirs in json.loads(text)["parameters"].items():
        variable, _, index = scalar.rstrip("]").partition("[")
        at = int(index) - 1 if index else ()
        ours = reference.moments[variable]
        mean, sd = np.asarray(ours.mean)[at], np.asarray(ours.sd)[at]
        assert abs(mean - theirs["mean"]) < 4 * theirs["mcse_mean"], scalar
        assert abs(sd**2 + mean**2 - theirs["m2"]) < 4 * theirs["mcse_m2"], scalar


# -- check-model ---------------------------------------------------------------------------------


def test_a_function_is_checked(model_file: Write, gradbench: Gradbench) -> None:
    """Its coordinates, its gradient against differences, and what suits it; exit code 0."""
    model_file(MY_MODEL)
    done = gradbench("check-model", "./my_model.py", "--param", "rho=0.9")
    assert done.returncode == 0, done.stderr
    assert "2 dimensions" in done.stdout
    assert "the gradient agrees" in " ".join(done.stdout.split())
    suited = next(line for line in done.stdout.splitlines() if line.startswith("emcee"))
    assert suited.rstrip().endswith("yes")
    assert "JAX can't compile it" in done.stdout or samplers.remedy("numpyro_nuts")
    assert max(map(len, done.stdout.splitlines())) <= 100


@in_object_mode
def test_a_wrong_gradient_is_caught(model_file: Write) -> None:
    """A gradient of the wrong sign fails the check, and says where; the right one passes."""
    source = Source(model_file(MY_MODEL))
    found = examine(source, {"sign": -1.0})
    assert not found.is_passed
    assert "is not that of the log-density: at x = (" in found.check.refused["the model"]
    assert examine(source, {}).is_passed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gausian"], "did you mean 'gaussian'?"),
        (["gaussian", "--param", "dimm=3"], "--param dimm: the model has no such parameter"),
        (["gaussian", "--param", "dim"], "write it as --param key=value"),
        (["gaussian", "--data", "data.json"], "only a Stan program"),
        (["./missing.stan"], "no such file"),
    ],
    ids=str,
)
def test_check_models_mistakes(arguments: list[str], words: str) -> None:
    """A mistake on the command line is one message and exit code 2."""
    with pytest.raises(GradbenchError) as told:
        program.main(["check-model", *arguments], standalone_mode=False)
    assert told.value.exit_code == 2
    assert words in str(told.value)
    assert len(str(told.value).splitlines()) == 1


# -- odd models ----------------------------------------------------------------------------------

ODD = """
    def model(kind):
        with pm.Model() as odd:
            x = pm.Normal("x")
            if kind == "discrete":
                pm.Bernoulli("coin", 0.5)
            elif kind == "nan":
                pm.Potential("p", x * np.nan)
            elif kind == "inf":
                pm.Potential("p", pt.switch(x > 1, np.inf, 0.0))
            elif kind == "twice":
                pm.Normal("x")
            elif kind == "chain":
                pm.Normal("chain")
            elif kind == "half":
                pm.Potential("p", pt.log(x))
        return odd if kind != "none" else pm.Model()
"""
REFUSED = {
    "discrete": "discrete parameters (coin ~ Bernoulli)",
    "none": "no free parameters",
    "nan": "no starting point with a finite log-density",
    "inf": "+inf where a run would start",
    "twice": "Variable name x already exists",
    "chain": "can't be called chain",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cant_be_sampled_is_one_message(kind: str, model_file: Write) -> None:
    """Each is refused in words, whether as it is loaded or as a start is looked for."""
    source = Source(model_file(ODD, "odd.py"))

    def started() -> None:
        target = Target(*models.load(source, {"kind": kind}), mode="FAST_COMPILE")
        target.initial(np.random.default_rng(0), 20)

    with pytest.raises(ModelError) as caught:
        started()
    assert REFUSED[kind] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_line_refuses_them_too(
    config: Write, model_file: Write, gradbench: Gradbench
) -> None:
    """check-model ends with 2; so does run, but where only a start is missing: failed cells, 1."""
    model_file(ODD, "odd.py")
    checked = gradbench("check-model", "./odd.py", "--param", "kind=discrete")
    assert checked.returncode == 2
    assert REFUSED["discrete"] in checked.stderr
    ran = gradbench(
        "run", config(models={"odd": {"use": "./odd.py", "params": {"kind": "nan"}}}), "--quiet"
    )
    assert ran.returncode == 1
    assert REFUSED["nan"] in " ".join(ran.stdout.split())


def test_a_density_that_is_nan_at_some_starts_has_others(model_file: Write) -> None:
    """Starting points are drawn again where the density is NaN."""
    source = Source(model_file(ODD, "odd.py"))
    target = Target(*models.load(source, {"kind": "half"}), mode="FAST_COMPILE")
    assert (target.initial(np.random.default_rng(0), 20) > 0).all()


def test_a_files_name_collides_with_nothing(model_file: Write, gradbench: Gradbench) -> None:
    """A file called as a shipped model or as a library is itself, and the library the library."""
    model_file(MY_MODEL, "gaussian.py")
    own, *_ = models.load(models.find("./gaussian.py", model_file(MY_MODEL, "numpy.py").parent), {})
    assert [rv.name for rv in own.free_RVs] == ["a", "b"]
    shipped, *_ = models.load(models.find("gaussian", Path()), {})
    assert [rv.name for rv in shipped.free_RVs] == ["x"]
    checked = gradbench("check-model", "./numpy.py")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.slow
def test_ten_thousand_parameters(config: Write, gradbench: Gradbench, tmp_path: Path) -> None:
    """The run is done, its table has one line, and its CSV one row for each parameter."""
    path = config(
        models={"wide": {"use": "gaussian", "params": {"dim": 10_000}}},
        samplers={"nuts": {"use": "pymc_nuts", "tune": 20, "draws": 20}},
    )
    done = gradbench("run", path, "--quiet", "--save-draws")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) < 20
    (folder,) = (tmp_path / "results" / "small").iterdir()
    assert len((folder / "parameters.csv").read_text().splitlines()) == 10_001
