"""Cells in, results out: worker processes, time and memory limits, and nothing lost to a crash."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any, Literal, Protocol, Self, TypeVar

import numpy as np

from gradbench import __version__
from gradbench.config.loading import Benchmark, Limits
from gradbench.config.planning import Cell, Key
from gradbench.errors import InterpreterError, ModelError, SamplerError, headline, pip_install
from gradbench.measure import density_check, machine, nursery, statuses
from gradbench.measure.check_model import Examination
from gradbench.measure.density_check import DensityCheck, Probe
from gradbench.measure.nursery import Nursery, Start
from gradbench.measure.result import SCHEMA_VERSION, CellResult, Measured, Status
from gradbench.measure.slowdown import Planted
from gradbench.models import Source

Answer = TypeVar("Answer")

LOG_BYTES = 2**16  # kept of what a dying worker wrote, from its end
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

    def __init__(self, start: Start, limits: Limits) -> None:
        self._limits = limits
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
        deadline = time.monotonic() + self._limits.timeout_s
        try:
            self._connection.send_bytes(request)
            while not self._connection.poll(POLL_S):
                self._enforce(deadline)
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
            raise Stopped("timeout", f"not done after {self._limits.timeout_s:g} s")
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


class Runner:
    """Runs a benchmark's cells, one model after another, its samplers' replicates in turn.

    A worker stays warm for its model and sampler, so that compilation is paid once in each call of
    ``run``; where all of them together take too much memory, those used least recently are closed.

    Args:
        benchmark: threads, limits and gates.
        observer: is told what is under way.
        python: the interpreter of the workers.
        planted: makes a model dearer to a sampler on purpose, to try the gate; by their labels.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        observer: Observer,
        *,
        python: str = sys.executable,
        planted: Mapping[Key, Planted] = MappingProxyType({}),
    ) -> None:
        self._benchmark = benchmark
        self._observer = observer
        self._python = python
        self._planted = planted
        self._workers: dict[str, Worker] = {}
        self._spares: list[Worker] = []
        self._nursery: Nursery | None = None
        self._checked: dict[Key, Stopped | None] = {}
        self._unsuited: dict[Key, Stopped] = {}
        self._told_compile: set[str] = set()
        self._total_bytes = benchmark.limits.total_memory or machine.free_memory_bytes() // 2

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close_workers()
        if self._nursery is not None:
            self._nursery.close()

    def preflight(
        self, cells: Sequence[Cell], *, must_suit: Literal["all", "any", "none"] = "any"
    ) -> None:
        """Build every model once and ask every sampler whether it can run on it.

        A sampler that can't has the status ``unsuited`` on that model. A worker that dies or passes
        a limit here is no mistake of the user's: it becomes the status of its cells later on.

        Args:
            cells: those that will be run.
            must_suit: how many of the samplers must suit their model, or nothing is run.

        Raises:
            ModelError: a model file raises, or returns something that can't be sampled.
            SamplerError: a sampler isn't installed, or too few suit their model.
        """
        if not cells:
            return
        with suppress(Stopped):  # told where it is asked
            self._start_spares(len({cell.sampler for cell in cells}))
        self._require({cell.sampler: cell.sampler_use for cell in cells})
        for label, group in groupby(cells, key=lambda cell: cell.model):
            one_of_each = _first_of_each(list(group)).values()
            self._observer.compiling(label, "")
            try:
                answer = self._ask("describe", cells=[cell.to_json() for cell in one_of_each])
            except Stopped as stopped:
                if stopped.status == "failed":
                    raise ModelError(f"models.{label}: {stopped.said}") from stopped
                continue
            for cell, complaint in zip(one_of_each, answer["complaints"], strict=True):
                if complaint is not None:
                    self._unsuited[cell.key] = Stopped("unsuited", complaint)
        n_unsuited = len({cell.key for cell in cells} & self._unsuited.keys())
        allowed = {"all": 0, "any": len({cell.key for cell in cells}) - 1, "none": n_unsuited}
        if n_unsuited > allowed[must_suit]:
            lines = [
                f"samplers.{sampler}: on model {model}: {stopped.said}"
                for (model, sampler), stopped in self._unsuited.items()
            ]
            raise SamplerError("\n".join(lines))

    def _require(self, uses: Mapping[str, str]) -> None:
        """Raise a line for each sampler, by label, whose library the workers lack."""
        try:
            remedies = self._ask("remedies", uses=sorted(set(uses.values())))
        except Stopped as stopped:
            raise SamplerError(f"no worker could be asked: {stopped.said}") from stopped
        if missing := {label: use for label, use in uses.items() if use in remedies}:
            lines = [
                f"samplers.{label}: {use} is not installed: {remedies[use]}"
                for label, use in missing.items()
            ]
            hint = "gradbench run --skip-missing leaves out what is not installed"
            raise SamplerError("\n".join([*lines, hint]))

    def machine(self) -> dict[str, Any]:
        """Return what the workers run on, with the versions of their interpreter's packages."""
        described: dict[str, Any] = self._ask("machine")
        return described

    def shapes(self, cell: Cell) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of a cell's model, deterministics too, by name.

        Raises:
            ModelError: the model can't be built or compiled.
        """
        try:
            found = self._ask("shapes", cell=cell.to_json())
        except Stopped as stopped:
            raise ModelError(f"models.{cell.model}: {stopped.said}") from stopped
        return {name: tuple(shape) for name, shape in found.items()}

    def longer(self, cells: Sequence[Cell], share: float) -> dict[Key, Planted]:
        """Return the work to plant so that each cell's evaluations take longer by this share.

        Raises:
            ModelError: that can't be measured.
        """
        planted = {}
        for label, group in groupby(cells, key=lambda cell: cell.model):
            suited = [cell for cell in group if cell.key not in self._unsuited]
            for sampler, cell in _first_of_each(suited).items():
                try:
                    work = self._ask("calibrate", cell=cell.to_json(), share=share)
                except Stopped as stopped:
                    raise ModelError(f"{sampler} on {label}: {stopped.said}") from stopped
                planted[cell.key] = Planted(work=work)
        return planted

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield each model's density check, then each cell's result as it is finished.

        May be called again with more replicates: what was checked is not checked again.
        """
        for label, group in groupby(cells, key=lambda cell: cell.model):
            yield from self._run_model(label, list(group), save_to)
            self._close_workers()

    def _run_model(
        self, label: str, cells: list[Cell], save_to: Path | None
    ) -> Iterator[DensityCheck | CellResult]:
        given_up = {
            cell.sampler: self._unsuited[cell.key] for cell in cells if cell.key in self._unsuited
        }
        first_of_each = _first_of_each([cell for cell in cells if cell.sampler not in given_up])
        with suppress(Stopped):
            self._start_spares(len(first_of_each))
        at: list[list[float]] | None = None
        probes: dict[str, Probe] = {}
        for sampler, cell in first_of_each.items():
            try:
                self._warm(cell)
            except Stopped as stopped:
                given_up[sampler] = stopped
                continue
            if cell.key not in self._checked:
                try:
                    at, probes[sampler] = _twice(partial(self._probe, cell, at))
                except Stopped as stopped:
                    self._checked[cell.key] = stopped
        if at is not None and probes:
            check = density_check.judge(label, np.array(at), probes)
            for sampler in probes:
                reason = check.refused.get(sampler)
                refusal = None if reason is None else Stopped("refused", reason)
                self._checked[first_of_each[sampler].key] = refusal
            yield check
        for cell in first_of_each.values():
            if refusal := self._checked.get(cell.key):
                given_up[cell.sampler] = refusal
        for cell in cells:
            if cell.sampler in given_up:
                yield given_up[cell.sampler].of(cell)
            else:
                yield self._run_cell(cell, save_to)

    def _run_cell(self, cell: Cell, save_to: Path | None) -> CellResult:
        save = None if save_to is None else str(save_to / f"{cell.id}.nc")
        try:
            worker = self._warm(cell)
            self._observer.sampling(cell)
            answer = worker.call("sample", cell=cell.to_json(), save=save)
        except Stopped as stopped:
            return stopped.of(cell)
        measured = Measured.from_json(answer)
        self._told_compile.add(cell.sampler)
        status, reason = statuses.judge(measured, self._benchmark.gates)
        return CellResult(cell, status, reason, measured)

    def _probe(self, cell: Cell, at: list[list[float]] | None) -> tuple[list[list[float]], Probe]:
        """Return the points of the density check, made here if need be, and what is found there."""
        worker, is_first = self._warm(cell), at is None
        at = at or worker.call("points")
        return at, Probe(**worker.call("probe", at=at, with_target=is_first))

    def _warm(self, cell: Cell) -> Worker:
        """Return the worker that has this cell's model and sampler compiled, used last now."""
        worker = self._workers.pop(cell.sampler, None)
        if worker is not None and not worker.is_alive:
            worker.close()
            worker = None
        self._make_room(is_for_one_more=worker is None)
        if worker is None:
            self._observer.compiling(cell.model, cell.sampler)
            worker = _twice(lambda: self._built(cell))
        self._workers[cell.sampler] = worker
        return worker

    def _make_room(self, *, is_for_one_more: bool) -> None:
        """Close idle workers, least recently used first, until all together have their room."""
        others = [None, *(worker.pid for worker in self._spares)]  # None is this process
        others += [] if self._nursery is None else [self._nursery.pid]
        for measure in (machine.resident_bytes, machine.memory_bytes):  # the second takes long
            taken = {sampler: measure(worker.pid) for sampler, worker in self._workers.items()}
            free = self._total_bytes - sum(map(measure, others))
            free -= max(taken.values(), default=0) if is_for_one_more else 0
            if sum(taken.values()) <= free:
                return
        while taken and sum(taken.values()) > free:
            oldest = next(iter(taken))
            del taken[oldest]
            self._workers.pop(oldest).close()

    def _built(self, cell: Cell) -> Worker:
        """Return a new worker that has compiled this cell's model and sampler."""
        self._start_spares(1)
        worker = self._spares.pop(0)
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

    def _ask(self, do: str, **arguments: Any) -> Any:
        """Return the answer of a worker that has compiled nothing yet, and stays so.

        Raises:
            Stopped: as in ``Worker.call``.
        """

        def answer() -> Any:
            self._start_spares(1)
            try:
                return self._spares[0].call(do, **arguments)
            except Stopped as stopped:
                if stopped.status != "failed":
                    self._spares.pop(0).close()
                raise

        return _twice(answer)

    def _start_spares(self, n: int) -> None:
        """Have n workers ready, no more than there are cores: they start side by side.

        Raises:
            Stopped: one can't be started.
        """
        while len(self._spares) < min(n, os.cpu_count() or 1):
            self._spares.append(self._worker())

    def _worker(self) -> Worker:
        """Return a new worker: a fork of the nursery where that is safe.

        Raises:
            Stopped: the nursery died.
        """
        threads, limits = self._benchmark.threads, self._benchmark.limits
        if not nursery.CAN_FORK:
            start = partial(nursery.spawned, threads=threads, python=self._python)
            return Worker(start, limits)
        if self._nursery is None:
            self._nursery = Nursery(threads=threads, python=self._python)
        try:
            return Worker(self._nursery.start, limits)
        except OSError as error:
            gone, self._nursery = self._nursery, None
            with closing(gone):
                raise _death(gone.wait(), gone.log) from error

    def _close_workers(self) -> None:
        for worker in (*self._workers.values(), *self._spares):
            worker.close()
        self._workers, self._spares = {}, []
        self._told_compile.clear()


def examine(source: Source, params: Mapping[str, Any]) -> Examination:
    """Return what there is to say of a model, from a worker of one thread.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
    """
    worker = Worker(partial(nursery.spawned, threads=1, python=sys.executable), Limits())
    try:
        found = worker.call("examine", source=source.to_json(), params=dict(params))
    except Stopped as stopped:
        raise ModelError(stopped.said) from stopped
    finally:
        worker.close()
    return Examination.from_json(found)


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


def _twice(attempt: Callable[[], Answer]) -> Answer:
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


def _first_of_each(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return each sampler's first cell, in the cells' order."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.sampler, cell)
    return first
