"""When a figure is the printed one, or equals another to rounding."""

from typing import SupportsFloat

import numpy as np

N_ROUNDINGS = 16  # what a few dozen operations leave, in units of the last place


def is_printed(value: SupportsFloat, printed: str) -> bool:
    """Return whether a value rounds to what was printed, or is as near as double precision goes."""
    decimals = len(printed.partition(".")[2])
    tolerance = max(0.5 * 10.0**-decimals, float(np.spacing(abs(float(printed)))))
    return abs(float(value) - float(printed)) <= tolerance


def rounding(scale: SupportsFloat) -> float:
    """Return the error that rounding alone may leave in what is as large as ``scale``."""
    return N_ROUNDINGS * float(np.finfo(float).eps) * float(scale)
