"""Verdicts for other programs: pull requests, test reports, annotations, charts, scripts."""

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from xml.etree import ElementTree

from gradbench.errors import StoreError
from gradbench.gate.verdict import QUIET, Compared, Comparison, Policy
from gradbench.gate.words import over_models, time_per_evaluation, times
from gradbench.records import from_plain, to_plain
from gradbench.stats.interval import Interval

MARKER = "<!-- gradbench -->"  # a comment with it is the one to update
MAX_BYTES = 64_000  # GitHub takes comments of 65,536 characters
MAX_ANNOTATIONS = 10  # of a step, that GitHub shows

RATIOS = ("evaluations", "time", "cost")


def markdown(found: Sequence[Comparison], policy: Policy) -> str:
    """Return Markdown for a pull request's comment or a step's summary, below 64 kB.

    It opens with a hidden marker by which a later comment can replace an earlier one; where it
    would grow too long, rows that need no attention are left out first.
    """
    rows = [(comparison, row) for comparison in found for row in comparison.rows]
    rows.sort(key=lambda entry: entry[1].verdict in QUIET)
    shown = len(rows)
    while True:
        text = _markdown(found, rows[:shown], len(rows) - shown, policy)
        if len(text.encode()) <= MAX_BYTES or shown == 0:
            return text
        shown = int(shown * 0.8)


def to_json(found: Sequence[Comparison], policy: Policy) -> str:
    """Return all of it as JSON, with the exit code; what is unknown or unbounded is null."""
    plain = {
        "exit_code": policy.exit_code(found),
        "comparisons": [
            {"sentence": comparison.sentence, **asdict(comparison)} for comparison in found
        ],
    }
    return json.dumps(to_plain(plain), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def from_json(path: Path) -> list[Comparison]:
    """Return the comparisons of a file that ``to_json`` made; what was unbounded is NaN.

    Raises:
        StoreError: it isn't one.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return [
            from_plain(Comparison, {k: v for k, v in found.items() if k != "sentence"})
            for found in plain["comparisons"]
        ]
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: not verdicts as gradbench compare --format json writes them: {error}"
        ) from error


def to_csv(found: Sequence[Comparison], policy: Policy) -> str:  # noqa: ARG001 - as the others
    """Return a line for each row; a ratio and its bounds are three columns."""
    plain = [field.name for field in fields(Compared) if field.name not in RATIOS]
    bounds = [f"{name}_ratio{end}" for name in RATIOS for end in ("", "_low", "_high")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["base_name", "head_name", *plain, *bounds])
    for comparison in found:
        for row in comparison.rows:
            ratios = [_bounds(getattr(row, name)) for name in RATIOS]
            values = [getattr(row, name) for name in plain]
            writer.writerow([comparison.base, comparison.head, *values, *itertools.chain(*ratios)])
    return text.getvalue()


def junit(found: Sequence[Comparison], policy: Policy) -> str:
    """Return JUnit XML: a test case for each row, with failure, error or skipped.

    A regression is a failure, what broke or can't be compared an error; what the policy forgives,
    what is inconclusive, advisory or new is skipped.
    """
    suites = ElementTree.Element("testsuites", name="gradbench")
    for comparison in found:
        suite = ElementTree.SubElement(suites, "testsuite", name=_xml(comparison.head))
        for row in comparison.rows:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(row.model), name=_xml(row.sampler)
            )
            outcome = _outcome(row, policy)
            if outcome:
                message = _xml(f"{row.verdict}: {row.reason}")
                ElementTree.SubElement(case, outcome, message=message, type=row.verdict)
            else:
                ElementTree.SubElement(case, "system-out").text = _xml(row.reason)
        for pool in comparison.pooled:
            case = ElementTree.SubElement(
                suite, "testcase", classname="all models", name=_xml(pool.sampler)
            )
            if pool.is_regressed:
                message = f"regressed: evaluations/ESS {times(pool.evaluations)}"
                ElementTree.SubElement(case, "failure", message=message, type="regressed")
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"),
                          ("skipped", "skipped")):  # fmt: skip
            suite.set(name, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def github(found: Sequence[Comparison], policy: Policy) -> str:
    """Return workflow commands: at most ten annotations, the gravest first."""
    levels = []
    for comparison in found:
        for pool in comparison.pooled:
            if pool.is_regressed:
                reason = f"evaluations/ESS {times(pool.evaluations)}"
                levels.append(("error", f"{pool.name}: regressed", reason))
        for row in comparison.rows:
            title = f"{row.name}: {row.verdict}"
            if policy.fails(row.verdict):
                levels.append(("error", title, row.reason))
            elif row.verdict in {"inconclusive", "missing", "not comparable", "traded"}:
                levels.append(("warning", title, row.reason))
            elif row.verdict == "improved":
                levels.append(("notice", title, row.reason))
    levels.sort(key=lambda entry: ("error", "warning", "notice").index(entry[0]))
    if not levels:
        levels = [("notice", "gradbench", comparison.sentence) for comparison in found]
    if len(levels) > MAX_ANNOTATIONS:
        rest = len(levels) - MAX_ANNOTATIONS + 1
        level = levels[MAX_ANNOTATIONS - 1][0]
        levels[MAX_ANNOTATIONS - 1 :] = [(level, "gradbench", f"and {rest} more like it or milder")]
    return "".join(
        f"::{level} title={_property(title)}::{_data(message)}\n"
        for level, title, message in levels
    )


def benchmark(found: Sequence[Comparison], policy: Policy) -> str:  # noqa: ARG001 - as the others
    """Return github-action-benchmark's ``customSmallerIsBetter`` JSON, of the head."""
    plain = [
        {
            "name": row.name,
            "unit": "evaluations/ESS",
            "value": row.head,
            "extra": f"{row.verdict}: {times(row.evaluations)} over {row.n_head} replicates",
        }
        for row in found[-1].rows
        if row.head is not None
    ]
    return json.dumps(to_plain(plain), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Sequence[Comparison], Policy], str]] = {
    "markdown": markdown,
    "json": to_json,
    "csv": to_csv,
    "junit": junit,
    "github": github,
    "benchmark": benchmark,
}


