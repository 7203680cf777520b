"""Where workers come from: forks and processes of their own do the same, and none is left."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark, Limits
from gradbench.config.planning import Cell
from gradbench.measure import nursery
from gradbench.measure.nursery import Nursery
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.measure.workers import Stopped, Worker

Write = Callable[..., Path]

needs_fork = pytest.mark.skipif(not nursery.CAN_FORK, reason="forking isn't safe here")
pytestmark = pytest.mark.slow

UNSEEDED = """
def model():
    with pm.Model() as made:
        pm.Normal("x", np.random.normal(0, 100), 1.0)
    return made
"""


class Silent:
    def compiling(self, model: str, sampler: str) -> None:
        pass

    def sampling(self, cell: Cell) -> None:
        pass


@pytest.fixture
def kept() -> Iterator[Nursery]:
    """A nursery, closed at the end."""
    import sys

    one = Nursery(threads=1, python=sys.executable)
    yield one
    one.close()


def runner_of(path: Path, **limits: int) -> tuple[Runner, list[Cell]]:
    """Return a runner of two samplers on a model file, and its cells."""
    benchmark = Benchmark.model_validate(
        {
            "name": "n",
            "models": {"m": {"use": str(path)}},
            "samplers": {
                "nuts": {"use": "pymc_nuts", "tune": 50, "draws": 50, "chains": 2},
                "emcee": {"use": "emcee", "walkers": 6, "tune": 10, "draws": 50},
            },
            "replicates": 2,
            "limits": limits,
        }
    )
    return Runner(benchmark, Silent()), planning.cells(benchmark)


def test_a_fork_draws_what_a_process_draws(
    model_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draws are the same to the bit, however workers are started and how few of them stay warm.

    A compile that is paid again is counted apart.
    """
    path = model_file(UNSEEDED.replace("np.random.normal(0, 100)", "3.0"))
    seen = []
    usual = nursery.CAN_FORK
    for can_fork, limits in ((usual, {}), (False, {}), (usual, {"total_memory": 1})):
        monkeypatch.setattr(nursery, "CAN_FORK", can_fork)
        runner, cells = runner_of(path, **limits)
        with runner:
            runner.preflight(cells)
            found = [r for r in runner.run(cells) if isinstance(r, CellResult)]
        measured = [result.measured for result in found if result.measured is not None]
        seen.append([run.fingerprint for run in measured])
        assert [run.timing.compile.wall_s > 0 for run in measured] == [True, True, False, False]
        is_again = [run.recompile_s is not None for run in measured]
        assert is_again == ([False, False, True, True] if limits else [False] * 4)
    assert len(set(seen[0])) == 4
    assert seen[0] == seen[1] == seen[2]


@needs_fork
def test_forks_share_no_random_state(model_file: Write) -> None:
    """A model whose data are drawn without a seed is another one to each worker, and is refused."""
    runner, cells = runner_of(model_file(UNSEEDED))
    with runner:
        runner.preflight(cells)
        found = [r for r in runner.run(cells) if isinstance(r, CellResult)]
    assert "refused" in {result.status for result in found}


@pytest.mark.smoke
@needs_fork
def test_a_worker_may_die_alone(kept: Nursery) -> None:
    """What a worker dies of is told, with the end of its log, and the next one is born."""
    first = Worker(kept.start, Limits())
    pid = first._process.pid
    assert first.call("machine")["cores"] == os.cpu_count()
    os.kill(pid, signal.SIGSEGV)
    with pytest.raises(Stopped, match="died of SIGSEGV: Fatal Python error") as death:
        first.call("machine")
    assert death.value.status == "crashed"
    assert not first.is_alive
    first.close()
    second = Worker(kept.start, Limits())
    assert second.call("remedies", uses=["pymc_nuts"]) == {}
    second.close()
    assert not second.is_alive


def is_running(process: psutil.Process) -> bool:
    """Return whether it runs; one that nobody has waited for yet does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


@needs_fork
def test_workers_end_with_the_nursery(kept: Nursery, model_file: Write) -> None:
    """A nursery that is killed takes its workers along, and a runner starts another one."""
    one = Worker(kept.start, Limits())
    worker = psutil.Process(one._process.pid)
    os.kill(kept._process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)
    with closing(one), pytest.raises(Stopped, match="died of SIGKILL"):
        one.call("machine")
    runner, cells = runner_of(model_file(UNSEEDED))
    with runner:
        assert runner.shapes(cells[0]) == {"x": ()}
        workers = runner._workers
        assert workers._nursery is not None
        os.kill(workers._nursery._process.pid, signal.SIGKILL)
        workers.close_all()
        assert runner.shapes(cells[0]) == {"x": ()}


@needs_fork
def test_a_model_that_exits_is_a_death_with_its_code(model_file: Write) -> None:
    """What a file does to its process is told of that process, not of another."""
    runner, cells = runner_of(model_file("def model():\n    raise SystemExit(7)\n"))
    with runner:
        runner.preflight(cells)
        found = [r for r in runner.run(cells) if isinstance(r, CellResult)]
    assert {result.status for result in found} == {"crashed"}
    assert all("exit code 7" in result.reason for result in found)
