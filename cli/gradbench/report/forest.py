"""Forest plots: a line for each label, with an estimate and its interval in each panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradbench.report.colours import ACCENT, BAND, INK, MUTED, PAPER
from gradbench.report.picture import TWO_COLUMNS, Drawn, Spec
from gradbench.report.ticks import log_domain, log_ticks, reaching

STEP = 22  # pixels from line to line
GAP = 28  # pixels between panels
EDGE = 10  # pixels right of them
CHARACTER = 6.2  # pixels that a character of a label takes
MAX_LABEL = 0.36  # of the width: longer labels are cut, and the table has them whole
MAX_LINES = 60  # of a forest: more are no picture
# Thousands apart, and powers of ten where there are too many of them.
NUMBER = (
    "datum.value >= 1000 && datum.value < 1e6"
    " ? replace(format(datum.value, ',.0f'), ',', '\u202f') : format(datum.value, '~g')"
)
TOLD = 84  # pixels for a word behind a line
SHAPES = {
    "unreliable": "diamond",
    "inconclusive": "diamond",
    "traded": "diamond",
    "regressed": "triangle-up",
    "improved": "triangle-down",
}  # of statuses and verdicts; others are circles
HOLLOW = frozenset({"unreliable", "inconclusive", "advisory", "traded"})


@dataclass(frozen=True, slots=True)
class Panel:
    """One axis of a forest plot.

    Attributes:
        column: of the estimates; its bounds are ``column_low`` and ``column_high``.
        title: of the axis.
        at: where a line stands that estimates are compared with.
        band: bounds of what is near enough to it.
    """

    column: str
    title: str
    at: float | None = None
    band: tuple[float, float] | None = None


def forest(
    rows: Sequence[Drawn],
    panels: Sequence[Panel],
    width: int,
    *,
    word: str = "status",
    is_told: bool = False,
) -> Spec:
    """Return a forest plot, its panels side by side, or below each other in one column.

    The shape of an estimate is that of its ``word``; where a line has none its word stands in the
    first panel.

    Args:
        rows: each with a ``label``, columns as the panels name them, and ``word``.
        panels: one at least.
        width: of all of it.
        word: the column of what is said of a line: a status or a verdict.
        is_told: whether the words other than ok stand behind the lines, too.
    """
    names = label_width([str(row["label"]) for row in rows], width)
    is_told = is_told and any(row[word] != "ok" for row in rows)
    is_wide = width >= TWO_COLUMNS
    inner = panel_width(len(panels), width, names + (TOLD if is_told else EDGE))
    drawn = [
        _panel(panel, rows, inner, word, names if panel is panels[0] or not is_wide else 0)
        for panel in panels
    ]
    drawn[0]["layer"].append(_words(rows, panels[0], word))
    if is_told:
        drawn[-1]["layer"].append(_told(word, inner))
    return {"data": {"values": [*rows]}, **beside(drawn, width)}


def panel_width(n: int, width: int, margin: float) -> float:
    """Return the pixels for each of so many panels, side by side where there is room for them."""
    columns = n if width >= TWO_COLUMNS else 1
    return (width - margin - GAP * (columns - 1)) / columns


def beside(panels: Sequence[Spec], width: int) -> Spec:
    """Return panels side by side where there is room for them, below each other elsewhere."""
    if len(panels) == 1:
        return panels[0]
    return {"hconcat" if width >= TWO_COLUMNS else "vconcat": [*panels], "spacing": GAP}


def known(rows: Sequence[Drawn], *columns: str) -> list[float]:
    """Return the numbers that there are in some columns."""
    return [float(value) for row in rows for name in columns if (value := row[name]) is not None]


def label_width(labels: Sequence[str], width: float) -> float:
    """Return how many pixels are left to labels: what the longest needs, if that isn't too much."""
    longest = max(map(len, labels), default=0)
    return min(12 + CHARACTER * longest, MAX_LABEL * width)


