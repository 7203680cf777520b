"""Two runs set side by side from Python."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradbench.api.frames import frame
from gradbench.api.run import Run
from gradbench.gate import baseline
from gradbench.gate import compare as gate
from gradbench.gate import verdict as of_gate
from gradbench.gate.forms import RATIOS
from gradbench.show import html
from gradbench.show.comparison import comparisons
from gradbench.show.console import PIPE_WIDTH, text

if TYPE_CHECKING:
    import pandas as pd

Side = Run | str | os.PathLike[str]
"""A run, the path of its folder or of a results.csv, or ``baseline:NAME``."""


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What got more expensive from base to head, and how sure that is. A notebook shows its table.

    Attributes:
        verdict: the verdict on each model and sampler, and on all.
    """

    verdict: of_gate.Comparison

    @property
    def sentence(self) -> str:
        """The verdict on the whole."""
        return self.verdict.sentence

    @property
    def regressions(self) -> list[str]:
        """What is proven to cost more, in words; empty where nothing is."""
        return self.verdict.regressions

    def to_frame(self) -> "pd.DataFrame":
        """Return one row for each model and sampler, the columns those of ``--format csv``.

        Ratios are head over base: above 1 costs more.

        Raises:
            LibraryError: pandas isn't installed.
        """
        plain = frame(of_gate.Compared, self.verdict.rows)
        ends = ("", "_low", "_high")
        return plain.rename(
            columns={f"{name}{end}": f"{name}_ratio{end}" for name in RATIOS for end in ends}
        )

    def table(self, *, width: int = PIPE_WIDTH) -> str:
        """Return what ``gradbench compare`` prints, in so many columns of text."""
        return text(lambda to: comparisons([self.verdict], to=to), width=width).strip("\n")

    def __repr__(self) -> str:
        return f"<Comparison {self.verdict.base} → {self.verdict.head}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return html.comparison(self.verdict)


def compare(base: Side, head: Side) -> Comparison:
    """Compare two results, as ``gradbench compare`` does: the cost of each sampler on each model.

    Example:
        >>> before = gb.load("results/gate/2026-11-20T09-00-00Z")
        >>> gb.compare(before, gb.run("gate")).regressions
        []

    Args:
        base: what was: a run, the path of its folder or of a results.csv, or ``baseline:NAME``.
        head: what is, likewise.

    Raises:
        StoreError: one can't be read, or they have no model and sampler in common.
    """
    was, now = (
        baseline.side(os.fspath(side.path if isinstance(side, Run) else side))
        for side in (base, head)
    )
    gate.require_common(was, now)
    return Comparison(gate.compare(was, now))
