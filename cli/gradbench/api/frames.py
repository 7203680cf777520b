"""Records to pandas' frames: a column for each field, units in the names."""

import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gradbench.errors import LibraryError
from gradbench.stats.interval import Interval

if TYPE_CHECKING:
    import pandas as pd

PAIRS = {  # what the two numbers of a field are
    "log_evidence": ("log_evidence", "log_evidence_se"),
    "lone_z": ("lone_z", "lone_z_by_chance"),
}


def frame(kind: type, records: Sequence[object]) -> "pd.DataFrame":
    """Return a row for each record of a dataclass; an interval takes three columns.

    A number that is missing is NaN, a word that is missing is None.

    Raises:
        LibraryError: pandas isn't installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise LibraryError("pandas is not installed: pip install pandas") from error
    known, hints = typing.cast("Any", kind), typing.get_type_hints(kind)
    columns: dict[str, Any] = {}
    for field in fields(known):
        values = [getattr(record, field.name) for record in records]
        for name, (taken, dtype) in _columns(field.name, hints[field.name]).items():
            columns[name] = pd.Series([taken(value) for value in values], dtype=dtype)
    return pd.DataFrame(columns)


_Column = tuple[Callable[[Any], Any], str | None]


def _columns(name: str, hint: Any) -> dict[str, _Column]:
    """Return the columns that a field makes: what is taken of its value, and as what."""
    options = set(typing.get_args(hint))
    if Interval in options:
        ends = {name: "estimate", f"{name}_low": "low", f"{name}_high": "high"}
        return {column: (_attribute(end), "float64") for column, end in ends.items()}
    if name in PAIRS:
        return {column: (_item(i), "float64") for i, column in enumerate(PAIRS[name])}
    if typing.get_origin(hint) is tuple:
        return {name: (", ".join, "object")}
    if options & {int, float}:
        return {name: (lambda value: math.nan if value is None else value, "float64")}
    known = {int: "int64", float: "float64", bool: "bool"}
    return {name: (lambda value: value, known.get(hint, "object"))}


def _attribute(end: str) -> Callable[[Any], float]:
    return lambda interval: math.nan if interval is None else getattr(interval, end)


def _item(i: int) -> Callable[[Any], float]:
    return lambda pair: math.nan if pair is None else pair[i]
