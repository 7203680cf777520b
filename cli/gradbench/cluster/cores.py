"""Cores of a machine, taken one by one: whoever runs cells has its own, and counts the others.

A core is taken by a lock on a file, which goes with the process that holds it. Other users of the
machine have folders of their own: they are not seen.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

HOME = Path("/tmp")  # not TMPDIR, which each job of a batch system may have of its own
PATIENCE_S = 5.0  # for the lock that is held while others are looked at, which takes milliseconds


@dataclass(frozen=True, slots=True)
class Taken:
    """Cores that are this block's own.

    Attributes:
        cores: their numbers; empty where this thread and what it starts may run anywhere.
        folder: of the locks.
    """

    cores: tuple[int, ...]
    folder: Path

    def n_busy(self) -> int | None:
        """Return how many cores are taken on this machine, its own among them.

        None where that can't be seen.
        """
        try:
            with FileLock(self.folder / "all.lock", timeout=PATIENCE_S):
                return sum(_is_taken(path) for path in self.folder.glob("core-*.lock"))
        except (OSError, Timeout):
            return None


@contextmanager
def taken(n: int, folder: Path | None = None) -> Iterator[Taken]:
    """Hold this thread, and processes that it starts, to n cores that no other block has.

    Where there are not so many, or the system can't, nothing is held; others count it all the same.

    Args:
        n: how many.
        folder: of the locks; None for the user's own.
    """
    folder = folder or HOME / f"gradbench-{os.getuid()}-cores"
    locks: list[FileLock] = []
    try:
        with suppress(OSError, Timeout):
            folder.mkdir(mode=0o700, exist_ok=True)
            with FileLock(folder / "all.lock", timeout=PATIENCE_S):
                cores = _take(_allowed(), n, folder, locks)
                if not cores:
                    # More blocks than cores: a place without one, so that the others count it.
                    _take(range(10**6, 10**6 + 10**4), n, folder, locks)
        with _held_to(cores if locks else ()) as held:
            yield Taken(held, folder)
    finally:
        for lock in locks:
            lock.release()


def _take(numbers: Sequence[int], n: int, folder: Path, locks: list[FileLock]) -> tuple[int, ...]:
    """Lock n of these numbers, and return them; none of them where there are not so many."""
    got: list[int] = []
    for number in numbers:
        lock = FileLock(folder / f"core-{number}.lock", timeout=0)
        with suppress(Timeout):
            lock.acquire()
            locks.append(lock)
            got.append(number)
        if len(got) == n:
            return tuple(got)
    while locks:
        locks.pop().release()
    return ()


def _is_taken(path: Path) -> bool:
    lock = FileLock(path, timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True


def _allowed() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def _held_to(cores: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Let this thread run on these cores only, where the system can; give what it is held to."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        yield ()
        return
    before = os.sched_getaffinity(0)  # on Linux a thread's own, and that of what it starts
    os.sched_setaffinity(0, cores)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)
