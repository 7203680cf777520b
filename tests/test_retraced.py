"""Functions as emcee's users write them, differentiated by JAX and by autograd, or told why not."""

import functools
import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats
from pytensor.compile.mode import Mode
from scipy import special, stats
from scipy.interpolate import CubicSpline
from scipy.linalg import cho_factor, cho_solve
from scipy.special import gammaln
from scipy.stats import norm

from gradbench import LogDensity, compat, gradients, samplers
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.logdensity import Library
from gradbench.measure import check_model, density_check
from gradbench.models import Source
from gradbench.records import to_plain
from gradbench.show import examination
from gradbench.target import differences, from_function, retraced
from gradbench.target.copies import Copies
from gradbench.target.target import Target

pm = compat.pymc()

PYTHON = Mode("py", "fast_run").excluding("fusion")  # nothing to compile
LIBRARIES: tuple[Library, ...] = ("jax", "autograd")

needs_jax = pytest.mark.skipif(bool(samplers.remedy("numpyro_nuts")), reason="needs JAX")
needs_autograd = pytest.mark.skipif(
    bool(gradients.remedy("autograd_reverse")), reason="needs autograd"
)
either = pytest.mark.parametrize(
    "library",
    [pytest.param("jax", marks=needs_jax), pytest.param("autograd", marks=needs_autograd)],
)

RNG = np.random.default_rng(1)
T = np.linspace(0, 10, 20)
ERR = 0.1 + 0.4 * RNG.random(20)
Y = -0.9 * T + 4.3 + ERR * RNG.standard_normal(20)
MATRIX = np.array([[2.0, 0.3], [0.3, 1.0]])
TWO_D = {"ndim": 2}

# -- what people write ---------------------------------------------------------------------------


def log_likelihood(theta: Any, x: Any, y: Any, yerr: Any) -> Any:
    m, b, log_f = theta
    model = m * x + b
    sigma2 = yerr**2 + model**2 * np.exp(2 * log_f)
    return -0.5 * np.sum((y - model) ** 2 / sigma2 + np.log(sigma2))


def log_prior(theta: Any) -> Any:
    m, b, log_f = theta
    if -5.0 < m < 0.5 and 0.0 < b < 10.0 and -10.0 < log_f < 1.0:
        return 0.0
    return -np.inf


def line_of_emcee(theta: Any, x: Any, y: Any, yerr: Any) -> Any:
    """Return what emcee's tutorial "Fitting a model to data" has."""
    lp = log_prior(theta)
    if not np.isfinite(lp):
        return -np.inf
    return lp + log_likelihood(theta, x, y, yerr)


def mixture(x: Any) -> Any:
    near, far = norm.logpdf(Y, x[0], 1.0), norm.logpdf(Y, x[1], 2.0)
    return np.sum(np.logaddexp(near + np.log(0.3), far + np.log(0.7))) - 0.5 * x @ x


def normal_by_solve(x: Any) -> Any:
    away = x - np.array([1.0, -1.0])
    return -0.5 * away @ np.linalg.solve(MATRIX, away) - 0.5 * np.linalg.slogdet(MATRIX)[1]


PRIOR = norm(0, 3)


def of_scipy_stats(x: Any) -> Any:
    of_first = stats.norm.logpdf(x[0], 1, scale=2)
    return of_first + scipy.stats.t(5).logpdf(x[1]) + PRIOR.logpdf(x[1])


def gamma_function(x: Any) -> Any:
    shape = np.exp(x[0])
    return np.sum((shape - 1) * np.log(np.arange(1, 5)) - gammaln(shape)) - x[1] ** 2


def loop_over_data(x: Any) -> Any:
    total = 0.0
    for t, y, err in zip(T, Y, ERR, strict=True):
        total -= 0.5 * ((y - x[0] * t - x[1]) / err) ** 2
    return total


def written_in_place(x: Any) -> Any:
    model = np.zeros(len(T))
    for i in range(len(T)):
        model[i] = x[0] * T[i] + x[1]
    return -0.5 * np.sum((Y - model) ** 2)


def added_in_place(x: Any) -> Any:
    model = np.zeros(len(T))
    model += x[0] * T + x[1]
    return -0.5 * np.sum((Y - model) ** 2)


def with_math(x: Any) -> Any:
    return x[0] - math.exp(x[0]) - math.log(1 + x[1] ** 2) - math.lgamma(2 + x[1] ** 2)


def as_float(x: Any) -> float:
    return float(-0.5 * np.sum(x**2))


