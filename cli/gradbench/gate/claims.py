"""All tests of one comparison, judged together so that hardly any is wrong by chance."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.gate import rule
from gradbench.gate.pair import WITHOUT, Pair, by_shape, stacked, standard_error
from gradbench.stats import rank_tests
from gradbench.stats.interval import Interval


class Claim(NamedTuple):
    """What a test is about: the evaluations of a pair, say, or one of its parameters."""

    what: str
    of: Key | str
    parameter: str = ""


def worse(pairs: Sequence[Pair], level: float) -> set[Claim]:
    """Return what is proven worse, any of it falsely with at most the probability ``level``.

    Holm's procedure over the evaluations and the time of every pair, the base's worst parameters,
    the number of replicates without a cost, and each sampler over all its models.
    """
    timed = [pair for pair in pairs if pair.is_timed]
    single = [(pair, name) for pair in pairs for name in pair.worst]
    samplers = by_sampler(pairs)
    tests = [
        ([Claim("evaluations", pair.key) for pair in pairs], _evaluations_p(pairs)),
        ([Claim("time", pair.key) for pair in timed], _time_p(timed)),
        ([Claim("worst", pair.key, name) for pair, name in single], _worst_p(single)),
        ([Claim("unconverged", pair.key) for pair in pairs], _unconverged_p(pairs)),
        ([Claim("sampler", name) for name in samplers], _samplers_p(samplers.values())),
    ]
    claims = [claim for group, _ in tests for claim in group]
    shares = [
        np.full(len(group), rule.SHARES[group[0].what] / len(group)) for group, _ in tests if group
    ]
    return _rejected(claims, [p for _, p in tests], shares, level)


def better(pairs: Sequence[Pair], level: float) -> set[Claim]:
    """Return what is proven better; it has a level of its own, because it fails no build."""
    timed = [pair for pair in pairs if pair.is_timed]
    claims = [Claim("evaluations", pair.key) for pair in pairs]
    claims += [Claim("time", pair.key) for pair in timed]
    p = [_evaluations_p(pairs, sign=-1), _time_p(timed, sign=-1)]
    return _rejected(claims, p, [np.ones(len(claims))], level)


def by_sampler(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Return the pairs of each sampler that has several, those with identical draws left out."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.exact is None and np.isfinite(standard_error(pair.evaluations)):
            groups.setdefault(pair.key[1], []).append(pair)
    return {sampler: group for sampler, group in groups.items() if len(group) > 1}


def pooled(group: Sequence[Pair]) -> Interval:
    """Return the mean log ratio of evaluations over models, each weighed by its precision."""
    estimates = np.array([pair.evaluations.estimate for pair in group])
    errors = np.array([standard_error(pair.evaluations) for pair in group])
    precision = 1 / np.maximum(errors, 1e-9) ** 2
    centre = float(np.average(estimates, weights=precision))
    half = rule.HALF_WIDTH / float(np.sqrt(precision.sum()))
    return Interval(centre, centre - half, centre + half)


def _rejected(
    claims: Sequence[Claim], p: Sequence[FloatArray], weights: Sequence[FloatArray], level: float
) -> set[Claim]:
    if not claims or level == 0:
        return set()
    rejected = rank_tests.holm(np.concatenate(p), np.concatenate(weights), level)
    return {claim for claim, is_rejected in zip(claims, rejected, strict=True) if is_rejected}


def _evaluations_p(pairs: Sequence[Pair], sign: int = 1) -> FloatArray:
    """Return p for "evaluations per ESS rose by more than the tolerance" (fell, if sign is -1)."""
    p: dict[object, float] = {}
    for group in by_shape(pairs, lambda pair: pair.costs):
        base, head = stacked(group, lambda pair: pair.costs)
        found = rank_tests.mann_whitney(sign * head - rule.TOLERANCE, sign * base)
        p |= {pair.key: value for pair, value in zip(group, found, strict=True)}
    for pair in pairs:
        if pair.exact is not None:
            p[pair.key] = float((sign * pair.exact).min() <= rule.TOLERANCE)
    return np.array([p[pair.key] for pair in pairs])


def _time_p(pairs: Sequence[Pair], sign: int = 1) -> FloatArray:
    """Return p for "time per evaluation rose by more than the tolerance" (fell, if sign is -1)."""
    p: dict[object, float] = {}
    for group in by_shape(pairs, lambda pair: pair.times):
        base, head = stacked(group, lambda pair: pair.times)
        lost = sign * head - group[0].time_tolerance
        found = (
            rank_tests.signed_rank(lost - sign * base)
            if group[0].is_paired
            else rank_tests.mann_whitney(lost, sign * base)
        )
        p |= {pair.key: value for pair, value in zip(group, found, strict=True)}
    return np.array([p[pair.key] for pair in pairs])


def _worst_p(of: Sequence[tuple[Pair, str]]) -> FloatArray:
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, (pair, name) in enumerate(of):
        shapes.setdefault(tuple(map(len, pair.worst[name])), []).append(i)
    p = np.empty(len(of))
    for alike in shapes.values():
        base, head = map(np.array, zip(*(of[i][0].worst[of[i][1]] for i in alike), strict=True))
        p[alike] = rank_tests.mann_whitney(head - rule.WORST_TOLERANCE, base)
    return p


def _unconverged_p(pairs: Sequence[Pair]) -> FloatArray:
    counts = [
        [np.sum(head == WITHOUT), len(head), np.sum(base == WITHOUT), len(base)]
        for base, head in (pair.costs for pair in pairs)
    ]
    return rank_tests.more_often(*np.array(counts, dtype=np.int64).reshape(-1, 4).T)


def _samplers_p(groups: Iterable[Sequence[Pair]]) -> FloatArray:
    return np.array(
        [
            rank_tests.stratified([(head - rule.TOLERANCE, base) for base, head in costs])
            for costs in ([pair.costs for pair in group] for group in groups)
        ]
    )
