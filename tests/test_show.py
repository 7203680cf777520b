"""Whatever is printed is text: brackets and colons in names, reasons and paths mean nothing."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gradbench.config.benchmark import Benchmark, Published
from gradbench.config.planning import Cell
from gradbench.gate.baseline import Baseline, Entry
from gradbench.gate.selftest import Findings as Tried
from gradbench.gate.selftest import Rate, Trial
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Compared, Comparison
from gradbench.measure.check_model import Examination, Parameter, Scale
from gradbench.measure.density_check import DensityCheck
from gradbench.models import About
from gradbench.references.findings import Confirmation, Demand, Findings
from gradbench.results.execute import Outcome
from gradbench.results.pooled import Pooled
from gradbench.results.summary import Summary
from gradbench.show import catalogue, comparison, examination, plan, reference, results, selftest
from gradbench.show.console import console, significant
from gradbench.show.progress import Display
from gradbench.stats.interval import Interval

SWEPT = "emcee[tune=100,draws=100]"
MODEL = "m[b=1]"
PARAMETER = "b[age]"
REASON = "R-hat of b[age] is [red]2[/red], see [/tmp/a[1]] :warning: [link=x]"
FOLDER = "results/[bold]x[/bold]"
INTERVAL = Interval(1.0, 0.9, 1.1)
SAID = (SWEPT, MODEL, PARAMETER, REASON, FOLDER)


def cell() -> Cell:
    return Cell(
        model=MODEL, model_use="gaussian", params={}, sampler=SWEPT, sampler_use="emcee",
        options={}, init="uniform", threads=1, replicate=0, seed=1, start_seed=2,
    )  # fmt: skip


def summaries() -> list[Summary]:
    def summary(model: str, sampler: str, **given: object) -> Summary:
        return Summary(
            model=model, sampler=sampler, replicate=0, init="uniform", threads=1, seed=1,
            start_seed=2, params="{}", options="{}", **given,  # type: ignore[arg-type]
        )  # fmt: skip

    costs = {"ms_per_ess": 1.0, "evaluations_per_ess": 1.0, "ess": 1e3, "z_max": 1.0}
    return [
        summary(MODEL, SWEPT, status="failed", reason=REASON),
        summary(MODEL, "a[x]", status="ok", reason="", n_parameters=1, **costs),
        summary(MODEL, "b[y]", status="ok", reason="", n_parameters=1, **costs),
    ]


def judged() -> Comparison:
    row = Compared(model=MODEL, sampler=SWEPT, verdict="failed", reason=REASON)
    return Comparison(FOLDER, "baseline:[b]", [row], notes=[REASON])


def found() -> Findings:
    one = np.ones(1)
    pooled = Pooled(one, one, one, one, one, one, one, 4, 100, 0)
    return Findings(
        (PARAMETER,), {SWEPT: pooled, "b[y]": pooled}, pooled, Demand(), np.zeros((2, 1)),
        3.0, (REASON,),
    )  # fmt: skip


def examined() -> Examination:
    check = DensityCheck(MODEL, ("the model",), 16, 0.0, None, {"the model": REASON})
    parameters = (Parameter(PARAMETER, (2,), "log[x]"),)
    return Examination(
        ndim=1, parameters=parameters, reference=FOLDER, compile_s=1.0, batch_form="loop",
        check=check, logdensity_s=1e-6, gradient_s=None, starts=("uniform",),
        narrowest=Scale("b[age]", 1e-6), widest=Scale("c[age]", 1e6),
        unsuited={SWEPT: REASON}, missing={"a[x]": "pip 'a[x]'"},
    )  # fmt: skip


def tried() -> Tried:
    rate = Rate("+10 % [evaluations]", INTERVAL, 10)
    return Tried(judged(), rate, [rate], [Trial("twice[x]", "time", judged())])


def stored() -> Baseline:
    side = Side("baseline:[b]", {}, {"python": "[3.13]"})
    return Baseline("[b]", "now", "0", [Entry(MODEL, SWEPT, 1, 1.0, 0.1, None, REASON)], side)


def outcome() -> None:
    entry = {"models": {"m": {"use": "gaussian"}}, "samplers": {"s": {"use": "emcee"}}}
    benchmark = Benchmark.model_validate(
        {"name": "n", **entry, "published": {"source": REASON, "ms_per_ess": {"s": 1.0}}}
    )
    done = Outcome(Path(FOLDER), summaries(), is_interrupted=True)
    results.outcome(done, benchmark, to_stderr=True)


PRINTED: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "results": (
        lambda: results.results(
            summaries(), published=Published(source=REASON, ms_per_ess={"s[x]": 1.0})
        ),
        (SWEPT, MODEL, REASON, "cheaper than b[y]", "s[x] 1"),
    ),
    "outcome": (outcome, (SWEPT, REASON, FOLDER)),
    "plan": (lambda: plan.plan([cell()]), (SWEPT, MODEL)),
    "comparisons": (
        lambda: comparison.comparisons([judged()]),
        (SWEPT, MODEL, REASON, FOLDER, "baseline:[b]"),
    ),
    "comparisons of several": (
        lambda: comparison.comparisons([judged(), judged()]),
        (SWEPT, MODEL, REASON, FOLDER),
    ),
    "baseline": (lambda: comparison.baseline(stored()), (SWEPT, MODEL, REASON, "[b]")),
    "baselines": (lambda: comparison.baselines([stored()]), ("[b]", "[3.13]")),
    "examination": (
        lambda: examination.examination(MODEL, examined()),
        (SWEPT, MODEL, PARAMETER, REASON, FOLDER, "log[x]", "pip 'a[x]'"),
    ),
    "established": (
        lambda: reference.established(found(), Path(FOLDER)),
        (PARAMETER, REASON, SWEPT),
    ),
    "kept": (
        lambda: reference._verdict((), "", f"kept in {FOLDER}", console()),
        (FOLDER,),
    ),
    "confirmed": (
        lambda: reference.confirmed(found(), Confirmation(np.zeros((2, 1)), 3.0, (REASON,))),
        (PARAMETER, REASON, SWEPT),
    ),
    "selftest": (lambda: selftest.findings(tried()), (SWEPT, MODEL, "twice[x]", "[evaluations]")),
    "models": (lambda: catalogue.models({MODEL: About(REASON, {"k": "[1]"})}), (MODEL, "k=[1]")),
    "posteriors": (lambda: catalogue.posteriors({MODEL: (1, REASON)}), (MODEL, REASON)),
    "configs": (lambda: catalogue.configs({"[c]": REASON}), ("[c]", REASON)),
}


@pytest.mark.parametrize("name", PRINTED)
def test_brackets_are_printed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels, parameters, reasons and file names are printed as they are, by every table."""
    monkeypatch.setenv("COLUMNS", "400")
    show, said = PRINTED[name]
    show()
    text = " ".join(map(" ".join, map(str.split, capsys.readouterr())))
    for words in said:
        assert words in text


def test_progress_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swept labels are told apart while they run, too."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    display = Display(is_quiet=False)
    progress = display._progress
    tellings: list[Callable[[], None]] = [
        lambda: display.sampling(cell()),
        lambda: display.compiling(MODEL, SWEPT),
    ]
    for tell in tellings:
        tell()
        shown = Console(file=io.StringIO(), width=200, record=True)
        shown.print(progress.get_renderable())
        text = shown.export_text()
        assert MODEL in text
        assert SWEPT in text


@pytest.mark.parametrize(
    ("value", "text"), [(np.inf, "∞"), (-np.inf, "-∞"), (np.nan, "–"), (None, "–"), (1.5, "1.50")]
)
def test_numbers_that_arent_finite_have_a_look(value: float | None, text: str) -> None:
    """An overflow in a table is a sign, not a traceback."""
    assert significant(value) == text