class Fit:
    """A class with data of its own, whose object is called."""

    def __init__(self, t: FloatArray) -> None:
        self.t = t

    @property
    def doubled(self) -> Any:
        return np.multiply(2, self.t)

    @staticmethod
    def squared(value: Any) -> Any:
        return np.square(value)

    def __call__(self, x: Any) -> Any:
        return -0.5 * np.sum(self.squared(Y - x[0] * np.sin(self.doubled) - x[1]))


def of_power(x: Any, power: int) -> Any:
    return -np.sum(np.abs(x) ** power)


def closure() -> Callable[[Any], Any]:
    def quadratic(x: Any) -> Any:
        return x @ MATRIX @ x

    return lambda x: -0.5 * quadratic(np.tanh(x))


def with_where(x: Any) -> Any:
    return np.where(x[0] > 0, -0.5 * x[0] ** 2, -2 * x[0] ** 2) - 0.5 * x[1] ** 2


def with_select(x: Any) -> Any:
    return np.sum(np.select([x < -1, x > 1], [-(x**2), -np.abs(x)], -1.0 * x**4))


def early_return(x: Any) -> Any:
    if x[1] > 5:
        return -np.inf
    return -0.5 * np.sum(x**2)


def imports_inside(x: Any) -> Any:
    import numpy as xp
    from scipy.special import logsumexp

    return logsumexp(-xp.array([1.0, 2.0]) * xp.sum(x**2))


def by_cholesky(x: Any) -> Any:
    return -x @ cho_solve(cho_factor(MATRIX), x)


SPLINE = CubicSpline([-10, 0.0, 1, 10], [4.0, 0, 1, 16])


def compiled_code(x: Any) -> Any:
    return -SPLINE(x[0]) - x[1] ** 2


def index_of_a_value(x: Any) -> Any:
    return -0.5 * np.sum(x**2) - [0.0, 1.0][int(x[0] > 0)]


@functools.lru_cache
def remembered(a: Any) -> Any:
    return np.square(a)


def remembers(x: Any) -> Any:
    return -remembered(x[0]) - special.xlogy(2.0, 1 + x[1] ** 2)


IN_PLACE = r"test_retraced.py:\d+, 'model.*': it writes into an array; build a new one"
BRANCH = r"test_retraced.py:\d+, 'if .*': it branches on a value; use np.where, bounds=.*autograd"
NUMBER = r"test_retraced.py:\d+, 'return .*': float\(\) and int\(\) take no traced number"
LOST = r"test_retraced.py:\d+, 'return -SPLINE.*': code that is not NumPy's own gets x here"

# The function, what LogDensity takes beside it, and why JAX and autograd can't; empty if they can.
FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any], str, str]] = {
    "emcee's line": (
        line_of_emcee,
        {"args": (T, Y, ERR), "ndim": 3, "initial": [-0.9, 4.3, -0.7]},
        BRANCH,
        "",
    ),
    "mixture": (mixture, TWO_D, "", ""),
    "np.linalg.solve": (normal_by_solve, TWO_D, "", ""),
    "scipy.stats": (of_scipy_stats, TWO_D, "", ""),
    "gammaln": (gamma_function, TWO_D, "", ""),
    "loop over data": (loop_over_data, TWO_D, "", ""),
    "written in place": (written_in_place, TWO_D, IN_PLACE, IN_PLACE),
    "added in place": (added_in_place, TWO_D, "", IN_PLACE),
    "math": (with_math, TWO_D, "", ""),
    "float()": (as_float, TWO_D, NUMBER, NUMBER),
    "object": (Fit(T), TWO_D, "", ""),
    "method": (Fit(T).__call__, TWO_D, "", ""),
    "partial": (functools.partial(of_power, power=4), TWO_D, "", ""),
    "closure": (closure(), TWO_D, "", ""),
    "np.where": (with_where, TWO_D, "", ""),
    "np.select": (with_select, TWO_D, "", ""),
    "early return": (early_return, TWO_D, BRANCH, ""),
    "imports inside": (imports_inside, TWO_D, "", ""),
    "Cholesky": (by_cholesky, TWO_D, "", "VJP of cho_solve .*; try gradient='jax'"),
    "compiled code": (compiled_code, TWO_D, LOST, LOST),
    "index of a value": (index_of_a_value, TWO_D, NUMBER, ""),
    "lru_cache": (remembers, TWO_D, "", "it has none of its own of .*; try gradient='jax'"),
}


def target_of(function: Callable[..., Any], library: Library, **given: Any) -> Target:
    made = LogDensity(function, gradient=library, **given)
    return Target(from_function.of_function(made), function=made, mode=PYTHON)


