"""Folders whose modules are of one kind, a file each: their names, and what they need installed."""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from types import ModuleType

from gradbench.errors import GradbenchError, did_you_mean, pip_install


def names(path: Iterable[str]) -> list[str]:
    """Return the names of a package's modules, sorted; those with an underscore are shared ones.

    Args:
        path: the package's ``__path__``.
    """
    found = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name for name in found if not name.startswith("_"))


def load(
    package: str, name: str, known: Sequence[str], kind: str, error: type[GradbenchError]
) -> ModuleType:
    """Return the module of this name, of a package whose modules are all of one kind.

    Raises:
        GradbenchError: of the type ``error``; there is none of this name.
    """
    if name not in known:
        hint = did_you_mean(name, [*known])
        raise error(f"no {kind} {name!r}{hint} (there are: {', '.join(known)})")
    return importlib.import_module(f"{package}.{name}")


def remedy(libraries: Iterable[str], extra: str) -> str | None:
    """Return the command that installs an extra, or None where no library of it is missing."""
    return None if all(map(find_spec, libraries)) else pip_install(extra)
