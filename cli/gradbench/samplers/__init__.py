"""Names and loading of samplers: shipped ones, a file each here; your own; those of packages.

A module here that starts with an underscore is shared by others. A sampler of your own is a Python
file; one of an installed package is an entry point of the group ``gradbench.samplers``.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from gradbench import __version__, folders, own_files, plain
from gradbench.errors import DISTRIBUTION, SamplerError, did_you_mean, pip_install
from gradbench.records import to_plain
from gradbench.sampler import Options, Sampler
from gradbench.target.target import Target

GROUP = "gradbench.samplers"
# What a module may say of its sampler beside its functions, by default this.
CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "SUMMARY": "",
        "USES_GRADIENT": False,
        "LIBRARIES": (),
        "INSTALL": "",
        "EXTRA": "",
        "DETUNED": {},
        "CALL": "",
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sampler is from.

    Attributes:
        use: what loads it: a shipped name, the absolute path of a file, or ``package:name``.
        distribution: the installed distribution that has it; empty for a file.
        version: of that distribution.
        digest: SHA-256 of a file, in hexadecimal; empty for what is installed.
    """

    use: str
    distribution: str = ""
    version: str = ""
    digest: str = ""

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with gradbench."""
        return self.distribution == DISTRIBUTION

    def to_json(self) -> dict[str, str]:
        """Return plain data, ready for JSON; ``records.from_plain`` reads it."""
        return dict(to_plain(self))


@dataclass(frozen=True, slots=True)
class Offered:
    """A sampler that an installed package offers, by its entry point; nothing is imported."""

    package: str
    name: str
    version: str

    @property
    def use(self) -> str:
        """What a config can always call it by."""
        return f"{self.package}:{self.name}"

    def is_called(self, use: str) -> bool:
        """Return whether this is what ``package:name`` means, however the package is spelt."""
        package, _, name = use.partition(":")
        return name == self.name and _normalized(package) == _normalized(self.package)


def names() -> list[str]:
    """Return the names of all shipped samplers, sorted."""
    return folders.names(__path__)


@cache
def offered() -> tuple[Offered, ...]:
    """Return the samplers that installed packages offer, sorted: what there is stays so."""
    found = {
        Offered(point.dist.name, point.name, point.dist.version)
        for point in metadata.entry_points(group=GROUP)
        if point.dist is not None
    }
    return tuple(sorted(found, key=lambda one: one.use))


def find(use: str, folder: Path) -> Source:
    """Return where a sampler is: a shipped name, a path relative to ``folder``, or an entry point.

    Nothing is imported.

    Raises:
        SamplerError: there is none of this name, or more than one.
    """
    if use.endswith(".py") or "/" in use:
        path = (folder / Path(use).expanduser()).resolve()
        if path.suffix != ".py":
            raise SamplerError(f"{path}: a sampler of your own is a .py file")
        return Source(str(path), digest=_digest(path))
    points = offered()
    if ":" in use:
        found = [one for one in points if one.is_called(use)]
    else:
        found = [one for one in points if one.name == use]
        if use in names():
            if found:
                raise SamplerError(
                    f"{use!r} is a shipped sampler, and one of {found[0].package}: write"
                    f" {found[0].use!r} for that; the shipped one is {DISTRIBUTION}:{use}"
                )
            return Source(use, DISTRIBUTION, __version__)
    if use.startswith(f"{DISTRIBUTION}:") and use.partition(":")[2] in names():
        return Source(use.partition(":")[2], DISTRIBUTION, __version__)
    if len(found) > 1:
        ways = " or ".join(repr(one.use) for one in found)
        raise SamplerError(f"{use!r} is a sampler of several packages: write {ways}")
    if not found:
        known = [*names(), *(one.use for one in points)]
        raise SamplerError(
            f"no sampler {use!r}{did_you_mean(use, known)} (there are: {', '.join(known)};"
            " a file of your own is written with its path, as ./my_sampler.py)"
        )
    (one,) = found
    return Source(one.use, one.package, one.version)


def load(use: str, digest: str = "") -> Sampler:
    """Return a sampler, a shipped one without importing its library.

    A sampler that isn't shipped is the user's code: it is loaded in workers only.

    Args:
        use: as ``Source`` has it.
        digest: what a file must have; empty where any will do.

    Raises:
        SamplerError: there is none, its file has changed or raises, or it is no sampler.
    """
    if use in names():
        return of_module(use, importlib.import_module(f"{__name__}.{use}"))
    if use.endswith(".py"):
        return _of_file(Path(use), digest)
    package, _, name = use.partition(":")
    for point in metadata.entry_points(group=GROUP, name=name):
        if point.dist is not None and _normalized(point.dist.name) == _normalized(package):
            try:
                return of_module(use, point.load())
            except SamplerError:
                raise
            except (Exception, SystemExit) as error:
                raise SamplerError(
                    f"{use}: can't be loaded: {type(error).__name__}: {error}"
                ) from error
    find(use, Path())  # says what there is instead
    raise SamplerError(f"{use}: its package is not installed any more")


def of_module(use: str, module: ModuleType) -> Sampler:
    """Return the sampler that a module, or whatever an entry point gives, defines.

    Raises:
        SamplerError: it lacks something, or has it in another form.
    """
    options = getattr(module, "Options", Options)
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise SamplerError(f"{use}: Options must be derived from gradbench.sampler.Options")
    functions: dict[str, Any] = {
        name: getattr(module, name, None) for name in ("build", "sample", "unsuited")
    }
    for name, function in functions.items():
        if not (function is None or callable(function)):
            raise SamplerError(f"{use}: {name} must be a function, not a {_kind(function)}")
    build, sample, unsuited = functions.values()
    if build is None and sample is None:
        raise SamplerError(
            f"{use}: defines neither sample(density, start, options, rng, clock) nor"
            " build(target, options)"
        )
    said = {name: getattr(module, name, default) for name, default in CONSTANTS.items()}
    for name, value in said.items():
        if not isinstance(value, type(CONSTANTS[name])):
            wanted = _kind(CONSTANTS[name])
            raise SamplerError(f"{use}: {name} must be a {wanted}, not a {_kind(value)}")
    uses_gradient = said["USES_GRADIENT"]
    return Sampler(
        use=use,
        summary=said["SUMMARY"] or (module.__doc__ or "").strip().partition("\n")[0],
        options=options,
        build=build or partial(plain.build, sample, uses_gradient=uses_gradient),
        unsuited=unsuited or _unsuited(uses_gradient=uses_gradient),
        uses_gradient=uses_gradient,
        libraries=said["LIBRARIES"],
        install=said["INSTALL"],
        extra=said["EXTRA"],
        detuned=said["DETUNED"],
        call=said["CALL"],
    )


def remedy(use: str) -> str | None:
    """Return what installs what a sampler lacks, or None if nothing is missing."""
    sampler = load(use)
    missing = [name for name in sampler.libraries if find_spec(name.partition(".")[0]) is None]
    if not missing:
        return None
    if sampler.extra:
        return pip_install(sampler.extra)
    return sampler.install or f"pip install {' '.join(missing)}"


def _unsuited(*, uses_gradient: bool) -> Callable[[Target, Options], str | None]:
    """Return the question whether a density has what a sampler needs."""

    def unsuited(target: Target, options: Options) -> str | None:
        lacking = target.why_not_on(options.backend)
        return lacking or (target.why_no_gradient if uses_gradient else None)

    return unsuited


def _of_file(path: Path, digest: str) -> Sampler:
    found = _digest(path)
    if digest and found != digest:
        raise SamplerError(f"{path}: has changed since this run began; start a new run")
    return of_module(str(path), _imported(path, found))


@cache
def _imported(path: Path, digest: str) -> ModuleType:
    """Return a file as a module: its code runs once in a process, however often it is asked for."""
    try:
        return own_files.imported(path, f"{__name__}._loaded_{path.stem}_{digest[:8]}")
    except (Exception, SystemExit) as error:
        place = own_files.line_in(path, error)
        raise SamplerError(f"{place}: {type(error).__name__}: {error}") from error


def _kind(value: object) -> str:
    return type(value).__name__


def _normalized(package: str) -> str:
    """Return a distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise SamplerError(f"{path}: no such file") from None
    except OSError as error:
        raise SamplerError(f"{path}: can't be read: {error.strerror}") from error
