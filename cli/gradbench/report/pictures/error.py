"""Error against cost: how far moments are off after how much work."""

import math

from gradbench.config import planning
from gradbench.report.lines import MOST_LINES, Axis, lines
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.results.curves import GOAL, Point, points
from gradbench.show.console import significant

NAME = "error"
STEP = 1.02  # between the costs of two points that are drawn: one or two pixels
Y = Axis("b2", "b² of the worst parameter")
WEIGHED = Axis("density_equivalents", "log-densities' worth of work, warm-up included")
COUNTED = Axis("evaluations", "evaluations, warm-up included")


def picture(material: Material) -> Picture | None:
    """Return error against cost; None where there are no moments to compare with.

    Of a sweep that is its last point.
    """
    last = material.rows[-1].model if material.rows else ""
    of_last = [point for point in points(material.curves) if point.model == last]
    is_weighed = all(math.isfinite(point.density_equivalents) for point in of_last)
    x = WEIGHED if is_weighed else COUNTED
    rows = [
        row for point in of_last if _is_drawn(row := _line(point, x.column), x.column)
    ]  # fmt: skip
    if not rows:
        return None
    ends = {str(row["label"]): float(row["b2"] or 0) for row in rows}
    drawn = sorted(ends, key=lambda name: ends[name])[:MOST_LINES]
    order = material.ordered(drawn, last)
    by_label = {label: [row for row in rows if row["label"] == label] for label in order}
    rows = [row for of_one in by_label.values() for row in _apart(of_one, x.column)]
    n_points = {label: sum(row["label"] == label for row in rows) for label in _labels(rows)}
    followed = [row for row in rows if n_points[str(row["label"])] > 1]
    lone = [row for row in rows if n_points[str(row["label"])] == 1]

    def draw(width: int) -> Spec:
        return lines(followed, x, Y, width, is_banded=True, points=lone, level=GOAL, order=order)

    at = f" at {planning.point(last)}" if material.is_swept else ""
    return Picture(NAME, f"Error against cost{at}", _reading(of_last, rows), rows, draw)


def _line(point: Point, column: str) -> Drawn:
    return {
        "label": point.sampler,
        column: getattr(point, column),
        "seconds": point.seconds if math.isfinite(point.seconds) else None,
        "b2": point.b2.estimate,
        "b2_low": point.b2.low,
        "b2_high": point.b2.high,
        "is_approximate": "yes" if point.is_approximate else "no",
    }


def _is_drawn(row: Drawn, column: str) -> bool:
    return all(
        isinstance(value := row[name], float) and math.isfinite(value) and value > 0
        for name in (column, "b2", "b2_low", "b2_high")
    )


def _apart(rows: list[Drawn], column: str) -> list[Drawn]:
    """Return the points of a line without those that would fall on the one before; ends stay."""
    kept, drawn_at = [], 0.0
    for row in rows:
        at = float(row[column] or 0)
        if at > STEP * drawn_at or row is rows[-1]:
            kept.append(row)
            drawn_at = at
    return kept


def _labels(rows: list[Drawn]) -> list[str]:
    return [*dict.fromkeys(str(row["label"]) for row in rows)]


def _reading(of_last: list[Point], rows: list[Drawn]) -> str:
    ends = {str(row["label"]): float(row["b2"] or 0) for row in rows}
    best, worst = (choose(ends, key=lambda name: ends[name]) for choose in (min, max))
    told = [f"{name} ends at {significant(ends[name])}" for name in dict.fromkeys((best, worst))]
    said = [
        f"Squared errors in units of the variance, compared with {of_last[0].against}: median and"
        f" 10 % to 90 % of the replicates; {', '.join(told)}; dashed: {GOAL:g}, a tenth of a"
        " posterior sd"
    ]
    if any(row["is_approximate"] == "yes" for row in rows):
        said.append("approximations are points")
    return f"{'; '.join(said)}."
