"""Rows to the terminal: the only module that imports rich."""

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import IO, Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from gradbench.config import Benchmark, Published
from gradbench.execute import Outcome
from gradbench.grid import Cell
from gradbench.report import Contest, Interval, Row, Summary, contests, rows

PIPE_WIDTH = 100  # columns where there is no terminal to ask


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its head, its text, and how late it is dropped where the terminal is narrow."""

    head: str
    text: Callable[[Row], str]
    rank: int
    align: Any = "right"


COLUMNS = (
    _Column("sampler", lambda row: row.sampler, 9, "left"),
    _Column("ms/ESS\n[95 % CI]", lambda row: _with_interval(row.ms_per_ess), 9),
    _Column("worst\nms/ESS", lambda row: _estimate(row.worst_ms_per_ess), 4),
    _Column("evals\n/ESS", lambda row: _estimate(row.evaluations_per_ess), 6),
    _Column("ESS", lambda row: _significant(row.ess), 7),
    _Column("warm-up +\nsampling s", lambda row: _phases(row.warmup_s, row.sampling_s), 3),
    _Column("compile\ns", lambda row: _significant(row.compile_s), 1),
    _Column("R-hat", lambda row: _rhat(row.rhat), 5),
    _Column("div.", lambda row: "–" if row.n_divergences is None else str(row.n_divergences), 2),
    _Column("status", lambda row: row.status, 8, "left"),
)


def console(file: IO[str] | None = None) -> Console:
    """Return a console for a stream, stdout by default; 100 columns wide in a pipe."""
    file = file or sys.stdout
    is_narrowed = file.isatty() or "COLUMNS" in os.environ
    return Console(
        file=file, width=None if is_narrowed else PIPE_WIDTH, highlight=False, soft_wrap=False
    )


def results(
    found: Sequence[Summary], *, published: Published | None = None, to: Console | None = None
) -> None:
    """Print a table for each model, and under it what it says in sentences."""
    to = to or console()
    against = contests(found)
    for model, group in groupby(rows(found), key=lambda row: row.model):
        table = list(group)
        first = next(s for s in found if s.model == model)
        to.print()
        to.print(Text(model, style="bold") + Text(_circumstances(table), style="dim"))
        to.print(_table(table, to))
        to.print()
        for line in _lines(table, [c for c in against if c.model == model], first):
            to.print(_item(line))
    if published is not None:
        to.print(_item(_published(published)))


def outcome(done: Outcome, benchmark: Benchmark, *, to_stderr: bool) -> None:
    """Print a run's table, to stderr where stdout carries data, and where its results are."""
    stderr = console(sys.stderr)
    results(done.found, published=benchmark.published, to=stderr if to_stderr else None)
    stderr.print(f"results: {done.folder}", soft_wrap=True)
    if done.is_interrupted:
        stderr.print(
            f"interrupted; finish it with: gradbench run --resume {done.folder}", soft_wrap=True
        )


def plan(cells: Sequence[Cell], *, to: Console | None = None) -> int:
    """Print the cells in the order they would run, and return exit code 0."""
    to = to or console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("#", "model", "sampler", "replicate", "seed"):
        table.add_column(head, justify="right" if head in {"#", "replicate", "seed"} else "left")
    for number, cell in enumerate(cells, start=1):
        table.add_row(str(number), cell.model, cell.sampler, str(cell.replicate), str(cell.seed))
    to.print(table)
    to.print(f"{len(cells)} cells; nothing was run")
    return 0


class Display:
    """Progress on stderr while cells run; silent where stderr is no terminal, or when quiet."""

    def __init__(self, n_cells: int, *, is_quiet: bool) -> None:
        stderr = console(sys.stderr)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=is_quiet or not stderr.is_terminal,
            # A redraw takes the time of the one other core: be seldom.
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("starting", total=n_cells)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def compiling(self, model: str, sampler: str) -> None:
        """Show that a model is compiled for a sampler."""
        self._say(f"compiling {model} {sampler}".rstrip())

    def sampling(self, cell: Cell) -> None:
        """Show that a cell runs."""
        self._say(f"{cell.model} {cell.sampler} #{cell.replicate + 1}")

    def finished(self, n: int = 1) -> None:
        """Count n more cells as done."""
        self._progress.advance(self._task, n)

    def _say(self, words: str) -> None:
        self._progress.update(self._task, description=words)


