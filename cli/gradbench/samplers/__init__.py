"""Names and loading of samplers: every module here but ``base`` and ``_shared`` ones is one."""

import importlib
import pkgutil
from importlib.util import find_spec
from typing import cast

from gradbench.errors import SamplerError, did_you_mean, pip_install
from gradbench.sampler import Sampler


def names() -> list[str]:
    """Return the names of all samplers, sorted: what ``use:`` accepts."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if name != "base" and not name.startswith("_"))


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


def remedy(name: str) -> str | None:
    """Return the command that installs what this sampler lacks, or None if nothing is missing."""
    sampler = load(name)
    if all(find_spec(library) is not None for library in sampler.LIBRARIES):
        return None
    return pip_install(sampler.EXTRA)
