"""The course of one model and sampler along a history: its costs, verdicts and steps.

Costs are evaluations per effective sample, the same on every machine. Times compare within one
environment only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.gate import pair, rule, steps
from gradbench.gate.compare import compare, differences
from gradbench.gate.history import Entry, History, Point, Stop
from gradbench.gate.sides import Series, Side
from gradbench.gate.steps import Step
from gradbench.gate.verdict import Compared
from gradbench.stats import rank_tests
from gradbench.stats.interval import Interval

MICRO = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured at one point in one environment.

    Attributes:
        point: the commit or release.
        environment: as eight digits.
        n_replicates: that have a cost.
        n_run: all that were run.
        status: of most replicates.
        cost: evaluations per effective sample with the 95 % interval; None without any.
        time_us: CPU time per evaluation, likewise.
        before: the gate's verdict against the point before, None at the first.
        against: the verdict against the pinned point, None where none is, or this is it.
        step: of the cost, that this point begins.
    """

    point: Point
    environment: str
    n_replicates: int
    n_run: int
    status: str
    cost: Interval | None
    time_us: Interval | None
    before: Compared | None
    against: Compared | None = None
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """One model and sampler on one line of points, the oldest first."""

    line: str
    model: str
    sampler: str
    rows: Sequence[Row]

    @property
    def environments(self) -> list[str]:
        """The environments it was measured in."""
        return list(dict.fromkeys(row.environment for row in self.rows))


@dataclass(frozen=True, slots=True)
class _Observed:
    """Replicates with draws of their own, and the number of the point that first had them.

    The same draws again are no more evidence, and no new noise: they count once.
    """

    first: int
    series: Series


def courses(
    history: History,
    *,
    pinned: Stop | Side | None = None,
    sampler: str | None = None,
    last: int | None = None,
) -> list[Course]:
    """Return every model and sampler's course, line by line.

    Args:
        history: of which.
        pinned: what each point is held against, beside the one before it.
        sampler: only this one.
        last: only so many points of each line; steps are looked for in all of them.
    """
    return [
        course
        for line, stops in history.lines.items()
        for course in _of_line(line, stops, pinned, sampler, last or len(stops))
    ]


def samplers(history: History) -> list[str]:
    """Return the labels of the samplers that are in a history."""
    sides = (entry.side for stop in history.stops for entry in stop.entries.values())
    return list(dict.fromkeys(key[1] for side in sides for key in side.series))


def _of_line(
    line: str, stops: Sequence[Stop], pinned: Stop | Side | None, sampler: str | None, last: int
) -> Iterator[Course]:
    first = max(0, len(stops) - last)
    verdicts = {}
    for number in range(first, len(stops)):
        for entry in stops[number].entries.values():
            base = stops[number - 1].like(entry).side if number > 0 else None
            other = pinned.like(entry).side if isinstance(pinned, Stop) else pinned
            verdicts[entry.path] = (_verdicts(base, entry), _verdicts(other, entry))
    keys = dict.fromkeys(
        key for stop in stops for entry in stop.entries.values() for key in entry.side.series
    )
    for key in keys:
        if sampler not in {None, key[1]}:
            continue
        found = _steps(key, stops)
        rows = [
            _row(entry, key, verdicts[entry.path], found.pop(number, None))
            for number in range(first, len(stops))
            for entry in stops[number].entries.values()
            if key in entry.side.series
        ]
        if rows:
            yield Course(line, *key, rows)


def _verdicts(base: Side | None, entry: Entry) -> dict[Key, Compared]:
    if base is None or base is entry.side:
        return {}
    return {row.key: row for row in compare(base, entry.side).rows}


def _row(
    entry: Entry,
    key: Key,
    verdicts: tuple[dict[Key, Compared], dict[Key, Compared]],
    step: Step | None,
) -> Row:
    series = entry.side.series[key]
    usable = pair.is_usable(series)
    before, against = verdicts
    with np.errstate(divide="ignore"):
        times = np.log(MICRO * series.cpu_s[usable] / series.n_evaluations[usable])
    return Row(
        point=entry.point,
        environment=entry.environment,
        n_replicates=int(usable.sum()),
        n_run=len(usable),
        status=max(dict.fromkeys(series.status), key=series.status.count),
        cost=_typical(_logs(series)),
        time_us=_typical(times[np.isfinite(times)]),
        before=before.get(key),
        against=against.get(key),
        step=step,
    )


def _logs(series: Series) -> FloatArray:
    logs = pair.log_cost(series, series.ess)
    return logs[logs < pair.WITHOUT]


def _typical(logs: FloatArray) -> Interval | None:
    """Return the centre of logs as a number, with the interval that the gate gives a shift.

    Its bounds are NaN where there are too few replicates for any.
    """
    if not len(logs):
        return None
    estimate, *bounds = np.exp(rank_tests.centre(logs[None, :], rule.CONFIDENCE)[:, 0]).tolist()
    low, high = bounds if np.isfinite(bounds[1]) else (np.nan, np.nan)
    return Interval(estimate, low, high)


def _steps(key: Key, stops: Sequence[Stop]) -> dict[int, Step]:
    """Return the steps of one series, by the number of the point that each begins at."""
    if not steps.is_available():
        return {}
    return {
        observed[step.index].first: step
        for observed in _observed(key, stops)
        for step in steps.find([_logs(one.series) for one in observed])
    }


def _observed(key: Key, stops: Sequence[Stop]) -> list[list[_Observed]]:
    """Return what was drawn, in order; a new list begins where another question was asked."""
    found: list[list[_Observed]] = [[]]
    live: list[_Observed] = []
    for number, stop in enumerate(stops):
        now: list[_Observed] = []
        for entry in stop.entries.values():
            series = entry.side.series.get(key)
            if series is None or len(_logs(series)) < steps.MIN_REPLICATES:
                continue
            if live and any(differences(live[-1].series, series)):
                found.append([])
                live = []
            known = next((one for one in [*live, *now] if _is_same(one.series, series)), None)
            if known is None:
                known = _Observed(number, series)
                found[-1].append(known)
            now.append(known)
        live = now or live
    return found


def _is_same(before: Series, after: Series) -> bool:
    """Return whether both drew the same draws at the same cost."""
    ratios = pair.exact_ratios(before, after)
    return ratios is not None and not ratios.any()
