"""Rows to contests: how many times cheaper a model's best sampler is than the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gradbench.results.rows import Row, rows
from gradbench.results.summary import Summary, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Contest:
    """How many times cheaper a model's best sampler is than another: a ratio of costs.

    ``time`` is None against what was made elsewhere: another machine's seconds are not ours.
    """

    model: str
    best: str
    other: str
    time: Interval | None
    evaluations: Interval


def contests(found: Sequence[Summary]) -> list[Contest]:
    """Return, per model, its best sampler against each other one that has a cost."""
    against = []
    for model, of_model in groupby(rows(found), key=lambda row: row.model):
        cells = [summary for summary in found if summary.model == model]
        (timed, counted) = _ranked(list(of_model))
        against += [_contest(cells, timed[0], other) for other in timed[1:]]
        against += [_contest(cells, timed[0], other, is_timed=False) for other in counted if timed]
    return against


def _ranked(of_model: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return who has a price in time, the cheapest first, and who made elsewhere has one at all."""
    here = [row for row in of_model if not row.is_elsewhere and row.ms_per_ess is not None]
    there = [row for row in of_model if row.is_elsewhere and row.evaluations_per_ess is not None]
    return [row.sampler for row in here], [row.sampler for row in there]


def _contest(cells: Sequence[Summary], best: str, other: str, *, is_timed: bool = True) -> Contest:
    """Return the contest of two samplers over one model's cells."""

    def ratio(column: str) -> Interval:
        theirs, its = (
            np.array(numbers((cell for cell in cells if cell.sampler == sampler), column))
            for sampler in (other, best)
        )
        return Interval(*diagnostics.ratio_interval(theirs, its))

    time = ratio("ms_per_ess") if is_timed else None
    return Contest(cells[0].model, best, other, time, ratio("evaluations_per_ess"))
