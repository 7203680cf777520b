"""What a model's pictures are drawn from, of one run or of several side by side."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gradbench.config import planning
from gradbench.measure.result import CellResult
from gradbench.report.chains import Chains
from gradbench.results.curves import Curve
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.stats.interval import Interval


@dataclass(frozen=True, slots=True)
class Material:
    """All that is known of a model, the points of its sweep together.

    Attributes:
        model: its label, without a sweep's point.
        found: its cells, those of a sweep's point beside each other.
        rows: of its table.
        results: what its cells measured; empty where only a ``results.csv`` is known.
        curves: of error against cost.
        chains: saved draws of some of its samplers.
    """

    model: str
    found: Sequence[Summary]
    rows: Sequence[Row]
    results: Sequence[CellResult] = ()
    curves: Sequence[Curve] = ()
    chains: Sequence[Chains] = ()

    @property
    def is_swept(self) -> bool:
        """Whether there are several points of a sweep."""
        return len({row.model for row in self.rows}) > 1

    def ordered(self, samplers: Collection[str], model: str) -> list[str]:
        """Return samplers in the order of a model's table: each has its colour in all pictures."""
        return [row.sampler for row in self.rows if row.model == model and row.sampler in samplers]

    def label(self, row: Row | Summary) -> str:
        """Return what a line of a picture is called: the sampler, and the point of a sweep."""
        if not self.is_swept:
            return row.sampler
        return f"{row.sampler} at {planning.point(row.model)}"


def bounds(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Return three columns: an estimate and its bounds, None where they aren't known."""
    if interval is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    ends = (interval.estimate, interval.low, interval.high)
    known = [end if math.isfinite(end) else None for end in ends]
    return dict(zip((name, f"{name}_low", f"{name}_high"), known, strict=True))
