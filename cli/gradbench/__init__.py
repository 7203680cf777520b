"""gradbench: what one effective sample costs, per sampler, on the same log-density."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradbench.logdensity import LogDensity
    from gradbench.reference import Moments, Reference
    from gradbench.stan import StanProgram

__version__ = "0.2.0"
__all__ = ["LogDensity", "Moments", "Reference", "StanProgram"]

_HOMES = {
    "LogDensity": "logdensity",
    "Moments": "reference",
    "Reference": "reference",
    "StanProgram": "stan",
}  # what a model file imports, and its module: loaded at first use, so that commands start fast


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gradbench.{_HOMES[name]}"), name)
