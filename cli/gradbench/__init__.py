"""gradbench: what one effective sample costs, per sampler, on the same log-density."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradbench.api.check_sampler import Contract, check_sampler
    from gradbench.api.compare import Comparison, compare
    from gradbench.api.judge import Judgement, judge
    from gradbench.api.run import Run, load, run
    from gradbench.errors import GradbenchError
    from gradbench.logdensity import LogDensity
    from gradbench.reference import Moments, Reference
    from gradbench.stan import StanProgram

__version__ = "0.2.0"
__all__ = [
    "Comparison",
    "Contract",
    "GradbenchError",
    "Judgement",
    "LogDensity",
    "Moments",
    "Reference",
    "Run",
    "StanProgram",
    "check_sampler",
    "compare",
    "judge",
    "load",
    "run",
]

_HOMES = {
    # what a model file imports
    "LogDensity": "logdensity",
    "Moments": "reference",
    "Reference": "reference",
    "StanProgram": "stan",
    # what a notebook or a script uses
    "Comparison": "api.compare",
    "Contract": "api.check_sampler",
    "GradbenchError": "errors",
    "Judgement": "api.judge",
    "Run": "api.run",
    "check_sampler": "api.check_sampler",
    "compare": "api.compare",
    "judge": "api.judge",
    "load": "api.run",
    "run": "api.run",
}  # the public names, and their modules: loaded at first use, so that commands start fast


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gradbench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
