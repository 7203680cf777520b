"""Small multiples without axes: their shapes are what is looked at."""

from collections.abc import Sequence

from gradbench.report.colours import LINE
from gradbench.report.picture import Drawn, Spec

COLUMNS = 3
SPACING = 12  # pixels


def thumbnails(rows: Sequence[Drawn], layers: Sequence[Spec], width: int, height: int) -> Spec:
    """Return a panel for each ``panel`` of the rows, three to a line, each with its own axes."""
    inner = (width - SPACING * (COLUMNS - 1) - 18) / COLUMNS
    return {
        "data": {"values": [*rows]},
        "facet": {
            "field": "panel", "type": "nominal",
            "sort": [*dict.fromkeys(str(row["panel"]) for row in rows)],
            "header": {"title": None, "labelLimit": inner, "labelAnchor": "start"},
        },
        "columns": COLUMNS,
        "spacing": SPACING,
        "spec": {
            "width": inner, "height": height, "view": {"stroke": LINE.light},
            "layer": [*layers],
        },
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }  # fmt: skip
