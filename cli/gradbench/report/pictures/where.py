"""Where the cost goes: into evaluations of the density, and into all that is around them."""

from collections.abc import Sequence

from gradbench.report.colours import ACCENT, LINE, MUTED, PAPER
from gradbench.report.forest import EDGE, MAX_LINES, STEP, label_axis, label_width, log_axis
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.report.ticks import log_domain
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.show.console import significant

NAME = "where"
FACTOR = 44  # pixels for how many times as much it is


def picture(material: Material) -> Picture | None:
    """Return each sampler's cost beside that of its bare evaluations; None if none was timed."""
    bare = {cell.model: cell for cell in material.found if cell.logdensity_s is not None}
    rows = [
        _line(material, row, bare[row.model])
        for row in material.rows
        if row.ms_per_ess
        and row.density_equivalents_per_ess
        and row.model in bare
        and not row.is_elsewhere
    ][:MAX_LINES]
    if not rows:
        return None

    def draw(width: int) -> Spec:
        return _spec(rows, width)

    return Picture(NAME, "Where the cost goes", _reading(rows), rows, draw)


def _line(material: Material, row: Row, cell: Summary) -> Drawn:
    equivalents = 0.0 if (e := row.density_equivalents_per_ess) is None else e.estimate
    paid = 0.0 if row.ms_per_ess is None else row.ms_per_ess.estimate
    density_ms = 1e3 * (cell.logdensity_s or 0.0)
    alone = equivalents * density_ms
    return {
        "label": material.label(row),
        "density_equivalents_per_ess": equivalents,
        "logdensity_ms": density_ms,
        "evaluations_ms_per_ess": alone,
        "times": paid / alone,
        "ms_per_ess": paid,
    }


def _spec(rows: Sequence[Drawn], width: int) -> Spec:
    labels = [str(row["label"]) for row in rows]
    names = label_width(labels, width)
    inner = width - names - EDGE - FACTOR
    ends = [
        float(row[name] or 0) for row in rows for name in ("evaluations_ms_per_ess", "ms_per_ess")
    ]
    x = log_axis(log_domain(ends), "ms per effective sample", inner)
    point = {"type": "point", "opacity": 1, "size": 55, "strokeWidth": 2, "color": ACCENT.light}
    return {
        "data": {"values": [*rows]},
        "width": inner,
        "height": STEP * len(rows),
        "encoding": {"y": label_axis(labels, names)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 5, "color": LINE.light},
                "encoding": {
                    "x": {"field": "evaluations_ms_per_ess", **x}, "x2": {"field": "ms_per_ess"},
                },
            },
            {
                "mark": {**point, "fill": PAPER.light},
                "encoding": {"x": {"field": "evaluations_ms_per_ess", **x}},
            },
            {
                "mark": {**point, "fill": ACCENT.light},
                "encoding": {"x": {"field": "ms_per_ess", **x}},
            },
            {
                "transform": [{"calculate": "'×' + format(datum.times, '.2r')", "as": "told"}],
                "mark": {"type": "text", "align": "right", "color": MUTED.light},
                "encoding": {"x": {"value": inner + FACTOR}, "text": {"field": "told"}},
            },
        ],
    }  # fmt: skip


def _reading(rows: Sequence[Drawn]) -> str:
    most = max(rows, key=lambda row: float(row["times"] or 0))
    least = min(rows, key=lambda row: float(row["times"] or 0))
    told = [f"{row['label']} {significant(float(row['times'] or 0))}"
            for row in ([most] if most is least else [most, least])]  # fmt: skip
    return (
        "From what the evaluations would cost by themselves (hollow: their number times one bare"
        " log-density) to what an effective sample does cost (filled), warm-up included, it is so"
        f" many times: {', '.join(told)}."
    )
