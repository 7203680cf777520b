"""Worker processes: one for each model and sampler, kept warm within their limits of memory."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol, Self, TypeVar

from gradbench import __version__
from gradbench.config.benchmark import Limits
from gradbench.config.planning import Cell, Key
from gradbench.errors import InterpreterError, headline, pip_install
from gradbench.measure import machine, nursery
from gradbench.measure.nursery import Nursery, Start
from gradbench.measure.result import SCHEMA_VERSION, CellResult, Status
from gradbench.measure.slowdown import Planted

Answer = TypeVar("Answer")

LOG_BYTES = 2**16  # kept of what a dying worker wrote, from its end
TIMED = "sample"  # what a worker is asked for while nothing may disturb it
ROOM = 0.9  # of the memory of all workers: the rest is for what grows while a run is timed
GROWTH_BYTES = 2**25  # of a worker that compiles, after which all memory is looked at again
POLL_S = 0.1  # how often a worker's memory is looked at; the worker itself is not disturbed


class Observer(Protocol):
    """Is told what is under way, for a progress display."""

    def compiling(self, model: str, sampler: str) -> None:
        """A worker compiles this model for this sampler."""

    def sampling(self, cell: Cell) -> None:
        """This cell runs now."""


class Stopped(Exception):  # noqa: N818 - a limit reached is no error
    """A worker gave no result: it raised, died, or was ended at a limit.

    Attributes:
        status: that its cells have.
        said: the message, of one line or many.
        details: what there is beside it: a traceback, or the last of the worker's log.
    """

    def __init__(self, status: Status, said: str, details: str = "") -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.details = details

    def of(self, cell: Cell) -> CellResult:
        """Return what it makes of a cell."""
        reason = headline(self.said)
        details = self.details or (self.said if self.said != reason else "")
        return CellResult(cell, self.status, reason, details=details)


class Worker:
    """One worker process. After ``Stopped`` with any status but ``failed`` it is gone."""

    def __init__(
        self, start: Start, limits: Limits, until: Callable[[], float] = lambda: math.inf
    ) -> None:
        self._limits = limits
        self._until = until
        self.watch: Callable[[], None] | None = (
            None  # asked now and then while an answer is awaited
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = start(theirs.fileno(), self._log.fileno())
            except OSError:
                ours.close()
                self._log.close()
                raise
        self._connection: Connection[Any, Any] = Connection(ours.detach())

    def call(self, do: str, **arguments: Any) -> Any:
        """Return the worker's answer.

        Raises:
            Stopped: it raised, died, or passed a limit.
        """
        request = json.dumps({"do": do, "with": arguments}).encode()
        deadline = min(time.monotonic() + self._limits.timeout_s, self._until())
        try:
            self._connection.send_bytes(request)
            while not self._connection.poll(POLL_S):
                self._enforce(deadline)
                if self.watch is not None and do != TIMED:
                    self.watch()
            reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._death() from error
        if "ok" in reply:
            return reply["ok"]
        status: Status = "out_of_memory" if reply["kind"] == "MemoryError" else "failed"
        raise Stopped(status, reply["error"], reply["details"])

    @property
    def is_alive(self) -> bool:
        """Whether it can still be called."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._end()
        self._connection.close()
        self._log.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _enforce(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            self._end()
            is_over = deadline == self._until()
            said = "all time was up" if is_over else f"not done after {self._limits.timeout_s:g} s"
            raise Stopped("timeout", said)
        used = machine.resident_bytes(self.pid)
        if used > self._limits.memory_bytes:
            self._end()
            limit = self._limits.memory_bytes / 2**20
            raise Stopped(
                "out_of_memory", f"used {used / 2**20:.0f} MiB of {limit:.0f} MiB allowed"
            )

    def _death(self) -> Stopped:
        return _death(self._process.wait(), self._log)


def _death(code: int, log: IO[bytes]) -> Stopped:
    """Return what a worker's death makes of a cell, from its exit code and the end of its log."""
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES))
    text = log.read().decode(errors="replace").strip()
    lines = text.splitlines()
    last = next((line for line in lines if line.startswith("Fatal")), "".join(lines[-1:]))
    said = f"the worker died of {cause}" + (f": {last}" if last else "")
    return Stopped("crashed", said, text)


