"""Rows to contests: how many times cheaper a model's best sampler is than the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gradbench.results.rows import Row, rows
from gradbench.results.summary import Summary, by_model, is_spread, numbers
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Contest:
    """How many times cheaper a model's best sampler is than another: a ratio of costs.

    ``time`` is None against what was made elsewhere: another machine's seconds are not ours. Where
    cells ran on several machines (``is_spread``) the best is the one with the fewest evaluations,
    and times are compared replicate by replicate, as a replicate is whole within a block.
    """

    model: str
    best: str
    other: str
    time: Interval | None
    evaluations: Interval
    is_spread: bool = False


def contests(found: Sequence[Summary]) -> list[Contest]:
    """Return, per model, its best sampler against each other one that has a cost."""
    against, models = [], by_model(found)
    for model, of_model in groupby(rows(found), key=lambda row: row.model):
        cells = models[model]
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
    theirs, its = ([cell for cell in cells if cell.sampler == name] for name in (other, best))
    is_apart = is_spread(cells)
    compared = _within_blocks if is_apart else _ratio
    time = compared("ms_per_ess", theirs, its) if is_timed else None
    counted = _ratio("evaluations_per_ess", theirs, its)
    return Contest(cells[0].model, best, other, time, counted, is_apart)


def _ratio(column: str, theirs: Sequence[Summary], its: Sequence[Summary]) -> Interval:
    both = (np.array(numbers(cells, column)) for cells in (theirs, its))
    return Interval(*diagnostics.ratio_interval(*both))


def _within_blocks(
    column: str, theirs: Sequence[Summary], its: Sequence[Summary]
) -> Interval | None:
    """Return the ratio over replicates that have both costs in one block; None where none has."""
    known = {(cell.replicate, cell.block): getattr(cell, column) for cell in its}
    ratios = [
        cost / same
        for cell in theirs
        if (cost := getattr(cell, column)) and (same := known.get((cell.replicate, cell.block)))
    ]
    if not ratios:
        return None
    return Interval(*diagnostics.geometric_mean_interval(np.array(ratios)))