def _table(found: Sequence[Row], to: Console) -> Table:
    """Return the table with as many columns as the width has room for, the least needed dropped."""
    columns = list(COLUMNS)
    while True:
        table = _render(found, columns)
        unbounded = to.options.update(max_width=1000)
        if to.measure(table, options=unbounded).maximum <= to.width or len(columns) <= 3:
            break
        columns.remove(min(columns, key=lambda column: column.rank))
    if len(columns) < len(COLUMNS):
        hidden = [
            c.head.replace("\n/", "/").replace("\n", " ") for c in COLUMNS if c not in columns
        ]
        table.caption = f"not shown for want of width: {', '.join(hidden)}"
        table.caption_justify = "left"
    return table


def _item(line: str) -> Table:
    """Return a line with a hanging indent where it wraps."""
    item = Table.grid(padding=(0, 1, 0, 0))
    item.add_row("•", line)
    return item


def _render(found: Sequence[Row], columns: Sequence[_Column]) -> Table:
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in columns:
        table.add_column(column.head, justify=column.align, no_wrap=True, vertical="bottom")
    for row in found:
        style = "" if row.ms_per_ess is not None else "dim"
        table.add_row(*(column.text(row) for column in columns), style=style)
    return table


def _circumstances(found: Sequence[Row]) -> str:
    n = max(row.n_replicates for row in found)
    replicates = f"{n} replicate{'s' if n > 1 else ''}"
    start = {
        "uniform": "started from uniform(-2, 2) on the unconstrained scale",
        "reference": "started from exact draws, so burn-in is not seen",
        "model": "started around the model's initial point",
        "map": "started around the mode",
    }[found[0].init]
    return f"  {replicates}, {start}"


def _lines(found: Sequence[Row], against: Sequence[Contest], first: Summary) -> list[str]:
    lines = [_sentence(contest) for contest in against]
    judged = [
        f"{row.sampler} {_with_interval(row.calibration)}" for row in found if row.calibration
    ]
    if judged:
        lines.append(f"ESS claimed / ESS from errors against known moments: {'; '.join(judged)}")
    lines.append(_density(first))
    lines += [_reason(row) for row in found if row.reason]
    return lines


def _reason(row: Row) -> str:
    share = "" if row.n_status == row.n_replicates else f" in {row.n_status} of {row.n_replicates}"
    return f"{row.sampler}: {row.status}{share}: {row.reason}"


def _sentence(contest: Contest) -> str:
    if contest.time.low <= 1 <= contest.time.high:
        return (
            f"no clear difference in time between {contest.best} and {contest.other}:"
            f" {_with_interval(contest.time)} times"
        )
    return (
        f"{contest.best} is {_with_interval(contest.time)} times cheaper than {contest.other}"
        f" in time, {_with_interval(contest.evaluations)} times in evaluations"
    )


def _density(first: Summary) -> str:
    if first.density_n_points is None:
        return "density check: not made"
    values, slopes = first.density_value_error, first.density_gradient_error
    return (
        f"density check: {first.density_n_points} points, largest relative difference of values"
        f" {'not finite' if values is None else f'{values:.0e}'}"
        + ("" if slopes is None else f", of gradients {slopes:.0e}")
    )


def _published(published: Published) -> str:
    figures = dict(published.ms_per_ess)
    said = ", ".join(f"{sampler} {value:g}" for sampler, value in figures.items())
    ratio = max(figures.values()) / min(figures.values())
    return f"published: {said} ms/ESS, ratio {ratio:.0f} ({published.source})"


def _with_interval(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    if math.isnan(interval.low):
        return _significant(interval.estimate)
    low, high = _significant(interval.low), _significant(interval.high)
    return f"{_significant(interval.estimate)} [{low}, {high}]"


def _estimate(interval: Interval | None) -> str:
    return "–" if interval is None else _significant(interval.estimate)


def _phases(*spent_s: float | None) -> str:
    return "–" if None in spent_s else "+".join(map(_significant, spent_s))


def _rhat(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _significant(value: float | None) -> str:
    """Return three significant digits, never in powers of ten: 0.0123, 1.23, 1230."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}".replace(",", " ")
