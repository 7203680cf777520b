"""Histories on the terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench.gate import steps as search
from gradbench.gate.course import Course, Row
from gradbench.gate.history import COMMITS, History
from gradbench.gate.verdict import LOUD, Compared, Verdict
from gradbench.gate.words import times
from gradbench.show.comparison import STYLES
from gradbench.show.console import console, fitted, item, table
from gradbench.show.results import with_interval

# Few replicates leave much undecided: the table says so, and a sentence each would be too many.
EXPLAINED: frozenset[Verdict] = frozenset(LOUD) - {"inconclusive"}


def points(history: History) -> None:
    """Print a line for each point and environment, and what each environment is."""
    to = console()
    for name, stops in {**history.lines, "": history.aside}.items():
        if not stops:
            continue
        to.print(Text(_head(name, history), style="bold"))
        words = (_column(name or COMMITS), "time", "environment")
        shown = table(words, ("cells", "replicates"))
        for stop in stops:
            for entry in stop.entries.values():
                series = entry.side.series.values()
                shown.add_row(
                    history.called(stop.point),
                    stop.point.time or "–",
                    entry.environment,
                    str(len(series)),
                    str(sum(len(one.replicate) for one in series)),
                )
        to.print(shown)
        to.print()
    for digits, about in history.environments.items():
        to.print(item(f"{digits}: {environment(about)}"))


def environment(about: Mapping[str, Any]) -> str:
    """Return an environment in words."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    words = [about["processor"], about["system"], f"Python {about['python'] or '?'}", versions]
    return ", ".join(word for word in words if word)


def courses(found: Sequence[Course], history: History, *, pinned: str = "") -> None:
    """Print a table for each model and sampler, and a sentence for each step and loud verdict.

    Args:
        found: what is shown.
        history: it is of.
        pinned: what every point is held against beside the one before it, or empty.
    """
    to = console()
    has_several = len({row.environment for course in found for row in course.rows}) > 1
    for course in found:
        to.print(Text(f"{course.sampler} on {course.model}", style="bold"))
        to.print(_table(course, history, to, pinned, has_several=has_several))
        for line in sentences(course, history, pinned):
            to.print(item(line))
        to.print()
    if not search.is_available():
        to.print(item(search.missing()))
    if has_several:
        to.print(item("time compares within one environment; evaluations compare anywhere"))
    if history.aside:
        names = ", ".join(stop.point.name for stop in history.aside)
        to.print(item(f"not among the first parents of HEAD, so not in the tables: {names}"))


def _column(line: str) -> str:
    """Return the head of the column of points."""
    return "commit" if line == COMMITS else line


def _head(line: str, history: History) -> str:
    if line:
        return f"{line} in {history.folder}" if line == COMMITS else f"releases in {history.folder}"
    return "not among the first parents of HEAD"


def _table(
    course: Course, history: History, to: Console, pinned: str, *, has_several: bool
) -> Table:
    numbers: dict[str, Callable[[Row], str]] = {
        "evals/ESS\n[95 % CI]": lambda row: with_interval(row.cost),
        "/ the one\nbefore": lambda row: _ratio(row.before),
    }
    if pinned:
        numbers[f"/ {pinned}\n[95 % CI]"] = lambda row: _ratio(row.against)
    numbers["µs/eval\n[95 % CI]"] = lambda row: with_interval(row.time_us)
    numbers["replicates"] = _count

    def shown(some: Sequence[str]) -> Table:
        words = [_column(course.line)]
        words += ["environment"] if has_several else []
        words += ["verdict", f"against {pinned}"] if pinned else ["verdict"]
        whole = table(words, some)
        for row in course.rows:
            called = history.called(row.point)
            said = [f"▲ {called}" if row.step else called]
            said += [row.environment] if has_several else []
            verdicts = [row.before, row.against] if pinned else [row.before]
            cells = [_verdict(row, verdict) for verdict in verdicts]
            whole.add_row(*said, *cells, *(numbers[name](row) for name in some))
        return whole

    names = [*numbers]
    return fitted(names, shown, to, expendable=names[:0:-1], head=str)


def _verdict(row: Row, compared: Compared | None) -> Text:
    if compared is not None:
        return Text(compared.verdict, style=STYLES[compared.verdict])
    return Text("–" if row.cost is not None else row.status)


def _ratio(compared: Compared | None) -> str:
    return "–" if compared is None else times(compared.evaluations)


def _count(row: Row) -> str:
    if row.n_replicates == row.n_run:
        return str(row.n_run)
    return f"{row.n_replicates} of {row.n_run}"


def sentences(course: Course, history: History, pinned: str) -> list[str]:
    """Return a line for each step, and for each verdict that needs one."""
    is_one = len(course.environments) == 1
    steps, verdicts = [], []
    for row in course.rows:
        called = history.called(row.point)
        if row.step is not None:
            steps.append(f"step at {called}: evaluations/ESS {times(row.step.ratio)} from here on")
        there = called if is_one else f"{called} in {row.environment}"
        for against, compared in (("the one before", row.before), (pinned, row.against)):
            if compared is not None and compared.verdict in EXPLAINED:
                verdicts.append(f"{there} against {against}: {compared.verdict}: {compared.reason}")
    return [*steps, *verdicts]
