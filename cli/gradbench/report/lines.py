"""Lines that are named at their ends, so that no colour has to be looked up in a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradbench.report.colours import INK, SERIES
from gradbench.report.forest import CHARACTER, known, log_axis
from gradbench.report.picture import Drawn, Spec
from gradbench.report.ticks import log_domain, reaching

MOST_LINES = 24  # with a name each; more can't be followed
LEAST_HEIGHT = 200  # pixels
NAME_HEIGHT = 15  # pixels of a name at a line's end
LEADER = 12  # pixels between lines and their names
LEFT = 52  # pixels of the axis
MAX_NAME = 0.3  # of the width
DASHES: tuple[list[int], ...] = ([], [6, 3], [2, 3], [8, 3, 2, 3])


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis: the column that is on it, and its title."""

    column: str
    title: str


def lines(
    rows: Sequence[Drawn],
    x: Axis,
    y: Axis,
    width: float,
    *,
    is_banded: bool = False,
    points: Sequence[Drawn] = (),
    level: float | None = None,
    order: Sequence[str] = (),
) -> Spec:
    """Return a line for each label, with its name at the end; both axes logarithmic.

    Colours and dashes come back after so many lines; the names tell them apart.

    Args:
        rows: each with a ``label``, the columns of both axes, and, if ``is_banded``, those of y
            with ``_low`` and ``_high`` behind it.
        x: the axis from left to right.
        y: the axis upwards.
        width: of all of it, axis and names included.
        is_banded: whether there is a band around each line.
        points: likewise, drawn as points with their intervals; named where there is no line.
        level: of y that is asked for, a dashed line.
        order: of the labels, which gives them their colours; that of the rows, if it is empty.
    """
    labels = [*order] or [*dict.fromkeys(str(row["label"]) for row in (*rows, *points))]
    names = min(6 + CHARACTER * max(map(len, labels)), MAX_NAME * width)
    width -= LEFT + LEADER + names
    height = max(LEAST_HEIGHT, NAME_HEIGHT * len(labels))
    low, high = f"{y.column}_low", f"{y.column}_high"
    bounds = [*known(points, low, high), *(known(rows, low, high) if is_banded else [])]
    x_axis = log_axis(_span([*rows, *points], x.column), x.title, width)
    levels = [] if level is None else [level]
    y_domain = log_domain([*reaching(known([*rows, *points], y.column), bounds), *levels])
    y_axis = log_axis(y_domain, y.title, height / 1.2)
    y_axis["axis"] |= {"titleAlign": "left", "titleX": -LEFT + 8, "titleY": -10}
    ends = _ends([*points, *rows], (x.column, y.column), labels, y_domain, height)
    colours = [SERIES[i % len(SERIES)].light for i in range(len(labels))]
    series = _by_label(labels, colours)
    dashes = _by_label(labels, [DASHES[i // len(SERIES) % 4] for i in range(len(labels))])
    place = {"x": {"field": x.column, **x_axis}, "y": {"field": y.column, **y_axis}}
    layers: list[Spec] = [
        _leaders(ends, place, series, width),
        *({
            "data": {"values": [{}]},
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": INK.light},
            "encoding": {"y": {"datum": at, **y_axis}},
        } for at in levels),
    ]  # fmt: skip
    if is_banded:
        layers.append(
            {
                "mark": {"type": "area", "opacity": 0.15},
                "encoding": {**place, "y": {"field": low, **y_axis}, "y2": {"field": high},
                             "color": series},
            }
        )  # fmt: skip
    layers.append(
        {
            "mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"},
            "encoding": {**place, "color": series, "strokeDash": dashes},
        }
    )
    layers += _points(points, place, series, low, high)
    layers.append(
        {
            "data": {"values": ends},
            "mark": {"type": "text", "align": "left", "limit": names},
            "encoding": {"x": {"value": width + LEADER}, "y": {**place["y"], "field": "named_at"},
                         "text": {"field": "label"}, "color": series},
        }
    )  # fmt: skip
    return {"width": width, "height": height, "data": {"values": [*rows]}, "layer": layers}


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return places moved apart, no two nearer than ``gap``, as little as that takes.

    Those that are too near form a group around their mean (isotonic regression).
    """
    order = np.argsort(places, kind="stable")
    groups: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, n = places[index] - rank * gap, 1
        while groups and groups[-1][0] > mean:
            other, m = groups.pop()
            mean, n = (mean * n + other * m) / (n + m), n + m
        groups.append((mean, n))
    moved = np.repeat([mean for mean, _ in groups], [n for _, n in groups])
    spread_out = np.empty(len(order))
    spread_out[order] = moved + gap * np.arange(len(order))
    return [float(place) for place in spread_out]


def _ends(
    rows: Sequence[Drawn],
    columns: tuple[str, str],
    labels: Sequence[str],
    domain: tuple[float, float],
    height: float,
) -> list[Drawn]:
    """Return where each line ends, and where its name stands: both in the units of the axes."""
    x, y = columns
    last = {str(row["label"]): row for row in sorted(rows, key=lambda row: float(row[x] or 0))}
    low, high = np.log(domain)
    pixels = [height * (np.log(float(last[name][y] or 1)) - low) / (high - low) for name in labels]
    moved = np.array(spread(pixels, NAME_HEIGHT))
    # As a whole they stay beside the lines.
    moved -= max(0, moved.max() - height) + min(0, moved.min())
    named = np.exp(low + moved / height * (high - low)).tolist()
    return [
        {"label": name, x: last[name][x], y: last[name][y], "named_at": at}
        for name, at in zip(labels, named, strict=True)
    ]


def _leaders(
    ends: Sequence[Drawn], place: dict[str, Any], series: dict[str, Any], width: float
) -> Spec:
    """Return the faint lines that lead from where a line ends to its name."""
    return {
        "data": {"values": [*ends]},
        "mark": {"type": "rule", "opacity": 0.35},
        "encoding": {**place, "x2": {"value": width + LEADER - 3}, "y2": {"field": "named_at"},
                     "color": series},
    }  # fmt: skip


def _points(
    points: Sequence[Drawn], place: dict[str, Any], series: dict[str, Any], low: str, high: str
) -> list[Spec]:
    if not points:
        return []
    data = {"values": [*points]}
    return [
        {
            "data": data,
            "transform": [{"filter": f"isValid(datum.{low})"}],
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {**place, "y": {**place["y"], "field": low}, "y2": {"field": high},
                         "color": series},
        },
        {
            "data": data,
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 36},
            "encoding": {**place, "color": series},
        },
    ]  # fmt: skip


def _span(rows: Sequence[Drawn], column: str) -> tuple[float, float]:
    """Return the ends of what is drawn, where lines begin and end; around a lone place, room."""
    places = [value for value in known(rows, column) if value > 0]
    ends = min(places), max(places)
    return ends if ends[0] < ends[1] else log_domain(ends)


def _by_label(labels: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    scale = {"domain": [*labels], "range": [*values]}
    return {"field": "label", "type": "nominal", "legend": None, "scale": scale}
