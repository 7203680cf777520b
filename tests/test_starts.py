"""Starting points: the model's own, in bounds, from the prior, and supports away from zero."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import LogDensity, compat, models
from gradbench.config import loading as configs
from gradbench.config import planning
from gradbench.config.benchmark import DEFAULT_INIT, Benchmark
from gradbench.errors import ModelError
from gradbench.measure import density_check
from gradbench.measure.check_model import _ends, _scales
from gradbench.measure.worker import Session
from gradbench.models import Source
from gradbench.results import store
from gradbench.target.search import search, search_around
from gradbench.target.starts import Init
from gradbench.target.target import Target

pm = compat.pymc()

Write = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]

FAR = "lambda x: -x[0] if 100 < x[0] < 120 else -np.inf"  # no point of uniform(-2, 2) is inside
HEAD = "from gradbench import LogDensity\n"


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def loaded(path: Path, init: Init | None = None) -> Target:
    return Target(*models.load(Source(path), {}), mode="FAST_COMPILE", init=init)


def far(model_file: Write, given: str, init: Init | None = None) -> Target:
    """Return the far density, with this further argument of LogDensity."""
    body = f"{HEAD}def model():\n    return LogDensity({FAR}, names=['K'], {given})\n"
    return loaded(model_file(body), init)


# -- the search ----------------------------------------------------------------------------------


def test_a_search_counts_what_it_tries() -> None:
    """Points outside are drawn again, the others kept, and all proposals are counted."""
    proposals = iter(
        [np.array([[1.0], [-1.0], [-2.0]]), np.array([[2.0], [-3.0]]), np.array([[3.0]])]
    )
    found = search(lambda _: next(proposals), 3, lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf))
    assert found.points.ravel().tolist() == [1, 2, 3]
    assert (found.n_tried, found.n_finite, found.is_successful) == (6, 3, True)


def test_a_jitter_shrinks_to_the_point_itself() -> None:
    """Where the cube has hardly a point inside it shrinks, to nothing where nothing else is."""
    near = search_around(
        np.zeros(2), 1.0, 5, lambda x: np.where(abs(x).max(1) < 1e-4, 0.0, -np.inf), rng=rng()
    )
    assert near.is_successful
    assert 0 < np.ptp(near.points) < 2e-4
    alone = search_around(
        np.ones(2), 1.0, 5, lambda x: np.where((x == 1).all(1), 0.0, -np.inf), rng=rng()
    )
    assert (alone.points == 1).all()
    assert alone.is_successful


# -- a plain function ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "init"),
    [
        ("initial=[110.0]", "own"),
        ("initial=np.linspace(101, 119, 30)[:, None]", "own"),
        ("initial=lambda rng, n: rng.uniform(105, 110, (n, 1))", "own"),
        ("initial=lambda rng, n: {'K': rng.uniform(105, 110, n)}", "own"),
        ("initial=[110.0]", "model"),
        ("initial=[110.0]", "map"),
        ("bounds=(100, 120)", "uniform"),
        ("bounds=(100, 120)", "prior"),
        ("bounds=(100, np.inf)", "uniform"),
        ("bounds=([100], [120]), transform=True", "uniform"),
        ("bounds=(100, np.inf), transform=True", "uniform"),
        ("bounds=(100, 120), transform=True, initial=[110.0]", "own"),
    ],
)
def test_a_support_far_from_zero_has_starts(given: str, init: Init, model_file: Write) -> None:
    """Told where to start, runs do, and so do the density check and the search for what varies."""
    target = far(model_file, given, init)
    starts = target.starts.find(init, rng(), 20)
    assert starts.shape == (20, 1)
    assert len(np.unique(starts)) == 20
    assert np.array_equal(starts, target.starts.find(init, rng(), 20))
    for points in (starts, target.initial(rng(), 8)):
        constrained = target.constrain(points)
        assert ((constrained > 100) & (constrained < 120)).all()
    assert target.names == ("K",)
    assert np.isfinite(
        target.logdensity_batch(density_check.points(target))[: density_check.N_POINTS]
    ).all()


def test_without_being_told_it_says_what_would_work(model_file: Write) -> None:
    """How many tries were finite, which term is -inf, and what works on this very model."""
    with pytest.raises(ModelError, match=r"0 of the 200 points .* uniform tried had one") as raised:
        far(model_file, "initial=[110.0]").starts.find("uniform", rng(), 2)
    assert "the function is -inf; it can start with init: own or init: model" in str(raised.value)
    with pytest.raises(ModelError, match="give LogDensity the argument initial or bounds"):
        far(model_file, "").initial(rng(), 2)


def test_bounds_are_the_support(model_file: Write) -> None:
    """Outside them the density is 0 and the function isn't called; a transform has its Jacobian."""
    body = f"""{HEAD}
def logp(x):
    assert 0 <= x[0] <= 4 and x[1] >= 1
    return -x[1]

def model():
    return LogDensity(logp, names=["a", "b"], bounds=([0, 1], [4, np.inf]))
"""
    plain = loaded(model_file(body))
    values = plain.logdensity_batch(np.array([[1.0, 2.0], [5.0, 2.0], [1.0, 0.5]]))
    assert values == pytest.approx([-2 - np.log(4), -np.inf, -np.inf])
    transformed = body.replace("np.inf])", "np.inf]), transform=True")
    target = loaded(model_file(transformed, "transformed.py"))
    z = np.array([0.3, -0.7])
    named = target.named(z)
    share, excess = 1 / (1 + np.exp(-z[0])), np.exp(z[1])
    assert named["a"] == pytest.approx(4 * share)
    assert named["b"] == pytest.approx(1 + excess)
    jacobian = np.log(4 * share * (1 - share)) + z[1]
    assert target.logdensity(z) == pytest.approx(-1 - excess - np.log(4) + jacobian)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"transform": True}, "needs bounds"),
        ({"bounds": (1, 0)}, "low below high"),
        ({"bounds": (0, [1, 2, 3])}, r"\(low, high\), numbers or 2 each"),
        ({"bounds": 3}, r"\(low, high\)"),
        ({"initial": [1.0]}, r"a point \(2,\), points \(n, 2\)"),
    ],
)
def test_contradictions_are_told(given: dict[str, Any], words: str) -> None:
    """Bounds and points that can't be meant are refused where they are written."""
    with pytest.raises(ValueError, match=words):
        LogDensity(sum, ndim=2, **given)