def slopes(target: Target, x: FloatArray) -> FloatArray:
    """Return finite differences of a target's log-density along its coordinates."""
    found, _ = differences.along(target.logdensity_batch, x[None], np.eye(target.ndim))
    return np.asarray(found[0])


@either
@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_library_differentiates_a_function_or_tells_why_not(
    name: str, library: Library
) -> None:
    """Gradients are those of finite differences, values the function's own to the last bit."""
    function, given, *reasons = FUNCTIONS[name]
    reason = reasons[LIBRARIES.index(library)]
    if reason:
        with pytest.raises(ModelError, match=f"gradient='{library}' can't follow .*{reason}"):
            target_of(function, library, **given)
        return
    target = target_of(function, library, **given)
    for x in target.initial(np.random.default_rng(0), 2):
        value, gradient = target.logdensity_and_gradient(x)
        assert value == target.logdensity(x) == function(x, *given.get("args", ()))
        assert gradient == pytest.approx(slopes(target, x), rel=1e-6, abs=1e-6)


# -- what LogDensity takes beside the function ---------------------------------------------------


def tempered(x: Any, centre: Any, *, power: Any) -> Any:
    return -np.exp(0.5 * power(x) * np.sum((x - centre) ** 2, axis=-1)), "blob"


def in_rows(x: Any, centre: Any, *, power: Any) -> Any:
    value, _ = tempered(x, centre, power=power)
    return np.stack([value, value], axis=-1)


GIVEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "blobs": (tempered, {"blobs": True}),
    "rows": (in_rows, {"blobs": True, "vectorized": True}),
    "bounds": (tempered, {"blobs": True, "bounds": (-3.0, [3.0, np.inf])}),
    "transform": (tempered, {"blobs": True, "bounds": (-3.0, 3.0), "transform": True}),
    "constrained": (
        tempered,
        {"blobs": True, "constrained": lambda x, _, power: {"s": np.exp(x[0]), "p": power(x)}},
    ),
}


@either
@pytest.mark.parametrize("kind", GIVEN)
def test_arguments_of_logdensity_go_on_working(kind: str, library: Library) -> None:
    """Functions among the arguments are followed too, and many points are as one at a time."""
    function, given = GIVEN[kind]
    named = {"power": lambda x: np.abs(np.cos(0.1 * x[..., 0]))}
    target = target_of(function, library, ndim=2, args=(0.5,), kwargs=named, **given)
    at = np.array([[0.3, -1.0], [0.9, 0.5], [-1.0, 0.1]])
    for x in at:
        assert target.logdensity_and_gradient(x)[1] == pytest.approx(slopes(target, x), rel=1e-6)
    seen = density_check.probe(check_model._Itself(target), target, at)
    assert density_check.check_density("", at, {"itself": seen}).is_passed
    if kind == "bounds":
        assert target.logdensity_and_gradient(np.array([5.0, 0.0]))[0] == -np.inf


@needs_jax
def test_jax_samplers_have_the_function_too() -> None:
    """What JAX follows, it also samples, with quantities that NumPy computes."""
    named = {"power": lambda x: np.abs(x[0])}
    constrained = GIVEN["constrained"][1]["constrained"]
    given = {"args": (0.5,), "kwargs": named, "blobs": True, "constrained": constrained}
    made = LogDensity(tempered, ndim=2, gradient="jax", **given)
    target = Target(from_function.of_function(made), function=made, mode=compat.mode("jax"))
    assert target.why_not_on("jax") is None
    x = np.array([0.3, -1.0])
    assert float(target.jax_logdensity(x)) == pytest.approx(tempered(x, 0.5, **named)[0])
    assert target.named(x[None, None])["s"] == pytest.approx(np.exp(0.3))


@either
def test_a_likelihood_is_called_as_it_is(library: Library) -> None:
    """Nested sampling's part needs no gradient, and no library."""
    made = LogDensity(
        with_where,
        ndim=2,
        gradient=library,
        prior_transform=lambda u: 4 * u - 2,
        log_likelihood=as_float,
    )
    assert from_function.likelihood(made)(np.ones(2)) == -1.0
    from_function.of_function(made)


def test_only_two_libraries_are_known() -> None:
    """A typing error is told where it is written."""
    with pytest.raises(ValueError, match="must be a function, 'jax' or 'autograd', not 'jaxx'"):
        LogDensity(as_float, ndim=2, gradient="jaxx")  # type: ignore[arg-type]


@either
def test_a_missing_library_is_one_line(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the command that installs it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelError, match=rf"needs {library}: pip install .*\[(jax|gradients)\]"):
        retraced.retraced(LogDensity(mixture, ndim=2), library)


# -- the proof -----------------------------------------------------------------------------------


