"""Each parameter's ESS and R-hat, by sampler: whether it is one that is hard, or all of them."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from gradbench.config import planning
from gradbench.report.colours import ACCENT, INK, MUTED
from gradbench.report.forest import (
    EDGE,
    MAX_LINES,
    beside,
    label_axis,
    label_width,
    log_axis,
    panel_width,
)
from gradbench.report.material import Material
from gradbench.report.picture import TWO_COLUMNS, Drawn, Picture, Spec
from gradbench.report.ticks import log_domain
from gradbench.results.parameters import ParameterRow, parameter_rows
from gradbench.show.console import significant

NAME = "parameters"
MOST = 50  # parameters of a sampler that are drawn, the worst ones
STEP = 32  # pixels from sampler to sampler: the worst parameter's name stands between
GOOD = 1.01  # R-hat (Vehtari et al. 2021)


def picture(material: Material) -> Picture | None:
    """Return each parameter's ESS and R-hat; None where only a ``results.csv`` is known.

    Of a sweep that is its last point; approximations have no effective draws. The ESS is the median
    over replicates, R-hat the largest.
    """
    last = material.rows[-1].model if material.rows else ""
    cells = [
        result
        for result in material.results
        if result.cell.model == last
        and not (result.measured is not None and result.measured.is_approximate)
    ]
    counted = [row for row in parameter_rows(cells) if row.is_counted]
    rows: list[Drawn] = []
    n_parameters = 0
    for sampler, group in groupby(sorted(counted, key=_place), key=lambda row: row.sampler):
        found = _worst(sampler, [*group])
        n_parameters = max(n_parameters, len(found))
        rows += found[:MOST]
    order = [row.sampler for row in material.rows if row.model == last]
    rows = [row for name in order[:MAX_LINES] for row in rows if row["label"] == name]
    if not rows:
        return None

    def draw(width: int) -> Spec:
        return _spec(rows, width)

    at = f" at {planning.point(last)}" if material.is_swept else ""
    title = f"Each parameter's ESS and R-hat{at}"
    return Picture(NAME, title, _reading(rows, n_parameters), rows, draw)


def _place(row: ParameterRow) -> tuple[str, str]:
    return row.sampler, row.parameter


def _worst(sampler: str, rows: Sequence[ParameterRow]) -> list[Drawn]:
    """Return a sampler's parameters, that with the smallest ESS first."""
    found: list[Drawn] = []
    for parameter, group in groupby(rows, key=lambda row: row.parameter):
        replicates = [*group]
        sizes = [size for row in replicates if (size := _smallest(row)) is not None]
        rhats = [row.rhat for row in replicates if row.rhat is not None]
        if sizes:
            found.append(
                {
                    "label": sampler,
                    "parameter": parameter,
                    "ess": float(np.median(sizes)),
                    "rhat": max(rhats, default=None),
                }
            )
    return sorted(found, key=lambda row: float(row["ess"] or 0))


def _smallest(row: ParameterRow) -> float | None:
    """Return the smaller ESS of mean and square; of ranks where neither exists."""
    sizes = [size for size in (row.ess_mean, row.ess_square) if size is not None]
    ranks = [size for size in (row.ess_bulk, row.ess_tail) if size is not None]
    return min(sizes or ranks, default=None)


def _spec(rows: Sequence[Drawn], width: int) -> Spec:
    labels = [*dict.fromkeys(str(row["label"]) for row in rows)]
    names = label_width(labels, width)
    panels = ["ess", "rhat"] if any(row["rhat"] is not None for row in rows) else ["ess"]
    inner = panel_width(len(panels), width, names + EDGE)
    is_wide = width >= TWO_COLUMNS
    drawn = [
        _panel(name, rows, inner, labels, names if name == "ess" or not is_wide else 0)
        for name in panels
    ]
    return {"data": {"values": [*rows]}, **beside(drawn, width)}


def _panel(
    name: str, rows: Sequence[Drawn], width: float, labels: Sequence[str], names: float
) -> Spec:
    values = [float(value) for row in rows if (value := row[name]) is not None]
    titles = {"ess": "effective sample size of each parameter", "rhat": "R-hat of each parameter"}
    is_ess = name == "ess"
    domain = log_domain(values if is_ess else [1.0, GOOD, *values], least=1.02)
    x = {"field": name, **log_axis(domain, titles[name], width)}
    worst = [
        min(of_one, key=lambda row: float(row["ess"] or 0))
        if is_ess
        else max(of_one, key=lambda row: float(row["rhat"] or 0))
        for label in labels
        for of_one in [[row for row in rows if row["label"] == label]]
    ]
    ticks: Spec = {
        "transform": [{"filter": f"isValid(datum.{name})"}],
        "mark": {"type": "tick", "size": 13, "thickness": 1.5, "opacity": 0.75,
                 "color": ACCENT.light},
        "encoding": {"x": x},
    }  # fmt: skip
    names_of_worst: Spec = {
        "data": {"values": [row for row in worst if row[name] is not None]},
        "mark": {"type": "text", "dy": -12, "fontSize": 9, "color": MUTED.light,
                 "align": {"expr": f"datum.{name} > {float(np.sqrt(domain[0] * domain[1]))}"
                                   " ? 'right' : 'left'"},
                 "limit": width / 2},
        "encoding": {"x": x, "text": {"field": "parameter"}},
    }  # fmt: skip
    limit: Spec = {
        "data": {"values": [{"at": GOOD}]},
        "mark": {"type": "rule", "color": INK.light, "strokeDash": [4, 3]},
        "encoding": {"x": {"field": "at", "type": "quantitative"}, "y": {"value": 0},
                     "y2": {"value": "height"}},
    }  # fmt: skip
    return {
        "width": width,
        "height": STEP * len(labels),
        "encoding": {"y": label_axis(labels, names)},
        "layer": [*([] if is_ess else [limit]), ticks, names_of_worst],
    }


def _reading(rows: Sequence[Drawn], n_parameters: int) -> str:
    worst = min(rows, key=lambda row: float(row["ess"] or 0))
    known = [row for row in rows if row["rhat"] is not None]
    said = [f"The smallest ESS is that of {worst['parameter']} by {worst['label']},"
            f" {significant(float(worst['ess'] or 0))}"]  # fmt: skip
    if known:
        highest = max(known, key=lambda row: float(row["rhat"] or 0))
        said.append(
            f"the largest R-hat that of {highest['parameter']} by {highest['label']},"
            f" {float(highest['rhat'] or 0):.3f} (dashed: {GOOD})"
        )
    if n_parameters > MOST:
        said.append(f"drawn are the worst {MOST} of {n_parameters} parameters of each sampler")
    return f"{'; '.join(said)}."
