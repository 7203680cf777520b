"""The real command line on real clusters of this machine: a scheduler and workers as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gradbench.results import store
from tests.conftest import Run

pytest.importorskip("distributed")

SAMPLER = '''"""Independent normal draws, after a rest."""
import time
from gradbench.sampler import Field
from gradbench.sampler import Options as Base

class Options(Base):
    rest: float = Field(0.1, description="seconds")

def sample(density, start, options, rng, clock):
    clock.sampling()
    time.sleep(options.rest)
    for x in start:
        density(x)
    return rng.standard_normal((len(start), options.draws, density.ndim))
'''
MODEL = """import gradbench as gb

def model():
    return gb.LogDensity(lambda x: -(x**2).sum() / 2, ndim=2)
"""
CONFIG = """name: far
models:
  mine: {use: ./mine.py}
samplers:
  one: {use: ./rest.py, draws: 900}
  two: {use: ./rest.py, draws: 1000}
replicates: 3
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a small benchmark of a model and a sampler of files."""
    (tmp_path / "rest.py").write_text(SAMPLER)
    (tmp_path / "mine.py").write_text(MODEL)
    path = tmp_path / "far.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Start a scheduler and two workers, each a process of its own; give address and workers."""
    file = tmp_path / "scheduler.json"
    log = (tmp_path / "dask.log").open("ab")

    def dask(*words: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--scheduler-file", str(file), "--no-dashboard"],
            stdout=log, stderr=log, start_new_session=True, cwd=tmp_path,
        )  # fmt: skip

    scheduler = dask("scheduler", "--port", "0")
    worker = ("worker", "--nworkers", "1", "--nthreads", "1", "--memory-limit", "0")
    workers = [dask(*worker, "--resources", "core=1") for _ in range(2)]
    try:
        yield str(file), workers
    finally:
        for process in (*workers, scheduler):
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()
        log.close()


def found(tmp_path: Path) -> dict[Any, tuple[str, str]]:
    """Return each cell's status and draws, of the newest run."""
    run = store.read(max((tmp_path / "results" / "far").iterdir()))
    return {
        result.cell.place: (result.status, result.measured.fingerprint if result.measured else "")
        for result in run.results
    }


@pytest.mark.slow
@pytest.mark.smoke
def test_processes_of_their_own(
    config: Path, cluster: tuple[str, list[Any]], gradbench: Run, tmp_path: Path
) -> None:
    """Workers as the docs start them give the draws of this machine, and say where they ran."""
    file, _ = cluster
    far = gradbench("run", config, "--scheduler-file", file, "--timeout", "60s", "--save-draws")
    assert far.returncode == 0, far.stderr
    assert "ran on a cluster, in 3 blocks on 1 machine" in " ".join(far.stdout.split())
    there = found(tmp_path)
    (folder,) = (tmp_path / "results" / "far").iterdir()
    assert len(list((folder / "draws").glob("*.nc"))) == len(there) == 6
    cores = {r.node.cores for r in store.read(folder).results if r.node}
    assert cores <= {(core,) for core in os.sched_getaffinity(0)} | {()}
    assert "tcp://" not in json.dumps([path.read_text() for path in folder.rglob("*.json")])

    near = gradbench("run", config, "--set", "replicates=2")
    assert near.returncode == 0, near.stderr
    here = found(tmp_path)
    assert here == {place: there[place] for place in here}


@pytest.mark.slow
def test_a_lost_worker_costs_its_cell(
    config: Path, cluster: tuple[str, list[Any]], tmp_path: Path, command: list[str]
) -> None:
    """A worker that is killed with its nanny costs nothing that was finished; its processes end."""
    file, workers = cluster
    words = ("--scheduler-file", file, "--timeout", "60s", "--set", "replicates=12")
    with begun(command, config, *words) as run:
        family = psutil.Process(workers[0].pid).children(recursive=True)
        for process in (psutil.Process(workers[0].pid), *family[:1]):
            process.kill()
        assert run.wait(120) == 0
    assert len(found(tmp_path)) == 24
    assert "crashed" not in {status for status, _ in found(tmp_path).values()}
    wait(lambda: not any(process.is_running() for process in family))


@pytest.mark.slow
@pytest.mark.parametrize("n_asked", [1, 2])
def test_ctrl_c_once_and_twice(
    config: Path, tmp_path: Path, command: list[str], gradbench: Run, n_asked: int
) -> None:
    """Once: no new block, and those that run end; twice: at once. What is missing is resumed."""
    words = ["--cluster", "local:1", "--block", "2"]
    for key in ("replicates=4", "samplers.one.rest=1", "samplers.two.rest=1"):
        words += ["--set", key]
    with begun(command, config, *words) as run:
        for _ in range(n_asked):
            run.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert run.wait(60) == 130
    if n_asked == 1:
        assert len(found(tmp_path)) == 4  # a block is two replicates of two samplers
        return
    assert 1 <= len(found(tmp_path)) < 4
    (folder,) = (tmp_path / "results" / "far").iterdir()
    again = gradbench("run", "--resume", folder, "--quiet")
    assert again.returncode == 0, again.stderr
    assert len(found(tmp_path)) == 8


@pytest.mark.slow
def test_a_scheduler_that_goes_is_told(
    config: Path, cluster: tuple[str, list[Any]], tmp_path: Path, command: list[str]
) -> None:
    """Without its scheduler a run ends with a message, exit code 1, and all that was finished."""
    file, _ = cluster
    words = ("--scheduler-file", file, "--timeout", "20s", "--set", "replicates=40")
    with begun(command, config, *words, stderr=subprocess.PIPE) as run:
        for process in psutil.process_iter(["cmdline"]):
            if "scheduler" in (process.info["cmdline"] or []) and file in process.info["cmdline"]:
                process.kill()
        _, said = run.communicate(timeout=90)
    assert run.returncode == 1
    assert "the scheduler is gone; finish it with: gradbench run --resume" in " ".join(said.split())
    assert "Traceback" not in said
    assert 1 <= len(found(tmp_path)) < 80


@pytest.mark.slow
def test_a_gate_in_a_hurry(config: Path, gradbench: Run) -> None:
    """``check --cluster`` judges evaluations, against a baseline that was made on this machine."""
    words = ("--set", "replicates=8")
    assert gradbench("run", config, *words, "--quiet").returncode == 0
    (folder,) = (config.parent / "results" / "far").iterdir()
    saved = gradbench("baseline", "save", folder, "own")
    assert saved.returncode == 0, saved.stderr
    checked = gradbench(
        "check", config, "--baseline", "own", "--cluster", "local:2", "--max-replicates", "8",
        "--quiet", "--format", "json",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "identical" in checked.stdout


@contextmanager
def begun(
    command: list[str], config: Path, *words: str, **given: Any
) -> Iterator["subprocess.Popen[str]"]:
    """Start a run beside its config, and give it once its first cell is there."""
    whole = [*command, "run", str(config), "--quiet", *words]
    with subprocess.Popen(
        whole, cwd=config.parent, stdout=subprocess.DEVNULL, text=True, **given
    ) as run:
        wait(lambda: any((config.parent / "results").rglob("cells/*.json")))
        yield run


def wait(condition: Callable[[], bool]) -> None:
    """Return once a condition holds."""
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
