"""Verdicts: every one of them, on data whose truth is known."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradbench.gate import compare as gate
from gradbench.gate import pair, rule
from gradbench.gate.sides import Series, Side
from gradbench.gate.verdict import Compared, Comparison, Policy

SETUP: dict[str, Any] = {
    "params": {"dim": 5},
    "options": {"tune": 100, "draws": 200},
    "init": "uniform",
    "n_parameters": 5,
    "density_signature": 1.5,
}
MACHINE = {"host": "a", "processor": "p", "python": "3.13.0", "system": "Linux"}
FAST = ("normal", "nuts")


def series(
    n: int,
    *,
    rng: np.random.Generator,
    cost: float = 1.0,
    time: float = 1.0,
    sd: float = 0.05,
    draws: str = "",
    **other: Any,
) -> Series:
    """Return n replicates: so many times the evaluations per ESS, and the time of each."""
    n_evaluations = np.full(n, 1e4)
    plain = Series(
        setup=SETUP,
        replicate=np.arange(n),
        seed=np.arange(n) + 100,
        status=("ok",) * n,
        reason=("",) * n,
        fingerprint=tuple(f"{draws}{i}" for i in range(n)),
        n_evaluations=n_evaluations,
        ess=1000 / cost * np.exp(rng.normal(0, sd, n)),
        cpu_s=n_evaluations * 1e-5 * time * np.exp(rng.normal(0, 0.02, n)),
    )
    return dataclasses.replace(plain, **other)


@pytest.fixture
def make() -> Callable[..., Side]:
    """Make a side of one cell, or of given series."""
    rng = np.random.default_rng(7)

    def side(n: int = 64, **kind: Any) -> Side:
        kind.setdefault("draws", f"{rng.integers(10**9)}-")
        return Side("base", {FAST: series(n, rng=rng, **kind)}, MACHINE)

    return side


def only(comparison: Comparison) -> Compared:
    (row,) = comparison.rows
    return row


def test_the_same_draws_are_identical(make: Callable[..., Side]) -> None:
    """The very same draws need no statistics; a density that is called twice shows exactly."""
    base = make()
    found = gate.compare(base, base)
    assert only(found).verdict == "identical"
    assert "draws identical on 64 seeds" in only(found).reason
    assert Policy().exit_code([found]) == 0
    (one,) = base.series.values()
    twice = dataclasses.replace(one, n_evaluations=2 * one.n_evaluations, cpu_s=2 * one.cpu_s)
    row = only(gate.compare(base, dataclasses.replace(base, series={FAST: twice})))
    assert row.verdict == "regressed"
    assert row.evaluations is not None
    assert row.evaluations.low == row.evaluations.high == pytest.approx(2.0)


def test_a_worse_algorithm_regresses_on_any_machine(make: Callable[..., Side]) -> None:
    """15 % more evaluations per ESS are proven, attributed, and end with exit code 3."""
    head = dataclasses.replace(make(32, cost=1.15), machine={"host": "another"})
    found = gate.compare(make(), head)
    row = only(found)
    assert row.verdict == "regressed"
    assert row.reason.endswith("the algorithm got slower"), "of the code nothing is known"
    assert row.evaluations is not None
    assert row.evaluations.low < 1.15 < row.evaluations.high
    assert not row.is_time_judged
    assert "not judged" in " ".join(found.notes)
    assert Policy().exit_code([found]) == 3
    assert found.sentence.startswith("Regressed: nuts on normal")


def test_time_counts_side_by_side_only(make: Callable[..., Side]) -> None:
    """The same draws, 30 % slower code: caught if interleaved, shown if on another machine."""
    base, head = make(16, draws="x"), make(16, draws="x", time=1.3)
    head.series[FAST].ess[:] = base.series[FAST].ess
    row = only(gate.compare(base, head, is_paired=True))
    assert row.verdict == "regressed"
    assert "the code got slower, not the algorithm" in row.reason
    assert row.time is not None
    assert row.time.estimate == pytest.approx(1.3, rel=0.03)
    elsewhere = dataclasses.replace(head, machine={"host": "another"})
    shown = only(gate.compare(base, elsewhere))
    assert shown.verdict == "identical"
    assert shown.time is not None
    same_machine = only(gate.compare(base, head))
    assert same_machine.is_time_judged
    assert same_machine.verdict == "inconclusive", "30 % may be the hour of the day"
    head.series[FAST].cpu_s[:] *= 2
    assert only(gate.compare(base, head)).verdict == "regressed"


def test_noisy_times_leave_identical_draws_identical(make: Callable[..., Side]) -> None:
    """A run against itself is identical, though its times scatter by half."""
    run = make(16, draws="x")
    run.series[FAST].cpu_s[:] *= np.exp(0.5 * np.random.default_rng(1).standard_normal(16))
    row = only(gate.compare(run, run))
    assert row.verdict == "identical"
    assert row.time is not None
    assert row.time.high > 1.1


def test_traded_and_improved(make: Callable[..., Side]) -> None:
    """Worse in one factor and not in the product is traded; better is improved."""
    base = make(16)
    traded = only(gate.compare(base, make(16, cost=1.3, time=0.6), is_paired=True))
    assert traded.verdict == "traded"
    assert (
        Policy().exit_code([gate.compare(base, make(16, cost=1.3, time=0.6), is_paired=True)]) == 0
    )
    improved = only(gate.compare(make(), make(32, cost=0.7)))
    assert improved.verdict == "improved"
    assert "consider a new baseline" in improved.reason


def test_noise_is_inconclusive_and_says_what_it_could_have_caught(
    make: Callable[..., Side],
) -> None:
    """Few noisy replicates rule nothing out; the row says what they can and how many it takes."""
    found = gate.compare(make(16, sd=0.3), make(8, sd=0.3))
    row = only(found)
    assert row.verdict == "inconclusive"
    assert row.catches is not None
    assert row.catches > 1.3
    assert row.n_needed is not None
    assert row.n_needed > 100
    assert "would have caught +" in row.reason
    assert Policy().exit_code([found]) == 0
    assert Policy(strict=True).exit_code([found]) == 5
    assert only(gate.compare(make(2), make(2))).verdict == "inconclusive"


def test_an_algorithm_that_got_slower_is_told_from_the_code(make: Callable[..., Side]) -> None:
    """Side by side, 30 % more evaluations at the same speed are put down to the algorithm alone."""
    row = only(gate.compare(make(16), make(16, cost=1.3), is_paired=True))
    assert row.verdict == "regressed"
    assert row.lost == ("evaluations",)
    assert "the algorithm got slower, not the code" in row.reason


def test_few_replicates_of_which_half_have_no_cost(make: Callable[..., Side]) -> None:
    """Where nothing can be proven it says so, and prints no figure as large as its ignorance."""
    base, head = (make(6, **planted(6, 0.5, "not_converged")) for _ in range(2))
    row = only(gate.compare(base, head))
    assert row.verdict == "inconclusive"
    assert row.reason.endswith("too noisy to prove less than ×10")


def test_quiet_and_equal_is_fine(make: Callable[..., Side]) -> None:
    """Other draws of the same cost are fine: a slowdown of 10 % is ruled out."""
    row = only(gate.compare(make(), make(32)))
    assert row.verdict == "fine"
    assert row.catches is not None
    assert row.catches < 1.10


def test_a_loss_confined_to_one_parameter(make: Callable[..., Side]) -> None:
    """The geometric mean hides one parameter's loss; the guard on the worst does not."""
    rng = np.random.default_rng(1)

    def with_worst(side: Side, loss: float) -> Side:
        ess = 300 / loss * np.exp(rng.normal(0, 0.1, len(side.series[FAST].ess)))
        other = 5 * ess * loss
        worst = {"scale": ess, "x": other}
        return dataclasses.replace(
            side, series={FAST: dataclasses.replace(side.series[FAST], worst=worst)}
        )

    base = with_worst(make(), 1.0)
    assert only(gate.compare(base, with_worst(make(32), 1.0))).verdict == "fine"
    row = only(gate.compare(base, with_worst(make(32), 2.0)))
    assert row.verdict == "regressed"
    assert "scale" in row.reason


