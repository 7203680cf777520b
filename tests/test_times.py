"""How long it takes to so many effective draws, and who is the fastest to how many."""

import math
from dataclasses import replace
from typing import Any

import pytest

from gradbench.results.summary import Summary
from gradbench.results.times import Lead, Line, fastest, leads, with_times


def summary(sampler: str, replicate: int = 0, **given: Any) -> Summary:
    """Return a cell of one minute's warm-up and a tenth of a second per effective draw."""
    usual = Summary(
        model="normal", sampler=sampler, replicate=replicate, status="ok", reason="",
        init="uniform", threads=1, seed=1, start_seed=1, params="{}", options="{}",
        compile_s=5.0 if replicate == 0 else None, warmup_s=60.0, sampling_s=100.0,
        ess_worst=1000.0,
    )  # fmt: skip
    return replace(usual, **given)


def test_compile_warm_up_and_sampling_are_in_it() -> None:
    """Each replicate has the compile time that was paid once for all of them."""
    found = with_times([summary("nuts"), summary("nuts", 1, sampling_s=200.0)], 10_000)
    assert [s.seconds_to_ess_goal for s in found] == pytest.approx([1065.0, 2065.0])
    assert {s.ess_goal for s in found} == {10_000}


def test_what_was_compiled_again_stands_in_where_nothing_else_was() -> None:
    """The worker of the first replicate died: the second's compile is all that is known."""
    dead = summary("nuts", status="crashed", compile_s=None, warmup_s=None)
    found = with_times([dead, summary("nuts", 1, recompile_s=7.0)], 1000)
    assert [s.seconds_to_ess_goal for s in found] == [None, pytest.approx(167.0)]


@pytest.mark.parametrize(
    "given", [{"status": "biased"}, {"ess_worst": None}, {"warmup_s": None}, {"sampling_s": None}]
)
def test_no_time_without_a_cost(given: dict[str, Any]) -> None:
    """A status without a cost, or an unknown phase, gives no number."""
    (found,) = with_times([summary("nuts", **given)], 1000)
    assert found.seconds_to_ess_goal is None
    assert leads([found, summary("emcee")]) == {}


def test_who_is_the_fastest_changes_where_lines_cross() -> None:
    """What compiles long wins in the long run; what is never ahead is not named."""
    given = {
        "never": [Line(200.0, 0.05)],
        "jax": [Line(141.0, 0.01)],
        "nuts": [Line(41.0, 0.02)],
        "emcee": [Line(1.0, 0.1)],
    }
    assert [(lead.sampler, lead.until) for lead in fastest(given)] == [
        ("emcee", pytest.approx(500)), ("nuts", pytest.approx(10_000)), ("jax", math.inf)
    ]  # fmt: skip
    assert [given[name][0].seconds(1000) for name in ("emcee", "nuts")] == pytest.approx([101, 61])


def test_lines_that_meet_in_one_point_leave_the_flattest() -> None:
    """Of two that overtake at the same number the one that stays ahead is named."""
    given = {"a": [Line(0, 1.0)], "b": [Line(500, 0.5)], "c": [Line(1000, 0.0)]}
    assert [lead.sampler for lead in fastest(given)] == ["a", "c"]


@pytest.mark.parametrize(
    ("theirs", "ties"), [([1.0, 1.3], ("b",)), ([2.0, 2.1], ()), ([1.4], ("b",)), ([1.6], ())]
)
def test_who_cant_be_told_from_the_fastest_is_named_with_it(
    theirs: list[float], ties: tuple[str, ...]
) -> None:
    """By the interval of their ratio; where a lone replicate gives none, by half as much again."""
    given = {"a": [Line(0, 1.0), Line(0, 1.1)], "b": [Line(0, slope) for slope in theirs]}
    given["a"] = given["a"][: len(theirs)]
    assert list(fastest(given)) == [Lead("a", math.inf, ties)]


def test_leads_are_of_models_with_two_prices() -> None:
    """Neither a lone sampler nor what was made elsewhere is compared."""
    alone = [summary("nuts"), summary("theirs", sampler_use="elsewhere", sampling_s=1.0)]
    assert leads(alone) == {}
    found = leads([*alone, summary("emcee", warmup_s=0.0, sampling_s=1600.0)])
    assert [(lead.sampler, lead.until) for lead in found["normal"]] == [("nuts", math.inf)]
