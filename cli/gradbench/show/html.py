"""The terminal's tables as HTML for notebooks: all columns, and nothing told by colour."""

from collections.abc import Iterable, Sequence, Set
from html import escape

from rich.table import Table

from gradbench.config.benchmark import Published
from gradbench.gate.verdict import Comparison
from gradbench.results.check_sampler import Contract
from gradbench.results.summary import Summary
from gradbench.show import contract as of_contract
from gradbench.show.comparison import NUMBERS, WORDS, one, sentences
from gradbench.show.results import published_figures, sections


def results(
    found: Sequence[Summary], *, published: Published | None = None, notes: Sequence[str] = ()
) -> str:
    """Return a run's tables, each with its sentences, and notes under all of them."""
    parts = []
    for section in sections(found):
        table = section.table(section.columns)
        parts += [
            _table(table, section.title, section.circumstances, headers=section.keys),
            _list(section.lines),
        ]
    said = [] if published is None else [published_figures(published)]
    return _page([*parts, _list([*said, *notes])])


def comparison(found: Comparison) -> str:
    """Return a comparison's table, and a sentence for each row that needs one."""
    table = one(found, [*NUMBERS])
    left_out = [] if table.caption is None else [str(table.caption)]
    return _page(
        [
            _table(table, found.sentence, f"{found.base} → {found.head}", headers=WORDS.keys()),
            _list([*left_out, *sentences(found), *found.notes]),
        ]
    )


def contract(found: Contract) -> str:
    """Return a sampler's contract, a row for each promise."""
    table = of_contract.lines(found)
    return _page([_table(table, found.use, of_contract.options(found), headers={of_contract.HEAD})])


def _table(table: Table, title: str, circumstances: str, *, headers: Set[str]) -> str:
    """Return a table with its caption; the columns named in ``headers`` head its rows."""
    caption = f"<strong>{_text(title)}</strong> {_text(circumstances)}"
    sides = [f"text-align: {column.justify}" for column in table.columns]
    heads = [
        f'<th scope="col" style="{side}">{_text(column.header)}</th>'
        for column, side in zip(table.columns, sides, strict=True)
    ]
    heading = [str(column.header) in headers for column in table.columns]
    bodies: list[str] = [""]
    for row, cells in zip(table.rows, _rows(table), strict=True):
        bodies[-1] += "<tr>"
        for text, side, is_heading in zip(cells, sides, heading, strict=True):
            start, end = ('th scope="row"', "th") if is_heading else ("td", "td")
            bodies[-1] += f'<{start} style="{side}">{text}</{end}>'
        bodies[-1] += "</tr>\n"
        if row.end_section:
            bodies.append("")
    return (
        f'<table>\n<caption style="caption-side: top; text-align: left">{caption}</caption>\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n"
        + "".join(f"<tbody>\n{body}</tbody>\n" for body in bodies if body)
        + "</table>"
    )


def _rows(table: Table) -> Iterable[Sequence[str]]:
    return zip(*([_text(cell) for cell in column.cells] for column in table.columns), strict=True)


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>" if items else ""


def _page(parts: Sequence[str]) -> str:
    return '<div lang="en">\n' + "\n".join(filter(None, parts)) + "\n</div>"


def _text(shown: object) -> str:
    """Return what is shown, escaped, its lines below each other."""
    return escape(str(shown)).replace("\n", "<br>")
