"""What is said of cells that ran on several machines, and of those that shared one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradbench.config.benchmark import Benchmark
from gradbench.gate import sides
from gradbench.measure.bare import Bare
from gradbench.measure.result import CellResult, Measured, Node
from gradbench.results.contests import contests
from gradbench.results.growth import growths
from gradbench.results.rows import rows
from gradbench.results.store import Stored
from gradbench.results.summarize import of_stored
from gradbench.results.summary import Summary, is_spread
from gradbench.results.times import leads
from gradbench.show.results import sections
from gradbench.timing import Duration, Timing
from tests.made_up import results

SPEED = {"slow": 10.0, "fast": 1.0}  # seconds for what takes one on the run's own machine
EVALUATIONS = {"frugal": 0.5, "lavish": 1.0}  # of what made-up runs need


def ran(sampler: str, n: int, *, hosts: Sequence[str], model: str = "normal") -> list[CellResult]:
    """Return replicates of a sampler that ran on these machines in turn, a block on each.

    The frugal one needs half the evaluations, and half the time of the other on each machine.
    """
    found = []
    for result in results(sampler, n=n, model=model):
        host = hosts[result.cell.replicate % len(hosts)]
        made = result.measured
        assert made is not None
        node = Node(host, "made up", (0,), 3, f"block-{host}", bare=Bare(1e-4 * SPEED[host], 5e-5))
        found.append(replace(result, measured=_made(made, sampler, host), node=node))
    return found


def _made(made: Measured, sampler: str, host: str) -> Measured:
    spent = SPEED[host] * EVALUATIONS[sampler]
    counts = replace(made.evaluations, n_grad_sampling=int(5000 * EVALUATIONS[sampler]))
    timing = Timing(made.timing.compile, Duration(), Duration(spent, spent))
    return replace(made, timing=timing, evaluations=counts)


def run(*cells: CellResult) -> Stored:
    entry = {"models": {"m": {"use": "gaussian"}}, "samplers": {"s": {"use": "emcee"}}}
    benchmark = Benchmark.model_validate({"name": "far", **entry})
    return Stored(benchmark, {"host": "own", "cores": 2}, {}, [], [*cells])


def spread() -> list[Summary]:
    """Return a run whose frugal sampler happens to have run more often on the slow machine."""
    return of_stored(
        run(
            *ran("frugal", 6, hosts=("slow", "slow", "fast")),
            *ran("lavish", 6, hosts=("slow", "fast", "fast")),
        )
    )


def test_evaluations_come_first_where_machines_differ() -> None:
    """The one with the fewest evaluations is first, though its seconds are more by its machines."""
    found = spread()
    assert is_spread(found)
    frugal, lavish = rows(found)
    assert (frugal.sampler, lavish.sampler) == ("frugal", "lavish")
    assert frugal.ms_per_ess is not None
    assert lavish.ms_per_ess is not None
    assert frugal.ms_per_ess.estimate > lavish.ms_per_ess.estimate
    (section,) = sections(found)
    heads = [column.head.replace("\n", " ") for column in section.columns]
    assert heads[1:3] == ["evals/ESS [95 % CI]", "ms/ESS [95 % CI]"]
    assert "evals /ESS" not in heads


def test_times_are_compared_within_blocks() -> None:
    """Of replicates that both ran in one block the ratio of times is exact: half."""
    (contest,) = contests(spread())
    assert (contest.best, contest.is_spread) == ("frugal", True)
    assert contest.time is not None
    assert contest.time.estimate == pytest.approx(2.0)
    assert contest.time.low == pytest.approx(2.0)


def test_without_a_block_in_common_no_time_is_compared() -> None:
    """Two samplers that never ran on one machine are compared by evaluations alone."""
    found = of_stored(run(*ran("frugal", 3, hosts=("slow",)), *ran("lavish", 3, hosts=("fast",))))
    (contest,) = contests(found)
    assert contest.time is None
    (section,) = sections(found)
    assert any("no block in common for their times" in line for line in section.lines)


def test_a_table_says_where_it_ran() -> None:
    """Below it stands how many blocks and machines there were, and how many cells shared one."""
    (section,) = sections(spread())
    (where,) = (line for line in section.lines if line.startswith("ran on a cluster"))
    assert where.startswith("ran on a cluster, in 2 blocks on 2 machines: times of one are not")
    (shared,) = (line for line in section.lines if line.startswith("co-run"))
    assert "12 of 12 cells" in shared
    assert "3 at a time at most" in shared


def test_one_machine_of_a_cluster_is_like_any_other() -> None:
    """Where all cells ran on one machine times come first, as they do here."""
    found = of_stored(run(*ran("frugal", 3, hosts=("fast",)), *ran("lavish", 3, hosts=("fast",))))
    assert not is_spread(found)
    (contest,) = contests(found)
    assert not contest.is_spread
    assert leads(found)
    (section,) = sections(found)
    assert "ran on a cluster, in 1 block on 1 machine" in section.lines


def test_nobody_is_the_fastest_on_several_machines() -> None:
    """Seconds of different machines make no line of time to so many effective draws."""
    assert leads(spread()) == {}


def test_growth_has_no_time_on_several_machines() -> None:
    """Along a sweep whose points ran on different machines only evaluations have an exponent."""
    cells: list[CellResult] = []
    for dim, host in ((2, "slow"), (4, "fast"), (8, "slow")):
        point = ran("frugal", 3, hosts=(host,), model=f"normal[dim={dim}]")
        cells += [replace(r, cell=replace(r.cell, params={"dim": dim})) for r in point]
    found = of_stored(run(*cells))
    (growth,) = growths(found)
    assert growth.time is None
    assert growth.evaluations.estimate == pytest.approx(0, abs=1e-9)
    assert {summary.time_exponent for summary in found} == {None}
    assert found[0].evaluations_exponent is not None


def test_overhead_is_over_evaluations_of_the_same_machine() -> None:
    """A cell's time is set against what evaluations cost in its own block."""
    found = [cell for cell in spread() if cell.sampler == "lavish"]
    assert {cell.logdensity_s for cell in found if cell.host == "slow"} == {1e-3}
    assert {cell.logdensity_s for cell in found if cell.host == "fast"} == {1e-4}


def test_a_cluster_is_no_machine_to_compare() -> None:
    """A side whose cells ran on a cluster has no host, so that no time of it is judged."""
    cells = ran("frugal", 3, hosts=("fast",))
    assert "host" not in sides.of_run("far", run(*cells)).machine
    here = [replace(cell, node=None) for cell in cells]
    assert sides.of_run("near", run(*here)).machine["host"] == "own"


def test_a_record_of_where_survives() -> None:
    """Where a cell ran is read from JSON as it was written."""
    (result,) = ran("frugal", 1, hosts=("slow",))
    assert CellResult.from_json(result.to_json()).node == replace(
        result.node or Node("", "", (), None, ""), bare=Bare(1e-3, 5e-5)
    )
