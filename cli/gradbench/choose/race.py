"""The race: rounds of ever longer runs, from which those drop out that are proven slower."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scipy import stats

from gradbench.choose.entrants import ROUNDS, Entrant, under_one_label
from gradbench.config.planning import Cell
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import NEVER_COSTED, UNFINISHED, CellResult

Found = DensityCheck | CellResult
Clock = Callable[[], float]

WRONGLY_DROPPED = 0.01  # chance that the true best is dropped, over all looks and samplers
TOO_LONG = 3.0  # times what the leader takes in all: who has spent that is no rival any more
# The most that a first run takes of the time that is left: three times its equal share, a quarter
# in any case, since some models compile for long, and no more than half.
SHARES, QUARTER, HALF = 3.0, 0.25, 0.5
AROUND_S = 10.0  # of a first run, beside what is timed: starting a worker, the density check
PRECISE = 2000  # effective draws: more would not tell costs apart in the noise of time


class Runs(Protocol):
    """What runs cells: a ``Runner``, or what stands in for it."""

    until: float

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None, *, stays_warm: bool = False
    ) -> Iterator[Found]:
        """Yield density checks and each cell's result as it is finished."""


@dataclass(frozen=True, slots=True)
class Field:
    """Who runs, to what end, and what is done with what they show.

    Attributes:
        runner: runs cells, and ends a running one at its ``until``.
        entrants: in the order in which they run the first round.
        goal: effective draws of the worst parameter to which the time is predicted.
        keep: is given all that was found, at once.
        save_to: the folder for draws, None for none.
        clock: monotonic seconds.
    """

    runner: Runs
    entrants: Sequence[Entrant]
    goal: int
    keep: Callable[[Found], None]
    save_to: Path | None = None
    clock: Clock = time.monotonic

    def ran(self, cells: Sequence[Cell]) -> Iterator[CellResult]:
        """Yield each cell's result as it is finished; what else is found is kept."""
        for found in self.runner.run(cells, self.save_to, stays_warm=True):
            if isinstance(found, CellResult):
                yield found
            else:
                self.keep(found)


class Race:
    """Rounds until one is left, all are as precise as they need be, or the time is up.

    Args:
        field: who runs.
        until: when it ends, on the clock.
    """

    def __init__(self, field: Field, *, until: float) -> None:
        self._field = field
        self._until = until
        n_looks = ROUNDS * max(1, len(field.entrants))
        self._z = float(stats.norm.isf(WRONGLY_DROPPED / n_looks))
        self._around_s = AROUND_S

    def run(self) -> None:
        """Run it to its end; every entrant says how it ended."""
        self._field.runner.until = self._until
        while running := [entrant for entrant in self._field.entrants if entrant.is_in]:
            if self._is_decided(running):
                break
            self._round(running)
            self._drop()

    def _is_decided(self, running: Sequence[Entrant]) -> bool:
        found = [entrant.prediction for entrant in running]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return False
        return len(known) == 1 or all(one.ess >= max(PRECISE, self._field.goal) for one in known)

    def _round(self, running: Sequence[Entrant]) -> None:
        todo = []
        left = self._until - self._field.clock()
        # The quickest first: whoever is behind them when time is up would have cost the most.
        for entrant in sorted(running, key=lambda entrant: entrant.next_s):
            if entrant.next_s > left:
                entrant.end("time was up")
            else:
                todo.append(entrant)
                left -= entrant.next_s
        if any(entrant.results for entrant in todo):
            self._ran(todo)
            return
        # One after the other, so that the first are done before the last have compiled, and none
        # takes the time of all.
        for n_left, entrant in zip(range(len(todo), 0, -1), todo, strict=True):
            begin = self._field.clock()
            left = self._until - begin
            if left <= 0:
                entrant.end("time was up")
                continue
            share = min(HALF, max(SHARES / n_left, QUARTER)) if n_left > 1 else 1.0
            allowed, why = share * left, "more than its share of the time"
            if (enough := self._enough()) is not None and enough[0] < allowed:
                allowed, why = enough
            self._field.runner.until = begin + allowed
            self._ran([entrant], why)
            if entrant.timings:
                around = self._field.clock() - begin - entrant.spent_s
                self._around_s = max(self._around_s, around)
        self._field.runner.until = self._until

    def _enough(self) -> tuple[float, str] | None:
        """Return the seconds after which a first run has lost, and why; None without a leader."""
        best = leader(self._field.entrants, self._field.goal)
        if best is None or (foretold := best.prediction) is None:
            return None
        seconds = TOO_LONG * foretold.seconds(self._field.goal, self._z)
        why = f"no answer yet in {TOO_LONG:g} times the time of {best.sampler}"
        return self._around_s + seconds, why

    def _ran(self, todo: Sequence[Entrant], why: str = "time was up") -> None:
        """Run the next round of some entrants; ``why`` is told of one that is ended early."""
        by_label = {entrant.sampler: entrant for entrant in todo}
        cells = [under_one_label(entrant.next_cell, entrant.sampler) for entrant in todo]
        for found in self._field.ran(cells):
            entrant = by_label[found.cell.sampler]
            planned = entrant.as_planned(found, entrant.next_cell)
            self._field.keep(planned)
            entrant.results.append(planned)
            now = self._field.clock()
            if found.status == "timeout" and now >= self._field.runner.until:
                entrant.end("time was up" if now >= self._until else why)
            elif found.status in UNFINISHED | NEVER_COSTED:
                entrant.end(f"{found.status}: {found.reason}" if found.reason else found.status)

    def _drop(self) -> None:
        """End who is proven slower than the best, or has spent so long that it must be."""
        best = leader(self._field.entrants, self._field.goal)
        foretold = None if best is None else best.prediction
        if best is None or foretold is None:
            return
        bound = foretold.seconds(self._field.goal, self._z)
        whole = TOO_LONG * foretold.seconds(self._field.goal)
        for entrant in self._field.entrants:
            if not entrant.is_in or entrant is best:
                continue
            own = entrant.prediction
            if entrant.fixed_s > bound:
                entrant.end(f"compile and warm-up alone take longer than {best.sampler} in all")
            elif own is not None and own.seconds(self._field.goal, -self._z) > bound:
                entrant.end(f"slower than {best.sampler}")
            elif own is None and entrant.spent_s > whole:
                entrant.end(f"no answer yet in {TOO_LONG:g} times the time of {best.sampler}")


def leader(entrants: Sequence[Entrant], goal: int) -> Entrant | None:
    """Return who is expected to be the fastest, None where no run is to be believed."""
    expected = [
        (found.seconds(goal), entrant)
        for entrant in entrants
        if (found := entrant.prediction) is not None
    ]
    return min(expected, key=lambda one: one[0], default=(0.0, None))[1]
