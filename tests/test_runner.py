"""What a runner makes of workers that die, raise and refuse, with made-up workers."""

import json
import math
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark, Limits
from gradbench.config.planning import Cell
from gradbench.errors import MAX_HEADLINE, ModelError, SamplerError, headline
from gradbench.measure import machine, nursery, workers
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.measure.worker import Session, serve
from gradbench.measure.workers import Stopped

Answer = Callable[[str, dict[str, Any]], Any]

POINTS = [[0.0, 0.0]]
PROBE = {
    "values": [0.0], "target_values": [0.0], "again": [0.0],
    "slopes": None, "differences": None, "uncertainties": None,
}  # fmt: skip
USUAL = MappingProxyType({
    "remedies": {}, "describe": {"ndim": 2, "complaints": [None, None]}, "build": {},
    "points": POINTS, "probe": PROBE, "shapes": {"x": [2]},
})  # fmt: skip
BACKTRACE = "Dimensions:\n\n----\n\x1b[31mgot 3,  wanted 2\x1b[0m\n   0: rust_begin_unwind\n"


class Silent:
    def compiling(self, model: str, sampler: str) -> None:
        pass

    def sampling(self, cell: Cell) -> None:
        pass


class Scripted:
    """A worker that answers as usual, where a script doesn't say otherwise."""

    script: Answer = staticmethod(lambda *_: None)
    n_living = 0
    pid = 1

    def __init__(self, *_: Any) -> None:
        self.is_alive = True
        Scripted.n_living += 1

    def call(self, do: str, **arguments: Any) -> Any:
        try:
            answer = type(self).script(do, arguments)
        except Stopped as stopped:
            self.is_alive = stopped.status == "failed"
            raise
        return USUAL.get(do) if answer is None else answer

    def close(self) -> None:
        Scripted.n_living -= 1


class Script:
    """Raises what it is told to, a number of times, where a worker is asked for something."""

    def __init__(self, do: str, times: int, stopped: Stopped, sampler: str = "a") -> None:
        self.do, self.times, self.stopped, self.sampler = do, times, stopped, sampler
        self.asked: list[str] = []

    def __call__(self, do: str, arguments: dict[str, Any]) -> Any:
        self.asked.append(do)
        cell = arguments.get("cell")
        is_its = cell is None or cell["sampler"] == self.sampler
        if do == self.do and self.times and is_its:
            self.times -= 1
            raise self.stopped
        if do == "sample":
            raise Stopped("failed", "no draws here")
        return None


KILLED = Stopped("crashed", "the worker died of SIGKILL", "its log")
BENCHMARK = Benchmark.model_validate(
    {
        "name": "n",
        "models": {"m": {"use": "gaussian"}},
        "samplers": {"a": {"use": "pymc_nuts"}, "b": {"use": "pymc_nuts"}},
        "replicates": 2,
    }
)


def made() -> Runner:
    return Runner(BENCHMARK, Silent())