# -- a PyMC model --------------------------------------------------------------------------------


def scales(initial: Callable[..., Any] | None = None, **keys: Any) -> Target:
    with pm.Model() as model:
        pm.HalfNormal("sigma", 2.0)
        pm.Normal("mu", 5.0, 3.0, shape=2)
    return Target(model, initial=initial, mode="FAST_COMPILE", **keys)


def given(**values: Any) -> Callable[..., Mapping[str, Any]]:
    return lambda _rng, n: {name: np.full((n, *np.shape(v)), v) for name, v in values.items()}


def test_own_values_are_by_name_and_constrained() -> None:
    """A map of names to constrained values is led to the unconstrained space."""
    starts = scales(given(sigma=2.0, mu=[1.0, 3.0])).starts.find("own", rng(), 3)
    assert starts == pytest.approx(np.tile([np.log(2), 1, 3], (3, 1)))


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        (
            lambda _, n: np.zeros((n, 2)),
            r"shape \(4, 2\); it must return an array of shape \(4, 3\)",
        ),
        (lambda _, n: np.full((n, 3), np.nan), "NaN or infinity for sigma_log__"),
        (lambda *_: "here", "must return points"),
        (given(sigma=1.0), "lacks mu, of sigma, mu"),
        (given(sigma=1.0, mu=[0.0, 0.0], nu=1.0), "names nu; the model's parameters are sigma, mu"),
        (given(sigma=1.0, mu=0.0), r"mu of shape \(4,\); it must be \(4, 2\)"),
        (given(sigma=-1.0, mu=[0.0, 0.0]), "for sigma_log__: its value is outside its range"),
    ],
)
def test_wrong_points_are_one_message(initial: Callable[..., Any], words: str) -> None:
    """Points of a wrong shape, NaN, out of range, or of other variables are each told in words."""
    with np.errstate(invalid="ignore"), pytest.raises(ModelError, match=words):
        scales(initial).starts.find("own", rng(), 4)


def test_prior_draws_are_the_priors() -> None:
    """Their means and sds are; they repeat with the generator; a flat prior is refused."""
    target = scales()
    starts = target.starts.find("prior", rng(), 2000)
    assert np.array_equal(starts[:5], target.starts.find("prior", rng(), 5))
    assert starts[:, 1].mean() == pytest.approx(5, abs=4 * 3 / np.sqrt(2000))
    assert starts[:, 1].std() == pytest.approx(3, rel=4 / np.sqrt(4000))
    assert np.mean(np.exp(starts[:, 0]) < 2.0) == pytest.approx(0.683, abs=0.045)
    with pm.Model() as flat:
        pm.Flat("level")
    with pytest.raises(ModelError, match=r"init: prior needs a prior .* of level is improper"):
        Target(flat, mode="FAST_COMPILE").starts.find("prior", rng(), 2)


