"""One compiled log-density: its parameters, its starting points, and how it takes many points."""

from gradbench.target.target import Init, ReferenceMoments, Target

__all__ = ["Init", "ReferenceMoments", "Target"]