def test_the_worst_parameters_by_their_median(make: Callable[..., Side]) -> None:
    """Those of the smallest medians of what is known; one of which nothing is known is none."""
    series = make().series[FAST]
    rng = np.random.default_rng(3)
    worst = {f"x[{i}]": rng.lognormal(size=len(series.ess)) for i in range(9)}
    for i, ess in enumerate(worst.values()):
        ess[: 3 * i] = np.nan
    medians = {name: float(np.nanmedian(ess)) for name, ess in worst.items()}
    expected = sorted(medians, key=lambda name: medians[name])[: rule.N_WORST]
    worst["unknown"] = np.full(len(series.ess), np.nan)
    assert pair.worst_parameters(dataclasses.replace(series, worst=worst)) == expected
    assert pair.worst_parameters(dataclasses.replace(series, worst={})) == []


def test_a_sampler_a_little_worse_everywhere() -> None:
    """5 % on each of twelve models is no proof on any, and one on all together."""
    rng = np.random.default_rng(2)

    def many(n: int, cost: float, draws: str) -> Side:
        cells = {
            (f"m{i}", "nuts"): series(n, rng=rng, cost=cost, sd=0.08, draws=f"{draws}{i}")
            for i in range(12)
        }
        return Side("many", cells)

    found = gate.compare(many(64, 1.0, "b"), many(32, 1.05, "h"))
    assert not found.having("regressed")
    (pooled,) = found.pooled
    assert pooled.is_regressed
    assert pooled.evaluations.estimate == pytest.approx(1.05, abs=0.02)
    assert Policy().exit_code([found]) == 3
    assert "nuts over 12 models" in found.sentence