# -- Markdown --------------------------------------------------------------------------------


def _markdown(
    found: Sequence[Comparison],
    rows: Sequence[tuple[Comparison, Compared]],
    n_left_out: int,
    policy: Policy,
) -> str:
    mark = "❌" if policy.exit_code(found) else "✅"
    lines = [MARKER]
    for comparison in found:
        lines += [f"### {mark} {_md(comparison.sentence)}", ""]
        lines += [f"`{comparison.base}` → `{comparison.head}`", ""]
    loud = [entry for entry in rows if entry[1].verdict not in QUIET]
    quiet = [entry for entry in rows if entry[1].verdict in QUIET]
    if loud:
        lines += [*_table(loud, len(found)), ""]
        lines += [
            f"- **{_md(row.name)}**: {_md(row.verdict)}: {_md(row.reason)}" for _, row in loud
        ]
        lines.append("")
    for comparison in found:
        lines += [f"- **{_md(pool.name)}**: {over_models(pool)}" for pool in comparison.pooled]
        lines += [f"- {_md(note)}" for note in comparison.notes]
    if quiet:
        lines += ["", f"<details><summary>{len(quiet)} that need no attention</summary>", ""]
        lines += [*_table(quiet, len(found)), "", "</details>"]
    if n_left_out:
        lines += ["", f"{n_left_out} more rows do not fit here; `--format csv` has them all."]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[tuple[Comparison, Compared]], n_heads: int) -> list[str]:
    heads = ["verdict", "model", "sampler", "evaluations/ESS (95 % CI)", "time per evaluation"]
    heads += ["replicates"] + (["head"] if n_heads > 1 else [])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for comparison, row in rows:
        cells = [
            row.verdict,
            row.model,
            row.sampler,
            times(row.evaluations),
            time_per_evaluation(row),
            f"{row.n_base}, {row.n_head}",
        ]
        cells += [comparison.head] if n_heads > 1 else []
        lines.append("| " + " | ".join(map(_md, cells)) + " |")
    return lines


def _md(text: str) -> str:
    """Return text that can't end a table's cell, open a tag or start a new line."""
    return re.sub(r"([|\\`*_\[\]])", r"\\\1", " ".join(text.split())).replace("<", "&lt;")


# -- the others ------------------------------------------------------------------------------


def _outcome(row: Compared, policy: Policy) -> str:
    if row.verdict == "regressed":
        return "failure"
    if policy.fails(row.verdict):
        return "failure" if row.verdict == "inconclusive" else "error"
    skipped = {"missing", "not comparable", "inconclusive", "advisory", "new"}
    return "skipped" if row.verdict in skipped else ""


def _xml(text: str) -> str:
    """Return text without the control characters that XML 1.0 has no way to hold."""
    return re.sub(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "�", text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _bounds(interval: Interval | None) -> list[float | str]:
    if interval is None:
        return ["", "", ""]
    bounds = (interval.estimate, interval.low, interval.high)
    return [value if math.isfinite(value) else "" for value in bounds]
