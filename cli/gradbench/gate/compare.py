"""Two sides in, verdicts out: did a sampler become less efficient, and how sure is that?

Cost is (evaluations per effective sample) x (CPU time per evaluation). The first factor is the same
on every machine and is judged between any two runs; the second only where both sides ran side by
side, or on one machine with the same draws, and then with a wide tolerance. What is judged, and
how, is in ``rule``; docs/compare.md says it in words.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.errors import StoreError
from gradbench.gate import claims, rule, words
from gradbench.gate import pair as pairs_of
from gradbench.gate.claims import Claim
from gradbench.gate.pair import WITHOUT, Pair
from gradbench.gate.rule import ONCE, Look
from gradbench.gate.sides import Series, Side
from gradbench.gate.verdict import Compared, Comparison, Pooled, Verdict, ordered
from gradbench.measure.result import NEVER_COSTED
from gradbench.stats import rank_tests
from gradbench.stats.interval import Interval

WRONG = frozenset({"biased", "disagrees"})  # proven of all replicates together


def compare(base: Side, head: Side, look: Look = ONCE, *, is_paired: bool = False) -> Comparison:
    """Return the verdicts on head against base.

    Args:
        base: what was.
        head: what is.
        look: how much of the level may be spent, and how sure a pass must be.
        is_paired: replicate i of both sides ran side by side, so that their times can be judged.
    """
    rows = []
    comparable = []
    for key in [*base.series, *(key for key in head.series if key not in base.series)]:
        blocked = _blocked(key, base, head)
        if blocked is None:
            comparable.append(pairs_of.of(key, base, head, is_paired=is_paired))
        else:
            rows.append(blocked)
    pairs = pairs_of.estimated(comparable, look.confidence)
    judged = [pair for pair in pairs if not pair.advisory]
    worse, better = claims.worse(judged, look.level), claims.better(judged, look.level)
    rows += [words.with_repeat(_row(pair, worse, better, len(judged)), head) for pair in pairs]
    samplers = claims.by_sampler(judged)
    pooled = [
        Pooled(name, len(group), _exp(claims.pooled(group)), Claim("sampler", name) in worse)
        for name, group in samplers.items()
    ]
    return Comparison(base.name, head.name, ordered(rows), pooled, words.notes(pairs, base, head))


def require_common(base: Side, head: Side) -> None:
    """Refuse two sides of which nothing can be compared.

    Raises:
        StoreError: they have no model and sampler in common.
    """
    if base.series.keys() & head.series.keys():
        return
    ours, theirs = (
        ", ".join(f"{sampler} on {model}" for model, sampler in list(side.series)[:3])
        for side in (base, head)
    )
    raise StoreError(
        f"{base.name} and {head.name} have no model and sampler in common: there {ours};"
        f" here {theirs}"
    )


# -- what can't be compared ------------------------------------------------------------------


def _blocked(key: Key, base: Side, head: Side) -> Compared | None:
    """Return the row of what can't be compared, with the reason, or None."""
    before, after = base.series.get(key), head.series.get(key)

    def row(verdict: Verdict, reason: str) -> Compared:
        n_base, n_head = (
            0 if series is None else int(pairs_of.is_usable(series).sum())
            for series in (before, after)
        )
        return Compared(
            model=key[0], sampler=key[1], verdict=verdict, reason=reason, n_base=n_base,
            n_head=n_head,
        )  # fmt: skip

    if before is None:
        return row("new", f"not in {base.name}")
    if after is None:
        return row("missing", f"not in {head.name}")
    if different := list(differences(before, after)):
        return row("not comparable", "; ".join(different))
    if wrong := trouble(before):
        is_expected = key in base.advisory or {*before.status, *after.status} <= NEVER_COSTED
        return row("advisory" if is_expected else "not comparable", f"the base is {wrong}")
    if wrong := _failure(before, after):
        return row("failed", wrong)
    return None


def differences(before: Series, after: Series) -> Iterator[str]:
    """Yield in what the two sides don't ask the same question."""
    for name in ("params", "options"):
        was, now = before.setup[name], after.setup[name]
        new = _new(before, after) if name == "options" else set()
        for option in dict.fromkeys([*was, *now]):
            if was.get(option) != now.get(option) and option not in new:
                yield f"{option} is {_shown(now, option)}, was {_shown(was, option)}"
    for name in ("init", "n_parameters"):
        was, now = before.setup[name], after.setup[name]
        if was != now and None not in {was, now}:
            yield f"{name} is {now}, was {was}"
    # What an older gradbench didn't write down was not chosen.
    chosen, was_chosen = (side.setup.get("parameters", "") for side in (after, before))
    if chosen != was_chosen:
        yield f"what counts is {chosen or 'not chosen'}, was {was_chosen or 'not chosen'}"
    was, now = before.setup["density_signature"], after.setup["density_signature"]
    if None not in {was, now} and not np.isclose(was, now, rtol=1e-6, atol=1e-6):
        yield "the model's log-density is another one"


