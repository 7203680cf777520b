"""How long it takes to so many effective draws, all included: where the lines cross."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gradbench.config import planning
from gradbench.report.lines import MOST_LINES, Axis, lines
from gradbench.report.material import Material
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.results.times import BEYOND, FEWEST, GOAL, Line, leads, mean_lines
from gradbench.show.results import count, fastest

NAME = "times"
X = Axis("effective_draws", "effective draws of the worst parameter")
Y = Axis("seconds", "seconds, compile and warm-up included")
PER_DECADE = 4  # points of a line
USUAL = 1e5  # effective draws: as far as lines are drawn, if they don't cross later


def picture(material: Material) -> Picture | None:
    """Return the time to N effective draws; None where no sampler measured here has a price.

    Of a sweep that is its last point, where most is asked of the samplers.
    """
    of_models = mean_lines(material.found)
    if not of_models:
        return None
    model = [*of_models][-1]
    of_samplers = of_models[model]
    led = leads(material.found).get(model, [])
    crossings = [lead.until for lead in led if math.isfinite(lead.until)]
    last = max([USUAL, *(BEYOND * n for n in crossings)])
    drawn = sorted(of_samplers, key=lambda name: of_samplers[name].seconds(GOAL))[:MOST_LINES]
    rows = _points({name: of_samplers[name] for name in material.ordered(drawn, model)}, last)
    at = f" at {planning.point(model)}" if material.is_swept else ""
    said = fastest(led, at) if led else f"seconds to so many effective draws{at}"

    if len(drawn) < len(of_samplers):
        said += f"; drawn are the {MOST_LINES} that are the fastest to {count(GOAL)}"

    def draw(width: int) -> Spec:
        return lines(rows, X, Y, width)

    title = f"How long it takes to N effective draws{at}"
    return Picture(NAME, title, f"{said[0].upper()}{said[1:]}.", rows, draw)


def _points(of_samplers: Mapping[str, Line], last: float) -> Sequence[Drawn]:
    n = PER_DECADE * math.ceil(math.log10(last / FEWEST)) + 1
    at = np.geomspace(FEWEST, last, n).tolist()
    return [
        {"label": sampler, X.column: draws, Y.column: line.seconds(draws)}
        for sampler, line in of_samplers.items()
        for draws in at
    ]
