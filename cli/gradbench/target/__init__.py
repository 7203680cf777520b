"""One compiled log-density: its quantities, its starting points, the parameters that count."""

from gradbench.target.parameters import ReferenceMoments
from gradbench.target.starts import Init
from gradbench.target.target import Target

__all__ = ["Init", "ReferenceMoments", "Target"]
