"""A comparison of gradients: a table by cost, and what it says in sentences."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench import gradients as methods
from gradbench import samplers
from gradbench.measure.ascent import ARRIVED
from gradbench.measure.gradient_cost import Cost
from gradbench.measure.gradient_points import STEPS
from gradbench.measure.gradients import Comparison, Measured
from gradbench.results.gradients import GradientRun, exponent
from gradbench.show.console import (
    Column,
    bare_table,
    console,
    fitted,
    item,
    plural,
    significant,
    table,
)
from gradbench.stats.interval import Interval
from gradbench.studies import Finding, Study
from gradbench.target import differences
from gradbench.target.differences import Scheme

FLAT = 0.1  # a power under which a thousand times the dimensions cost no more than twice as much
SHOWN: tuple[Scheme, ...] = ("forward", "central")  # schemes that a sentence is about


COLUMNS: tuple[Column[Measured], ...] = (
    Column("method", lambda one: one.method, 9, "left"),
    Column("cost, in its\nlog-densities", lambda one: _ratio(one, "own"), 9),
    Column("in default\nlog-densities", lambda one: _ratio(one, "default"), 7),
    Column("in a com-\npiled loop", lambda one: _ratio(one, "looped"), 3),
    Column("one of 64\nin a batch", lambda one: _ratio(one, "batched"), 4),
    Column("µs", lambda one: _cost(one, lambda cost: 1e6 * cost.gradient_s), 5),
    Column("compile\ns", lambda one: _cost(one, lambda cost: cost.compile_s), 1),
    Column("memory\nMiB", lambda one: _cost(one, lambda cost: cost.memory_bytes / 2**20), 2),
    Column("largest\nerror", lambda one: _error(one), 8),  # noqa: PLW0108 - it stands below
    Column("status", lambda one: one.status, 9, "left"),
)


def gradients(run: GradientRun, *, to_stderr: bool = False) -> None:
    """Print a comparison and what follows from it."""
    to = console(sys.stderr if to_stderr else None)
    for each in run.comparisons:
        _head(run, each, to)
        _table(each, to)
        to.print()
        if each.ascents:
            to.print(_ascents(each))
            to.print()
    if len(run.comparisons) > 1:
        to.print(_growth(run))
        to.print()
    last = run.comparisons[-1]
    if any(np.isfinite(errors).any() for errors in last.points.steps.values()):
        to.print(_steps(last))
        to.print()
    for line in _sentences(run):
        to.print(item(line))


def folder(path: Path) -> None:
    """Print where a comparison is kept."""
    console(sys.stderr).print(f"results: {path}", soft_wrap=True)


def study(of: Study, findings: Sequence[Finding], reason: str | None) -> None:
    """Print a claim of the texts, what was found beside what was printed, or why nothing was."""
    to = console()
    to.print(Text(of.CLAIM, style="bold") + Text(f"  {of.SOURCE}", style="dim"))
    if reason is not None:
        to.print(item(f"not measured: {reason}"))
    else:
        shown = table(("", "printed there", "here", "verdict"), ())
        for finding in findings:
            shown.add_row(finding.what, finding.printed, finding.ours, finding.verdict)
            if finding.note:
                shown.add_row("", "", Text(finding.note, style="dim"), "")
        to.print(shown)
    to.print()


def _head(run: GradientRun, each: Comparison, to: Console) -> None:
    params = ", ".join(f"{name}={value}" for name, value in each.params.items())
    about = f"  {params + ', ' if params else ''}{plural(each.ndim, 'dimension')}"
    to.print(Text(run.model, style="bold") + Text(about, style="dim"))
    to.print()


def _table(each: Comparison, to: Console) -> None:
    shown = sorted(each.methods, key=_by_cost)

    def render(columns: Sequence[Column[Measured]]) -> Table:
        made = bare_table()
        for column in columns:
            made.add_column(column.head, justify=column.align, vertical="bottom", overflow="fold")
        for one in shown:
            if one.cost is not None:
                made.add_row(*(column.text(one) for column in columns))
        return made

    expendable = sorted((c for c in COLUMNS if c.rank < 9), key=lambda column: column.rank)
    if any(one.cost is not None for one in shown):
        to.print(fitted(COLUMNS, render, to, expendable=expendable, head=lambda c: c.head))
    told_below = {"", each.points.reason, *each.points.flaws.values()}
    reasons: dict[str, list[str]] = {}
    for one in shown:
        if one.reason not in told_below:
            reasons.setdefault(f"{one.status}: {one.reason}", []).append(one.method)
    if reasons:
        to.print()
    for reason, names in reasons.items():
        to.print(item(f"{', '.join(names)}: {reason}"))


def _growth(run: GradientRun) -> Table:
    """Return a method's cost at each dimension, and the power of the dimension it grows with."""
    dims = [f"{each.ndim} dim." for each in run.comparisons]
    shown = table(("cost in its own log-densities",), (*dims, "grows as dim^"))
    for name in run.methods:
        found = [{one.method: one for one in each.methods}.get(name) for each in run.comparisons]
        costs = ["–" if one is None else _ratio(one, "own") for one in found]
        if any(cost != "–" for cost in costs):
            shown.add_row(name, *costs, _power(exponent(run, name)))
    return shown