class Workers:
    """The workers of a run: warm ones by sampler, spare ones, and the nursery they come from.

    Where all of them together take too much memory, the warm ones used least recently are closed.

    Args:
        threads: of each.
        limits: of each, and of the memory of all.
        observer: is told when one compiles; None for nobody.
        python: their interpreter.
        planted: makes a model more expensive to a sampler on purpose; by their labels.

    Attributes:
        until: when every call is ended, on the monotonic clock, whatever its own limit.
    """

    def __init__(
        self,
        threads: int,
        limits: Limits,
        observer: Observer | None = None,
        *,
        python: str = sys.executable,
        planted: Mapping[Key, Planted] = MappingProxyType({}),
    ) -> None:
        self._threads = threads
        self._limits = limits
        self._observer = observer
        self._python = python
        self._planted = planted
        self.until = math.inf
        self._warm: dict[str, Worker] = {}
        self._spares: list[Worker] = []
        self._nursery: Nursery | None = None
        self._told_compile: set[str] = set()
        self._looked_at = 0
        self._total_bytes = limits.total_memory or machine.free_memory_bytes() // 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        self.close_all()
        if self._nursery is not None:
            self._nursery.close()

    def close_all(self) -> None:
        """End all workers; the next ones compile anew."""
        for worker in (*self._warm.values(), *self._spares):
            worker.close()
        self._warm, self._spares = {}, []
        self._told_compile.clear()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Return the answer of a worker that has compiled nothing yet, and stays so.

        Raises:
            Stopped: as in ``Worker.call``.
        """

        def answer() -> Any:
            self.start(1)
            try:
                return self._spares[0].call(do, **arguments)
            except Stopped as stopped:
                if stopped.status != "failed":
                    self._spares.pop(0).close()
                raise

        return twice(answer)

    def alone(self, do: str, **arguments: Any) -> Any:
        """Return the answer of a worker that lives for this alone.

        Raises:
            Stopped: as in ``Worker.call``.
        """
        with closing(self._new()) as worker:
            return worker.call(do, **arguments)

    def warm(self, cell: Cell) -> Worker:
        """Return the worker that has this cell's model and sampler compiled, used last now."""
        worker = self._warm.pop(cell.sampler, None)
        if worker is not None and not worker.is_alive:
            worker.close()
            worker = None
        self._make_room(is_for_one_more=worker is None)
        self._looked_at = 0
        if worker is None:
            if self._observer is not None:
                self._observer.compiling(cell.model, cell.sampler)
            worker = twice(lambda: self._built(cell))
        self._warm[cell.sampler] = worker
        return worker

    def told_compile(self, sampler: str) -> None:
        """Note that a cell has its compile time: what this sampler compiles next, it does again."""
        self._told_compile.add(sampler)

    def start(self, n: int) -> None:
        """Have n workers ready, no more than there are cores: they start side by side.

        Raises:
            Stopped: one can't be started.
        """
        while len(self._spares) < min(n, os.cpu_count() or 1):
            self._spares.append(self._new())

    def _ends(self) -> float:
        return self.until

    def _make_room(self, *, is_for_one_more: bool) -> None:
        """Close idle workers, least recently used first, until all together have their room."""
        others = [None, *(worker.pid for worker in self._spares)]  # None is this process
        others += [] if self._nursery is None else [self._nursery.pid]
        for measure in (machine.resident_bytes, machine.memory_bytes):  # the second takes long
            taken = {sampler: measure(worker.pid) for sampler, worker in self._warm.items()}
            free = ROOM * self._total_bytes - sum(map(measure, others))
            free -= max(taken.values(), default=0) if is_for_one_more else 0
            if sum(taken.values()) <= free:
                return
        while taken and sum(taken.values()) > free:
            oldest = next(iter(taken))
            del taken[oldest]
            self._warm.pop(oldest).close()

    def _built(self, cell: Cell) -> Worker:
        """Return a new worker that has compiled this cell's model and sampler."""
        self.start(1)
        worker = self._spares.pop(0)
        worker.watch, self._looked_at = partial(self._relieve, worker), 0
        try:
            planted = self._planted.get(cell.key)
            worker.call(
                "build",
                cell=cell.to_json(),
                planted=planted and asdict(planted),
                is_again=cell.sampler in self._told_compile,
            )
        except BaseException:
            worker.close()
            raise
        return worker

    def _relieve(self, busy: Worker) -> None:
        """Close idle workers while one that compiles outgrows the room that was made for it."""
        own = machine.resident_bytes(busy.pid)
        if own <= self._looked_at + GROWTH_BYTES:
            return
        self._looked_at = own
        idle = [sampler for sampler, worker in self._warm.items() if worker is not busy]
        while idle and self._taken(busy) > ROOM * self._total_bytes:
            self._warm.pop(idle.pop(0)).close()

    def _taken(self, busy: Worker) -> int:
        """Return the memory of all processes together, one of them perhaps not warm yet."""
        pids = {worker.pid for worker in (*self._warm.values(), *self._spares, busy)}
        others = [None] if self._nursery is None else [None, self._nursery.pid]
        return sum(map(machine.memory_bytes, (*others, *pids)))

    def _new(self) -> Worker:
        """Return a new worker: a fork of the nursery where that is safe.

        Raises:
            Stopped: the nursery died.
        """
        if not nursery.CAN_FORK:
            start = partial(nursery.spawned, threads=self._threads, python=self._python)
            return Worker(start, self._limits, self._ends)
        if self._nursery is None:
            self._nursery = Nursery(threads=self._threads, python=self._python)
        try:
            return Worker(self._nursery.start, self._limits, self._ends)
        except OSError as error:
            gone, self._nursery = self._nursery, None
            with closing(gone):
                raise _death(gone.wait(), gone.log) from error


