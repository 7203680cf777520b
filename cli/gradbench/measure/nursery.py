"""Where workers come from: one process imports what all of them need, and they are its forks.

An import of PyMC takes seconds and hundreds of megabytes; a fork takes neither. The nursery has
its thread pools fixed before it imports anything, and starts no thread itself: JAX and Numba's
pools are the workers' own. It is started as ``python -m gradbench.measure.nursery FD PARENT``, and
answers one JSON request at a time. Where forking isn't safe, each worker is a process of its own.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np

from gradbench.measure import machine, worker

CAN_FORK = sys.platform == "linux"  # on macOS its own frameworks don't survive a fork
MAX_BYTES = 4096  # of a request or a reply


class Process(Protocol):
    """A worker's process, as ``subprocess.Popen`` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return its exit code, the negative signal that ended it, or None while it runs."""

    def wait(self) -> int:
        """Return that once it has ended."""

    def kill(self) -> None:
        """End it, if it still runs."""


Start = Callable[[int, int], Process]  # of a worker, given descriptors of connection and log


def spawned(connection: int, log: int, *, threads: int, python: str) -> Process:
    """Start a worker in a process of its own."""
    return _popen("gradbench.measure.worker", connection, log, threads=threads, python=python)


class Nursery:
    """The other side of the process that forks workers; both end together.

    Args:
        threads: of every worker.
        python: the interpreter.
    """

    def __init__(self, *, threads: int, python: str) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _popen(
                "gradbench.measure.nursery",
                theirs.fileno(),
                self.log.fileno(),
                threads=threads,
                python=python,
            )
        self._socket = ours

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self) -> int:
        """Return the exit code of one that is gone."""
        return self._process.wait()

    def start(self, connection: int, log: int) -> "Forked":
        """Return a new worker that serves on the first descriptor, and writes to the other.

        Raises:
            OSError: the nursery is gone.
        """
        return Forked(self, self.ask("fork", descriptors=(connection, log)))

    def ask(self, do: str, pid: int = 0, *, descriptors: Sequence[int] = ()) -> Any:
        """Return an answer: to ``fork``, given descriptors, or to ``poll`` and ``wait``, of a pid.

        Raises:
            OSError: the nursery is gone.
        """
        socket.send_fds(self._socket, [json.dumps([do, pid]).encode()], descriptors)
        if reply := self._socket.recv(MAX_BYTES):
            return json.loads(reply)
        raise ConnectionResetError("the nursery is gone")

    def close(self) -> None:
        """End it, and with it every worker that still runs."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self.log.close()


class Forked:
    """A worker that the nursery forked. Its pid stays its own until the nursery is asked."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, the negative signal that ended it, or None while it runs."""
        return self._told("poll")

    def wait(self) -> int:
        """Return that once it has ended."""
        code = self._told("wait")
        assert code is not None
        return code

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _told(self, do: str) -> int | None:
        if self._code is None:
            try:
                self._code = self._nursery.ask(do, self.pid)
            except OSError:  # a worker does not outlive the nursery
                self._code = -signal.SIGKILL
        return self._code


def _popen(module: str, connection: int, log: int, *, threads: int, python: str) -> Process:
    return subprocess.Popen(
        # -P: no numpy.py in the user's folder stands in for NumPy.
        [python, "-P", "-m", module, str(connection), str(os.getpid())],
        env=machine.environment(threads),
        pass_fds=[connection],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for gradbench, which then ends its workers
    )


# -- the process -----------------------------------------------------------------------------


def main() -> None:
    """Fork workers on request, until the other side hangs up."""
    worker.prepare(int(sys.argv[2]))
    gc.collect()
    gc.freeze()  # what is here stays: a collector that looks at it would copy its pages
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while True:
            request, descriptors, *_ = socket.recv_fds(control, MAX_BYTES, 2)
            if not request:
                return
            do, pid = json.loads(request)
            answer = _fork(control, *descriptors) if do == "fork" else _waited(pid, do)
            control.sendall(json.dumps(answer).encode())


def _fork(control: socket.socket, connection: int, log: int) -> int:
    """Return the process id of a new worker; in the worker, serve and end."""
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        os.close(connection)
        os.close(log)
        return pid
    code = 1
    try:
        control.close()
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        worker.die_with(nursery)
        # A model file that draws its data without a seed must differ from worker to worker.
        np.random.seed()  # noqa: NPY002 - it is the global state that forks have in common
        worker.serve(Connection(connection))
        code = 0
    except SystemExit as end:  # a model's file may call exit()
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(pid: int, do: str) -> int | None:
    """Return a worker's exit code, or None while it runs and nobody wants to wait."""
    ended, status = os.waitpid(pid, 0 if do == "wait" else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    main()
