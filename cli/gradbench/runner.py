"""Cells in, results out: worker processes, time and memory limits, and nothing lost to a crash."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from gradbench import density, machine, trust
from gradbench.config import Benchmark, Limits
from gradbench.density import DensityCheck, Probe
from gradbench.errors import ModelError, SamplerError
from gradbench.grid import Cell
from gradbench.result import CellResult, Measured, Status

POLL_S = 0.1  # how often a worker's memory is looked at; the worker itself is not disturbed


class Observer(Protocol):
    """Is told what is under way, for a progress display."""

    def compiling(self, model: str, sampler: str) -> None:
        """A worker compiles this model for this sampler."""

    def sampling(self, cell: Cell) -> None:
        """This cell runs now."""


class Stopped(Exception):  # noqa: N818 - a limit reached is no error
    """A worker gave no result: it raised, died, or was ended at a limit."""

    def __init__(self, status: Status, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.kind = kind


class Worker:
    """One worker process. After ``Stopped`` with any status but ``failed`` it is gone."""

    def __init__(self, *, threads: int, limits: Limits) -> None:
        self._limits = limits
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gradbench.worker", str(theirs.fileno()), str(os.getpid())],
                env=machine.environment(threads),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for gradbench, which then ends its workers
            )
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
        raise Stopped(status, reply["error"], reply["kind"])

    @property
    def is_alive(self) -> bool:
        """Whether it can still be called."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._end()
        self._connection.close()
        self._log.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _enforce(self, deadline: float) -> None:
        import psutil

        if time.monotonic() > deadline:
            self._end()
            raise Stopped("timeout", f"not done after {self._limits.timeout_s:g} s")
        try:
            used = psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return
        if used > self._limits.memory_bytes:
            self._end()
            limit = self._limits.memory_bytes / 2**20
            raise Stopped(
                "out_of_memory", f"used {used / 2**20:.0f} MiB of {limit:.0f} MiB allowed"
            )

    def _death(self) -> Stopped:
        code = self._process.wait()
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        last = next((line for line in lines if line.startswith("Fatal")), "".join(lines[-1:]))
        return Stopped("crashed", f"the worker died of {cause}" + (f": {last}" if last else ""))


class Runner:
    """Runs a benchmark's cells, one model after another, its samplers' replicates in turn.

    A worker stays warm for its model and sampler, so that imports and compilation are paid once.
    """

    def __init__(self, benchmark: Benchmark, paths: Mapping[str, Path], observer: Observer) -> None:
        self._benchmark = benchmark
        self._paths = paths
        self._observer = observer
        self._workers: dict[str, Worker] = {}
        self._spares: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close_workers()

    def preflight(self, cells: Sequence[Cell]) -> None:
        """Build every model once and ask every sampler whether it can run on it.

        A worker that dies or passes a limit here is no mistake of the user's: it becomes the
        status of its cells later on.

        Raises:
            ModelError: a model file raises, or returns something that can't be sampled.
            SamplerError: a sampler can't run with its options on a model.
        """
        self._start_spares(len({cell.sampler for cell in cells}))
        for label, group in groupby(cells, key=lambda cell: cell.model):
            one_of_each = _first_of_each(list(group))
            first = next(iter(one_of_each.values()))
            runs = [
                {"use": c.sampler_use, "options": dict(c.options)} for c in one_of_each.values()
            ]
            self._observer.compiling(label, "")
            worker = self._spares[0]
            try:
                answer = worker.call(
                    "describe",
                    path=str(self._paths[label]),
                    params=dict(first.params),
                    init=first.init,
                    runs=runs,
                )
            except Stopped as stopped:
                if stopped.status == "failed":
                    raise ModelError(f"models.{label}: {stopped.reason}") from stopped
                self._spares.remove(worker)
                worker.close()
                self._start_spares(1)
                continue
            for sampler, complaint in zip(one_of_each, answer["complaints"], strict=True):
                if complaint is not None:
                    raise SamplerError(f"samplers.{sampler}: on model {label}: {complaint}")

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield each model's density check, then each cell's result as it is finished."""
        for label, group in groupby(cells, key=lambda cell: cell.model):
            yield from self._run_model(label, list(group), save_to)
            self._close_workers()

    def _run_model(
        self, label: str, cells: list[Cell], save_to: Path | None
    ) -> Iterator[DensityCheck | CellResult]:
        self._start_spares(len(_first_of_each(cells)))
        given_up = self._build_all(cells)
        check, refusals = self._check_density(
            label, [c for c in cells if c.sampler not in given_up]
        )
        if check is not None:
            yield check
        given_up |= refusals
        for cell in cells:
            if cell.sampler in given_up:
                stopped = given_up[cell.sampler]
                yield CellResult(cell, stopped.status, stopped.reason)
            else:
                yield self._run_cell(cell, save_to)

    def _run_cell(self, cell: Cell, save_to: Path | None) -> CellResult:
        save = None if save_to is None else str(save_to / f"{cell.id}.nc")
        try:
            worker = self._warm(cell)
            self._observer.sampling(cell)
            answer = worker.call("sample", cell=cell.to_json(), save=save)
        except Stopped as stopped:
            return CellResult(cell, stopped.status, stopped.reason)
        measured = Measured.from_json(answer)
        status, reason = trust.judge(measured, self._benchmark.gates)
        return CellResult(cell, status, reason, measured)

    def _build_all(self, cells: list[Cell]) -> dict[str, Stopped]:
        """Compile for every sampler; return those that can't be, and why."""
        given_up = {}
        for cell in _first_of_each(cells).values():
            try:
                self._warm(cell)
            except Stopped as stopped:
                given_up[cell.sampler] = stopped
        return given_up

    def _check_density(
        self, label: str, cells: list[Cell]
    ) -> tuple[DensityCheck | None, dict[str, Stopped]]:
        """Return the check of the samplers that could be probed, and the samplers that are out."""
        out: dict[str, Stopped] = {}
        probes: dict[str, Probe] = {}
        at: list[list[float]] | None = None
        for sampler, cell in _first_of_each(cells).items():
            try:
                worker = self._warm(cell)
                if at is None:
                    at = worker.call("points")
                probes[sampler] = Probe(**worker.call("probe", at=at))
            except Stopped as stopped:
                out[sampler] = stopped
        if at is None or not probes:
            return None, out
        check = density.judge(label, np.array(at), probes)
        refused = {sampler: Stopped("refused", reason) for sampler, reason in check.refused.items()}
        return check, out | refused

    def _warm(self, cell: Cell) -> Worker:
        """Return the worker that has this cell's model and sampler compiled."""
        worker = self._workers.pop(cell.sampler, None)
        if worker is not None:
            if worker.is_alive:
                self._workers[cell.sampler] = worker
                return worker
            worker.close()
        self._observer.compiling(cell.model, cell.sampler)
        self._start_spares(1)
        worker = self._spares.pop(0)
        try:
            worker.call("build", path=str(self._paths[cell.model]), cell=cell.to_json())
        except BaseException:
            worker.close()
            raise
        self._workers[cell.sampler] = worker
        return worker

    def _start_spares(self, n: int) -> None:
        """Have n workers ready, no more than there are cores: they import side by side."""
        while len(self._spares) < min(n, os.cpu_count() or 1):
            self._spares.append(
                Worker(threads=self._benchmark.threads, limits=self._benchmark.limits)
            )

    def _close_workers(self) -> None:
        for worker in (*self._workers.values(), *self._spares):
            worker.close()
        self._workers, self._spares = {}, []


def _first_of_each(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return each sampler's first cell, in the cells' order."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.sampler, cell)
    return first