def _steps(each: Comparison) -> Table:
    """Return the root-mean-square error of finite differences by step."""
    schemes = list(each.points.steps)
    shown = table((), ("relative step", *(f"{scheme}" for scheme in schemes)))
    shown.title, shown.title_justify = "error of finite differences", "left"
    best = {scheme: _best(each, scheme) for scheme in schemes}
    for i, step in enumerate(STEPS):
        if i % 2 and i not in best.values():
            continue
        cells = []
        for scheme in schemes:
            error = each.points.steps[scheme][i]
            mark = " ←" if best[scheme] == i else "  "
            cells.append(("–" if math.isnan(error) else f"{error:.1e}") + mark)
        shown.add_row(f"{step:.1e}", *cells)
    return shown


def _ascents(each: Comparison) -> Table:
    """Return what each way to the mode took, and whether it ended at the highest point of all."""
    shown = table(("way to the mode",), ("evaluations", "CPU s", "short by", "distance"))
    shown.add_column("arrived")
    ended = [one for one in each.ascents if one.at is not None]
    best = max(ended, key=lambda one: one.value, default=None)
    for one in each.ascents:
        if one.at is None or best is None or best.at is None:
            shown.add_row(one.way, "–", "–", "–", "–", one.said)
            continue
        short = best.value - one.value
        shown.add_row(
            one.way,
            f"{one.n_evaluations:,}".replace(",", " "),
            significant(one.cpu_s),
            _small(short),
            _small(float(np.abs(one.at - best.at).max())),
            "yes" if short <= ARRIVED else "no",
        )
    shown.caption = (
        "short by: of the highest log-density; distance: of the coordinate that is farthest from"
        " its point"
    )
    shown.caption_justify = "left"
    return shown


def _best(each: Comparison, scheme: Scheme) -> int | None:
    errors = np.asarray(each.points.steps[scheme])
    return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


def _sentences(run: GradientRun) -> list[str]:
    last = run.comparisons[-1]
    lines = [] if last.is_complete else ["interrupted: what was done by then"]
    lines += [f"the density: {sentence}" for sentence in last.points.flaws.values()]
    lines += _cheapest(run)
    lines += _differences(last)
    if last.known_by:
        n = int(np.isfinite(last.points.exact).all(axis=1).sum()) or len(last.points.at)
        lines.append(
            f"errors are relative to the largest component, at {n} point{'' if n == 1 else 's'},"
            f" against {last.known_by}"
        )
    else:
        lines.append(f"errors are not known: {last.points.reason}")
    if last.known_by and last.points.reason:
        lines.append(last.points.reason)
    lines += _users(last)
    return lines


def _cheapest(run: GradientRun) -> list[str]:
    """Return what the cheapest exact gradient costs, and whether that depends on the dimension."""
    last = run.comparisons[-1]
    exact = [one for one in last.methods if one.status == "exact" and one.cost is not None]
    if not exact:
        return []
    best = min(exact, key=_by_cost)
    assert best.cost is not None
    line = (
        f"cheapest exact gradient: {best.method}, {significant(best.cost.default.estimate)}"
        " log-densities of PyMC's default backend"
    )
    grown = exponent(run, best.method)
    if grown is not None and abs(grown.estimate) < FLAT:
        line += ", whatever the dimension"
    elif grown is not None:
        line += f", growing as dim^{_power(grown)}"
    return [line]


def _differences(each: Comparison) -> list[str]:
    """Return what finite differences cost and how many digits they have."""
    found = {one.method: one for one in each.methods}
    one = found.get("finite_central")
    if one is None or one.cost is None:
        return []
    n = differences.n_evaluations(each.ndim, "central")
    line = f"central differences take {n} log-densities"
    if one.error is not None:
        line += f" and are right to {max(0, int(-math.log10(one.error.largest)))} digits"
    best = {scheme: _best(each, scheme) for scheme in SHOWN}
    steps = [
        f"{STEPS[at]:.0e} ({scheme}; the textbook says {differences.textbook_step(scheme):.0e})"
        for scheme, at in best.items()
        if at is not None
    ]
    return [line + (f"; best steps: {', '.join(steps)}" if steps else "")]


def _users(each: Comparison) -> list[str]:
    """Return which gradient each installed sampler uses, at its defaults."""
    users: dict[str, list[str]] = {}
    for name in samplers.names():
        if samplers.load(name).uses_gradient and samplers.remedy(name) is None:
            users.setdefault(methods.used_by(name), []).append(name)
    listed = {one.method for one in each.methods if one.cost is not None}
    return [
        f"{method} is what {', '.join(names)} use{'s' if len(names) == 1 else ''}"
        for method, names in users.items()
        if method in listed
    ]


def _by_cost(one: Measured) -> tuple[bool, float]:
    return one.cost is None, one.cost.default.estimate if one.cost is not None else 0.0


def _ratio(one: Measured, name: str) -> str:
    interval: Interval | None = None if one.cost is None else getattr(one.cost, name)
    return "–" if interval is None else significant(interval.estimate)


def _cost(one: Measured, figure: Callable[[Cost], float]) -> str:
    return "–" if one.cost is None else significant(figure(one.cost))


def _error(one: Measured) -> str:
    return "–" if one.error is None else f"{one.error.largest:.0e}"


def _small(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}"


def _power(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
