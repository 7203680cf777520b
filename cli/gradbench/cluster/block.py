"""A block where it runs: in a task of a Dask worker, its results sent one by one."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from gradbench import records
from gradbench.cluster import carried, cores, versions
from gradbench.cluster.blocks import Spent
from gradbench.cluster.carried import Files
from gradbench.cluster.message import Message
from gradbench.cluster.versions import Asked
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell
from gradbench.measure import machine
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult, Node
from gradbench.measure.runner import Runner

LOOK_S = 0.5  # how often a block looks whether anyone still wants it, and who else is busy


class VersionError(Exception):
    """A worker has other versions than the client, or lacks what a sampler needs."""


class PlaceError(Exception):
    """A worker's machine can't run blocks, as its disk is full: its address, and why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is told of a block.

    Attributes:
        id: digits that are the block's own.
        cells: to run, in this order.
        benchmark: what of the run they need: threads, limits, gates, and their model.
        files: of models and samplers.
        asked: what must be installed.
        is_mixed: whether other versions are allowed.
        saves_draws: whether draws are sent too.
        n_slots: how many blocks can run at a time, by the machine's address.
    """

    id: str
    cells: Sequence[Cell]
    benchmark: Benchmark
    files: Files
    asked: Asked
    is_mixed: bool
    saves_draws: bool
    n_slots: dict[str, int]

    def to_plain(self) -> dict[str, Any]:
        """Return it as text, numbers and bytes: another Python reads no class of this one."""
        return {
            "id": self.id,
            "cells": [cell.to_json() for cell in self.cells],
            "benchmark": self.benchmark.model_dump_json(),
            "files": dict(self.files),
            "asked": records.to_plain(self.asked),
            "is_mixed": self.is_mixed,
            "saves_draws": self.saves_draws,
            "n_slots": self.n_slots,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Order":
        """Return what ``to_plain`` gave."""
        parsed = {
            "cells": [Cell.from_json(cell) for cell in plain["cells"]],
            "benchmark": Benchmark.model_validate_json(plain["benchmark"]),
            "asked": records.from_plain(Asked, plain["asked"]),
        }
        return cls(**{**plain, **parsed})


class Channel(Protocol):
    """What leads from a block to the client."""

    def n_sent(self) -> int:
        """Return how many cells an earlier attempt at this block has sent, before it was lost."""

    def send(self, message: Message) -> None:
        """Send something that is no cell's result."""

    def send_cell(self, message: Message) -> None:
        """Send a cell's result, and count it."""

    def is_wanted(self) -> bool:
        """Return whether anyone waits for what this block gives."""

    def address(self) -> str:
        """Return that of this machine, as the client knows it."""

    def scratch(self) -> Path:
        """Return a folder for what is of no use later."""


def run(order: Order, channel: Channel) -> Spent:
    """Run a block's cells and send each result as it is there; return what that took.

    What an earlier attempt sent is not run again. When nobody waits any more, as after the client's
    end, what runs is ended.

    Raises:
        VersionError: another version of something is installed here, and must not be.
        OSError: files can't be written here.
    """
    found = versions.answer(order.asked)
    if found.lacking or (found.other and not order.is_mixed):
        raise VersionError
    cells = order.cells[channel.n_sent() :]
    clock = _Clock()
    with (
        cores.taken(order.benchmark.threads) as taken,
        TemporaryDirectory(prefix="gradbench-", dir=channel.scratch()) as place,
        Runner(_shared(order, channel), clock) as runner,
        _watched(runner, channel, taken) as watch,
    ):
        folder = Path(place)
        carried.unpacked(order.files, folder)
        here = carried.placed(cells, folder)
        theirs = {cell.place: cell for cell in cells}
        if any(entry.may_fail for entry in order.benchmark.models.values()):
            runner.preflight(here, must_suit="none")
        draws = folder / "draws" if order.saves_draws else None
        if draws is not None:
            draws.mkdir()
        node = _node(order.id, taken, found.other)
        for result in runner.run(here, draws):
            if not watch.is_wanted:
                break
            if isinstance(result, DensityCheck):
                node = replace(node, bare=result.bare)
                channel.send(Message.of(order.id, result))
                continue
            cell = theirs[result.cell.place]
            if draws is not None:
                _send_draws(order.id, draws, result.cell, cell, channel)
            where = replace(node, n_busy=watch.n_busy())
            told = replace(_as_there(result, folder), cell=cell, node=where)
            channel.send_cell(Message.of(order.id, told))
    n_replicates = len({cell.replicate for cell in cells})
    return clock.spent(n_replicates)


@dataclass(slots=True)
class _Watch:
    """What another thread sees while cells run."""

    is_wanted: bool
    look: Callable[[], int | None]
    _most: int | None = None

    def see(self) -> None:
        """Note how many cores are busy now, if that is more than before."""
        now = self.look()
        self._most = now if self._most is None else max(self._most, now or 0)

    def n_busy(self) -> int | None:
        """Return how many were busy at most since this was last asked."""
        self.see()
        most, self._most = self._most, self.look()
        return most


class _Clock:
    """Notes when the first cell of a block runs."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._first: float | None = None

    def compiling(self, model: str, sampler: str) -> None:
        """Note nothing."""

    def sampling(self, cell: Cell) -> None:  # noqa: ARG002 - an observer is told which
        """Note the first one."""
        self._first = self._first or time.monotonic()

    def spent(self, n_replicates: int) -> Spent:
        """Return what the block took until now."""
        end = time.monotonic()
        first = self._first or end
        return Spent(first - self._begun, end - first, n_replicates)


@contextmanager
def _watched(runner: Runner, channel: Channel, taken: cores.Taken) -> Iterator[_Watch]:
    """Look from another thread; when nobody wants the block, end what runs."""
    watch, over = _Watch(True, taken.n_busy), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            watch.see()
            if not channel.is_wanted():
                watch.is_wanted = False
                runner.until = 0.0

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _shared(order: Order, channel: Channel) -> Benchmark:
    """Return the benchmark with the memory that this block may have of the machine's."""
    limits = order.benchmark.limits
    if limits.total_memory is not None:
        return order.benchmark
    n = max(1, order.n_slots.get(channel.address(), 1))
    room = min(machine.free_memory_bytes() // 2, machine.total_memory_bytes() // 2 // n)
    limits = limits.model_copy(update={"total_memory": room})
    return order.benchmark.model_copy(update={"limits": limits})


def _node(block: str, taken: cores.Taken, other: str) -> Node:
    described = machine.describe()
    return Node(described["host"], described["processor"], taken.cores, None, block, other)


def _as_there(result: CellResult, folder: Path) -> CellResult:
    """Return a result whose messages name files by where the user has them."""
    reason, details = (text.replace(str(folder), "") for text in (result.reason, result.details))
    return replace(result, reason=reason, details=details)


def _send_draws(block: str, draws: Path, here: Cell, there: Cell, channel: Channel) -> None:
    path = draws / f"{here.id}.nc"
    if path.is_file():
        channel.send(Message(block, "draws", path.read_bytes(), f"{there.id}.nc"))
        path.unlink()
