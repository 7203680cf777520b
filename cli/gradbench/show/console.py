"""Where text goes, and how numbers look in it."""

import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Generic, Literal, TypeVar

from rich.box import Box
from rich.console import Console
from rich.table import Table

Some = TypeVar("Some")
Shown = TypeVar("Shown")

BARE = Box(
    "    \n    \n ── \n    \n ── \n    \n    \n    \n"
)  # rules below heads, between sections
PIPE_WIDTH = 100  # columns where there is no terminal to ask


@dataclass(frozen=True, slots=True)
class Column(Generic[Shown]):
    """A column: its head, its text, and how late it is dropped where the terminal is narrow."""

    head: str
    text: Callable[[Shown], str]
    rank: int
    align: Any = "right"


def plural(n: int, what: str) -> str:
    """Return a number of things, in the plural if need be."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def console(file: IO[str] | None = None) -> Console:
    """Return a console for a stream, stdout by default; 100 columns wide in a pipe.

    What is printed is text: brackets and colons in labels, parameters and messages mean nothing.
    """
    file = file or sys.stdout
    is_narrowed = file.isatty() or "COLUMNS" in os.environ
    return Console(
        file=file,
        width=None if is_narrowed else PIPE_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        force_jupyter=False,  # in a notebook, too, it goes where it is sent
    )


def text(shown: Callable[[Console], None], *, width: int) -> str:
    """Return what is printed to a console of so many columns, without colours."""
    file = io.StringIO()
    shown(
        Console(
            file=file,
            width=width,
            color_system=None,
            force_terminal=False,
            force_jupyter=False,
            markup=False,
            emoji=False,
            highlight=False,
        )
    )
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def item(line: str) -> Table:
    """Return a line with a hanging indent where it wraps."""
    item = Table.grid(padding=(0, 1, 0, 0))
    item.add_row("•", line)
    return item


def bare_table() -> Table:
    """Return a table without columns, in the style that all have."""
    return Table(
        box=BARE, show_edge=False, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )


def table(left: Sequence[str], right: Sequence[str]) -> Table:
    """Return an empty table: columns of words, set to the left, then of numbers, to the right."""
    empty = bare_table()
    is_tall = any("\n" in head for head in (*left, *right))
    vertical: Literal["top", "bottom"] = "bottom" if is_tall else "top"
    for head in left:
        empty.add_column(head, vertical=vertical, overflow="fold")
    for head in right:
        empty.add_column(head, justify="right", vertical=vertical, overflow="fold")
    return empty


def fitted(
    columns: Sequence[Some],
    render: Callable[[Sequence[Some]], Table],
    to: Console,
    *,
    expendable: Iterable[Some],
    head: Callable[[Some], str],
) -> Table:
    """Return the table of as many columns as can be shown without a word of them cut.

    What is hidden is told in its caption.

    Args:
        columns: all of them.
        render: makes the table of some.
        to: where it is shown.
        expendable: those that may be hidden, the least needed first.
        head: what stands above a column.
    """
    shown, table = list(columns), render(columns)
    unbounded = to.options.update(max_width=1000)
    for column in expendable:
        if to.measure(table, options=unbounded).maximum <= to.width:
            break
        shown.remove(column)
        table = render(shown)
    if hidden := [head(column) for column in columns if column not in shown]:
        words = (text.replace("\n/", "/").replace("\n", " ") for text in hidden)
        said = [table.caption] if table.caption else []
        said.append(f"hidden (terminal too narrow): {', '.join(words)}")
        table.caption, table.caption_justify = "\n".join(map(str, said)), "left"
    return table


def significant(value: float | None) -> str:
    """Return three significant digits, never in powers of ten: 0.0123, 1.23, 1230."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}".replace(",", " ")
