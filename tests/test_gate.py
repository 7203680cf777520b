"""The procedure that looks, goes on, and decides."""

import numpy as np
import pytest

from gradbench.config.planning import Key
from gradbench.gate import gate, rule, selftest
from gradbench.gate.compare import compare
from gradbench.gate.rule import Look
from gradbench.gate.sides import Series, Side, simulated
from gradbench.gate.verdict import Policy

SETUP = {"params": {}, "options": {}, "init": "uniform", "n_parameters": 1, "density_signature": 0}
CELLS: list[Key] = [(model, sampler) for model in ("a", "b", "c") for sampler in ("nuts", "emcee")]


def series(n: int, rng: np.random.Generator, *, cost: float = 1.0, sd: float = 0.05) -> Series:
    log_cost = np.log(cost) + rng.normal(0, sd, n)
    return simulated(SETUP, log_cost, rng.normal(np.log(1e-5), 0.03, n))


def side(n: int, seed: int, costs: dict[Key, float] | None = None, sd: float = 0.05) -> Side:
    rng = np.random.default_rng(seed)
    costs = costs or {}
    return Side("s", {key: series(n, rng, cost=costs.get(key, 1.0), sd=sd) for key in CELLS})


def test_only_the_undecided_go_on() -> None:
    """After each look no more replicates are asked for of cells that have their verdict."""
    asked: list[tuple[int, set[Key] | None]] = []
    take = gate.rehearsed(side(64, 0), side(32, 1, {CELLS[0]: 1.15}))

    def watched(look: Look, undecided: set[Key] | None) -> tuple[Side, Side]:
        asked.append((look.n_replicates, undecided))
        return take(look, undecided)

    found = gate.decide(watched, rule.looks())
    assert [row.key for row in found.having("regressed")] == [CELLS[0]]
    assert len(found.having("fine")) == len(CELLS) - 1
    (n_first, first), *later = asked
    assert (n_first, first) == (8, None)
    assert all(undecided and len(undecided) < len(CELLS) for _, undecided in later)
    assert CELLS[0] in (later[0][1] or ())
    n_head = {row.key: row.n_head for row in found.rows}
    assert min(n_head.values()) == 8 < n_head[CELLS[0]]


def test_nothing_regresses_at_the_first_look() -> None:
    """Eight replicates may only pass."""
    head = side(32, 2, {CELLS[0]: 1.5})
    take = gate.rehearsed(side(64, 0), head)
    first, *_ = rule.looks()
    found = compare(*take(first, None), first)
    verdicts = {row.key: row.verdict for row in found.rows}
    assert verdicts[CELLS[0]] == "inconclusive", "although it is 50 % dearer"
    assert "fine" in verdicts.values()


def test_a_small_loss_everywhere_keeps_a_sampler_running() -> None:
    """Cells that could pass go on while their sampler looks slower over all its models."""
    slower = {key: 1.05 for key in CELLS if key[1] == "nuts"}
    found = gate.decide(gate.rehearsed(side(256, 3), side(128, 4, slower)), rule.looks(128))
    assert [pool.sampler for pool in found.pooled if pool.is_regressed] == ["nuts"]
    assert Policy().exit_code([found]) == 3
    n_head = {row.key: row.n_head for row in found.rows}
    assert min(n_head[key] for key in slower) > 8


def test_noise_stays_inconclusive_to_the_last_look() -> None:
    """Where 32 replicates can't tell, the verdict says so and fails nothing unless strict."""
    found = gate.decide(gate.rehearsed(side(64, 5, sd=0.4), side(32, 6, sd=0.4)), rule.looks())
    undecided = found.having("inconclusive")
    assert len(undecided) > len(CELLS) / 2
    assert {row.n_head for row in undecided} == {32}
    assert Policy().exit_code([found]) == 0
    assert Policy(strict=True).exit_code([found]) == 5


@pytest.mark.slow
def test_false_alarms_and_power() -> None:
    """Of 300 gates on equal sides at most one fails; of 100 with a cell 15 % dearer nearly all."""
    rng = np.random.default_rng(8)
    failed = caught = 0
    for _ in range(300):
        base, head = (side(n, int(rng.integers(2**31))) for n in (64, 32))
        take = gate.rehearsed(base, head)
        failed += Policy().exit_code([gate.decide(take, rule.looks())]) != 0
    assert failed <= 1
    for _ in range(100):
        head = side(32, int(rng.integers(2**31)), {CELLS[2]: 1.15})
        found = gate.decide(gate.rehearsed(base, head), rule.looks())
        caught += [row.key for row in found.having("regressed")] == [CELLS[2]]
    assert caught >= 97


def test_the_selftests_rates_follow_its_noise() -> None:
    """Resampled gates hardly ever fail, catch 15 % where the noise allows it, and not where not."""

    def found(sd: float) -> dict[str, float]:
        before = side(16, 9, sd=sd)
        rates = selftest.rates(before, before, 24)
        return {rate.what: rate.share.estimate for rate in rates}

    quiet, noisy = found(0.03), found(0.5)
    assert quiet["false alarms"] == noisy["false alarms"] == 0
    assert quiet["+15 % in evaluations/ESS"] > 0.9
    assert noisy["+15 % in evaluations/ESS"] < 0.2
    assert quiet["+15 % in time per evaluation"] > 0.9