def label_axis(labels: Sequence[str], names: float) -> dict[str, Any]:
    """Return the axis with labels from top to bottom; without words where ``names`` is 0."""
    axis: dict[str, Any] = {
        "grid": False, "title": None, "minExtent": names, "maxExtent": names,
        "labelLimit": names - 8,
    }  # fmt: skip
    return {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": [*labels]},
        "axis": axis if names else None,
    }


def log_axis(domain: tuple[float, float], title: str, pixels: float) -> dict[str, Any]:
    """Return a logarithmic axis with so many ticks as its pixels have room for."""
    return {
        "type": "quantitative",
        "scale": {"type": "log", "domain": [*domain], "nice": False, "clamp": True},
        "axis": {
            "title": title,
            "values": log_ticks(domain, most=max(2, int(pixels / 55))),
            "labelExpr": NUMBER,
        },
    }


def _panel(panel: Panel, rows: Sequence[Drawn], width: float, word: str, names: float) -> Spec:
    low, estimate, high = f"{panel.column}_low", panel.column, f"{panel.column}_high"
    ends = [*(panel.band or ()), *([] if panel.at is None else [panel.at])]
    x = log_axis(
        log_domain([*reaching(known(rows, estimate), known(rows, low, high)), *ends]),
        panel.title,
        width,
    )
    words = [*dict.fromkeys(str(row[word]) for row in rows)]
    shapes = [SHAPES.get(one, "circle") for one in words]
    fills = [PAPER.light if one in HOLLOW else ACCENT.light for one in words]

    def by_word(values: Sequence[str]) -> dict[str, Any]:
        scale = {"domain": words, "range": values}
        return {"field": word, "type": "nominal", "scale": scale, "legend": None}

    return {
        "width": width,
        "height": STEP * len(rows),
        "encoding": {"y": label_axis([str(row["label"]) for row in rows], names)},
        "layer": [
            *_landmarks(panel),
            {
                "transform": [{"filter": f"isValid(datum.{low}) && isValid(datum.{high})"}],
                "mark": {"type": "rule", "strokeWidth": 2, "color": ACCENT.light},
                "encoding": {"x": {"field": low, **x}, "x2": {"field": high}},
            },
            {
                "transform": [{"filter": f"isValid(datum.{estimate})"}],
                "mark": {"type": "point", "opacity": 1, "size": 55, "strokeWidth": 2},
                "encoding": {
                    "x": {"field": estimate, **x},
                    "color": {"value": ACCENT.light},
                    "shape": by_word(shapes),
                    "fill": by_word(fills),
                },
            },
        ],
    }


def _words(rows: Sequence[Drawn], panel: Panel, word: str) -> Spec:
    """Return the words of the lines that have no estimate."""
    return {
        "data": {"values": [row for row in rows if row[panel.column] is None]},
        "mark": {"type": "text", "align": "left", "fontStyle": "italic", "color": MUTED.light},
        "encoding": {"x": {"value": 4}, "text": {"field": word}},
    }


def _told(word: str, width: float) -> Spec:
    """Return the words behind all lines that are not simply ok."""
    return {
        "transform": [{"filter": f"datum.{word} !== 'ok'"}],
        "mark": {"type": "text", "align": "left", "color": MUTED.light, "limit": TOLD - 12},
        "encoding": {"x": {"value": width + 10}, "text": {"field": word}},
    }


def _landmarks(panel: Panel) -> list[Spec]:
    """Return the line that estimates are compared with, and what is near enough to it."""
    layers: list[Spec] = []
    if panel.band is not None:
        layers.append(
            {
                "data": {"values": [dict(zip(("from", "to"), panel.band, strict=True))]},
                "mark": {"type": "rect", "color": BAND.light},
                "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"},
                             "y": {"value": 0}, "y2": {"value": "height"}},
            }
        )  # fmt: skip
    if panel.at is not None:
        layers.append(
            {
                "data": {"values": [{"at": panel.at}]},
                "mark": {"type": "rule", "color": INK.light, "strokeDash": [4, 3]},
                "encoding": {"x": {"field": "at", "type": "quantitative"},
                             "y": {"value": 0}, "y2": {"value": "height"}},
            }
        )  # fmt: skip
    return layers
