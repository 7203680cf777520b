"""The course of one model and sampler along a history: costs over commits, their steps marked."""

from collections.abc import Callable, Sequence
from typing import Any

from gradbench.gate.course import Course, Row
from gradbench.gate.history import Point
from gradbench.gate.words import times
from gradbench.report.colours import INK, LINE, MUTED, PAPER, SERIES
from gradbench.report.forest import HOLLOW, SHAPES, beside, log_axis, panel_width
from gradbench.report.lines import DASHES
from gradbench.report.material import bounds
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.report.ticks import log_domain
from gradbench.show.results import with_interval

NAME = "course"
HEIGHT = 190  # pixels
AXIS = 52  # pixels left of a panel
PER_LABEL = 18  # pixels that a point's name takes below the axis, on its side
MAX_LABEL = 90  # pixels: longer names are cut, and the table has them whole
FIRST = "first"  # in place of a verdict, where there is nothing before

COST, TIME = "cost", "time_us"
TITLES = {
    COST: "evaluations per effective sample",
    TIME: "µs of CPU time per evaluation",
}

Called = Callable[[Point], str]


def picture(course: Course, called: Called) -> Picture | None:
    """Return the course of costs, beside that of times; None where nothing has a cost.

    Args:
        course: what is drawn.
        called: what a point is called.
    """
    if not any(row.cost for row in course.rows):
        return None
    rows = [_line(row, called) for row in course.rows]
    panels = [name for name in (COST, TIME) if any(row[name] is not None for row in rows)]

    def draw(width: int) -> Spec:
        inner = panel_width(len(panels), width, AXIS * len(panels))
        return {
            "data": {"values": rows},
            **beside([_panel(rows, name, inner) for name in panels], width),
        }

    title = f"{course.sampler} on {course.model}"
    return Picture(NAME, title, reading(course, called), rows, draw)


def reading(course: Course, called: Called) -> str:
    """Return in a sentence from where to where the cost went, and at which steps."""
    costed = [row for row in course.rows if row.cost is not None]
    first, last = costed[0], costed[-1]
    said = [f"one effective sample took {with_interval(first.cost)} evaluations at"
            f" {called(first.point)}"]  # fmt: skip
    if last is not first:
        said.append(f"{with_interval(last.cost)} at {called(last.point)}")
    steps = [
        f"{called(row.point)}, {times(row.step.ratio)}" for row in costed if row.step is not None
    ]
    told = f"the cost steps at {'; at '.join(steps)}" if steps else "no step is marked"
    failed = len(course.rows) - len(costed)
    without = f"; {failed} of {len(course.rows)} have no cost" if failed else ""
    whole = f"{', and '.join(said)}; {told}{without}."
    return whole[0].upper() + whole[1:]


def _line(row: Row, called: Called) -> Drawn:
    step = None if row.step is None else row.step.ratio
    return {
        "point": called(row.point),
        "environment": row.environment,
        **bounds(COST, row.cost),
        **bounds(TIME, row.time_us),
        "verdict": FIRST if row.before is None else row.before.verdict,
        **bounds("step", step),
        "replicates": row.n_replicates,
    }


def _panel(rows: Sequence[Drawn], column: str, width: float) -> Spec:
    low, high = f"{column}_low", f"{column}_high"
    domain = log_domain([_number(row[name]) for row in rows for name in (column, low, high)])
    y = log_axis(domain, TITLES[column], HEIGHT)
    y["axis"] |= {"titleAlign": "left", "titleX": -AXIS + 8, "titleY": -24}
    place = {"x": _points_axis(rows, width), "y": {"field": column, **y}}
    environments = [*dict.fromkeys(str(row["environment"]) for row in rows)]
    series = _by("environment", environments, [colour.light for colour in SERIES])
    series["legend"] = (
        {"orient": "bottom", "title": "environment", "titleColor": MUTED.light,
         "labelColor": MUTED.light, "symbolType": "stroke"}
        if len(environments) > 1 else None
    )  # fmt: skip
    dashes = _by("environment", environments, DASHES)
    verdicts = [*dict.fromkeys(str(row["verdict"]) for row in rows)]
    shapes = _by("verdict", verdicts, [SHAPES.get(one, "circle") for one in verdicts])
    hollow = ", ".join(f"'{one}'" for one in verdicts if one in HOLLOW)
    is_hollow = {"test": f"indexof([{hollow}], datum.verdict) >= 0", "value": PAPER.light}
    is_known = {"filter": f"isValid(datum.{column})"}
    return {
        "width": width,
        "height": HEIGHT,
        "layer": [
            *(_steps(place["x"]) if column == COST else []),
            {
                "transform": [is_known],
                "mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.6},
                "encoding": {**place, "color": series, "strokeDash": dashes},
            },
            {
                "transform": [{"filter": f"isValid(datum.{low}) && isValid(datum.{high})"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**place, "y": {"field": low, **y}, "y2": {"field": high},
                             "color": series},
            },
            {
                "transform": [is_known],
                "mark": {"type": "point", "opacity": 1, "size": 50, "strokeWidth": 2},
                "encoding": {
                    **place, "color": series, "shape": shapes,
                    "fill": {"condition": is_hollow, **series},
                },
            },
        ],
        "resolve": {"scale": {"color": "shared"}},
    }  # fmt: skip


def _steps(x: dict[str, Any]) -> list[Spec]:
    """Return a line at the beginning of each step, with its ratio above."""
    is_step = {"filter": "isValid(datum.step)"}
    ratio = {"calculate": "'▲ ×' + format(datum.step, '.2f')", "as": "told"}
    return [
        {
            "transform": [is_step],
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": INK.light},
            "encoding": {"x": x, "y": {"value": 0}, "y2": {"value": "height"}},
        },
        {
            "transform": [is_step, ratio],
            "mark": {"type": "text", "align": "center", "dy": -6, "color": INK.light},
            "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "told"}},
        },
    ]


def _points_axis(rows: Sequence[Drawn], width: float) -> dict[str, Any]:
    """Return the axis with the points in order, as many of them named as there is room for."""
    points = [*dict.fromkeys(str(row["point"]) for row in rows)]
    every = -(-len(points) * PER_LABEL // int(width))
    return {
        "field": "point",
        "type": "ordinal",
        "sort": None,
        "scale": {"domain": points, "type": "point", "padding": 0.5},
        "axis": {
            "title": None, "labelAngle": -45, "labelLimit": MAX_LABEL, "grid": False,
            "values": points[::-1][::every], "domain": True, "domainColor": LINE.light,
        },
    }  # fmt: skip


def _by(field: str, domain: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    ranged = [values[i % len(values)] for i in range(len(domain))]
    return {
        "field": field, "type": "nominal", "legend": None,
        "scale": {"domain": [*domain], "range": ranged},
    }  # fmt: skip


def _number(value: str | float | None) -> float | None:
    return value if isinstance(value, int | float) else None
