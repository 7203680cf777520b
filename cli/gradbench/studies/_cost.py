"""What one call costs compared with another."""

from collections.abc import Callable, Mapping
from statistics import median

from gradbench.timing import Stopwatch

N_ROUNDS = 5  # an odd number, of which the median counts
BATCH_S = 0.01  # CPU seconds of a batch


def cpu_s(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the CPU seconds of one call each: medians of batches that were run interleaved."""
    sizes = {name: _size(call) for name, call in calls.items()}
    rounds = [{n: _batch(call, sizes[n]) for n, call in calls.items()} for _ in range(N_ROUNDS)]
    return {name: median(each[name] for each in rounds) for name in calls}


def _size(call: Callable[[], object]) -> int:
    """Return how many calls fill a batch; the first call, which may compile, doesn't count."""
    call()
    return max(1, int(BATCH_S / max(_batch(call, 1), 1e-6)))


def _batch(call: Callable[[], object], n: int) -> float:
    """Return the CPU seconds of one of n calls."""
    stopwatch = Stopwatch()
    stopwatch.start("sampling")
    for _ in range(n):
        call()
    stopwatch.stop()
    return stopwatch.timing.sampling.cpu_s / n
