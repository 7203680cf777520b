"""A block's channel to the client, by Dask: a queue of results, and a count of them."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distributed import Queue, Variable, get_worker
from distributed.core import Status

from gradbench.cluster import block, versions
from gradbench.cluster.block import Order, PlaceError
from gradbench.cluster.message import Message
from gradbench.cluster.versions import Answer, Asked

FULL = 1000  # messages that wait for the client; more would fill the scheduler's memory


def answer(asked: Asked) -> Answer:
    """Return what this worker has of what is asked: run on each of a cluster."""
    return versions.answer(asked)


def attempt(order: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """Run a block on this worker, a task; return what it took, a ``Spent`` as plain data.

    Args:
        order: the block, as ``Order.to_plain`` has it.
        channel: the name of the queue.

    Raises:
        VersionError: as in ``block.run``.
        PlaceError: files can't be written here.
    """
    parsed = Order.from_plain(order)
    with closing(_DaskChannel(parsed.id, channel)) as line:
        try:
            return asdict(block.run(parsed, line))
        except OSError as error:
            raise PlaceError(get_worker().address, str(error)) from error


def counter(channel: str, block: str) -> str:
    """Return the name of the variable that counts what a block has sent."""
    return f"{channel}-{block}"


class _DaskChannel:
    """A channel from within a task."""

    def __init__(self, block: str, channel: str) -> None:
        self._worker: Any = get_worker()
        self._key = self._worker.get_current_task()
        self._queue = Queue(channel, maxsize=FULL)
        self._counter = Variable(counter(channel, block))
        self._n_sent = int(self._counter.get())

    def n_sent(self) -> int:
        """Return what the counter says."""
        return self._n_sent

    def send(self, message: Message) -> None:
        """Put it into the queue."""
        self._queue.put(asdict(message))

    def send_cell(self, message: Message) -> None:
        """Put it into the queue, and count it: a worker that is lost between runs it twice."""
        self.send(message)
        self._n_sent += 1
        self._counter.set(self._n_sent)

    def is_wanted(self) -> bool:
        """Return whether the worker is alive and the task not cancelled.

        The scheduler cancels a client's tasks when it loses the client, and a worker closes when it
        loses the scheduler.
        """
        task = self._worker.state.tasks.get(self._key)
        is_running = task is not None and task.state == "executing"
        return is_running and self._worker.status == Status.running

    def close(self) -> None:
        """Let the scheduler forget the queue once nobody has it open."""
        self._queue.close()

    def address(self) -> str:
        """Return the host's address."""
        return str(self._worker.ip)

    def scratch(self) -> Path:
        """Return the worker's own folder, which Dask removes after it."""
        return Path(self._worker.local_directory)
