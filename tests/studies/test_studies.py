"""Every study says what it found, and says otherwise when the derivative is wrong."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import pytest

from gradbench import folders, studies
from gradbench.errors import GradbenchError
from gradbench.studies import Finding, Verdict, _figures

# What the texts say that isn't so, by study and line, and why.
NOT_REPRODUCED = {
    ("control_flow", "AD of the compiled function"): "a traced value has no truth value",
    (
        "light_curve",
        "slope by the distance, AD through plain operations",
    ): "the quadrature's integrand is smooth",
    (
        "light_curve",
        "slope by the radius, AD through plain operations",
    ): "the quadrature's integrand is smooth",
}
SOURCES = {
    "exoplanet tutorial",
    "Sellforte post, after arXiv:1404.7456",
    "PyHEP tutorial",
    "slides",
    "Sellforte post; slides; PyHEP tutorial",
}
SLOW = {"scan_memory"}
OFF = 1.001  # times the right derivative: far beyond rounding, far below what an eye sees


@cache
def measured(name: str) -> tuple[Finding, ...]:
    """Return what a study found, measured once for all tests."""
    if remedy := studies.missing(name):
        pytest.skip(f"a library is missing: {remedy}")
    return studies.load(name).measure()


@pytest.fixture(
    params=[pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in studies.names()]
)
def name(request: pytest.FixtureRequest) -> str:
    """Each study in turn."""
    return str(request.param)


def test_says_what_it_claims(name: str) -> None:
    """Every study has a one-sentence claim, what was printed, and a known source."""
    study = studies.load(name)
    assert study.CLAIM.endswith(".")
    assert "\n" not in study.CLAIM
    assert study.PRINTED
    assert study.SOURCE in SOURCES
    assert study.LIBRARIES
    assert set(study.EXTRA.split(",")) <= {"", "gradients", "jax"}


def test_finds(name: str) -> None:
    """Every line has figures and a known verdict; what isn't reproduced is known, with why."""
    for finding in measured(name):
        assert finding.what
        assert finding.printed
        assert finding.ours
        assert finding.verdict in get_args(Verdict)
        known = (name, finding.what) in NOT_REPRODUCED
        assert finding.verdict == ("not reproduced" if known else "reproduced"), finding


def test_lines_are_told_apart(name: str) -> None:
    """No two lines of a study say that they compare the same."""
    whats = [finding.what for finding in measured(name)]
    assert len(set(whats)) == len(whats)


def test_known_exceptions_exist() -> None:
    """What is excused as not reproduced is a line of a study."""
    for study, what in NOT_REPRODUCED:
        assert what in [finding.what for finding in measured(study)]


@pytest.mark.parametrize("name", ["wide_and_tall", "costs_of_derivatives"])
def test_costs_have_figures(name: str) -> None:
    """Costs are judged by what was counted, and CPU time is told beside it."""
    findings = measured(name)
    assert all(re.search(r"\d", finding.ours) for finding in findings)
    notes = [finding.note for finding in findings if finding.note]
    assert len(notes) >= 2
    assert all(re.search(r"\d.* CPU time", note) for note in notes)


