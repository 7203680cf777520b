"""Runs on a cluster of this process, whose workers compute nothing."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradbench.cluster import dask_channel, versions
from gradbench.cluster.block import PlaceError
from gradbench.cluster.connection import Cluster
from gradbench.cluster.message import Message
from gradbench.cluster.runner import ClusterRunner
from gradbench.cluster.versions import Answer
from gradbench.config import loading
from gradbench.config.benchmark import Benchmark
from gradbench.errors import ClusterError
from gradbench.measure import machine
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.results import execute, store
from gradbench.results.execute import Make, Outcome, Silent
from tests.made_up import replace_workers

pytest.importorskip("distributed")

CONFIG = """
name: far
models:
  normal: {use: gaussian, params: {dim: 2}}
  other: {use: student_t}
samplers:
  ok: {use: pymc_nuts}
  crashed: {use: pymc_nuts}
  unsuited: {use: pymc_nuts}
replicates: 4
"""
HERE = {"host": "0a1b2c3d", "processor": "made up", "python": "3.13.0", "cores": 2}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start a cluster of two workers in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, resources={"core": 1},
        dashboard_address=":0", protocol="inproc",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """Return a benchmark whose workers compute nothing, on a made-up machine."""
    replace_workers(monkeypatch)
    monkeypatch.setattr(machine, "describe", lambda: {**HERE, "versions": {"pymc": "6.0.0"}})
    path = tmp_path / "far.yaml"
    path.write_text(CONFIG)
    return loading.load(str(path))


def on(address: str, **given: Any) -> Make:
    """Return what makes a runner of the cluster."""
    return lambda benchmark, display: ClusterRunner(benchmark, display, Cluster(address, **given))


def rows(outcome: Outcome) -> list[dict[str, str]]:
    with (outcome.folder / "results.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_cluster_gives_what_this_machine_gives(
    benchmark: Benchmark, address: str, tmp_path: Path
) -> None:
    """All that a run's table says is the same on a cluster, but for where each cell ran."""
    near = execute.start(benchmark, tmp_path / "near", Silent())
    far = execute.start(benchmark, tmp_path / "far", Silent(), make=on(address))
    assert not far.is_interrupted
    own = {"host", "cores", "co_run", "block", "other_versions"}
    for ours, theirs in zip(rows(near), rows(far), strict=True):
        assert {k: v for k, v in ours.items() if k not in own} == {
            k: v for k, v in theirs.items() if k not in own
        }
        assert {ours[name] for name in own - {"host"}} == {""}
        assert ours["host"] == ("0a1b2c3d" if ours["sampling_s"] else "")
        is_run = theirs["status"] != "unsuited"
        assert theirs["host"] == ("0a1b2c3d" if is_run else "")
        assert bool(theirs["block"]) == is_run
    assert {c.model for c in store.read(far.folder).checks} == {"normal", "other"}


def test_a_block_has_whole_replicates_of_one_model(
    benchmark: Benchmark, address: str, tmp_path: Path
) -> None:
    """What ran in one block is one model, and each of its replicates whole."""
    found = rows(execute.start(benchmark, tmp_path, Silent(), make=on(address, replicates=2)))
    ran = [row for row in found if row["status"] != "unsuited"]
    assert len({row["block"] for row in ran}) == 4
    for block in {row["block"] for row in ran}:
        places = [(row["model"], row["replicate"]) for row in ran if row["block"] == block]
        assert len({model for model, _ in places}) == 1
        assert len(places) == 4  # two samplers, two replicates
        assert len(set(places)) == 2


def test_a_run_that_was_cut_is_finished_anywhere(
    benchmark: Benchmark, address: str, tmp_path: Path
) -> None:
    """Cells that are missing are run on the cluster or off it; those that are there are kept."""
    folder = execute.start(benchmark, tmp_path, Silent(), make=on(address)).folder
    whole = store.read(folder).results
    for make, is_far in ((Runner, False), (on(address), True)):
        lost = next(r for r in store.read(folder).results if r.cell.place == ("normal", "ok", 2))
        (folder / "cells" / f"{lost.cell.id}.json").unlink()
        execute.resume(folder, Silent(), save_draws=False, make=make)
        found = store.read(folder).results
        assert [r.cell.place for r in found] == [r.cell.place for r in whole]
        again = next(r for r in found if r.cell.place == lost.cell.place)
        assert again.measured is not None
        assert lost.measured is not None
        assert again.measured.fingerprint == lost.measured.fingerprint
        assert (again.node is not None) == is_far


def test_a_finished_run_asks_for_no_cluster(
    benchmark: Benchmark, address: str, tmp_path: Path
) -> None:
    """To look at a finished run again no scheduler needs to be there."""
    folder = execute.start(benchmark, tmp_path, Silent(), make=on(address)).folder
    gone = on("tcp://127.0.0.1:9")
    assert len(execute.resume(folder, Silent(), save_draws=False, make=gone).found) == 24


