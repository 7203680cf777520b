"""Verdicts for other programs, read back by those programs' own readers where there are any."""

import csv
import io
import json
import math
import re
from pathlib import Path

import pytest

from gradbench.gate import forms
from gradbench.gate.verdict import Compared, Comparison, Policy, Pooled, Verdict, ordered
from gradbench.stats.interval import Interval

POLICY = Policy()
ALL: tuple[Verdict, ...] = (
    "regressed", "failed", "missing", "not comparable", "inconclusive", "traded", "improved",
    "advisory", "fine", "identical", "new",
)  # fmt: skip


def row(verdict: Verdict, model: str = "normal", reason: str = "because") -> Compared:
    return Compared(
        model=model,
        sampler=verdict.replace(" ", "_"),
        verdict=verdict,
        reason=reason,
        base=6.5,
        head=7.5,
        n_base=64,
        n_head=16,
        evaluations=Interval(1.15, 1.1, math.inf),
        cost=Interval(1.15, 1.1, 1.2),
    )


def comparison(*rows: Compared) -> Comparison:
    pooled = [Pooled("nuts", 3, Interval(1.06, 1.03, 1.09), is_regressed=True)]
    return Comparison("baseline:main", "results/x", ordered(rows), pooled, ["time was not judged"])


EVERY = comparison(*map(row, ALL))


def test_markdown_can_be_replaced_and_read() -> None:
    """It opens with the hidden marker and the verdict, then what matters, then the rest folded."""
    text = forms.markdown([EVERY], POLICY)
    lines = text.splitlines()
    assert lines[0] == forms.MARKER
    assert lines[1].startswith("### ❌ Regressed: regressed on normal and 1 more")
    assert text.index("| regressed |") < text.index("| inconclusive |") < text.index("<details>")
    assert text.index("<details>") < text.index("| fine |")
    tables = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in tables} == {7}
    assert forms.markdown([comparison(row("fine"))], POLICY).count("✅") == 0, "pooled regressed"


@pytest.mark.parametrize("verdict", ["fine", "regressed"])
def test_markdown_stays_below_githubs_limit(verdict: Verdict) -> None:
    """Ten thousand rows are cut to what a comment holds, and it says how many are left out."""
    nasty = "a | b\n<!-- x --> ×" + "y" * 100
    rows = [row(verdict, f"m{i}", nasty) for i in range(10_000)] + [row("regressed", "first")]
    text = forms.markdown([comparison(*rows)], POLICY)
    assert len(text.encode()) <= 64_000
    assert text.count("<!--") == 1, "a reason can't open a comment of its own"
    left_out = re.search(r"(\d+) more rows do not fit here", text)
    assert left_out
    shown = sum(line.startswith(f"| {verdict} |") for line in text.splitlines())
    assert int(left_out[1]) + shown == (10_001 if verdict == "regressed" else 10_000)
    assert "| first |" in text or verdict == "regressed"


def test_junit_is_read_back(tmp_path: Path) -> None:
    """A JUnit parser finds failures, errors and skipped cases, whatever is in the reasons."""
    from junitparser import Error, Failure, JUnitXml, Skipped

    broken = row("failed", "normal", 'a "quote" & <tag> \x00\x1b[31m')
    path = tmp_path / "junit.xml"
    path.write_text(forms.junit([comparison(*map(row, ALL[:1] + ALL[2:]), broken)], POLICY))
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (12, 2, 3, 3)
    kinds = {case.name: [type(result) for result in case.result] for case in suite}
    assert kinds["regressed"] == kinds["nuts"] == [Failure]
    assert kinds["failed"] == kinds["missing"] == kinds["not_comparable"] == [Error]
    assert kinds["inconclusive"] == kinds["advisory"] == kinds["new"] == [Skipped]
    assert kinds["fine"] == kinds["identical"] == kinds["improved"] == kinds["traded"] == []
    forgiving = forms.junit([EVERY], Policy(allow_missing=True))
    assert forgiving.count("<error") == 1
    strict = forms.junit([EVERY], Policy(strict=True))
    assert strict.count("<failure") == 3


def test_annotations_are_few_and_escaped() -> None:
    """At most ten, errors first; percent signs and line ends can't start a new command."""
    many = [row("fine")] + [row("inconclusive", f"m{i}", "50 %\n::error::x") for i in range(20)]
    text = forms.github([comparison(row("regressed"), *many)], POLICY)
    lines = text.splitlines()
    assert len(lines) == forms.MAX_ANNOTATIONS
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 2 + ["::warning"] * 8
    assert "50 %25%0A::error" in lines[2]
    assert "and 13 more" in lines[-1]
    quiet = Comparison("a", "b", [row("fine")])
    assert forms.github([quiet], POLICY).startswith("::notice title=gradbench::No regression")


def test_json_and_csv_hold_everything() -> None:
    """Every row with its ratios; what is unbounded is null or empty, never Infinity."""
    plain = json.loads(forms.to_json([EVERY], POLICY))
    assert plain["exit_code"] == 3
    (found,) = plain["comparisons"]
    assert [r["verdict"] for r in found["rows"]] == list(ALL)
    assert found["rows"][0]["evaluations"] == {"estimate": 1.15, "low": 1.1, "high": None}
    lines = list(csv.DictReader(io.StringIO(forms.to_csv([EVERY, EVERY], POLICY))))
    assert len(lines) == 2 * len(ALL)
    assert lines[0]["evaluations_ratio"] == "1.15"
    assert lines[0]["evaluations_ratio_high"] == lines[0]["time_ratio"] == ""


def test_the_chart_takes_the_head() -> None:
    """github-action-benchmark gets a list of name, unit and value, smaller being better."""
    first, *_ = json.loads(forms.benchmark([EVERY], POLICY))
    assert first["value"] == 7.5
    assert first["unit"] == "evaluations/ESS"
    assert set(first) <= {"name", "unit", "value", "range", "extra"}


def test_json_is_read_back(tmp_path: Path) -> None:
    """The same verdicts, sentences and figures, ready for a page."""
    path = tmp_path / "verdict.json"
    path.write_text(forms.to_json([EVERY], POLICY))
    (found,) = forms.from_json(path)
    assert found.sentence == EVERY.sentence
    assert forms.to_csv([found], POLICY) == forms.to_csv([EVERY], POLICY)
