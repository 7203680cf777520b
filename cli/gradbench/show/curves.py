"""Error against cost in the terminal: a line of blocks for each sampler."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.text import Text

from gradbench.draws import FloatArray
from gradbench.results.curves import GOAL, Curve
from gradbench.show.axis import place, ticks
from gradbench.show.console import bare_table, console, item, significant
from gradbench.show.results import count

BLOCKS = "▁▂▃▄▅▆▇█"  # the lowest is below the goal, each of the others half a power of ten
HIGHEST = GOAL * 10 ** ((len(BLOCKS) - 2) / 2)  # from here on the last one
WIDEST = 60  # characters
SIDES = 40  # characters that stand beside a line


def curves(found: Sequence[Curve], *, to: Console | None = None) -> None:
    """Print the curves of each model, all samplers over one axis of work."""
    to = to or console()
    if not found:
        to.print("no curves: no run has known moments, or other samplers that agree")
    for (model, against), group in groupby(found, key=lambda curve: (curve.model, curve.against)):
        _model(model, against, list(group), to)


def _model(model: str, against: str, found: Sequence[Curve], to: Console) -> None:
    are_weighed = all(np.isfinite(curve.equivalents).all() for curve in found)
    unit = "density-equivalents" if are_weighed else "evaluations"
    works = [curve.equivalents if are_weighed else curve.evaluations for curve in found]
    known = np.concatenate([work[np.isfinite(work) & (work > 0)] for work in works])
    if not known.size:
        return
    ends = math.log10(known.min()), math.log10(known.max())
    width = max(1, min(WIDEST, to.width - SIDES))
    table = bare_table()
    table.add_column("sampler", vertical="bottom", no_wrap=True)
    table.add_column(f"{unit}\n{ticks(ends, width, count)}", vertical="bottom", no_wrap=True)
    table.add_column("b² at\nits end", justify="right", vertical="bottom", no_wrap=True)
    for curve, work in zip(found, works, strict=True):
        medians = curve.worst[:, 1]
        line = _line(work, medians, ends, width)
        table.add_row(Text(curve.sampler), line, significant(float(medians[-1])))
    to.print()
    to.print(Text(model, style="bold") + Text("  error against cost", style="dim"))
    to.print(table)
    to.print()
    to.print(
        item(
            "b² of the worst parameter, mean or second moment, the median over replicates:"
            f" {BLOCKS[0]} below {GOAL:g}, {BLOCKS[-1]} above {HIGHEST:g};"
            f" compared with {against}"
        )
    )


def _line(work: FloatArray, error: FloatArray, ends: tuple[float, float], width: int) -> str:
    """Return a block at each place between the first and the last point, else a space."""
    known = (work > 0) & np.isfinite(error)
    if not known.any():
        return ""
    places = [place(log, ends, width) for log in np.log10(work[known])]
    every = np.arange(places[0], places[-1] + 1)
    between = np.interp(every, places, np.log10(np.maximum(error[known], np.finfo(float).tiny)))
    return " " * places[0] + "".join(map(_block, between))


def _block(log_error: float) -> str:
    steps = math.floor(2 * (log_error - math.log10(GOAL)))
    return BLOCKS[min(max(0, 1 + steps), len(BLOCKS) - 1)]
