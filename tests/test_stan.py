"""Stan programs of other people: every type of parameter, included files, both metrics."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import StanProgram, compat, models, samplers, stan
from gradbench.errors import ModelError
from gradbench.measure import density_check
from gradbench.models import Source
from gradbench.samplers import _prior
from gradbench.target import from_function
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

pm = compat.pymc()

Write = Callable[..., Path]

needs_stan = pytest.mark.skipif(bool(samplers.remedy("stan_nuts")), reason="needs httpstan")

# Every type that stanc 2.39 has for parameters, in one program: it takes long to compile. What 2.35
# (httpstan's on Python 3.11) lacks stands apart.
NEWER = (
    """
  sum_to_zero_vector[3] zero; sum_to_zero_matrix[2, 3] zeros;
  column_stochastic_matrix[3, 2] columns; row_stochastic_matrix[2, 3] rows;
""",
    "zero ~ std_normal(); to_vector(zeros) ~ std_normal();",
)
TYPES = """
parameters {{
  {newer[0]}
  real<lower=1> low; real<upper=-1> high; real<lower=-1, upper=2> both;
  real<offset=3, multiplier=2> shifted; row_vector<lower=0, upper=1>[2] row; matrix<lower=0>[2, 3] m;
  ordered[3] order; positive_ordered[3] positive; simplex[3] share; unit_vector[3] u;
  cov_matrix[2] cov; corr_matrix[3] corr;
  cholesky_factor_corr[3] corr_factor; cholesky_factor_cov[3, 2] cov_factor;
  array[2] simplex[3] shares; array[2, 2] unit_vector[2] us; array[2] cov_matrix[2] covs;
  complex c; complex_matrix[2, 3] cm; array[2] complex cs;
  tuple(real, vector[2]) t; array[2] tuple(real<lower=0>, simplex[3]) ts;
  tuple(real, tuple(real, matrix[2, 3])) deep;
}}
model {{
  {newer[1]}
  low ~ normal(2, 1); high ~ normal(-2, 1); shifted ~ normal(3, 2); to_vector(m) ~ exponential(1);
  order ~ normal(0, 2); positive ~ exponential(1); u[1] ~ normal(1, 0.5);
  to_vector(cov_factor) ~ std_normal();
  cov ~ wishart(5, identity_matrix(2));
  for (i in 1:2) {{ covs[i] ~ wishart(5, identity_matrix(2)); ts[i].1 ~ exponential(1); }}
  get_real(c) ~ std_normal(); get_imag(c) ~ normal(5, 1);
  to_vector(get_real(cm)) ~ std_normal(); to_vector(get_imag(cm)) ~ normal(2, 1);
  get_real(cs) ~ std_normal(); get_imag(cs) ~ normal(5, 1);
  t.1 ~ std_normal(); t.2 ~ normal(3, 1);
  deep.1 ~ std_normal(); deep.2.1 ~ normal(1, 1);
  for (i in 1:2) for (j in 1:3) deep.2.2[i, j] ~ normal(10 * i + j, 0.1);
}}
"""  # noqa: E501 - a compiled program is kept by its text


def has_newer_types() -> bool:
    """Return whether this httpstan's compiler is 2.37 or later."""
    stanc = [str(stan._home() / "stanc"), "--version"]
    said = subprocess.run(stanc, capture_output=True, text=True, check=True).stdout
    version = re.search(r"v(\d+)\.(\d+)", said)
    assert version is not None
    return (int(version[1]), int(version[2])) >= (2, 37)


@needs_stan
@pytest.mark.slow
@pytest.mark.timeout(1800)  # it may have to compile the bridge first
def test_every_type_of_parameter() -> None:
    """Each has its shape and its constraint, and Stan's own samplers run on all of them."""
    is_newer = has_newer_types()
    program = StanProgram(TYPES.format(newer=NEWER if is_newer else ("", "")), {})
    target = Target(from_function.of_program(program), None, program, mode="FAST_COMPILE")
    points = target.initial(np.random.default_rng(0), 4)
    named = target.named(points)
    length = {name: (named[name] ** 2).sum(axis=-1) for name in ("u", "us")}
    sums = {name: named[name].sum(axis=-1) for name in ("share", "shares", "ts.2")}
    if is_newer:
        sums |= {"rows": named["rows"].sum(axis=-1), "columns": named["columns"].sum(axis=1)}
        assert named["zero"].sum(axis=-1) == pytest.approx(np.zeros(4), abs=1e-12)
        assert named["zeros"].sum(axis=-1) == pytest.approx(np.zeros((4, 2)), abs=1e-12)
    for name, values in {**length, **sums}.items():
        assert values == pytest.approx(np.ones(values.shape)), name
    assert (np.diff(named["order"]) > 0).all()
    assert np.array_equal(named["covs"], named["covs"].swapaxes(-1, -2))
    assert (named["cov_factor"][:, 0, 1] == 0).all()
    assert (named["corr_factor"][:, [0, 0, 1], [1, 2, 2]] == 0).all()
    shapes = {name: array.shape[1:] for name, array in named.items()}
    # The real and the imaginary part are a complex number's last axis, a tuple's parts variables.
    assert (shapes["c"], shapes["cs"], shapes["cm"]) == ((2,), (2, 2), (2, 3, 2))
    assert (shapes["ts.1"], shapes["ts.2"], shapes["deep.2.2"]) == ((2,), (2, 3), (2, 3))

    for name, given in {"stan_nuts": {"max_depth": 7}, "stan_advi": {"tune": 500}}.items():
        sampler: Any = samplers.load(name)
        options = sampler.options(**{"tune": 300, "draws": 200, **given})
        built = sampler.build(target, options)
        check = density_check.check_density(
            "types", points, {name: density_check.probe(built, target, points)}
        )
        assert check.is_passed, check.refused
        start = target.initial(np.random.default_rng(1), options.n_starts)
        found = target.named(built.sample(start, seed=1, stopwatch=Stopwatch()).values)
        mean = {key: value.mean(axis=(0, 1)) for key, value in found.items()}
        places = np.array([[11, 12, 13], [21, 22, 23]])
        assert mean["deep.2.2"] == pytest.approx(places, abs=0.5), name
        assert mean["cs"] == pytest.approx(np.array([[0, 5], [0, 5]]), abs=0.8), name
        assert (found["u"] ** 2).sum(axis=-1) == pytest.approx(np.ones(found["u"].shape[:2]))


