"""gradbench: what one effective sample costs, per sampler, on the same log-density."""

__version__ = "0.1.0"