def test_what_arrives_twice_is_one_cell(benchmark: Benchmark, address: str) -> None:
    """A result of a block that was thought lost counts once, whichever attempt it is of."""
    runner = ClusterRunner(benchmark, Silent(), Cluster(address))
    from gradbench.config import planning

    cell = planning.cells(benchmark)[0]
    runner._missing[cell.place] = cell
    message = Message.of("one", CellResult(cell, "failed", "said"))
    assert [*runner._kept(message, None)] == [CellResult(cell, "failed", "said")]
    assert [*runner._kept(replace(message, block="two"), None)] == []


def test_a_block_that_ends_early_is_tried_again(
    benchmark: Benchmark, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that raises, as on a full disk, is tried three times more; then its cells crashed."""
    noted = tmp_path / "attempts"

    def attempt(order: Any, _: str) -> None:
        with noted.open("a") as file:
            file.write(f"{order['cells'][0]['model']}\n")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dask_channel, "attempt", attempt)
    found = rows(execute.start(benchmark, tmp_path, Silent(), make=on(address)))
    assert {row["status"] for row in found} == {"crashed", "unsuited"}
    reason = "its block ended early 4 times: OSError: [Errno 28] No space left on device"
    assert {row["reason"] for row in found if row["status"] == "crashed"} == {reason}
    assert sorted(noted.read_text().split()) == sorted(4 * (2 * ["normal"] + 2 * ["other"]))


def test_a_machine_that_cant_run_blocks_gets_no_more(
    benchmark: Benchmark, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose disk is full loses no block: others run them; without others the run ends."""
    real, bad = dask_channel.attempt, {0}

    def attempt(order: Any, channel: str) -> Any:
        from distributed import get_worker

        if get_worker().name in bad:
            raise PlaceError(get_worker().address, "No space left on device")
        return real(order, channel)

    monkeypatch.setattr(dask_channel, "attempt", attempt)
    whole = execute.start(benchmark, tmp_path, Silent(), make=on(address))
    assert not whole.is_interrupted
    assert {row["status"] for row in rows(whole)} == {"ok", "crashed", "unsuited"}
    assert "its block" not in {row["reason"] for row in rows(whole)}

    bad.add(1)
    ended = execute.start(benchmark, tmp_path, Silent(), make=on(address))
    assert ended.is_interrupted
    assert ended.lost.endswith("no worker is left that can run blocks: No space left on device")
    assert len(ended.found) == 8  # those that nobody suited


def other(*, lacking: str = "", differing: str = "") -> Any:
    return lambda _: Answer(lacking, differing)


def test_other_versions_are_refused_or_marked(
    benchmark: Benchmark, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers with another version get no block; where that is allowed, their cells say so."""
    monkeypatch.setattr(versions, "answer", other(differing="pymc 5.0.0, not 6.0.0"))
    with pytest.raises(ClusterError, match=r"pymc 5\.0\.0, not 6\.0\.0(.|\n)*--mixed-versions"):
        execute.start(benchmark, tmp_path, Silent(), make=on(address))
    assert not (tmp_path / "far").exists()
    found = rows(execute.start(benchmark, tmp_path, Silent(), make=on(address, is_mixed=True)))
    ran = [row for row in found if row["status"] != "unsuited"]
    assert {row["other_versions"] for row in ran} == {"pymc 5.0.0, not 6.0.0"}


def test_a_worker_that_lacks_a_library_gets_no_block(
    benchmark: Benchmark, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sampler needs must be there, whatever versions are allowed."""
    monkeypatch.setattr(versions, "answer", other(lacking="nutpie is not installed"))
    with pytest.raises(ClusterError, match="nutpie is not installed"):
        execute.start(benchmark, tmp_path, Silent(), make=on(address, is_mixed=True))


def test_workers_without_the_resource_are_told_how_to_start(
    benchmark: Benchmark, address: str, tmp_path: Path
) -> None:
    """A config whose cells have more threads than any worker says it has cores runs nothing."""
    wide = benchmark.model_copy(update={"threads": 2})
    with pytest.raises(ClusterError, match=r"none of 2 workers has 2 .*--resources core=1"):
        execute.start(wide, tmp_path, Silent(), make=on(address, timeout_s=1.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Cluster("local:none"), "local:none: write local:N"),
        (Cluster("somewhere"), "somewhere: no address of a scheduler"),
        (Cluster("tcp://me:secret@host:1"), r"tcp://host:1: an address has no user"),
    ],
)
def test_an_address_that_is_none_is_told(benchmark: Benchmark, given: Cluster, said: str) -> None:
    """What can't be an address is refused before anything is done; a password is not repeated."""
    with pytest.raises(ClusterError, match=said) as error:
        ClusterRunner(benchmark, Silent(), given)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("content", [None, "", "{}", "[]"])
def test_a_schedulers_file_is_waited_for(
    benchmark: Benchmark, tmp_path: Path, content: str | None
) -> None:
    """A file that isn't there in time, or names no address, is one message."""
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    make = on("", scheduler_file=file, timeout_s=0.3)
    with pytest.raises(ClusterError, match=r"scheduler\.json: no scheduler answers"):
        execute.start(benchmark, tmp_path, Silent(), make=make)
