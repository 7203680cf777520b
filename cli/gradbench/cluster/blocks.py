"""How a run is cut into blocks: one model, all its samplers, a range of replicates.

Ratios of prices then stay within one machine and one hour. Each block compiles anew, so that few
large ones waste the least; many small ones keep all workers busy to the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gradbench.config.planning import Cell

PER_SLOT = 2  # blocks for each slot at least: the last ones end at different times
COMPILING = 1 / 5  # of a block's time may go to compiling


@dataclass(frozen=True, slots=True)
class Spent:
    """What a block took.

    Attributes:
        compile_s: until its first cell ran, or until its end if none did.
        cells_s: from there on.
        n_replicates: that it had.
    """

    compile_s: float
    cells_s: float
    n_replicates: int

    @property
    def fewest(self) -> int:
        """How many replicates a block of this model has at least for compiling to be a fifth."""
        if not self.cells_s:
            return 1
        return math.ceil(self.compile_s * (1 / COMPILING - 1) * self.n_replicates / self.cells_s)


class Queue:
    """Cells that are to run, handed out in blocks.

    Args:
        cells: in the order of the plan.
        replicates: of every block; None to choose.
    """

    def __init__(self, cells: Sequence[Cell], replicates: int | None = None) -> None:
        self._replicates = replicates
        self._left: dict[str, list[list[Cell]]] = {}
        for (model, _), group in groupby(cells, key=lambda cell: (cell.model, cell.replicate)):
            self._left.setdefault(model, []).append(list(group))
        self._all = {model: len(replicates) for model, replicates in self._left.items()}
        self._n_out = dict.fromkeys(self._left, 0)
        self._fewest: dict[str, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether all have been handed out."""
        return not self._left

    def learn(self, model: str, spent: Spent) -> None:
        """Note what a block took: the next ones of its model have their size from that."""
        self._fewest[model] = spent.fewest

    def take(self, n_slots: int) -> list[Cell]:
        """Return the cells of the next block, of a model of which the fewest are out.

        Args:
            n_slots: how many blocks can run at a time.
        """
        model = min(self._left, key=lambda one: self._n_out[one])
        left = self._left[model]
        n = self._size(model, len(left), n_slots)
        self._n_out[model] += 1
        block, self._left[model] = left[:n], left[n:]
        if not self._left[model]:
            del self._left[model]
        return [cell for replicate in block for cell in replicate]

    def _size(self, model: str, n_left: int, n_slots: int) -> int:
        if self._replicates is not None:
            return min(self._replicates, n_left)
        n_pieces = math.ceil(PER_SLOT * max(1, n_slots) / len(self._all))
        fewest = self._fewest.get(model, 1)
        size = max(math.ceil(self._all[model] / n_pieces), fewest)
        return n_left if n_left - size < fewest else size