def test_scalars_have_their_places() -> None:
    """Names as Stan writes them, its first index fastest, lead to arrays in their usual order."""

    class Compiled:
        def names(self, _: bool) -> list[str]:
            return ["x", "m", "c", "ts.1", "ts.2"]

        def dims(self, _: bool) -> list[list[int]]:
            return [[], [2, 2], [2], [2], [2, 2]]

        def scalars(self, _: bool) -> list[str]:
            matrix = ["m.1.1", "m.2.1", "m.1.2", "m.2.2"]
            tuples = ["ts.1:1", "ts.1:2.1", "ts.1:2.2", "ts.2:1", "ts.2:2.1", "ts.2:2.2"]
            return ["x", *matrix, "c.real", "c.imag", *tuples]

    found = {name: at.tolist() for name, at in stan.places(Compiled()).items()}
    assert found == {
        "x": 0,
        "m": [[1, 3], [2, 4]],
        "c": [5, 6],
        "ts.1": [7, 10],
        "ts.2": [[8, 9], [11, 12]],
    }


# -- included files ------------------------------------------------------------------------------

INCLUDING = """parameters { vector[2] x; simplex[3] share; }
model {
#include "parts/body.stan"
}
"""
BODY = "#include parts/scale.stan\n x ~ multi_normal([3, 3]', [[1, rho], [rho, 1]]);"
SCALE = "real rho = 0.99;"


@pytest.fixture
def including(tmp_path: Path) -> Path:
    """Write a program that includes a file that includes another, in a folder with a comma."""
    folder = tmp_path / "a, b"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.stan").write_text(INCLUDING)
    (folder / "parts" / "body.stan").write_text(BODY)
    (folder / "parts" / "scale.stan").write_text(SCALE)
    return folder / "model.stan"


@needs_stan
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_program_includes_files_beside_it(including: Path) -> None:
    """It compiles with them, also from a Python file, and runs with either metric.

    On a normal that is correlated by 0.99 the dense one takes half the steps, or fewer.
    """
    loaded = models.load(Source(including), {})
    (including.parent / "model.py").write_text(
        "from pathlib import Path\nfrom gradbench import StanProgram\n"
        "def model():\n"
        "    return StanProgram(Path(__file__).with_suffix('.stan').read_text(), {})\n"
    )
    again = models.load(Source(including.with_suffix(".py")), {})
    assert again.stan_program == loaded.stan_program
    target = Target(*loaded, mode="FAST_COMPILE")
    stan_nuts: Any = samplers.load("stan_nuts")
    steps = {}
    for metric in ("diag_e", "dense_e"):
        built = stan_nuts.build(target, stan_nuts.options(tune=500, draws=500, metric=metric))
        draws = built.sample(np.zeros((2, 4)), seed=1, stopwatch=Stopwatch())
        assert draws.values[..., :2].mean(axis=(0, 1)) == pytest.approx([3.0, 3.0], abs=0.4)
        steps[metric] = float(np.mean(draws.stats["n_steps"].astype(float)))
    assert steps["dense_e"] < 0.5 * steps["diag_e"]


@needs_stan
def test_a_missing_file_is_told(including: Path) -> None:
    """The message names the file that the compiler doesn't find."""
    (including.parent / "parts" / "scale.stan").unlink()
    with pytest.raises(ModelError, match=r"(?s)model.stan: the Stan program .*scale.stan"):
        models.load(Source(including), {})


def test_a_fingerprint_covers_included_files(including: Path) -> None:
    """It changes with each of them; what isn't there, as in a comment, is no part of it."""
    seen = {models.fingerprint(Source(including))}
    for name, text in {"scale.stan": "real rho = 0.5;", "body.stan": f"{BODY} // more"}.items():
        (including.parent / "parts" / name).write_text(text)
        seen.add(models.fingerprint(Source(including)))
    assert len(seen) == 3
    including.write_text("// #include none.stan\nparameters { real x; }")
    assert stan.included(including.read_text(), including.parent) == []


# -- words ---------------------------------------------------------------------------------------


def test_a_program_is_told_that_it_has_no_prior() -> None:
    """Not in terms of the vector that gradbench makes of it."""
    with pm.Model() as model:
        pm.Potential("p", -(pm.Flat(stan.UNCONSTRAINED, shape=2) ** 2).sum())
    assert "a Stan program is one density" in str(_prior.missing(Target(model)))


@needs_stan
@pytest.mark.slow
def test_another_transform_is_told_by_name(including: Path) -> None:
    """Where PyMC's unconstrained scale is not Stan's, the message says of which parameters."""
    with pm.Model() as model:
        pm.Normal("x", shape=2)
        pm.Dirichlet("share", np.ones(3))
    program = models.load(Source(including), {}).stan_program
    target = Target(model, stan_program=program, mode="FAST_COMPILE")
    stan_nuts: Any = samplers.load("stan_nuts")
    with pytest.raises(ModelError, match=r"transformed in another way \(share\)"):
        stan_nuts.build(target, stan_nuts.options())