def lone(limits: Limits = Limits()) -> Worker:  # noqa: B008 - frozen
    """Return a worker with one thread, to be closed by who asked for it."""
    return Worker(partial(nursery.spawned, threads=1, python=sys.executable), limits)


def interpreter(path: Path) -> str:
    """Return the command of another Python that can run our workers.

    Args:
        path: an interpreter, or the folder of a virtual environment.

    Raises:
        InterpreterError: it can't be run, has no gradbench, or one that speaks another version.
    """
    python = path / "bin" / "python" if path.is_dir() else path
    ask = (
        "try:\n    from gradbench.measure.result import SCHEMA_VERSION\n"
        "except ImportError:\n    from gradbench.result import SCHEMA_VERSION\n"
        "print(SCHEMA_VERSION)"
    )
    try:
        answer = subprocess.run(
            [str(python), "-P", "-c", ask], capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InterpreterError(f"{path}: is not a runnable Python interpreter: {error}") from error
    if answer.returncode != 0:
        said = "".join(answer.stderr.strip().splitlines()[-1:])
        raise InterpreterError(
            f"{path}: gradbench can't be imported there ({said});"
            f" install it with: {python} -m {pip_install()}=={__version__}"
        )
    if answer.stdout.strip() != str(SCHEMA_VERSION):
        raise InterpreterError(
            f"{path}: has another version of gradbench; both sides need the same:"
            f" {python} -m {pip_install()}=={__version__}"
        )
    return str(python)


def twice(attempt: Callable[[], Answer]) -> Answer:
    """Return what an attempt gives; where a worker dies in it, what a second one gives.

    A death before any sampling would cost a model all cells of a sampler, and is often no fault of
    theirs: the system ends the largest process when memory runs short.

    Raises:
        Stopped: the second attempt failed too, or the first one otherwise than by a death.
    """
    try:
        return attempt()
    except Stopped as stopped:
        if stopped.status != "crashed":
            raise
        first = stopped
    try:
        return attempt()
    except Stopped as second:
        said = f"{second.said} (the second attempt; the first: {first.said})"
        raise Stopped(second.status, said, f"{first.details}\n\n{second.details}") from second