def _new(before: Series, after: Series) -> set[str]:
    """Return the options that one side's gradbench didn't have, and the other left as they are."""
    sides = (before.setup, after.setup)
    return {
        option
        for ours, theirs in (sides, sides[::-1])
        for option in ours.get("defaults", ())
        if option not in theirs["options"]
    }


def _shown(options: Mapping[str, object], name: str) -> str:
    return str(options[name]) if name in options else "not given"


def trouble(series: Series) -> str:
    """Return why a side's cost means nothing, or an empty string."""
    for status in sorted(WRONG):
        if status in series.status:
            return f"{status}: {series.reason[series.status.index(status)]}"
    usable = pairs_of.is_usable(series)
    if 2 * usable.sum() >= len(usable):
        return ""
    wrong = [status for status, is_fine in zip(series.status, usable, strict=True) if not is_fine]
    status = max(dict.fromkeys(wrong), key=wrong.count)
    reason = series.reason[series.status.index(status)]
    share = f"{status} in {wrong.count(status)} of {len(usable)} replicates"
    return f"{share}: {reason}" if reason else share


def _failure(before: Series, after: Series) -> str:
    """Return why what worked doesn't any more, unless that may be the chance of a few seeds."""
    wrong = trouble(after)
    was, now = (pairs_of.is_usable(series) for series in (before, after))
    if not wrong or not WRONG.isdisjoint(after.status) or not now.any():
        return wrong
    counts = ((~now).sum(), len(now), (~was).sum(), len(was))
    (p,) = rank_tests.more_often(*(np.array([count]) for count in counts))
    return wrong if p < rule.FAILED else ""


# -- what can --------------------------------------------------------------------------------


def _row(pair: Pair, worse: set[Claim], better: set[Claim], n_cells: int) -> Compared:
    base, head = pair.costs
    lost = [claim for claim in worse if claim.of == pair.key]
    se = pairs_of.standard_error(pair.cost)
    caught = needed = None
    if np.isfinite(se):
        with np.errstate(over="ignore"):
            caught = float(np.exp(rule.catches(se, n_cells)))
        sd = se / rule.standard_error(1.0, len(base), len(head))
        needed = rule.n_needed(sd, rule.PASS, n_cells)
    row = Compared(
        model=pair.key[0],
        sampler=pair.key[1],
        verdict=_verdict(pair, lost, is_gained=any(claim.of == pair.key for claim in better)),
        reason="",
        base=_typical(base),
        head=_typical(head),
        n_base=int((base < WITHOUT).sum()),
        n_head=int((head < WITHOUT).sum()),
        evaluations=_exp(pair.evaluations),
        time=None if pair.time is None else _exp(pair.time),
        is_time_judged=pair.is_timed,
        cost=_exp(pair.cost),
        n_identical=pair.n_identical,
        catches=caught,
        n_needed=needed,
        lost=tuple(sorted({claim.what for claim in lost})),
    )
    return words.with_reason(row, pair, lost)


def _verdict(pair: Pair, lost: Sequence[Claim], *, is_gained: bool) -> Verdict:
    if pair.advisory:
        return "advisory"
    if lost:
        is_product_worse = pair.cost.low > rule.TOLERANCE
        is_factor = {claim.what for claim in lost} <= {"evaluations", "time"}
        is_trade = is_gained and is_factor and not is_product_worse
        return "traded" if is_trade else "regressed"
    is_fine = pair.bound < rule.PASS
    if is_gained and is_fine:
        return "improved"
    if pair.exact is not None and is_fine:
        return "identical" if not pair.exact.any() else "fine"
    return "fine" if is_fine else "inconclusive"


def _typical(logs: FloatArray) -> float | None:
    known = logs[logs < WITHOUT]
    return float(np.exp(np.median(known))) if known.size else None


def _exp(interval: Interval) -> Interval:
    with np.errstate(over="ignore"):
        low, high = float(np.exp(interval.low)), float(np.exp(interval.high))
    return Interval(float(np.exp(interval.estimate)), low, high)