def planted(n: int, share: float, status: str) -> dict[str, Any]:
    bad = int(share * n)
    return {
        "status": (status,) * bad + ("ok",) * (n - bad),
        "reason": ("R-hat of x is 1.2",) * bad + ("",) * (n - bad),
    }


@pytest.mark.parametrize("status", ["not_converged", "crashed", "biased"])
def test_what_no_longer_works_fails(make: Callable[..., Side], status: str) -> None:
    """A cell that was fine and now isn't is reported for what it is, with exit code 4."""
    found = gate.compare(make(), make(32, **planted(32, 0.6, status)))
    row = only(found)
    assert row.verdict == "failed"
    assert status in row.reason
    assert "R-hat of x is 1.2" in row.reason
    assert Policy(allow_missing=True).exit_code([found]) == 4
    back = only(gate.compare(make(32, **planted(32, 0.6, status)), make()))
    assert back.verdict == "not comparable"
    assert "the base is" in back.reason


def test_fewer_replicates_converge(make: Callable[..., Side]) -> None:
    """A third of the seeds no longer converges: proven although the others cost what they did."""
    row = only(gate.compare(make(), make(32, **planted(32, 0.35, "not_converged"))))
    assert row.verdict == "regressed"
    assert "fewer replicates converge" in row.reason


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"options": {"tune": 100, "draws": 300}}, "draws is 300, was 200"),
        ({"params": {"dim": 6}}, "dim is 6, was 5"),
        ({"init": "map"}, "init is map, was uniform"),
        ({"density_signature": 1.6}, "log-density is another one"),
    ],
)
def test_other_questions_are_not_compared(
    make: Callable[..., Side], changed: dict[str, Any], said: str
) -> None:
    """Other options, another model or another density: what differs is said, and it is exit 4."""
    found = gate.compare(make(), make(32, setup={**SETUP, **changed}))
    assert only(found).verdict == "not comparable"
    assert said in only(found).reason
    assert Policy().exit_code([found]) == 4
    assert Policy(allow_missing=True).exit_code([found]) == 0


