"""Finite differences, central with five points, four log-densities for each coordinate."""

from gradbench.gradients import Mode, _finite
from gradbench.target.target import Target

SUMMARY = "finite differences: central with five points, four log-densities for each coordinate"
MODE: Mode = "finite"
LIBRARIES = ()
EXTRA = ""

unsuited = _finite.unsuited


def build(target: Target) -> _finite.Differences:
    """Compile the log-density."""
    return _finite.Differences(target, "five")
