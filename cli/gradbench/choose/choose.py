"""The choice: a race, agreement of those it leaves, and the winner's price on fresh replicates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gradbench.choose.entrants import (
    LONGER,
    N_CONFIRMING,
    Entrant,
    Prediction,
    predicted,
    under_one_label,
)
from gradbench.choose.race import PRECISE, Field, Race, leader
from gradbench.config.benchmark import Gates
from gradbench.measure.result import COSTED, CellResult
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary
from gradbench.results.times import FEWEST, Lead, fastest
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval

ENOUGH = 1.25  # times the ESS that a run must have: who has so much now has it another time
CAUTION = 0.8  # of the time that is left is planned with
RACE = 0.7  # of the budget; what is left confirms the winner
Z = 1.96  # of the 95 % intervals that are shown


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sampler did.

    Attributes:
        sampler: its name.
        seconds: to so many effective draws; None where no run is to be believed.
        compile_s: once; None where nothing was compiled.
        summary: of its longest run, None where it has none.
        status: of that run, the others' runs and known moments considered.
        reason: of the status.
        ended: why it ran no further; empty where it ran to the end.
        ended_in: the round, from 1.
    """

    sampler: str
    seconds: Interval | None
    compile_s: float | None
    summary: Summary | None
    status: str
    reason: str
    ended: str
    ended_in: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What is recommended, if anything.

    Attributes:
        goal: effective draws of the worst parameter that the times are to.
        standings: of all, the fastest first.
        winner: its name; None where none can be recommended.
        price: the winner's, from fresh replicates; from the race where no time was left for them.
        n_fresh: how many replicates the price is from; 0 where it is the race's.
        ties: who can't be told from the winner.
        behind: how many times as long those take at least that can.
        leads: who is the fastest to how many effective draws.
        n_draws: kept draws of each chain that give so many effective ones, two digits of them.
        is_interrupted: Ctrl-C ended it early.
    """

    goal: int
    standings: tuple[Standing, ...]
    winner: str | None = None
    price: Interval | None = None
    n_fresh: int = 0
    ties: tuple[str, ...] = ()
    behind: float | None = None
    leads: tuple[Lead, ...] = ()
    n_draws: int = 0
    is_interrupted: bool = False


class Chooser:
    """Races entrants and confirms the winner.

    Args:
        field: who runs.
        budget_s: wall seconds for all of it, from ``started`` on the clock.
        gates: when a result is not trusted.
        started: on the clock; now by default.
    """

    def __init__(
        self, field: Field, *, budget_s: float, gates: Gates, started: float | None = None
    ) -> None:
        begin = field.clock() if started is None else started
        self._field, self._gates, self._until = field, gates, begin + budget_s
        self._race = Race(field, until=begin + RACE * budget_s)
        self._fresh: dict[str, list[CellResult]] = {}

    def run(self) -> Choice:
        """Return the choice; Ctrl-C ends the race, and what it has shown by then counts."""
        is_interrupted = False
        try:
            self._race.run()
            self._field.runner.until = self._until
            while (best := self._best(self._summaries())) and best.sampler not in self._fresh:
                self._confirm(best)
        except KeyboardInterrupt:
            is_interrupted = True
        return replace(self._choice(), is_interrupted=is_interrupted)

    def _best(self, found: Mapping[str, Summary]) -> Entrant | None:
        """Return who is the fastest of those that nothing speaks against."""
        return leader(
            [e for e in self._field.entrants if e.results and found[e.sampler].status in COSTED],
            self._field.goal,
        )

    def _confirm(self, best: Entrant) -> None:
        """Run fresh replicates of the winner, of the longest round that there is time for."""
        fresh = self._fresh[best.sampler] = []
        length = self._affordable(best)
        todo = () if length is None else best.fresh[length]
        as_one = [under_one_label(cell, best.sampler) for cell in todo]
        planned = {cell.replicate: cell for cell in todo}
        for found in self._field.ran(as_one):
            whole = best.as_planned(found, planned[found.cell.replicate])
            # One that the end of the budget cut says nothing of the sampler.
            if not (found.status == "timeout" and self._field.clock() >= self._until):
                self._field.keep(whole)
                fresh.append(whole)

    def _affordable(self, best: Entrant) -> int | None:
        """Return the round whose replicates can be judged and are done in time, or None.

        The first one that is precise, where there is one; else the longest.
        """
        left = CAUTION * (self._until - self._field.clock())
        spent, own = best.timings[-1], best.prediction
        chosen = None
        for length in range(len(best.fresh)):
            share = float(LONGER) ** (length - best.length)
            ess = 0.0 if own is None else share * own.ess
            takes = N_CONFIRMING * (spent.warmup.wall_s + share * spent.sampling.wall_s)
            if takes > left:
                break
            if ess >= ENOUGH * self._gates.ess:
                chosen = length
            if ess >= PRECISE:
                break
        return chosen

    def _summaries(self) -> dict[str, Summary]:
        """Return each sampler's summary of its longest run, or of its fresh replicates."""
        shown = [
            replace(result, cell=under_one_label(result.cell, entrant.sampler))
            for entrant in self._field.entrants
            if entrant.longest is not None
            for result in self._fresh.get(entrant.sampler) or [entrant.longest]
        ]
        found = summarize(shown, gates=self._gates, ess_goal=self._field.goal)
        # Of fresh replicates the one that speaks most against the sampler.
        worst: dict[str, Summary] = {}
        for summary in found:
            held = worst.get(summary.sampler)
            if held is None or held.status in COSTED:
                worst[summary.sampler] = summary
        return worst

    def _choice(self) -> Choice:
        found = self._summaries()
        best = self._best(found)
        standings = sorted(
            (self._standing(one, found.get(one.sampler)) for one in self._field.entrants),
            key=lambda standing: (
                standing.seconds is None,
                standing.seconds.estimate if standing.seconds else 0.0,
            ),
        )
        bare = Choice(self._field.goal, tuple(standings))
        if best is None or (own := best.prediction) is None:
            return bare
        rivals = {
            e.sampler: rival
            for e in self._field.entrants
            if e is not best
            and (rival := e.prediction) is not None
            and found[e.sampler].status in COSTED
        }
        ratios = {name: self._ratio(rival, own) for name, rival in rivals.items()}
        ties = tuple(name for name, ratio in ratios.items() if ratio.low <= 1)
        behind = min((r.low for name, r in ratios.items() if name not in ties), default=None)
        lines = {best.sampler: [own.line], **{name: [r.line] for name, r in rivals.items()}}
        price, n_fresh = self._price(best, own)
        return replace(
            bare,
            winner=best.sampler,
            price=price,
            n_fresh=n_fresh,
            ties=ties,
            behind=behind,
            leads=tuple(fastest(lines)),
            n_draws=_needed(best, own, self._field.goal),
        )

    def _price(self, best: Entrant, own: Prediction) -> tuple[Interval, int]:
        fresh = [
            one
            for result in self._fresh.get(best.sampler, ())
            if result.status in COSTED
            and (one := predicted(result.measured, best.compile_s)) is not None
        ]
        if not fresh:
            return self._interval(own), 0
        if len(fresh) == 1:
            return self._interval(fresh[0]), 1
        seconds = np.array([one.seconds(self._field.goal) for one in fresh])
        return Interval(*diagnostics.geometric_mean_interval(seconds)), len(fresh)

    def _standing(self, entrant: Entrant, summary: Summary | None) -> Standing:
        own = entrant.prediction
        return Standing(
            sampler=entrant.sampler,
            seconds=None if own is None else self._interval(own),
            compile_s=entrant.compile_s or None,
            summary=summary,
            status="not run" if summary is None else summary.status,
            reason="" if summary is None else summary.reason,
            ended=entrant.ended,
            ended_in=entrant.ended_in,
        )

    def _interval(self, own: Prediction) -> Interval:
        return Interval(*(own.seconds(self._field.goal, z) for z in (0.0, -Z, Z)))

    def _ratio(self, rival: Prediction, own: Prediction) -> Interval:
        log = np.log(rival.seconds(self._field.goal) / own.seconds(self._field.goal))
        half = Z * np.hypot(rival.log_sd(self._field.goal), own.log_sd(self._field.goal))
        return Interval(*(float(np.exp(bound)) for bound in (log, log - half, log + half)))


def _needed(best: Entrant, own: Prediction, goal: int) -> int:
    """Return the draws of each chain that give so many effective ones, rounded up to two digits."""
    measured = None if best.longest is None else best.longest.measured
    whole = 0 if measured is None else math.ceil(measured.n_draws * goal / own.ess)
    whole = max(whole, FEWEST)
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return int(math.ceil(whole / unit) * unit)
