"""A picture before it is drawn: what it says, the numbers in it, and how it is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
"""A Vega-Lite specification."""

Drawn = Mapping[str, str | float | None]
"""A line of the table of what is drawn, by column."""

ONE_COLUMN, TWO_COLUMNS = 336, 692  # CSS pixels: 89 and 183 mm, as journals have them


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture before it is drawn.

    Attributes:
        name: what ``--only`` takes, and its file is called.
        title: what stands above it.
        reading: what it shows, in one sentence made of its numbers.
        rows: the numbers drawn, all with the same columns.
        draw: returns the specification for a width in CSS pixels.
    """

    name: str
    title: str
    reading: str
    rows: Sequence[Drawn]
    draw: Callable[[int], Spec]
