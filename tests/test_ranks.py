"""Rank tests and intervals against SciPy, published examples and plain enumeration."""

import itertools

import numpy as np
import pytest
from scipy import stats

from gradbench.draws import FloatArray
from gradbench.stats import rank_tests

# Permeability of placentas at term and earlier: Hollander & Wolfe (1999), table 4.1.
TERM = np.array([[0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]])
EARLIER = np.array([[1.15, 0.88, 0.90, 0.74, 1.21]])


def test_the_textbooks_example() -> None:
    """p, shift, and to one order statistic the interval, are Hollander & Wolfe's (4.1, 4.3)."""
    assert rank_tests.mann_whitney(TERM, EARLIER)[0] == pytest.approx(0.1272, abs=1e-4)
    estimate, low, high = rank_tests.shift(TERM, EARLIER, 0.96)[:, 0]
    assert estimate == pytest.approx(0.305)
    differences = np.sort(np.subtract.outer(TERM[0], EARLIER[0]).ravel())
    assert differences[8] == pytest.approx(-0.15)
    assert low == differences[7]
    assert high == pytest.approx(0.76)


def test_tests_agree_with_scipy_row_by_row() -> None:
    """Many tests at once give what SciPy gives one by one, with ties and without."""
    rng = np.random.default_rng(0)
    head, base = rng.normal(size=(6, 8)), rng.normal(size=(6, 20))
    head[3:], base[3:] = np.round(head[3:], 1), np.round(base[3:], 1)
    head[5], base[5] = 1.0, 1.0
    found = rank_tests.mann_whitney(head, base)
    for p, h, b in zip(found[:5], head, base, strict=False):
        assert p == pytest.approx(stats.mannwhitneyu(h, b, alternative="greater").pvalue)
    assert found[5] == 1.0, "all tied: no evidence"
    pairs = head[:3] - base[:3, :8]
    for p, d in zip(rank_tests.signed_rank(pairs), pairs, strict=True):
        assert p == pytest.approx(stats.wilcoxon(d, alternative="greater").pvalue)
    assert rank_tests.signed_rank(np.zeros((1, 8)))[0] == 1.0
    many = rng.normal(0.2, 1, (1, 60))
    expected = stats.wilcoxon(many[0], alternative="greater", method="approx").pvalue
    assert rank_tests.signed_rank(many)[0] == pytest.approx(expected)
    table = np.array([[5, 3], [1, 30]])
    (p,) = rank_tests.more_often(*(np.array([n]) for n in (5, 8, 1, 31)))
    assert p == pytest.approx(stats.fisher_exact(table, alternative="greater")[1])


def test_the_signed_rank_test_is_exact() -> None:
    """Its p is the share of all sign patterns with as large a rank sum."""
    d = np.array([0.3, -0.1, 0.9, 0.5, -0.2, 1.1])
    rank = np.abs(d).argsort().argsort() + 1
    observed = rank[d > 0].sum()
    sums = [sum(itertools.compress(rank, signs)) for signs in itertools.product([0, 1], repeat=6)]
    share = np.mean([total >= observed for total in sums])
    assert rank_tests.signed_rank(d[None])[0] == pytest.approx(share)


def test_shifts_are_order_statistics_of_all_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many differences to hold give the same shift and interval as few of them do."""
    rng = np.random.default_rng(1)
    head, base = rng.normal(0.3, 1, (2, 31)), rng.normal(size=(2, 40))
    direct = rank_tests.shift(head, base, 0.95, 0.9)
    middle = [np.median(np.subtract.outer(h, b)) for h, b in zip(head, base, strict=True)]
    assert direct[0] == pytest.approx(middle)
    monkeypatch.setattr(rank_tests, "MAX_DIFFERENCES", 10)
    assert rank_tests.shift(head, base, 0.95, 0.9) == pytest.approx(direct, abs=1e-2)
    assert rank_tests.shift(head, base, 0.95, 0.9)[1:] == pytest.approx(direct[1:], abs=1e-9)
    walsh = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(head[0], 2)]
    assert rank_tests.centre(head[:1], 0.95)[0][0] == pytest.approx(np.median(walsh))


@pytest.mark.parametrize("noise", ["normal", "with outliers"])
def test_intervals_cover(noise: str) -> None:
    """95 % intervals hold the true shift about 95 times in a hundred, outliers or not."""
    rng = np.random.default_rng(2)

    def sample(n: int) -> FloatArray:
        x = rng.normal(size=(4000, n))
        return x + 50 * (rng.random(x.shape) < 0.03) * (noise != "normal")

    _, low, high = rank_tests.shift(sample(16) + 1.0, sample(64), 0.95)
    assert np.mean((low <= 1) & (high >= 1)) == pytest.approx(0.95, abs=0.015)
    _, low, high = rank_tests.centre(sample(16) - sample(16) + 1.0, 0.95)
    assert np.mean((low <= 1) & (high >= 1)) == pytest.approx(0.95, abs=0.015)


def test_too_few_pairs_bound_nothing() -> None:
    """Two replicates give an estimate, and no interval."""
    estimate, low, high = rank_tests.shift(np.array([[1.0, 2.0]]), np.array([[0.0]]), 0.95)
    assert (estimate[0], low[0], high[0]) == (1.5, -np.inf, np.inf)


def test_strata_are_held_apart() -> None:
    """A shift within each stratum is found although strata differ far more than that."""
    rng = np.random.default_rng(3)
    strata = [(rng.normal(c + 0.8, 1, 30), rng.normal(c, 1, 30)) for c in (0.0, 50.0, -9.0)]
    assert rank_tests.stratified(strata) < 1e-4
    assert rank_tests.stratified([(base, head) for head, base in strata]) > 0.9999
    one = strata[0]
    normal = stats.mannwhitneyu(*one, alternative="greater", method="asymptotic",
                                use_continuity=False)  # fmt: skip
    assert rank_tests.stratified([one]) == pytest.approx(normal.pvalue)
    assert rank_tests.stratified([(np.ones(4), np.ones(4))]) == 1.0


def test_holm_shares_the_level_by_weight() -> None:
    """Holm's steps: each rejection hands its share on; the first failure ends it."""
    one = np.ones(3)
    assert rank_tests.holm(np.array([0.003, 0.02, 0.004]), one, 0.01).tolist() == [
        True,
        False,
        True,
    ]
    assert not rank_tests.holm(np.array([0.004, 0.004, 0.004]), one, 0.01).any()
    heavy = np.array([8.0, 1.0, 1.0])
    assert rank_tests.holm(np.array([0.007, 0.5, 0.5]), heavy, 0.01).tolist() == [
        True,
        False,
        False,
    ]
    rng = np.random.default_rng(4)
    wrong = [rank_tests.holm(rng.random(20), rng.random(20) + 0.1, 0.05).any() for _ in range(4000)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.012)
