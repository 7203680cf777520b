"""The one module that reads a clock: what a phase cost in wall and CPU seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Phase = Literal["compile", "warmup", "sampling"]

N_TIMED = 7  # batches, of which the fastest counts
BATCH_S = 0.02  # CPU seconds of a batch


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds on the wall and seconds of this process's CPU, all threads together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Duration") -> "Duration":
        return Duration(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True, slots=True)
class Timing:
    """What compiling, warm-up and sampling cost, kept apart."""

    compile: Duration = Duration()
    warmup: Duration = Duration()
    sampling: Duration = Duration()


class Stopwatch:
    """Adds up the time spent in each phase.

    A sampler calls ``start`` when a phase begins (which ends the one before it) and ``stop``
    when it is done; a phase may be entered again, as sequential chains do, and adds up.
    """

    def __init__(self) -> None:
        self._spent: dict[Phase, Duration] = {}
        self._phase: Phase | None = None
        self._wall_s = 0.0
        self._cpu_s = 0.0

    def start(self, phase: Phase) -> None:
        """End the running phase, if any, and begin this one."""
        self.stop()
        self._phase = phase
        self._cpu_s = time.process_time()
        self._wall_s = time.perf_counter()

    def stop(self) -> None:
        """End the running phase, if any."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        if self._phase is not None:
            spent = Duration(wall_s - self._wall_s, cpu_s - self._cpu_s)
            self._spent[self._phase] = self._spent.get(self._phase, Duration()) + spent
            self._phase = None

    @property
    def timing(self) -> Timing:
        """The phases finished so far."""
        return Timing(**self._spent)


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call: of several batches, the fastest counts."""
    (found,) = interleaved({"": call}, n_rounds=N_TIMED).values()
    return min(found)


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, n_rounds: int
) -> dict[str, list[float]]:
    """Return the CPU seconds of one call each, of as many batches as there are rounds.

    The batches take turns, so that what slows the machine down for a while slows all of them. The
    first call of each, which may compile, doesn't count.
    """
    sizes = {}
    for name, call in calls.items():
        call()
        sizes[name] = max(1, int(BATCH_S / max(_batch(call, 1), 1e-7)))
    rounds = [{n: _batch(call, sizes[n]) for n, call in calls.items()} for _ in range(n_rounds)]
    return {name: [each[name] for each in rounds] for name in calls}


def _batch(call: Callable[[], object], n: int) -> float:
    """Return the CPU seconds of one of n calls."""
    stopwatch = Stopwatch()
    stopwatch.start("sampling")
    for _ in range(n):
        call()
    stopwatch.stop()
    return stopwatch.timing.sampling.cpu_s / n
