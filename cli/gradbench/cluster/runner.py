"""Cells in, results out, as ``measure.runner`` does, on the workers of a cluster."""

import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from gradbench.cluster import blocks, carried, versions
from gradbench.cluster.block import Order, PlaceError, VersionError
from gradbench.cluster.blocks import Spent
from gradbench.cluster.connection import RESOURCE, Cluster, connected, require
from gradbench.cluster.message import Message
from gradbench.cluster.versions import Asked
from gradbench.cluster.workforce import Workforce
from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell, Place
from gradbench.errors import LostError, first_line
from gradbench.measure import machine
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.preflight import MustSuit
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.results import store
from gradbench.results.execute import Display

MAX_LOST = 3  # times that a block is tried again
IDLE_S = 0.02  # between two looks into an empty queue


@dataclass(slots=True)
class _Out:
    """A block that is out."""

    order: Order
    task: Any
    n_lost: int
    workers: frozenset[str]  # that it may go to; empty for all


class ClusterRunner:
    """Runs a benchmark's cells on a cluster, in blocks; yields each result as it arrives.

    Ctrl-C once lets blocks that run end, and begins none; twice ends them now.

    Args:
        benchmark: threads, limits, gates and models.
        display: is told what is under way.
        cluster: where.
    """

    def __init__(self, benchmark: Benchmark, display: Display, cluster: Cluster) -> None:
        require(cluster)
        self._benchmark = benchmark
        self._display = display
        self._cluster = cluster
        self._here = Runner(benchmark, display)
        self._open = ExitStack()
        self._client: Any = None
        self._workforce: Workforce
        self._channel = f"gradbench-{uuid.uuid4().hex[:12]}"
        self._asked = Asked({}, ())
        self._out: list[_Out] = []
        self._checked: set[str] = set()
        self._missing: dict[Place, Cell] = {}  # of the blocks that are out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a scheduler that is gone has nothing to be told
            self._recall()
        self._open.close()

    def preflight(self, cells: Sequence[Cell], *, must_suit: MustSuit = "any") -> None:
        """Reach the cluster, and look at models and samplers here as a run of this machine does.

        Without cells nobody is asked.

        Models that may fail, of which there may be hundreds, are looked at where they run.

        Raises:
            ModelError, SamplerError: as in ``Runner.preflight``.
            ClusterError: no scheduler or no worker is there, or none can run the cells.
        """
        if not cells:
            return
        uses = {cell.sampler_source for cell in cells if cell.sampler_source is not None}
        self._asked = Asked(versions.here(), sorted(uses, key=lambda source: source.use))
        n_cores = self._benchmark.threads
        self._client = self._open.enter_context(connected(self._cluster, n_cores))
        self._workforce = Workforce(self._client, self._cluster, n_cores=n_cores, asked=self._asked)
        models = self._benchmark.models
        known = [c for c in cells if not models[planning.split(c.model)[0]].may_fail]
        with self._here as here:
            here.preflight(known, must_suit=must_suit)

    def machine(self) -> dict[str, Any]:
        """Return what the client runs on; each cell says where it ran itself."""
        return machine.describe()

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None
    ) -> Iterator[DensityCheck | CellResult]:
        """Yield density checks and results as they arrive; may be called again with more cells.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when nothing runs any more.
            LostError: the scheduler is gone, or there is no worker for minutes.
        """
        suited = []
        for cell in cells:
            if (refusal := self._here.given_up(cell)) is None:
                suited.append(cell)
            else:
                yield refusal
        if not suited:
            return
        queue = blocks.Queue(suited, self._cluster.replicates)
        with _interrupted() as asked, self._queue() as arrivals:
            while self._out or not (queue.is_empty or asked.n):
                with self._connection():
                    self._workforce.look()
                    n = self._workforce.n_slots
                    while not queue.is_empty and not asked.n and len(self._out) < n:
                        self._submit(queue.take(n), saves_draws=save_to is not None)
                    self._tell(asked.n)
                    ended = [out for out in self._out if out.task.done() or self._is_stranded(out)]
                    arrived = arrivals.get(batch=True)
                for message in arrived:
                    yield from self._kept(Message(**message), save_to)
                if asked.n > 1:
                    break
                for out in ended:
                    with self._connection():
                        lost = self._settled(out, queue, is_ending=asked.n > 0)
                    yield from lost
                if not arrived and not ended:
                    time.sleep(IDLE_S)
            if asked.n:
                raise KeyboardInterrupt

    # -- blocks ------------------------------------------------------------------------------

    def _submit(self, cells: Sequence[Cell], *, saves_draws: bool, n_lost: int = 0) -> None:
        label = planning.split(cells[0].model)[0]
        models = {label: self._benchmark.models[label]}
        order = Order(
            id=uuid.uuid4().hex[:8],
            cells=tuple(cells),
            benchmark=self._benchmark.model_copy(update={"models": models}),
            files=carried.packed(cells),
            asked=self._asked,
            is_mixed=self._cluster.is_mixed,
            saves_draws=saves_draws,
            n_slots=self._workforce.n_slots_of_machines,
        )
        self._send(order, n_lost)

    def _send(self, order: Order, n_lost: int) -> None:
        from distributed import Variable

        from gradbench.cluster.dask_channel import attempt, counter

        Variable(counter(self._channel, order.id), client=self._client).set(0)
        allowed = self._workforce.allowed
        task = self._client.submit(
            attempt,
            order.to_plain(),
            self._channel,
            workers=allowed or None,
            resources={RESOURCE: self._benchmark.threads},
            pure=False,
        )
        self._missing |= {cell.place: cell for cell in order.cells}
        self._out.append(_Out(order, task, n_lost, frozenset(allowed)))

    def _is_stranded(self, out: _Out) -> bool:
        """Return whether a block waits for workers that are all gone."""
        return bool(out.workers) and not self._workforce.has_any(out.workers)

    def _settled(self, out: _Out, queue: blocks.Queue, *, is_ending: bool) -> list[CellResult]:
        """Put a block aside that has ended, and hand out again what it didn't give.

        Nothing is handed out when all is to end. Return the results of cells that are given up.
        """
        error = out.task.exception() if out.task.status == "error" else None
        if out.task.status == "finished":
            queue.learn(out.order.cells[0].model, Spent(**out.task.result()))
        self._forget(out)
        left = [cell for cell in out.order.cells if cell.place in self._missing]
        if not left or is_ending:
            return []
        if isinstance(error, VersionError | ImportError):
            # It came to a worker that nobody had asked yet: ask all again.
            self._workforce.look_again()
        n_lost = out.n_lost
        if isinstance(error, PlaceError):
            self._workforce.refuse(*error.args)
        elif (reason := _given_up(error, n_lost)) is None:
            n_lost += 1
        else:
            for cell in left:
                del self._missing[cell.place]
            return [CellResult(cell, "crashed", reason) for cell in left]
        self._submit(left, saves_draws=out.order.saves_draws, n_lost=n_lost)
        return []

    def _forget(self, out: _Out) -> None:
        from distributed import Variable

        from gradbench.cluster.dask_channel import counter

        self._out.remove(out)
        out.task.cancel()
        Variable(counter(self._channel, out.order.id), client=self._client).delete()

    def _recall(self) -> None:
        """Cancel what is out; each block sees that, and ends what runs."""
        if self._client is not None and self._client.status == "running":
            for out in list(self._out):
                self._forget(out)

    # -- what arrives ------------------------------------------------------------------------

    @contextmanager
    def _queue(self) -> Iterator[Any]:
        from distributed import Queue

        from gradbench.cluster.dask_channel import FULL

        arrivals = Queue(self._channel, client=self._client, maxsize=FULL)
        try:
            yield arrivals
        finally:
            with suppress(Exception):
                arrivals.close()

    def _kept(self, message: Message, save_to: Path | None) -> Iterator[DensityCheck | CellResult]:
        """Yield what a message brings: each cell once, however often it was run."""
        if message.kind == "draws":
            if save_to is not None:
                store.write(save_to / message.name, message.content)
            return
        try:
            found = message.found
        except (KeyError, TypeError, ValueError):
            return  # from another version of gradbench; its cell is still missing
        if isinstance(found, DensityCheck):
            if found.model not in self._checked:  # a later block may have fewer samplers
                self._checked.add(found.model)
                yield found
        elif self._missing.pop(found.cell.place, None) is not None:
            yield found

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Raise ``LostError`` where the scheduler can't be spoken with any more."""
        try:
            yield
        except (OSError, CancelledError) as error:
            raise LostError(f"{self._cluster.name}: the scheduler is gone") from error

    def _tell(self, n_asked: int) -> None:
        n = self._workforce.n_workers
        said = f"{len(self._out)} blocks on {n} workers" if n else "waiting for workers"
        self._display.doing(f"{said}; ending after these" if n_asked else said)


def _given_up(error: BaseException | None, n_lost: int) -> str | None:
    """Return why the cells of a block aren't run again, None where they are."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return f"its worker was lost {error.allowed_failures + 1} times"
    if n_lost < MAX_LOST:
        return None
    said = f": {type(error).__name__}: {first_line(error)}" if isinstance(error, Exception) else ""
    return f"its block ended early {n_lost + 1} times{said}"


@dataclass(slots=True)
class _Interrupts:
    """How often it was asked to end."""

    n: int = 0


@contextmanager
def _interrupted() -> Iterator[_Interrupts]:
    """Count signals that ask to end instead of being ended by them; only Ctrl-C asks gently."""
    asked = _Interrupts()

    def count(number: int, _: FrameType | None) -> None:
        asked.n += 1 if number == signal.SIGINT else 2
        if asked.n > 3:
            raise KeyboardInterrupt

    known = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handled = [s for s in known if signal.getsignal(s) is signal.default_int_handler]
    before = {number: signal.signal(number, count) for number in handled}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