def test_loading_imports_no_library() -> None:
    """Every claim can be listed before any of the libraries is imported."""
    code = (
        "import sys\nfrom gradbench import studies\n"
        "found = [studies.load(name) for name in studies.names()]\n"
        "assert len(found) >= 18\n"
        "assert all(study.CLAIM for study in found)\n"
        "heavy = {'pymc', 'pytensor', 'jax', 'sympy', 'autograd', 'mpmath', 'pyhf', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_unknown_name_is_told() -> None:
    """An unknown study is named, with the nearest known one."""
    with pytest.raises(GradbenchError, match="no study 'circle_rot'; did you mean 'circle_root'"):
        studies.load("circle_rot")


def test_missing_library_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study whose library isn't there says how to install it; another is not concerned."""
    monkeypatch.setattr(folders, "find_spec", lambda library: None if library == "jax" else object)
    assert studies.missing("expression_swell") == 'pip install "gradbench-mcmc[gradients,jax]"'
    assert studies.missing("symbolic_derivatives") is None


@pytest.mark.parametrize(
    ("value", "printed", "is_printed"),
    [
        (1.7163378, "1.716", True),
        (1.7166, "1.716", False),
        (5.5004, "5.500", True),
        (5.5, "5.501", False),
        (0.419974341614026, "0.41997434161402603", True),
        (0.4199743416140262, "0.41997434161402603", False),
    ],
)
def test_figures_are_rounded_to_what_was_printed(
    value: float, printed: str, is_printed: bool
) -> None:
    """A value is the printed one to the printed digits, but no further than doubles go."""
    assert _figures.is_printed(value, printed) is is_printed


# What is made wrong in each study, and the line that must then not be reproduced.
WRONG = [
    ("circle_root", "pytensor.grad", "gradient at 0.5"),
    ("columns_and_rows", "jax.jvp", "program by columns"),
    ("columns_and_rows", "jax.vjp", "program by rows"),
    ("control_flow", "jax.grad", "AD at 3 and at 1"),
    ("derivatives_of_a_cube", "jax.grad", "third derivative"),
    ("differences_of_a_cubic", "numpy.gradient", "largest error with 41 points"),
    ("expression_swell", "jax.grad", "derivative at 0.125, AD against the formula"),
    ("jvp_and_vjp", "jax.jvp", "JVP along x2"),
    ("jvp_and_vjp", "jax.vjp", "VJP"),
    (
        "kepler_equation",
        "pytensor.grad",
        "slopes of the shipped operation, by the implicit function theorem",
    ),
    ("second_derivative", "jax.grad", "AD"),
    ("survey_example", "jax.jvp", "∂f/∂x1, forward trace"),
    ("survey_example", "jax.vjp", "adjoint of x2, reverse trace"),
    ("symbolic_and_automatic", "pytensor.grad", "largest difference at 1,001 points"),
    ("symbolic_derivatives", "sympy.diff", "derivative of x**3"),
    ("tanh_derivative", "autograd.grad", "Autograd"),
]


@pytest.mark.parametrize(("study", "derivative", "what"), WRONG)
def test_wrong_derivative_is_noticed(
    monkeypatch: pytest.MonkeyPatch, study: str, derivative: str, what: str
) -> None:
    """What rests on a wrong derivative is not reproduced."""
    if remedy := studies.missing(study):
        pytest.skip(f"a library is missing: {remedy}")
    library, _, function = derivative.rpartition(".")
    module = importlib.import_module(library)
    right = getattr(module, function)
    monkeypatch.setattr(module, function, SPOILED[derivative](right))
    (finding,) = (each for each in studies.load(study).measure() if each.what == what)
    assert finding.verdict == "not reproduced", finding


def test_wrong_gradient_misses_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optimizer that is handed a wrong gradient doesn't find the MAP."""
    pytensor = importlib.import_module("pytensor")
    right = pytensor.grad
    monkeypatch.setattr(pytensor, "grad", lambda cost, wrt: right(cost, wrt) + 0.1)
    (finding,) = studies.load("map_estimate").measure()
    assert finding.verdict == "not reproduced", finding


def test_other_data_has_another_density(monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed log-density and best fit are those of 15 events, not of 16."""
    measured("pyhf_counting")
    monkeypatch.setattr("gradbench.studies.pyhf_counting.OBSERVED", 16.0)
    findings = studies.load("pyhf_counting").measure()
    assert [finding.verdict for finding in findings] == ["not reproduced"] * 2


def test_light_curve_would_need_a_gradient_if_ad_were_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That AD goes through the light curve is measured: where it is wrong, the claim holds."""
    measured("light_curve")
    pytensor = importlib.import_module("pytensor")
    monkeypatch.setattr(pytensor, "grad", _scaled_graphs(pytensor.grad))
    findings = studies.load("light_curve").measure()
    assert [finding.verdict for finding in findings] == ["reproduced"] * 2


def test_costs_are_judged_by_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes that cost the same are no proof that the shape decides."""
    measured("wide_and_tall")
    monkeypatch.setattr("gradbench.studies._jax.n_flops", lambda _f, _x: 1000.0)
    monkeypatch.setattr("gradbench.studies.wide_and_tall.cpu_s", lambda c: dict.fromkeys(c, 1.0))
    verdicts = [finding.verdict for finding in studies.load("wide_and_tall").measure()]
    assert verdicts == ["not reproduced", "reproduced", "reproduced", "not reproduced"]


def test_difference_is_of_the_printed_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a finite difference is h²/6 times the third derivative, of its own h only."""
    measured("tanh_derivative")
    monkeypatch.setattr("gradbench.studies.tanh_derivative.STEP", 2e-4)
    line = studies.load("tanh_derivative").measure()[-1]
    assert line.verdict == "not reproduced", line


def test_cse_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One replacement more is not what was printed."""
    measured("expression_swell")
    sympy = importlib.import_module("sympy")
    right = sympy.cse

    def one_more(formula: Any) -> Any:
        replacements, rest = right(formula)
        return [*replacements, replacements[-1]], rest

    monkeypatch.setattr(sympy, "cse", one_more)
    (line,) = (f for f in studies.load("expression_swell").measure() if "cse finds" in f.what)
    assert (line.printed, line.ours, line.verdict) == ("5", "6", "not reproduced")


def _scaled(grad: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that differentiates functions, wrong by a thousandth."""
    return lambda f: lambda x: grad(f)(x) * OFF


def _scaled_graphs(grad: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that differentiates PyTensor's graphs, wrong by a thousandth."""

    def wrong(cost: Any, wrt: Any, **options: Any) -> Any:
        slopes = grad(cost, wrt, **options)
        return [slope * OFF for slope in slopes] if isinstance(wrt, list) else slopes * OFF

    return wrong


def _scaled_tangent(jvp: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Jacobian-vector product, wrong by a thousandth."""

    def wrong(f: Any, x: Any, along: Any) -> Any:
        value, tangent = jvp(f, x, along)
        return value, tangent * OFF

    return wrong


def _scaled_pullback(vjp: Callable[..., Any]) -> Callable[..., Any]:
    """Return a vector-Jacobian product, wrong by a thousandth."""

    def wrong(f: Any, *x: Any) -> Any:
        value, pullback = vjp(f, *x)
        return value, lambda back: tuple(each * OFF for each in pullback(back))

    return wrong


SPOILED: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "autograd.grad": _scaled,
    "jax.grad": _scaled,
    "jax.jvp": _scaled_tangent,
    "jax.vjp": _scaled_pullback,
    "numpy.gradient": lambda gradient: lambda y, x: gradient(y, x) + 4.0,
    "pytensor.grad": _scaled_graphs,
    "sympy.diff": lambda diff: lambda f, x: diff(f, x) + 1,
}
