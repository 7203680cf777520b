"""What draws betray of how they were made: rules, each with its chance of a false alarm.

Exact rules (thinning, lengths, duplicates, lines between walkers) have none to speak of; each of
the others is wrong on clean chains once in a thousand files, which ``benchmarks/judge.md`` bears
out by simulation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from gradbench.draws import FloatArray, IntArray
from gradbench.elsewhere.chains import Chains
from gradbench.stats import diagnostics

CHANCE = 1e-3  # that a rule sees something in clean chains
MAX_LOOKED_AT = 100  # parameters, evenly picked
N_WINDOWS = 10  # of a chain: the first is what warm-up may be left in
MIN_ESS = 50  # of a chain's other nine windows: with fewer, windows are no independent means
SAME = 0.5  # of the draws: chains that share more are one
RARE = 0.1  # chance that two draws of a chain are equal: with more, equal draws say nothing
MIN_SHARED = 20  # draws of which half may be shared by chance nearly never
BALL = 0.1  # pooled sds: four independent first draws lie in so narrow a range once in 8,000 times
IQR = 1.349  # of a normal law, in sds
MIN_STARTS = 4  # chains, likewise
MAX_WALKERS = 200  # of which all pairs are looked at
MIN_MOVES = 20  # of each chain
MIN_WALKERS = 6  # chains that a spread from chain to chain is told from
N_STEPS = 20  # at which lines are looked for
ON_LINES = 0.5  # of the moves: in an ensemble of stretch moves all are
STRAIGHT = 100.0  # units of the last digit


@dataclass(frozen=True, slots=True)
class Notice:
    """What was noticed, in words, and whether it makes the numbers doubtful."""

    said: str
    is_doubt: bool = True


def duplicates(chains: Chains) -> dict[int, int]:
    """Return chains that repeat an earlier one, and which.

    Half of the draws, at the same places, must be equal in all parameters, and equal draws rare
    within the chain.
    """
    values = chains.values
    weights = np.random.default_rng(0).uniform(1, 2, values.shape[2])
    with np.errstate(all="ignore"):
        marks = (values * weights).sum(axis=2)
    found: dict[int, int] = {}
    usable = [c for c in range(len(marks)) if _collisions(marks[c]) < RARE]
    for at, later in enumerate(usable):
        for earlier in usable[:at]:
            if earlier in found:
                continue
            share = np.mean(marks[earlier] == marks[later])
            if share == 1 or (share >= SAME and marks.shape[1] >= MIN_SHARED):
                found[later] = earlier
                break
    return found


def _collisions(marks: FloatArray) -> float:
    """Return the chance that two of these numbers are equal; 1 where one is not finite."""
    if not np.isfinite(marks).all():
        return 1.0
    _, counts = np.unique(marks, return_counts=True)
    n = len(marks)
    return float(np.sum(counts * (counts - 1)) / (n * (n - 1)))


def of(chains: Chains, digits: int) -> Iterator[Notice]:
    """Yield what is noticed of chains without duplicates, all finite.

    Args:
        chains: as they are judged.
        digits: significant ones that their numbers have.
    """
    n = chains.values.shape[2]
    some = np.unique(np.linspace(0, n - 1, min(n, MAX_LOOKED_AT)).astype(int))
    values = chains.values[:, :, some]
    moving = np.ptp(values, axis=(0, 1)) > 0
    values = values[:, :, moving]
    if not values.shape[2]:
        return
    scores = scores_of(values)
    if not chains.is_ensemble and len(values) > 1:
        if starts_equal(values):
            yield Notice(
                "all chains start within a tenth of an sd of each other: their first draws are"
                " starting points, so warm-up is left in, or they are walkers (--walkers)"
            )
        if on_lines(values, digits):
            yield Notice(
                "each chain moves along lines through the others, as walkers of one ensemble do:"
                " judge them with --walkers"
            )
        elif depend_on_each_other(scores):
            yield Notice(
                "where a chain goes depends on where the others are, as in an ensemble: judge them"
                " with --walkers"
            )
        if are_pieces(scores):
            yield Notice(
                "each chain begins where the one before it ended: they are one chain in pieces, and"
                " R-hat between them says little"
            )
    if has_trend(scores, chains.groups):
        yield Notice(
            "the first tenth of the draws differs from the rest by more than chance: is warm-up"
            " left in?"
        )


def scores_of(values: FloatArray) -> FloatArray:
    """Return normal scores of pooled ranks, (chains, draws, n) as values are."""
    flat = values.reshape(-1, values.shape[2])
    ranks = stats.rankdata(flat, axis=0)
    return np.asarray(special.ndtri((ranks - 0.375) / (len(flat) + 0.25)).reshape(values.shape))


# -- warm-up ---------------------------------------------------------------------------------


def has_trend(scores: FloatArray, groups: IntArray) -> bool:
    """Return whether the first tenth of (chains, draws, n) is from elsewhere.

    Each chain's first window of ten against the means of all other windows, of scores and of
    their distances from 0: F, the mean square of the firsts over that of the others, Bonferroni
    over parameters. Windows are compared with windows, so that no autocorrelation time is needed
    as long as a window is longer than it; Geweke (1992) with that instead of a spectrum.
    Walkers of an ensemble are averaged.
    """
    length = scores.shape[1] // N_WINDOWS
    if length < 2:
        return False
    last = scores.shape[1] - length * (N_WINDOWS - 1)
    n = scores.shape[2]
    for series in (scores, np.abs(scores)):
        of_groups = np.stack([series[groups == g].mean(axis=0) for g in np.unique(groups)])
        rest = of_groups[:, last:]
        ess = diagnostics.ess_of_chains(np.ascontiguousarray(np.moveaxis(rest, 2, 0)))
        n_chains = len(of_groups)
        first = of_groups[:, :last].mean(axis=1)
        windows = rest.reshape(n_chains, N_WINDOWS - 1, length, n).mean(axis=2)
        centre = windows.mean(axis=(0, 1))
        freedom = n_chains * (N_WINDOWS - 1) - 1
        within = ((windows - centre) ** 2).sum(axis=(0, 1)) / freedom
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = ((first - centre) ** 2).mean(axis=0) / within / (1 + 1 / (freedom + 1))
        limit = stats.f.isf(CHANCE / (2 * n), n_chains, freedom)
        if np.any((ratio > limit) & (ess >= MIN_ESS * n_chains)):
            return True
    return False


def starts_equal(values: FloatArray) -> bool:
    """Return whether the first draws of (chains, draws, n) lie in one small ball."""
    if len(values) < MIN_STARTS:
        return False
    low, high = np.quantile(values, (0.25, 0.75), axis=(0, 1))
    sd = (high - low) / IQR  # heavy tails have none
    return bool(np.all(np.ptp(values[:, 0], axis=0) < BALL * sd))


# -- chains that are none --------------------------------------------------------------------


def are_pieces(scores: FloatArray) -> bool:
    """Return whether each chain of (chains, draws, n) goes on from the end of the one before it.

    The rank of a chain's first draw among its draws, by distance from the end of the chain before,
    is uniform for independent chains; Fisher's method over the joints. Chains that hardly mix are
    left out: the first draw of a random walk is its nearest to anywhere far too often.
    """
    n_chains = len(scores)
    ess = diagnostics.ess_of_chains(np.ascontiguousarray(np.moveaxis(scores, 2, 0)))
    if np.min(ess) < MIN_ESS * n_chains:
        return False
    logs = []
    for before, after in pairwise(scores):
        distance = ((after - before[-1]) ** 2).sum(axis=1)
        logs.append(np.log(np.mean(distance <= distance[0])))
    return bool(stats.chi2.sf(-2 * sum(logs), 2 * (n_chains - 1)) <= CHANCE)


def on_lines(values: FloatArray, digits: int) -> bool:
    """Return whether chains of (chains, draws, n) move along lines between others.

    A stretch move (Goodman & Weare 2010) goes along the line to another walker, one of
    differential evolution along the line between two: exactly, unless draws are thinned or on
    another scale than they were made on.
    """
    n_chains, n_draws, n = values.shape
    if n < 2 or n_chains > MAX_WALKERS:
        return False
    scaled = values / values.std(axis=(0, 1))
    straight = max(1e-7, STRAIGHT * 10.0 ** (1 - digits))
    # In n dimensions a direction is within this angle of one of the others by chance.
    are_pairs_told = n_chains**2 * straight ** (n - 1) < ON_LINES / 10
    if 2 * n_chains * straight ** (n - 1) > ON_LINES / 10:
        return False
    n_moves = n_on_lines = 0
    for t in np.unique(np.linspace(0, n_draws - 2, min(N_STEPS, n_draws - 1)).astype(int)):
        now, then = scaled[:, t], scaled[:, t + 1]
        step = then - now
        for k in np.flatnonzero(step.any(axis=1))[: N_STEPS // 4]:
            lines = [np.delete(places, k, axis=0) - now[k] for places in (now, then)]
            if are_pairs_told:
                lines += [_differences(places) for places in (now, then)]
            n_on_lines += any(_is_along(step[k], some, straight) for some in lines)
            n_moves += 1
    return n_moves >= N_STEPS and n_on_lines >= ON_LINES * n_moves


def _differences(places: FloatArray) -> FloatArray:
    """Return the ways between all pairs of places (n_places, n)."""
    first, second = np.triu_indices(len(places), 1)
    return np.asarray(places[first] - places[second])


def _is_along(step: FloatArray, lines: FloatArray, straight: float) -> bool:
    """Return whether a step (n,) is parallel to one of the lines (n_lines, n)."""
    along = step / np.linalg.norm(step)
    across = np.linalg.norm(lines - np.outer(lines @ along, along), axis=1)
    return bool(np.any(across < straight * np.linalg.norm(lines, axis=1)))


def depend_on_each_other(scores: FloatArray) -> bool:
    """Return whether the length of steps of (chains, draws, n) goes with where the others are.

    In an ensemble at equilibrium a walker's next place is independent of the others in the mean:
    each move leaves the posterior as it is, whatever they are. How far it goes is not: a stretch
    move is as long as the way to another walker, a difference of two as the ensemble is wide. So
    the squared lengths of steps, without what a chain's own place explains of them, are correlated
    with how far the others' mean lies in the chain's own direction, and with their spread.
    Student's t on these correlations from chain to chain, over the second half of the draws.
    """
    n_chains, n_draws, _ = scores.shape
    if n_chains < MIN_WALKERS:
        return False
    late = scores[:, n_draws // 2 :]
    before, after = late[:, :-1], late[:, 1:]
    squares = (before**2).sum(axis=2)
    lengths = ((after - before) ** 2).sum(axis=2)
    others = (before.sum(axis=0) - before) / (n_chains - 1)
    lean = (before * others).sum(axis=2)
    spread = (squares.sum(axis=0) - squares) / (n_chains - 1) - (others**2).sum(axis=2)
    moved = lengths > 0
    if np.any(moved.sum(axis=1) < MIN_MOVES):
        return False
    slope, constant = np.polyfit(squares[moved], lengths[moved], 1)
    unexplained = lengths - constant - slope * squares
    limit = stats.t.isf(CHANCE / 4, n_chains - 1)
    return any(_t_of_correlations(unexplained, where, moved) > limit for where in (lean, spread))


def _t_of_correlations(x: FloatArray, y: FloatArray, moved: npt.NDArray[np.bool_]) -> float:
    """Return Student's t, absolute, of the correlations of each chain's x and y where it moved."""
    found = np.array(
        [
            np.corrcoef(one[there], other[there])[0, 1]
            for one, other, there in zip(x, y, moved, strict=True)
        ]
    )
    error = found.std(ddof=1) / np.sqrt(len(found))
    return float(abs(found.mean()) / error) if error > 0 else 0.0
