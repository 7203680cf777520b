"""A run's folder when its process is killed: whole or invisible, and nothing left for ever."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell
from gradbench.measure.result import CellResult
from gradbench.results import store

BENCHMARK = Benchmark.model_validate(
    {"name": "n", "models": {"m": {"use": "gaussian"}}, "samplers": {"s": {"use": "pymc_nuts"}}}
)
CELL = Cell(
    model="m[x=1]", model_use="gaussian", params={}, sampler="s", sampler_use="pymc_nuts",
    options={}, init="uniform", threads=1, replicate=0, seed=1, start_seed=2,
)  # fmt: skip

KILLED = """
import os, pathlib, signal, sys
from gradbench.results import store
from gradbench.config.benchmark import Benchmark
from gradbench.measure.result import CellResult
sys.path.insert(0, {tests!r})
from test_store import BENCHMARK, CELL
moment, root = sys.argv[1], pathlib.Path(sys.argv[2])

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before run.json":
    write = store.write
    store.write = lambda path, text: kill() if path.name == "run.json" else write(path, text)
if moment == "before its name":
    store.named = kill
folder = store.create(root, BENCHMARK, {{}})
with store.locked(folder):
    folder.add(CellResult(CELL, "failed", "old"))
    os.fsync = kill
    folder.add(CellResult(CELL, "failed", "new"))
"""


def killed(moment: str, root: Path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code, moment, root], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before run.json", "before its name"])
def test_a_folder_is_whole_or_not_seen(moment: str, tmp_path: Path) -> None:
    """A kill while the folder is made leaves none under its name; the scratch goes later on."""
    killed(moment, tmp_path)
    (scratch,) = (tmp_path / "n").iterdir()
    assert scratch.name.startswith(".")
    store.create(tmp_path, BENCHMARK, {})
    assert scratch.exists(), "another machine may be at it"
    os.utime(scratch, (0, time.time() - 2 * store.STALE_S))
    folder = store.create(tmp_path, BENCHMARK, {})
    assert not scratch.exists()
    assert store.read(folder.path).results == []


def test_a_kill_while_a_cell_is_written(tmp_path: Path) -> None:
    """What was there is untouched, and the scratch file is gone once the run is opened again."""
    killed("while a cell is written", tmp_path)
    (path,) = (tmp_path / "n").iterdir()
    assert [r.reason for r in store.read(path).results] == ["old"]
    assert list(path.rglob("*.tmp"))
    with store.locked(store.RunFolder(path)) as folder:
        assert not list(path.rglob("*.tmp"))
        folder.add(CellResult(CELL, "failed", "new"))
    assert [r.reason for r in store.read(path).results] == ["new"]


def test_folders_of_one_second_keep_apart(tmp_path: Path) -> None:
    """Two runs that begin in one second have a folder each."""
    paths = {store.create(tmp_path, BENCHMARK, {}).path for _ in range(3)}
    assert {path.name.split("Z")[-1] for path in paths} >= {""}
    assert set((tmp_path / "n").iterdir()) == paths
    assert all((path.stat().st_mode & 0o777) == 0o755 for path in paths)


def test_an_interrupt_leaves_no_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a file is written leaves the old one and nothing beside it."""
    path = tmp_path / "r.csv"
    store.write(path, "old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write(path, "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_result_that_cant_be_written_is_a_failed_cell(tmp_path: Path) -> None:
    """Something in a result that JSON can't hold costs that cell, not the run."""
    folder = store.create(tmp_path, BENCHMARK, {"load": float("nan")})
    odd: Any = {"m": object()}
    folder.add(CellResult(CELL, "failed", "", odd))
    (result,) = store.read(folder.path).results
    assert result.status == "failed"
    assert "its result can't be written: a object can't be written as JSON" in result.reason


def test_older_results_are_read() -> None:
    """A cell that was written before there were details has none."""
    plain = CellResult(CELL, "crashed", "gone", details="all of it").to_json()
    assert CellResult.from_json(plain).details == "all of it"
    del plain["details"]
    older = CellResult.from_json({**plain, "schema_version": 4})
    assert (older.reason, older.details) == ("gone", "")