@pytest.mark.parametrize(
    ("moves", "defaults", "verdict"),
    [("stretch", ["a", "moves"], "fine"), ("de", ["a"], "not comparable")],
)
def test_an_option_that_is_new(
    moves: str, defaults: list[str], verdict: str, make: Callable[..., Side]
) -> None:
    """A side from before an option existed ran what is its default now, and nothing else."""
    old = {"tune": 100, "draws": 200, "walkers": 20, "a": 2.0}
    base = make(setup={**SETUP, "options": old})
    new = {**SETUP, "options": {**old, "moves": moves}, "defaults": defaults}
    assert only(gate.compare(base, make(32, setup=new))).verdict == verdict
    assert only(gate.compare(make(32, setup=new), base)).verdict == verdict
    named_alike = {**new, "params": {**SETUP["params"], "moves": 1}}
    assert only(gate.compare(base, make(32, setup=named_alike))).verdict == "not comparable"
    other = {**new, "options": {**old, "a": 3.0, "moves": moves}}
    assert only(gate.compare(base, make(32, setup=other))).verdict == "not comparable"


def test_missing_and_new(make: Callable[..., Side]) -> None:
    """A cell that is gone is missing and fails; one that is new does not."""
    base, head = make(), make()
    (one,) = base.series.values()
    more = dataclasses.replace(head, series={**head.series, ("normal", "emcee"): one})
    assert [row.verdict for row in gate.compare(base, more).rows] == ["fine", "new"]
    gone = gate.compare(more, base)
    assert [row.verdict for row in gone.rows] == ["missing", "fine"]
    assert Policy().exit_code([gone]) == 4
    assert Policy(allow_missing=True).exit_code([gone]) == 0


def test_advisory_cells_never_fail(make: Callable[..., Side]) -> None:
    """A cell that the baseline calls advisory is shown and fails nothing, however slow."""
    base = dataclasses.replace(make(), advisory={FAST: "too noisy"})
    found = gate.compare(base, make(32, cost=2.0))
    assert only(found).verdict == "advisory"
    assert Policy(strict=True).exit_code([found]) == 0


@pytest.mark.parametrize("status", ["approximate", "unsuited"])
def test_what_never_has_a_cost_fails_nothing(status: str, make: Callable[..., Side]) -> None:
    """On both sides it is shown; where one side had a cost, the other has failed."""
    without = make(status=(status,) * 64)
    found = gate.compare(without, without)
    assert only(found).verdict == "advisory"
    assert status in only(found).reason
    assert Policy(strict=True).exit_code([found]) == 0
    assert only(gate.compare(make(), without)).verdict == "failed"


def test_stuck_replicates_do_not_hide_a_regression(make: Callable[..., Side]) -> None:
    """Two seeds a hundred times as dear on both sides: the other sixty still prove 15 %."""
    base, head = make(), make(32, cost=1.15)
    base.series[FAST].ess[:2] /= 100
    head.series[FAST].ess[:2] /= 100
    assert only(gate.compare(base, head)).verdict == "regressed"


def test_the_looks_spend_the_level_once() -> None:
    """Looks double; the first may only pass; two others share the level as 0.4 and 0.6."""
    looks = rule.looks(32)
    assert [look.n_replicates for look in looks] == [8, 16, 32]
    assert [look.level for look in looks] == pytest.approx([0.0, 0.004, 0.006])
    for most in (8, 5, 100, 512):
        found = rule.looks(most)
        assert sum(look.level for look in found) == pytest.approx(rule.LEVEL)
        assert found[-1].n_replicates == most
        assert [look.is_last for look in found] == [False] * (len(found) - 1) + [True]


def test_what_is_caught_is_caught() -> None:
    """The smallest slowdown a comparison claims to catch is caught 19 times in 20."""
    rng = np.random.default_rng(5)
    sd, n_base, n_head, n_cells = 0.08, 64, 32, 4
    se = rule.standard_error(sd, n_base, n_head)
    slowdown = math.exp(rule.catches(se, n_cells))
    caught = 0
    for run in range(200):
        base, head = (
            Side(
                "s",
                {
                    (f"m{i}", f"s{i}"): series(
                        n, rng=rng, sd=sd, cost=cost if i == 0 else 1.0, draws=f"{run}{n}{i}"
                    )
                    for i in range(n_cells)
                },
            )
            for n, cost in ((n_base, 1.0), (n_head, slowdown))
        )
        found = gate.compare(base, head)
        caught += any(row.model == "m0" for row in found.having("regressed"))
    assert caught >= 180
