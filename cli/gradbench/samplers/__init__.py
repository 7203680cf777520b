"""Names and loading of samplers: every module in this folder but ``base`` is one."""

import importlib
import pkgutil
from typing import cast

from gradbench.errors import SamplerError, did_you_mean
from gradbench.samplers.base import Sampler


def names() -> list[str]:
    """Return the names of all samplers, sorted: what ``use:`` accepts."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def load(name: str) -> Sampler:
    """Return the sampler of this name, without importing its library.

    Raises:
        SamplerError: there is none of this name.
    """
    if name not in names():
        raise SamplerError(
            f"no sampler {name!r}{did_you_mean(name, names())} (there are: {', '.join(names())})"
        )
    return cast("Sampler", importlib.import_module(f"{__name__}.{name}"))
