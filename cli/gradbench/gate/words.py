"""The sentences of a comparison, with the figures they rest on."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gradbench.gate import rule
from gradbench.gate.claims import Claim
from gradbench.gate.pair import Pair
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Compared, Pooled, Verdict
from gradbench.stats.interval import Interval

HOPELESS = 10.0  # a ratio of costs; where no less is caught, figures would mislead
LARGE = 1.10  # a ratio that is worth a word although it is not proven


def times(interval: Interval | None) -> str:
    """Return a ratio with its interval as ``×1.19 (1.13–1.25)``; a dash where there is none."""
    if interval is None:
        return "–"
    estimate = f"×{ratio(interval.estimate)}"
    low, high = ratio(interval.low), ratio(interval.high)
    if not (interval.low > 0 and math.isfinite(interval.high)):
        return estimate
    return estimate if low == high else f"{estimate} ({low}–{high})"


def ratio(value: float) -> str:
    """Return a ratio with two decimals, fewer where it is large."""
    return f"{value:.2f}" if value < 10 else f"{value:.3g}"


def percent(value: float) -> str:
    """Return a ratio as a change, ``+14 %``."""
    return f"{value - 1:+.0%}".replace("%", " %")


def time_per_evaluation(row: Compared) -> str:
    """Return the ratio of times, in brackets where it is only shown."""
    shown = times(row.time)
    return shown if row.is_time_judged or row.time is None else f"({shown})"


def over_models(pool: Pooled) -> str:
    """Return what is said of a sampler over all its models."""
    said = "regressed" if pool.is_regressed else "no loss proven"
    return f"evaluations/ESS {times(pool.evaluations)}: {said}"


def with_reason(row: Compared, pair: Pair, lost: Sequence[Claim]) -> Compared:
    """Return the row with its verdict in words; ``lost`` is what was proven worse."""
    return replace(row, reason=_reason(row, pair, lost))


def with_repeat(row: Compared, head: Side) -> Compared:
    """Return the row with the command that runs a regressed cell's first replicate again."""
    if row.verdict != "regressed" or not head.config:
        return row
    labels = [re.sub(r"\[.*", "", label) for label in row.key]
    only = " ".join(f"--only {label}" for label in labels)
    seed = head.series[row.key].seed[0]
    again = f"gradbench run {head.config} {only} --set replicates=1"
    return replace(row, reason=f"{row.reason}; seed {seed} again: {again}")


def _reason(row: Compared, pair: Pair, lost: Sequence[Claim]) -> str:
    figures = _figures(row)
    same = f"draws identical on {row.n_identical} seeds"
    by_verdict: dict[Verdict, str] = {
        "regressed": f"{figures}: {_attribution(row, lost)}",
        "traded": f"{figures}: one got worse, their product {times(row.cost)} did not",
        "improved": f"{figures}: proven; consider a new baseline",
        "identical": same + (f", time {times(row.time)}" if row.is_time_judged else ""),
        "advisory": f"{figures}; {pair.advisory}",
        "inconclusive": f"{figures}; {_blindness(row)}",
        "fine": f"{figures}; {same}" if row.n_identical else figures,
    }
    return by_verdict[row.verdict]


def _figures(row: Compared) -> str:
    evaluations = f"evaluations/ESS {times(row.evaluations)}"
    return f"{evaluations}, time {times(row.time)}" if row.is_time_judged else evaluations


def _attribution(row: Compared, lost: Sequence[Claim]) -> str:
    said = []
    kinds = {claim.what for claim in lost}
    if {"evaluations", "time"} <= kinds:
        said.append("the algorithm got slower, and the code as well")
    elif "evaluations" in kinds:
        said.append("the algorithm got slower" + (", not the code" if row.is_time_judged else ""))
    elif "time" in kinds:
        said.append("the code got slower, not the algorithm")
    if names := sorted(claim.parameter for claim in lost if claim.what == "worst"):
        said.append(f"{', '.join(names)} mixes worse")
    if "unconverged" in kinds:
        said.append("fewer replicates converge")
    return "; ".join(said)


def _blindness(row: Compared) -> str:
    """Return what the run could have shown, and what it would take to show more."""
    if row.catches is None or row.n_needed is None:
        return f"{min(row.n_base, row.n_head)} replicates are too few for any proof"
    if row.catches > HOPELESS:
        return f"too noisy to prove less than {times(Interval(HOPELESS, 0, 0))}"
    large = row.cost is not None and max(row.cost.estimate, 1 / row.cost.estimate) > LARGE
    return (
        f"{'large, but not proven; ' if large else ''}would have caught {percent(row.catches)};"
        f" +10 % takes about {row.n_needed} replicates a side"
    )


def notes(pairs: Sequence[Pair], base: Side, head: Side) -> list[str]:
    """Return what a reader should know about the comparison as a whole."""
    return list(_notes(pairs, base, head))


def _notes(pairs: Sequence[Pair], base: Side, head: Side) -> Iterator[str]:
    changed_draws = [pair for pair in pairs if pair.exact is None]
    if changed_draws and not any(pair.worst for pair in changed_draws):
        yield (
            "the worst parameters were not compared by themselves: a results.csv does not hold"
            " them; give the run's folder instead"
        )
    if any(pair.time is not None and not pair.is_time_judged for pair in pairs):
        yield "time was not judged: the two sides did not run side by side (gradbench ab does that)"
    elif any(pair.is_timed and not pair.is_paired for pair in pairs):
        allowed = percent(float(np.exp(rule.STORED_TIME_TOLERANCE)))
        yield (
            "time was judged between runs of one machine at different hours: only more than"
            f" {allowed} counts"
        )
    was, now = (side.machine.get("versions", {}) for side in (base, head))
    changed = [
        f"{name} {was.get(name, 'absent')} → {now.get(name, 'absent')}"
        for name in dict.fromkeys([*was, *now])
        if was and now and was.get(name) != now.get(name)
    ]
    if changed:
        yield f"versions: {', '.join(changed)}"