def test_unordered_cutpoints_start_at_their_initvals() -> None:
    """An ordinal model without an ordering transform starts around its initvals."""
    with pm.Model() as model:
        cuts = pm.Normal("cuts", 0, 3, shape=6, initval=np.linspace(-2.5, 2.5, 6))
        pm.OrderedLogistic("y", eta=0.0, cutpoints=cuts, observed=np.arange(7))
    target = Target(model, mode="FAST_COMPILE", init="model")
    starts = target.starts.find("model", rng(), 8)
    assert (np.diff(starts, axis=1) > 0).all()
    assert np.ptp(starts, axis=0).min() > 0
    assert np.isfinite(target.initial(rng(), 8)).all()


def test_the_term_outside_is_named() -> None:
    """What is NaN and what -inf are told by the names of the model's variables and potentials."""
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Potential("limit", pm.math.switch(x > 50, 0.0, -np.inf))
        pm.Potential("root", pm.math.sqrt(x - 50))
    with pytest.raises(ModelError, match="limit is -inf, root is NaN"):
        Target(model, mode="FAST_COMPILE").starts.find("uniform", rng(), 2)


def test_very_unlike_scales_are_told() -> None:
    """Coordinates whose scales differ by more than 1e3 are named with them; like ones aren't."""
    with pm.Model() as model:
        pm.Normal("big", 1e10, 1e9)
        pm.Normal("tiny", 3e-12, 5e-13)
    narrowest, widest = _ends(_scales(Target(model, mode="FAST_COMPILE")))
    assert narrowest is not None
    assert widest is not None
    assert asdict(narrowest) == {"name": "tiny", "scale": pytest.approx(5e-13, rel=0.5)}
    assert asdict(widest) == {"name": "big", "scale": pytest.approx(1e9, rel=0.5)}
    assert _ends(_scales(scales())) == (None, None)


# -- configs and runs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "keys", "init"),
    [
        ("def model(): ...", {}, "uniform"),
        ("def model(): ...\ndef initial(rng, n): ...", {}, "own"),
        ("def model():\n    return LogDensity(f, ndim=1, initial=[1.0])", {}, "own"),
        ("def model():\n    return LogDensity(f, ndim=1, initial=None)", {}, "uniform"),
        ("def model(): ...\ndef initial(rng, n): ...", {"init": "uniform"}, "uniform"),
    ],
)
def test_own_is_the_default_where_there_are_any(
    body: str, keys: dict[str, Any], init: str, config: Write, model_file: Write
) -> None:
    """A file that says where its runs start is followed, unless the config says otherwise."""
    model_file(body)
    benchmark = configs.load(str(config(models={"mine": {"use": "./my_model.py"}}, **keys)))
    assert {cell.init for cell in planning.cells(benchmark)} == {init}
    assert DEFAULT_INIT == "uniform"


EPHEMERIS = f"""{HEAD}
epochs = np.arange(20)
times = 2458012.3 + 3.52 * epochs + np.random.RandomState(1).normal(0, 0.01, 20)

def logp(x):
    period, epoch = x
    if not (3 < period < 4 and 2458011 < epoch < 2458013):
        return -np.inf
    return -0.5 * np.sum(((times - epoch - period * epochs) / 0.01) ** 2)

def model():
    return LogDensity(logp, names=["period", "epoch"])

def initial(rng, n):
    return np.array([3.52, 2458012.3]) + 1e-3 * rng.standard_normal((n, 2))
"""


def test_an_ephemeris_runs(
    config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """Hard bounds far from zero, emcee, and starts of the file's own: ok, and the table says so."""
    model_file(EPHEMERIS)
    emcee = {"use": "emcee", "walkers": 8, "tune": 500, "draws": 1500}
    done = gradbench(
        "run", config(models={"transits": {"use": "./my_model.py"}}, samplers={"emcee": emcee})
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started from the model's own points" in done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    (result,) = store.read(folder).results
    assert (result.status, result.cell.init) == ("ok", "own")
    assert result.measured is not None
    assert result.measured.start_span is not None
    assert 0.1 < result.measured.start_span < 20


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("1e-3 * rng", "1e-3 / 0 * rng", r"my_model.py:\d+: ZeroDivisionError"),
        ("(n, 2)", "(2, 2)", r"my_model.py: ValueError: .* must return an array"),
        ("[3.52,", "[5.52,", "0 of the 800 points that init: own tried had one"),
    ],
)
def test_a_wrong_initial_is_told_before_any_cell(
    before: str, after: str, words: str, model_file: Write
) -> None:
    """What initial() raises, a wrong shape, points outside: refused in the preflight."""
    path = model_file(EPHEMERIS.replace(before, after))
    benchmark = Benchmark.model_validate(
        {
            "name": "n",
            "models": {"m": {"use": str(path), "init": "own"}},
            "samplers": {"emcee": {"use": "emcee", "walkers": 8}},
            "replicates": 1,
        }
    )
    with pytest.raises(ModelError, match=words):
        Session().describe([cell.to_json() for cell in planning.cells(benchmark)])
