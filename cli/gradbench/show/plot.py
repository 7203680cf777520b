"""The forest of costs in the terminal: a line of characters for each sampler."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench.config import planning
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.show.axis import Ends, place, ticks
from gradbench.show.console import bare_table, console
from gradbench.show.results import Section, sections, with_interval
from gradbench.stats.interval import Interval

WIDEST = 60  # characters of a forest
NARROWEST = 16
GAPS = 4  # characters between columns
HEADS = ("sampler", "[95 % CI]")
BAR, DOT = "─", "●"


def plot(found: Sequence[Summary], *, to: Console | None = None) -> None:
    """Print the cost of each model's samplers with its interval, on a logarithmic axis."""
    to = to or console()
    for section in sections(found):
        to.print()
        to.print(
            Text(section.title, style="bold") + Text(f"  {section.circumstances}", style="dim")
        )
        to.print(_forest(section, to.width))


def _forest(section: Section, width: int) -> Table:
    rows = [row for row in section.rows if row.status != "approximate"]
    names, told = _names(rows), [_told(row) for row in rows]
    ends = _ends([row.ms_per_ess for row in rows if row.ms_per_ess is not None])
    beside = max(map(len, [HEADS[0], *names])) + max(map(len, [HEADS[1], *told])) + GAPS
    room = max(NARROWEST, min(WIDEST, width - beside))
    table = bare_table()
    table.add_column(HEADS[0], vertical="bottom", overflow="fold")
    axis = "" if ends is None else ticks(ends, room, lambda tick: f"{tick:g}")
    table.add_column(axis, vertical="bottom", no_wrap=True, width=room)
    table.add_column(f"ms/ESS\n{HEADS[1]}", vertical="bottom", justify="right", overflow="fold")
    for name, row, words in zip(names, rows, told, strict=True):
        price = row.ms_per_ess
        line = "" if price is None or ends is None else _line(price, ends, room)
        table.add_row(Text(name), Text(line), Text(words), style="" if line else "dim")
    return table


def _names(rows: Sequence[Row]) -> list[str]:
    is_swept = len({row.model for row in rows}) > 1
    return [
        f"{row.sampler} at {planning.point(row.model)}" if is_swept else row.sampler for row in rows
    ]


def _told(row: Row) -> str:
    """Return the price in words, or why there is none."""
    if row.ms_per_ess is None:
        return row.status
    status = "made elsewhere" if row.is_elsewhere else row.status
    mark = "" if status == "ok" else f"{status} "
    return f"{mark}{with_interval(row.ms_per_ess)}"


def _ends(prices: Sequence[Interval]) -> Ends | None:
    """Return the ends of an axis for these prices; None where there is none."""
    known = [
        math.log10(value)
        for price in prices
        for value in (price.estimate, price.low, price.high)
        if value > 0 and math.isfinite(value)
    ]
    return (min(known), max(known)) if known else None


def _line(price: Interval, ends: Ends, room: int) -> str:
    """Return a bar from bound to bound, the estimate in it as a dot."""
    low, at, high = (
        place(math.log10(value), ends, room)
        for value in (
            (price.low, price.estimate, price.high)
            if price.low > 0 and math.isfinite(price.high)
            else (price.estimate,) * 3
        )
    )
    bar = [BAR if low <= i <= high else " " for i in range(high + 1)]
    bar[at] = DOT
    return "".join(bar)
