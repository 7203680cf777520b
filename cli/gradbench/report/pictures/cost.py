"""What one effective sample costs: in time, and in evaluations, with intervals."""

from collections.abc import Sequence

from gradbench.report.forest import MAX_LINES, Panel, forest
from gradbench.report.material import Material, bounds
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.results.rows import Row
from gradbench.show.results import with_interval

NAME = "cost"
TIME = Panel("ms_per_ess", "ms per effective sample")
COUNTED = Panel("evaluations_per_ess", "evaluations per effective sample")
WEIGHED = Panel("density_equivalents_per_ess", "log-densities' worth per effective sample")


def picture(material: Material) -> Picture | None:
    """Return the forest of costs; None where no sampler has one."""
    every = [row for row in material.rows if row.status != "approximate"]
    priced = [row for row in every if row.ms_per_ess or row.evaluations_per_ess]
    if not priced:
        return None
    # Where gradients and log-densities are weighed in one unit, that tells more.
    is_weighed = all(row.density_equivalents_per_ess for row in priced)
    counted = WEIGHED if is_weighed else COUNTED
    shown = [*priced, *(row for row in every if row not in priced)][:MAX_LINES]
    rows = [_line(material, row, counted.column) for row in shown]
    panels = [TIME, counted] if any(row.ms_per_ess for row in priced) else [counted]

    def draw(width: int) -> Spec:
        return forest(rows, panels, width)

    return Picture(
        NAME, "What one effective sample costs", _reading(material, shown, len(every)), rows, draw
    )


def _line(material: Material, row: Row, counted: str) -> Drawn:
    return {
        "label": material.label(row),
        **bounds("ms_per_ess", row.ms_per_ess),
        **bounds(counted, getattr(row, counted)),
        "status": "made elsewhere" if row.is_elsewhere else row.status,
        "reason": row.reason,
    }


def _reading(material: Material, shown: Sequence[Row], n: int) -> str:
    # Seconds of another machine are not ours.
    timed = [row for row in shown if row.ms_per_ess is not None and not row.is_elsewhere]
    counted = [row for row in shown if row.evaluations_per_ess is not None]
    column, unit = ("ms_per_ess", "ms") if timed else ("evaluations_per_ess", "evaluations")
    ranked = sorted(timed or counted, key=lambda row: getattr(row, column).estimate)
    ends = [
        f"{material.label(row)} takes {with_interval(getattr(row, column))}"
        for row in dict.fromkeys((ranked[0], ranked[-1]))
    ]
    said = [f"For one effective sample {' and '.join(ends)} {unit}"]
    if without := sum(row.ms_per_ess is row.evaluations_per_ess is None for row in shown):
        said.append(f"{without} without a price {'is' if without == 1 else 'are'} listed below")
    if any(row.status == "unreliable" for row in ranked):
        said.append("a hollow diamond is unreliable")
    if n > len(shown):
        said.append(f"{n - len(shown)} more are in the table above")
    return f"{'; '.join(said)}."
