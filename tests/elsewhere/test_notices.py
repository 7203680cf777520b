"""What draws betray: each rule sees what was planted, and nothing in clean chains."""

import numpy as np
import pytest

from benchmarks.judge import Made, autoregressive, ensemble, metropolis
from gradbench.draws import FloatArray
from gradbench.elsewhere import notices
from gradbench.elsewhere.chains import Chains

DIGITS = 17


def chains(values: FloatArray, *, is_ensemble: bool = False) -> Chains:
    names = tuple(f"x[{i}]" for i in range(values.shape[2]))
    groups = np.zeros(len(values), np.int64) if is_ensemble else np.arange(len(values))
    return Chains(names, values, groups, {})


def said(values: FloatArray, *, is_ensemble: bool = False, digits: int = DIGITS) -> str:
    found = notices.of(chains(values, is_ensemble=is_ensemble), digits)
    return " / ".join(notice.said for notice in found)


CLEAN: dict[str, Made] = {
    "independent draws": lambda rng: rng.standard_normal((4, 500, 5)),
    "antithetic chains": lambda rng: autoregressive(rng, (4, 500, 5), -0.4),
    "correlated draws": lambda rng: autoregressive(rng, (4, 1000, 3), 0.8),
    "many chains": lambda rng: autoregressive(rng, (12, 300, 3), 0.5),
    "heavy tails": lambda rng: np.sinh(3 * autoregressive(rng, (4, 500, 3), 0.5)),
    "Metropolis": lambda rng: metropolis(rng, (8, 1000, 3)),
    "one chain": lambda rng: autoregressive(rng, (1, 1000, 3), 0.5),
    "two chains, one parameter": lambda rng: rng.standard_normal((2, 500, 1)),
}


@pytest.mark.parametrize("make", CLEAN.values(), ids=[*CLEAN])
def test_clean_chains_are_nothing_to_notice(make: Made) -> None:
    """In 25 files of each kind: the rules are wrong once in a thousand files each."""
    found = [said(make(np.random.default_rng(seed))) for seed in range(25)]
    assert sum(map(bool, found)) <= 1, found


@pytest.mark.parametrize("n_chains", [1, 4])
def test_warmup_that_was_left_in_is_noticed(n_chains: int) -> None:
    """Chains that come from far out, on either side, within their first tenth."""
    rng = np.random.default_rng(0)
    clean = autoregressive(rng, (n_chains, 1000, 5), 0.8)
    way = 20 * rng.choice([-1, 1], (n_chains, 1, 5)) * 0.9 ** np.arange(1000)[:, None]
    assert "is warm-up left in?" in said(clean + way)
    assert not said(clean)


def test_warmup_of_an_ensemble_is_noticed() -> None:
    """Walkers that spread from a small ball."""
    rng = np.random.default_rng(0)
    clean = autoregressive(rng, (20, 1000, 3), 0.8)
    growing = 1 - 0.98 ** np.arange(1000)[:, None]
    assert "is warm-up left in?" in said(clean * growing, is_ensemble=True)
    assert not said(clean, is_ensemble=True)


@pytest.mark.parametrize("n_pieces", [2, 4])
def test_one_chain_in_pieces_is_noticed(n_pieces: int) -> None:
    """Each begins a step from where the last one ended; shuffled they would not."""
    whole = autoregressive(np.random.default_rng(0), (1, 6000, 8), 0.8).reshape(n_pieces, -1, 8)
    assert "they are one chain in pieces" in said(whole)
    assert "pieces" not in said(whole[:, np.random.default_rng(0).permutation(whole.shape[1])])


def test_equal_starts_are_noticed() -> None:
    """All chains leave one point."""
    values = metropolis(np.random.default_rng(0), (6, 1000, 3))
    assert "all chains start within" not in said(values)
    values[:, 0] = 0.01 * values[:, 1]
    assert "all chains start within" in said(values)


@pytest.mark.parametrize("digits", [17, 6])
@pytest.mark.parametrize("is_de", [False, True])
def test_walkers_given_as_chains_are_noticed(digits: int, is_de: bool) -> None:
    """Stretch moves and differences of two walkers, in doubles and as text of six digits."""
    values = ensemble(np.random.default_rng(0), (12, 300, 5), is_de=is_de, thin=1)
    rounded = np.array([float(f"{x:.{digits}g}") for x in values.ravel()]).reshape(values.shape)
    assert "judge them with --walkers" in said(rounded, digits=digits)
    assert "walkers" not in said(rounded, digits=digits, is_ensemble=True)


def test_steps_that_depend_on_other_chains_are_noticed() -> None:
    """Steps as long as the ensemble is wide, in random directions: no line shows them."""
    rng = np.random.default_rng(0)
    values, x = np.empty((24, 600, 5)), rng.standard_normal((24, 5))
    for t in range(600):
        wide = x.std(axis=0) ** 4
        y = x + 0.7 * wide * rng.standard_normal((24, 5))
        log_ratio = 0.5 * (np.sum(x**2, axis=1) - np.sum(y**2, axis=1))
        x = np.where(np.log(rng.random(24))[:, None] < log_ratio[:, None], y, x)
        values[:, t] = x
    assert "depends on where the others are" in said(values)


def test_duplicated_chains_are_found() -> None:
    """One that is a copy, one that is half a copy, and none that only looks like it."""
    values = np.random.default_rng(0).standard_normal((5, 200, 3))
    values[2] = values[0]
    values[4, 90:] = values[1, 90:]
    assert notices.duplicates(chains(values)) == {2: 0, 4: 1}


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal((6, 100, 2)),
        np.round(np.random.default_rng(0).standard_normal((6, 400, 1)), 1),
        np.random.default_rng(0).binomial(1, 0.99, (6, 400, 1)).astype(float),
        np.zeros((4, 100, 2)),
    ],
    ids=["continuous", "rounded", "nearly always 1", "never moved"],
)
def test_chains_that_agree_by_chance_are_no_duplicates(values: FloatArray) -> None:
    """Whole and rounded numbers are equal often, without being a copy."""
    assert notices.duplicates(chains(values)) == {}
