"""Rows to CSV and JSON: full precision, units in the names, a stable order of columns."""

import csv
import io
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from gradbench import records
from gradbench.errors import StoreError
from gradbench.results.parameters import ParameterRow
from gradbench.results.summary import Summary


def to_csv(table: Sequence[Summary]) -> str:
    """Return a table as CSV with a header; what is no finite number is empty, floats are exact."""
    return "".join(csv_lines(table))


def csv_lines(
    table: Iterable[Summary] | Iterable[ParameterRow],
    *,
    kind: type[Summary | ParameterRow] = Summary,
    has_head: bool = True,
) -> Iterator[str]:
    """Yield the lines of a table as CSV, as ``to_csv`` has them."""
    line = io.StringIO(newline="")
    writer = csv.writer(line, lineterminator="\n")
    names = [field.name for field in fields(kind)]
    if has_head:
        writer.writerow(names)
    values = attrgetter(*names)
    for row in table:
        writer.writerow(map(records.to_plain, values(row)))
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def to_json(table: Sequence[Summary], *, indent: int = 2) -> str:
    """Return a table as a JSON array of objects, one per cell, under the CSV's names."""
    return records.to_json(table, indent=indent)


def from_csv(path: Path) -> list[Summary]:
    """Return the summaries a ``results.csv`` holds.

    Raises:
        StoreError: it is not such a file, or a line of it is damaged.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: can't be read as CSV: {error}") from error
    if not lines:
        raise StoreError(f"{path}: no results in it")
    required = [field.name for field in fields(Summary) if field.default is MISSING]
    if missing := [name for name in required if name not in lines[0]]:
        raise StoreError(f"{path}: not a results.csv: it has no column {missing[0]!r}")
    return [_summary(path, number, line) for number, line in enumerate(lines, start=2)]


def _summary(path: Path, number: int, line: dict[str, Any]) -> Summary:
    known = {field.name: _reader(field.type) for field in fields(Summary)}
    if None in line or None in line.values():
        raise StoreError(f"{path}:{number}: cut short, or with a field too many")
    try:
        return Summary(**{name: known[name](text) for name, text in line.items() if name in known})
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path}:{number}: not a line of a results.csv: {error}") from error


def _reader(kind: Any) -> Any:
    """Return what turns a field's text into its type, an empty one into None if it may be."""
    value, may_be_empty = value_of(kind)
    return (lambda text: value(text) if text else None) if may_be_empty else value


def value_of(kind: Any) -> tuple[type, bool]:
    """Return the type of a field's values, and whether it may have none."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return next(option for option in options if option is not types.NoneType), len(options) > 1