Play = Callable[[Answer], Sequence[CellResult]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run a benchmark of two samplers with workers that follow a script."""
    monkeypatch.setattr(workers, "Worker", Scripted)
    monkeypatch.setattr(nursery, "CAN_FORK", False)

    def run(script: Answer) -> Sequence[CellResult]:
        monkeypatch.setattr(Scripted, "script", staticmethod(script))
        cells = planning.cells(BENCHMARK)
        with made() as running:
            running.preflight(cells)
            found = list(running.run(cells))
        assert Scripted.n_living == 0
        return [result for result in found if not isinstance(result, DensityCheck)]

    return run


@pytest.mark.parametrize("do", ["remedies", "describe", "build", "points", "probe"])
def test_a_death_before_sampling_costs_nothing(do: str, play: Play) -> None:
    """A worker that is killed once, whatever it prepares, is followed by another."""
    script = Script(do, 1, KILLED)
    found = play(script)
    assert {result.reason for result in found} == {"no draws here"}
    assert script.asked.count("sample") == len(found) == 4
    assert script.times == 0


def test_the_target_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samplers that come in later calls are held to what the first one's worker found of it."""
    monkeypatch.setattr(workers, "Worker", Scripted)
    monkeypatch.setattr(nursery, "CAN_FORK", False)
    asked = []

    def script(do: str, arguments: dict[str, Any]) -> Any:
        if do == "probe":
            asked.append(arguments["with_target"])
            return PROBE if arguments["with_target"] else {"values": [1.0], "slopes": None}
        if do == "sample":
            raise Stopped("failed", "no draws here")
        return None

    monkeypatch.setattr(Scripted, "script", staticmethod(script))
    cells = planning.cells(BENCHMARK)
    found = []
    with made() as running:
        running.preflight(cells)
        for label in ("a", "b"):
            some = [cell for cell in cells if cell.sampler == label]
            found += [check for check in running.run(some) if isinstance(check, DensityCheck)]
    assert asked == [True, False]
    assert [check.signature for check in found] == [found[0].signature] * 2


@pytest.mark.parametrize("do", ["build", "probe"])
def test_a_second_death_gives_up(do: str, play: Play) -> None:
    """Of a sampler whose workers die again and again no cell runs, and the reason says why."""
    script = Script(do, 99, KILLED)
    found = play(script)
    crashed = [result for result in found if result.cell.sampler == "a" or do == "probe"]
    assert {result.status for result in crashed} == {"crashed"}
    assert "(the second attempt; the first: the worker died of SIGKILL)" in crashed[0].reason
    assert "its log" in crashed[0].details
    assert len(found) == 4


def test_what_a_library_raises_is_not_tried_again(play: Play) -> None:
    """An exception costs one attempt; its first meaningful line is the reason, all is kept."""
    script = Script("build", 99, Stopped("failed", BACKTRACE, f"Traceback\n{BACKTRACE}"))
    found = [result for result in play(script) if result.cell.sampler == "a"]
    assert {result.reason for result in found} == {"Dimensions: got 3, wanted 2"}
    assert "rust_begin_unwind" in found[0].details
    assert script.asked.count("build") == 2


@pytest.mark.parametrize(("total", "n_builds"), [(1000, 2), (250, 6)])
def test_memory_bounds_the_warm_workers(
    total: int, n_builds: int, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two workers fit they stay warm; where they don't each is compiled for every cell.

    What no cell has told of yet is not compiled again: here no cell does.
    """
    monkeypatch.setattr(machine, "memory_bytes", lambda _: 100)
    monkeypatch.setattr(machine, "resident_bytes", lambda _: 200)
    monkeypatch.setattr(machine, "free_memory_bytes", lambda: 2 * total)
    n_built = 0
    living: list[int] = []

    def script(do: str, arguments: dict[str, Any]) -> Any:
        nonlocal n_built
        n_built += do == "build"
        assert not arguments.get("is_again")
        if do == "sample":
            living.append(Scripted.n_living)
            raise Stopped("failed", "no draws here")

    assert len(play(script)) == 4
    assert n_built == n_builds
    assert living == [2 if n_builds == 2 else 1] * 4


def test_a_long_line_is_cut() -> None:
    """A reason stays readable in a table, and what was cut of it is kept."""
    (cell, *_) = planning.cells(BENCHMARK)
    result = Stopped("refused", "no " * 1000).of(cell)
    assert len(result.reason) == MAX_HEADLINE
    assert result.details == "no " * 1000
    assert headline("") == headline("\n---\n") == ""
    assert headline("wrong:") == "wrong:"


def test_an_unsuited_sampler_leaves_the_others(play: Play) -> None:
    """On the only model, too, a sampler that can't run is a row, and the others run."""
    usual = Script("", 0, KILLED)

    def script(do: str, arguments: dict[str, Any]) -> Any:
        is_asked = do == "describe"
        return {"complaints": ["too few walkers", None]} if is_asked else usual(do, arguments)

    found = play(script)
    assert [(r.cell.sampler, r.status) for r in found[:2]] == [("a", "unsuited"), ("b", "failed")]
    assert found[0].reason == "too few walkers"


def test_nothing_suits(play: Play) -> None:
    """Where no sampler suits any model the run is refused, with a line for each."""
    with pytest.raises(SamplerError, match=r"samplers\.a: on model m: no\nsamplers\.b: .*: never"):
        play(lambda do, _: {"complaints": ["no", "never"]} if do == "describe" else None)


def test_how_many_must_suit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long run takes all of its samplers; a resumed one refuses none of what is left."""
    monkeypatch.setattr(workers, "Worker", Scripted)
    monkeypatch.setattr(nursery, "CAN_FORK", False)
    answer = {"complaints": ["no", None]}
    monkeypatch.setattr(
        Scripted, "script", staticmethod(lambda do, _: answer if do == "describe" else None)
    )
    cells = planning.cells(BENCHMARK)
    with made() as running, pytest.raises(SamplerError, match="on model m: no"):
        running.preflight(cells, must_suit="all")
    with made() as running:
        left = [cell for cell in cells if cell.sampler == "a"]
        monkeypatch.setattr(
            Scripted, "script",
            staticmethod(lambda do, _: {"complaints": ["no"]} if do == "describe" else None),
        )  # fmt: skip
        running.preflight(left, must_suit="none")
        assert {r.status for r in running.run(left) if isinstance(r, CellResult)} == {"unsuited"}


def test_a_model_that_raises_is_told_in_full(play: Play) -> None:
    """Before anything runs there is no file for the rest of a message: all of it is printed."""
    with pytest.raises(ModelError, match=r"models\.m: (.|\n)*rust_begin_unwind"):
        play(Script("describe", 1, Stopped("failed", BACKTRACE)))


def test_answers_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and infinity come from a worker as they are; what is no data is a failure, told."""
    ours, theirs = multiprocessing.Pipe()
    answers = iter([{"values": [-math.inf, math.nan]}, {"values": object()}])
    monkeypatch.setattr(Session, "machine", lambda _: next(answers))
    for _ in range(2):
        ours.send_bytes(json.dumps({"do": "machine", "with": {}}).encode())
    serving = threading.Thread(target=serve, args=(theirs,))
    serving.start()
    first, second = (json.loads(ours.recv_bytes()) for _ in range(2))
    ours.close()
    serving.join()
    assert str(first["ok"]["values"]) == "[-inf, nan]"
    assert "object is not JSON serializable" in second["error"]
    assert "Traceback" in second["details"]


def test_a_compile_that_outgrows_its_room_closes_idle_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The least recently used go first, no more of them than must, and not what compiles."""
    sizes: dict[int | None, int] = {None: 0}
    closed = []

    class Growing:
        is_alive = True
        watch: Callable[[], None] | None = None

        def __init__(self, *_: object) -> None:
            self.pid = len(sizes)
            sizes[self.pid] = 100 * 2**20

        def call(self, do: str, **given: Any) -> None:
            assert do == "build"
            if given["cell"]["sampler"] == "large":
                sizes[self.pid] = 750 * 2**20
            assert self.watch is not None
            self.watch()

        def close(self) -> None:
            closed.append(self.pid)
            sizes[self.pid] = 0

    monkeypatch.setattr(workers, "Worker", Growing)
    monkeypatch.setattr(nursery, "CAN_FORK", False)
    for name in ("memory_bytes", "resident_bytes"):
        monkeypatch.setattr(machine, name, lambda pid: sizes[pid])
    pool = workers.Workers(1, Limits(total_memory=1100 * 2**20))
    first = planning.cells(BENCHMARK)[0]
    for name in ("a", "b", "c", "d", "large"):
        pool.warm(replace(first, sampler=name))
    assert closed == [1, 2], "a and b: 200 MiB of the other two leave room"