def another_for_numpy(x: Any) -> Any:
    return -np.sum(x**2) * (1.0 if type(x) is np.ndarray else 1.1)


def without_a_slope(x: Any) -> Any:
    value = getattr(x, "_value", x)
    return -np.sum(value**2) - 1e-3 * np.sum(x**2) + 1e-3 * np.sum(value**2)


def needle(x: Any) -> Any:
    inside = np.sum((x - 1) ** 2) < 1e-20
    return np.where(inside, 0.0 * np.sum(x), -np.inf)


@needs_autograd
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (another_for_numpy, "computes .* where the function returns .*: it must depend on x alone"),
        (without_a_slope, "a slope of .* where finite differences .*; try gradient='jax'"),
        (lambda x: np.sum(x) * np.nan, "can't be compared .* give LogDensity an initial="),
        (needle, "can't be proven: no finite difference of the function is certain"),
    ],
)
def test_a_copy_that_is_not_the_function_is_refused(function: Any, words: str) -> None:
    """Values, slopes, and what can't be proven."""
    with pytest.raises(ModelError, match=f"gradient='autograd' .*{words}"):
        target_of(function, "autograd", ndim=2, initial=np.ones((2, 2)))


@needs_autograd
def test_the_proof_is_where_runs_start() -> None:
    """It is tried at points that are given, not where the function means nothing."""

    def far_away(x: Any) -> Any:
        if np.any(x < 100):
            raise ValueError("not here")
        return -np.sum(np.log(x))

    assert target_of(far_away, "autograd", ndim=2, initial=[200.0, 300.0]).ndim == 2
    many = lambda rng, n: 200 + rng.random((n, 2))  # noqa: E731
    assert target_of(far_away, "autograd", ndim=2, initial=many).ndim == 2
    with pytest.raises(ValueError, match="not here"):
        target_of(far_away, "autograd", ndim=2)


# -- copies --------------------------------------------------------------------------------------


@needs_autograd
def test_functions_stay_as_they_are() -> None:
    """Neither a module's names nor an object's attributes are touched."""
    fit, before = Fit(T), dict(globals())
    copy = Copies("autograd", Path(__file__).parent).of(fit)
    assert vars(fit)["t"] is vars(copy)["t"] is T
    assert type(fit) is Fit
    assert isinstance(copy, Fit)
    assert np is importlib.import_module("numpy")
    assert dict(globals()) == before


@needs_autograd
def test_data_are_not_copied() -> None:
    """Arrays, numbers, installed objects and what holds nothing but data stay the same objects."""
    copies = Copies("autograd", Path(__file__).parent)
    for value in (T, 1.0, "text", None, [1.0, 2.0], SPLINE, len, Path, sys):
        assert copies.of(value) is value


@needs_autograd
def test_what_calls_itself_is_copied_once() -> None:
    """Functions that refer to each other, objects to themselves, and modules beside the file."""

    def down(n: int, x: Any) -> Any:
        return np.exp(x) if n == 0 else down(n - 1, x)

    fit: Any = Fit(T)
    fit.itself = fit
    copies = Copies("autograd", Path(__file__).parent)
    assert copies.of(fit).itself is copies.of(fit)
    beside = ModuleType("beside")
    beside.__file__ = str(Path(__file__).parent / "beside.py")
    beside.down = down  # type: ignore[attr-defined]
    assert copies.of(beside).down is copies.of(down)
    autograd = importlib.import_module("autograd")
    assert autograd.grad(functools.partial(copies.of(down), 3))(1.0) == pytest.approx(math.e)


# -- check-model ---------------------------------------------------------------------------------

MODEL = """
import numpy as np
from gradbench import LogDensity

def logp(x):
    if x[0] > 100:
        return -np.inf
    return -0.5 * np.sum(x**2)

def model():
    return LogDensity(logp, ndim=2)
"""


@needs_jax
@needs_autograd
@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
def test_check_model_tells_which_library_would_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that does with its price, the other with its reason."""
    (tmp_path / "branch.py").write_text(MODEL)
    found = check_model.examine(Source(tmp_path / "branch.py"), {})
    by_jax, by_autograd = found.offers
    assert by_jax.cost is None
    assert by_jax.reason.startswith("can't follow the function at branch.py:6, 'if x[0] > 100:'")
    assert by_autograd.cost is not None
    assert by_autograd.cost > 1
    assert check_model.Examination.from_json(to_plain(found)) == found
    examination.examination("branch.py", found)
    said = " ".join(capsys.readouterr().out.split())
    assert 'gradient="jax" would not give it one: can\'t follow the function' in said
    assert 'gradient="autograd" would give it one, at the cost of' in said
