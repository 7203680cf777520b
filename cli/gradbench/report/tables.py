"""Tables of a page: text that means nothing but itself, numbers set to the right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gradbench.report.picture import Picture
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.show.console import significant
from gradbench.show.results import Section, count

RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufefc]+(?:[\s-]+[\u0590-\u08ff\ufb1d-\ufefc]+)*")
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # Unicode's explicit directions
MOST_LINES = 200  # of the numbers of one picture: a page isn't where they are computed with


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column: its text, and whether numbers stand below it."""

    text: str
    is_number: bool


def of_section(section: Section, name: str) -> str:
    """Return the table of a model, as the terminal has it, with all its columns."""
    columns = section.columns
    heads = [Head(column.head, column.align == "right") for column in columns]
    keys = section.keys
    return table(
        name,
        heads,
        [[column.text(row) for column in columns] for row in section.rows],
        keys=[i for i, column in enumerate(columns) if column.head in keys],
        looks=[_look(row) for row in section.rows],
    )


def of_cells(cells: Sequence[Summary], columns: Sequence[str], name: str) -> str:
    """Return a table with a line for each cell, of these columns of ``results.csv``."""
    lines = [[shown(getattr(cell, column)) for column in columns] for cell in cells]
    first = [getattr(cells[0], column) for column in columns]
    heads = [
        Head(column, isinstance(value, int | float))
        for column, value in zip(columns, first, strict=True)
    ]
    return table(name, heads, lines, keys=[0, 1])


def of_picture(picture: Picture, name: str) -> str:
    """Return the numbers that a picture is drawn from, the first of them if they are many."""
    columns = [*picture.rows[0]]
    heads = [
        Head(
            column.replace("_", " "),
            any(isinstance(row[column], int | float) for row in picture.rows),
        )
        for column in columns
    ]
    some = picture.rows[:MOST_LINES]
    lines = [[shown(row[column]) for column in columns] for row in some]
    made = table(name, heads, lines, keys=[0])
    if len(some) == len(picture.rows):
        return made
    n, every = count(len(some)), count(len(picture.rows))
    return (
        f"{made}\n<p class=note>The first {n} of {every} lines;"
        f" <code>gradbench report --format svg --only {picture.name}</code> writes all of them.</p>"
    )


def table(
    name: str,
    heads: Sequence[Head],
    lines: Sequence[Sequence[str]],
    *,
    keys: Sequence[int],
    looks: Sequence[str] = (),
) -> str:
    """Return a table in a box of its own, which scrolls where the page is too narrow for it.

    Args:
        name: what it is called by those who don't see it.
        heads: of the columns.
        lines: the text of each cell.
        keys: the columns that head a line.
        looks: classes of the lines.
    """
    sides = [" class=n" if head.is_number else "" for head in heads]
    top = "".join(
        f"<th scope=col{side}>{text(head.text)}" for head, side in zip(heads, sides, strict=True)
    )
    kinds = ["th scope=row" if i in keys else "td" for i in range(len(heads))]
    body = []
    for i, line in enumerate(lines):
        look = f" class={looks[i]}" if looks and looks[i] else ""
        cells = (
            f"<{kind}{side}>{text(cell)}"
            for kind, side, cell in zip(kinds, sides, line, strict=True)
        )
        body.append(f"<tr{look}>{''.join(cells)}")
    return (
        f'<div class=scroll tabindex=0 role=group aria-label="{attribute(name)}"><table>'
        f"<thead><tr>{top}<tbody>\n" + "\n".join(body) + "\n</table></div>"
    )


def shown(value: object) -> str:
    """Return a value as a cell shows it: three digits of a number, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return str(value) if isinstance(value, int) else small(value)


def small(value: float) -> str:
    """Return three significant digits, in powers of ten where there are too many zeros."""
    return f"{value:.2e}" if value and abs(value) < 1e-4 else significant(value)


def text(shown: object) -> str:
    """Return what is shown as HTML: escaped, and what is written from right to left kept apart.

    Marks that would turn round what follows them are no letters of any name.
    """
    return RIGHT_TO_LEFT.sub(r"<bdi>\g<0></bdi>", attribute(shown)).replace("\n", "<br>")


def attribute(shown: object) -> str:
    """Return what is shown as an attribute's value, escaped."""
    return TURNING.sub("\ufffd", escape(str(shown)))


def _look(row: Row) -> str:
    is_priced = row.ms_per_ess is not None or row.status == "approximate" or row.is_elsewhere
    return "" if is_priced else "unpriced"
