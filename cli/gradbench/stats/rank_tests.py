"""Rank tests and their intervals: arrays in, numbers out; one row of every array is one test.

Ranks, because a stuck replicate costs a hundred times what the others do: it moves a mean as far
as it likes, and a rank by one. Samples have shape (k, n): k tests at once, n replicates each.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from gradbench.draws import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

MAX_EXACT = 10_000  # pairs; above, SciPy's exact null distribution takes long and adds nothing
MAX_EXACT_PAIRS = 50  # as SciPy's own limit for the signed-rank distribution
MAX_DIFFERENCES = 200_000  # of one test; above, searching is quicker than sorting them
MAX_HELD = 2_000_000  # differences in memory at once
N_HALVINGS = 34  # to a ten-billionth of the range


def mann_whitney(head: FloatArray, base: FloatArray) -> FloatArray:
    """Return p for "head tends to be larger than base": (k, n), (k, m) to (k,).

    Exact without ties and up to ``MAX_EXACT`` pairs, else normal with the tie correction
    (Mann & Whitney 1947).
    """
    ordered = np.sort(np.concatenate([head, base], axis=1), axis=1)
    is_exact = ~(np.diff(ordered, axis=1) == 0).any(axis=1)
    is_exact &= head.shape[1] * base.shape[1] <= MAX_EXACT
    p = np.empty(len(head))
    for method, rows in (("exact", is_exact), ("asymptotic", ~is_exact)):
        if rows.any():
            found = stats.mannwhitneyu(
                head[rows], base[rows], alternative="greater", method=method, axis=1
            )
            p[rows] = found.pvalue
    return np.nan_to_num(p, nan=1.0)  # all values tied: no evidence


def shift(
    head: FloatArray, base: FloatArray, confidence: float, upper: float | None = None
) -> FloatArray:
    """Return by how much head lies above base: (k, n), (k, m) to (3, k), with ``upper`` (4, k).

    The median of all pairs' differences, and the bounds of its interval, two more of their order
    statistics (Hodges & Lehmann 1963; Hollander & Wolfe 1999, section 4.3). The last row is an
    upper bound with the one-sided confidence ``upper``. A bound is infinite where there are too
    few pairs.
    """
    n, m = head.shape[1], base.shape[1]
    ranks = _ranks(n * m, np.sqrt(n * m * (n + m + 1) / 12), confidence, upper)
    if n * m > MAX_DIFFERENCES:
        rows = [_of_many(np.sort(h), np.sort(b), ranks) for h, b in zip(head, base, strict=True)]
        return np.array(rows).T
    size = max(1, MAX_HELD // (n * m))
    found = [
        _order_statistics((h[:, :, None] - b[:, None, :]).reshape(len(h), -1), ranks)
        for h, b in ((head[i : i + size], base[i : i + size]) for i in range(0, len(head), size))
    ]
    return np.concatenate(found, axis=1)


def signed_rank(differences: FloatArray) -> FloatArray:
    """Return p for "the differences tend to be positive": (k, n) to (k,) (Wilcoxon 1945)."""
    method = "exact" if differences.shape[1] <= MAX_EXACT_PAIRS else "approx"
    found = stats.wilcoxon(differences, alternative="greater", method=method, axis=1)
    p: FloatArray = np.nan_to_num(found.pvalue, nan=1.0)
    return p


def centre(differences: FloatArray, confidence: float, upper: float | None = None) -> FloatArray:
    """Return the centre of paired differences with its bounds: (k, n) to (3, k) or (4, k).

    The median of the Walsh averages (Hodges & Lehmann 1963; Hollander & Wolfe 1999, section 3.2);
    bounds as in ``shift``.
    """
    n = differences.shape[1]
    i, j = np.triu_indices(n)
    ranks = _ranks(len(i), np.sqrt(n * (n + 1) * (2 * n + 1) / 24), confidence, upper)
    return _order_statistics((differences[:, i] + differences[:, j]) / 2, ranks)


def stratified(strata: list[tuple[FloatArray, FloatArray]]) -> float:
    """Return p for "head tends to be larger", over strata of (head (n,), base (m,)).

    Rank sums, each weighted by 1 / (n + m + 1), normal (van Elteren 1960).
    """
    excess, variance = 0.0, 0.0
    for head, base in strata:
        n, m = len(head), len(base)
        ranks = stats.rankdata(np.concatenate([head, base]))
        weight = 1 / (n + m + 1)
        excess += weight * (ranks[:n].sum() - n * (n + m + 1) / 2)
        variance += weight**2 * n * m * float(ranks.var(ddof=1)) / (n + m)
    return float(stats.norm.sf(excess / np.sqrt(variance))) if variance > 0 else 1.0


def more_often(
    n_head: IntArray, of_head: IntArray, n_base: IntArray, of_base: IntArray
) -> FloatArray:
    """Return p for "it happens more often in head": four (k,) to (k,) (Fisher's exact test)."""
    p: FloatArray = stats.hypergeom.sf(n_head - 1, of_head + of_base, n_head + n_base, of_head)
    return p


def holm(p: FloatArray, weights: FloatArray, level: float) -> BoolArray:
    """Return which tests to reject so that any false one has at most the probability ``level``.

    Weights say how the level is shared; they need not sum to one (Holm 1979, section 5).
    """
    order = np.argsort(p / weights)
    remaining = np.cumsum(weights[order][::-1])[::-1]
    passes = p[order] <= level * weights[order] / remaining
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passes)
    return rejected


def _ranks(n: int, sd: float, confidence: float, upper: float | None) -> list[float]:
    """Return which of n order statistics, from 0, are the median and the bounds.

    A bound that would lie outside is infinite.
    """

    def below(one_sided: float) -> float:
        rank = float(np.floor(n / 2 - stats.norm.ppf(one_sided) * sd)) - 1
        return rank if rank >= 0 else -np.inf

    low = below((1 + confidence) / 2)
    bound = [] if upper is None else [n - 1 - below(upper)]
    return [(n - 1) / 2, low, n - 1 - low, *bound]


def _order_statistics(values: FloatArray, ranks: list[float]) -> FloatArray:
    """Return order statistics of each row: (k, n) to (len(ranks), k); halves lie between two."""
    known = [rank for rank in ranks if np.isfinite(rank)]
    wanted = sorted({int(end) for rank in known for end in (np.floor(rank), np.ceil(rank))})
    ordered = np.partition(values, wanted, axis=1)
    return np.array(
        [
            (ordered[:, int(np.floor(rank))] + ordered[:, int(np.ceil(rank))]) / 2
            if np.isfinite(rank)
            else np.full(len(values), rank)
            for rank in ranks
        ]
    )


def _of_many(head: FloatArray, base: FloatArray, ranks: list[float]) -> list[float]:
    """Return order statistics of all differences of two sorted samples, by halving.

    How many differences are at most x takes one search per element, no matrix of them.
    """
    found = []
    for rank in ranks:
        low, high = head[0] - base[-1], head[-1] - base[0]
        for _ in range(N_HALVINGS if np.isfinite(rank) else 0):
            x = (low + high) / 2
            # head - base <= x  where  base >= head - x
            n_below = np.sum(len(base) - np.searchsorted(base, head - x, side="left"))
            low, high = (low, x) if n_below > rank else (x, high)
        found.append(high if np.isfinite(rank) else rank)
    return found
