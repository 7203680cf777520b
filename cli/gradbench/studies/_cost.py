"""What one call costs compared with another."""

from collections.abc import Callable, Mapping
from statistics import median

from gradbench import timing

N_ROUNDS = 5  # an odd number, of which the median counts


def cpu_s(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the CPU seconds of one call each: medians of batches that were run interleaved."""
    rounds = timing.interleaved(calls, n_rounds=N_ROUNDS)
    return {name: median(found) for name, found in rounds.items()}
