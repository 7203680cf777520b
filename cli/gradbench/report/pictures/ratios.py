"""What changed between two results: ratios of costs, each with its verdict."""

import numpy as np

from gradbench.gate import rule
from gradbench.gate.verdict import Compared, Comparison
from gradbench.report.forest import MAX_LINES, Panel, forest
from gradbench.report.material import bounds
from gradbench.report.picture import Drawn, Picture, Spec

NAME = "ratios"
NEAR = float(np.exp(rule.PASS))
BAND = (1 / NEAR, NEAR)
EVALUATIONS = Panel("evaluations", "evaluations per effective sample, after / before", 1.0, BAND)
TIME = Panel("time", "time per evaluation, after / before", 1.0, BAND)


def picture(comparison: Comparison) -> Picture | None:
    """Return the ratios of what could be compared; None where nothing could."""
    shown = [row for row in comparison.rows if row.evaluations is not None][:MAX_LINES]
    if not shown:
        return None
    rows = [_line(row) for row in shown]
    is_timed = any(row.is_time_judged and row.time is not None for row in shown)
    panels = [EVALUATIONS, TIME] if is_timed else [EVALUATIONS]

    def draw(width: int) -> Spec:
        return forest(rows, panels, width, word="verdict", is_told=True)

    left_out = len(comparison.rows) - len(shown)
    said = [comparison.sentence.removesuffix(".")]
    said.append(f"the band is ×{BAND[0]:.2f} to ×{BAND[1]:.2f}, the dashed line no change")
    said += [f"{left_out} without a ratio are in the table"] if left_out else []
    title = f"From {comparison.base} to {comparison.head}"
    return Picture(NAME, title, f"{'; '.join(said)}.", rows, draw)


def _line(row: Compared) -> Drawn:
    is_timed = row.is_time_judged
    return {
        "label": row.name,
        **bounds("evaluations", row.evaluations),
        **bounds("time", row.time if is_timed else None),
        "verdict": row.verdict,
        "reason": row.reason,
    }
