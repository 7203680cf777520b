"""Rank plots of the hardest parameters: where chains agree, each of them is flat."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from gradbench.report.chains import Chains
from gradbench.report.colours import ACCENT, LINE
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.report.thumbnails import thumbnails

NAME = "ranks"
N_BINS = 20
HEIGHT = 56  # pixels


def picture(material: Material) -> Picture | None:
    """Return the rank plots of saved draws; None where none were saved."""
    rows = [row for chains in material.chains for row in _lines(chains)]
    if not rows:
        return None

    def draw(width: int) -> Spec:
        return _spec(rows, width)

    farthest = max(rows, key=lambda row: abs(float(row["relative_frequency"] or 0) - 1))
    reading = (
        "How often each chain (a line) is found among the lowest to the highest draws of all chains"
        " together, over what it would be if all were alike (grey): farthest off is"
        f" {farthest['panel']}, {float(farthest['relative_frequency'] or 0):.2f} times."
    )
    return Picture(NAME, "Rank plots of the hardest parameters", reading, rows, draw)


def _lines(chains: Chains) -> Iterator[Drawn]:
    """Yield the share of each chain's draws in each bin of the ranks of all, over the average."""
    for i, parameter in enumerate(chains.parameters):
        values = chains.values[..., i]
        ranks = stats.rankdata(values).reshape(values.shape)
        for chain, own in enumerate(ranks):
            counts, _ = np.histogram(own, bins=N_BINS, range=(0, values.size + 1))
            for place, count in enumerate(counts.tolist()):
                yield {
                    "panel": f"{chains.label}: {parameter}", "chain": chain,
                    "bin": place, "relative_frequency": count * N_BINS / values.shape[1],
                }  # fmt: skip


def _spec(rows: list[Drawn], width: int) -> Spec:
    highest = max(2.0, *(float(row["relative_frequency"] or 0) for row in rows))
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, highest]}}
    flat = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "color": LINE.light},
        "encoding": {"y": {"datum": 1, **y}},
    }
    lines = {
        "mark": {"type": "line", "interpolate": "step", "strokeWidth": 1.2, "opacity": 0.8,
                 "color": ACCENT.light},
        "encoding": {
            "x": {"field": "bin", "type": "quantitative", "axis": None},
            "y": {"field": "relative_frequency", **y},
            "detail": {"field": "chain"},
        },
    }  # fmt: skip
    return thumbnails(rows, [flat, lines], width, HEIGHT)
