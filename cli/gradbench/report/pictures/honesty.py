"""Whether samplers are honest: the ESS that they claim over the ESS that their errors allow."""

from gradbench.report.forest import MAX_LINES, Panel, forest
from gradbench.report.material import Material, bounds
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.show.results import with_interval

NAME = "honesty"
PANEL = Panel("claimed_over_allowed", "ESS claimed / ESS that the errors allow", at=1.0)


def picture(material: Material) -> Picture | None:
    """Return claimed over error-based ESS; None where no moments are known, or of one replicate."""
    first = {(cell.model, cell.sampler): cell for cell in reversed(material.found)}
    judged = [row for row in material.rows if row.calibration is not None][:MAX_LINES]
    if not judged:
        return None
    rows = [_line(material, row, first[row.model, row.sampler]) for row in judged]

    def draw(width: int) -> Spec:
        return forest(rows, [PANEL], width, is_told=True)

    return Picture(NAME, "Does the ESS fit the errors?", _reading(material, judged), rows, draw)


def _line(material: Material, row: Row, cell: Summary) -> Drawn:
    ratio, allowed = row.calibration, cell.error_based_ess
    return {
        "label": material.label(row),
        "claimed_ess": None if ratio is None or allowed is None else allowed * ratio.estimate,
        "error_based_ess": allowed,
        "error_based_ess_low": cell.error_based_ess_low,
        "error_based_ess_high": cell.error_based_ess_high,
        **bounds(PANEL.column, ratio),
        "status": row.status,
        "reason": row.reason,
    }


def _reading(material: Material, judged: list[Row]) -> str:
    above = [row for row in judged if row.calibration is not None and row.calibration.low > 1]
    known = "From errors against known moments"
    if not above:
        return f"{known} no ESS of means is larger than chance allows: every interval reaches 1."
    told = "; ".join(f"{material.label(row)} {with_interval(row.calibration)}" for row in above[:3])
    more = f"; and {len(above) - 3} more" if len(above) > 3 else ""
    return f"{known} these claim too much for means, so many times what errors allow: {told}{more}."
