"""One compiled log-density: its parameters, its starting points, and how it takes many points."""

from gradbench.target.parameters import ReferenceMoments
from gradbench.target.starts import Init
from gradbench.target.target import Target

__all__ = ["Init", "ReferenceMoments", "Target"]
