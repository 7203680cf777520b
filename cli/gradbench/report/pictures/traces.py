"""Traces of the hardest parameters, as thumbnails: where chains wander, or stay."""

from collections.abc import Iterator

import numpy as np

from gradbench.report.chains import MOST_CHAINS, Chains
from gradbench.report.colours import SERIES
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.report.thumbnails import thumbnails

NAME = "traces"
N_POINTS = 100  # of a chain: as many as a thumbnail has room for
HEIGHT = 56  # pixels


def picture(material: Material) -> Picture | None:
    """Return the traces of saved draws; None where none were saved."""
    rows = [row for chains in material.chains for row in _lines(chains)]
    if not rows:
        return None

    def draw(width: int) -> Spec:
        chain = {
            "field": "chain", "type": "nominal", "legend": None,
            "scale": {"domain": [*range(MOST_CHAINS)], "range": [c.light for c in SERIES[:4]]},
        }  # fmt: skip
        lines = {
            "mark": {"type": "line", "strokeWidth": 0.8, "opacity": 0.85},
            "encoding": {
                "x": {"field": "draw", "type": "quantitative", "axis": None},
                "y": {"field": "value", "type": "quantitative", "axis": None,
                      "scale": {"zero": False}},
                "color": chain,
            },
        }  # fmt: skip
        return thumbnails(rows, [lines], width, HEIGHT)

    reading = (
        f"The first replicate's kept draws, from left to right: {N_POINTS} of each of up to"
        f" {MOST_CHAINS} chains, of the parameters whose ESS is the smallest."
    )
    return Picture(NAME, "Traces of the hardest parameters", reading, rows, draw)


def _lines(chains: Chains) -> Iterator[Drawn]:
    n_draws = chains.values.shape[1]
    at = np.unique(np.linspace(0, n_draws - 1, N_POINTS).astype(int)).tolist()
    for i, parameter in enumerate(chains.parameters):
        for chain, values in enumerate(chains.values[..., i]):
            for draw in at:
                yield {
                    "panel": f"{chains.label}: {parameter}", "chain": chain, "draw": draw,
                    "value": float(values[draw]),
                }  # fmt: skip
