"""A logarithmic axis of characters."""

import math
from collections.abc import Callable

Ends = tuple[float, float]
"""The decimal logarithms of where an axis begins and ends."""


def ticks(ends: Ends, width: int, told: Callable[[float], str]) -> str:
    """Return 1, 2 and 5 times the powers of ten at their places, those that have room.

    Args:
        ends: of the axis.
        width: characters.
        told: returns a tick's label.
    """
    axis = ""
    first, last = (math.floor(end) for end in ends)
    for tick in (times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)):
        at, label = place(math.log10(tick), ends, width), told(tick)
        if len(axis) <= at <= width - len(label) and tick >= 10 ** ends[0]:
            axis = f"{axis:<{at}}{label} "
    return axis.rstrip()


def place(log: float, ends: Ends, width: int) -> int:
    """Return the character that a number is at, by its decimal logarithm."""
    low, high = ends
    return 0 if high == low else round((log - low) / (high - low) * (width - 1))
