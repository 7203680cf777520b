"""Pairs of the hardest parameters, with the draws where trajectories diverged."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gradbench.report.chains import Chains
from gradbench.report.colours import ACCENT, SERIES
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.report.thumbnails import thumbnails

NAME = "pairs"
N_POINTS = 200  # of the draws: as many as a thumbnail has room for
HEIGHT = 110  # pixels


def picture(material: Material) -> Picture | None:
    """Return pairs of parameters of samplers that can diverge; None where no draws were saved."""
    told = {
        chains.label: int(chains.diverging.sum())
        for chains in material.chains
        if chains.diverging is not None and len(chains.parameters) > 1
    }
    rows = [row for chains in material.chains if chains.label in told for row in _points(chains)]
    if not rows:
        return None

    def draw(width: int) -> Spec:
        x, y = (
            {"field": name, "type": "quantitative", "axis": None, "scale": {"zero": False}}
            for name in ("x", "y")
        )
        every = {
            "transform": [{"filter": "datum.diverged === 0"}],
            "mark": {"type": "circle", "size": 6, "opacity": 0.55, "color": ACCENT.light},
            "encoding": {"x": x, "y": y},
        }
        diverged = {
            "transform": [{"filter": "datum.diverged === 1"}],
            "mark": {"type": "point", "shape": "cross", "angle": 45, "size": 40, "opacity": 1,
                     "filled": True, "color": SERIES[1].light},
            "encoding": {"x": x, "y": y},
        }  # fmt: skip
        return thumbnails(rows, [every, diverged], width, HEIGHT)

    diverged = ", ".join(f"{n} of {label}" for label, n in told.items() if n)
    reading = (
        f"{N_POINTS} kept draws of the parameters whose ESS is the smallest; crosses are"
        f" transitions that diverged: {diverged or 'none did'}."
    )
    return Picture(NAME, "Pairs of the hardest parameters", reading, rows, draw)


def _points(chains: Chains) -> Iterator[Drawn]:
    """Yield some of the draws, and all that diverged up to as many, for each pair."""
    assert chains.diverging is not None
    values = chains.values.reshape(-1, len(chains.parameters))
    has_diverged = chains.diverging.ravel()
    usual = np.linspace(0, len(values) - 1, N_POINTS).astype(int)
    at = np.unique([*usual, *np.flatnonzero(has_diverged)[:N_POINTS]]).tolist()
    for i, j in combinations(range(len(chains.parameters)), 2):
        for draw in at:
            yield {
                "panel": f"{chains.label}: {chains.parameters[i]}, {chains.parameters[j]}",
                "x": float(values[draw, i]), "y": float(values[draw, j]),
                "diverged": int(has_diverged[draw]),
            }  # fmt: skip
