"""Rows to contests: how many times cheaper a model's best sampler is than the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gradbench.results.rows import rows
from gradbench.results.summary import Summary, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Contest:
    """How many times cheaper a model's best sampler is than another: a ratio of costs."""

    model: str
    best: str
    other: str
    time: Interval
    evaluations: Interval


def contests(found: Sequence[Summary]) -> list[Contest]:
    """Return, per model, its best sampler against each other one that has a cost."""
    against = []
    for model, of_model in groupby(rows(found), key=lambda row: row.model):
        cells = [summary for summary in found if summary.model == model]
        costed = [row.sampler for row in of_model if row.ms_per_ess is not None]
        against += [_contest(cells, costed[0], other) for other in costed[1:]]
    return against


def _contest(cells: Sequence[Summary], best: str, other: str) -> Contest:
    """Return the contest of two samplers over one model's cells."""

    def ratio(column: str) -> Interval:
        theirs, its = (
            np.array(numbers((cell for cell in cells if cell.sampler == sampler), column))
            for sampler in (other, best)
        )
        return Interval(*diagnostics.ratio_interval(theirs, its))

    return Contest(cells[0].model, best, other, ratio("ms_per_ess"), ratio("evaluations_per_ess"))
