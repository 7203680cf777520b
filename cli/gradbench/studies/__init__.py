"""What the texts on automatic differentiation claim, measured: every module here is one claim.

A module that starts with an underscore is none. The texts are those that this project grew out of;
a claim that takes whole runs of samplers is a benchmark in ``configs/`` instead.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol, cast

from gradbench.errors import GradbenchError, did_you_mean, pip_install

Verdict = Literal["reproduced", "not reproduced", "not applicable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a study: what the text says and what this run measured."""

    what: str
    """What is compared, in a few words."""

    printed: str
    """What the text printed; a dash where it only asserts."""

    ours: str
    """What this run measured."""

    verdict: Verdict
    """Computed from what this run measured."""

    note: str = ""
    """What a reader must know to understand a difference; may hold figures of this run."""


class Study(Protocol):
    """A module in this folder. Importing it must not import its libraries."""

    CLAIM: str
    """What the text claims, in one sentence."""

    PRINTED: str
    """The figures that the text printed; a dash if it printed none."""

    SOURCE: str
    """Which text."""

    LIBRARIES: Sequence[str]
    """What it imports, by import name."""

    EXTRA: str
    """The extras of gradbench that install them, separated by commas; empty if none is needed."""

    def measure(self) -> tuple[Finding, ...]:
        """Return a line for each thing that was compared, measured now."""
        ...


def names() -> list[str]:
    """Return the names of all studies, sorted."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def load(name: str) -> Study:
    """Return the study of this name, without importing its libraries.

    Raises:
        GradbenchError: there is none of this name.
    """
    if name not in names():
        raise GradbenchError(
            f"no study {name!r}{did_you_mean(name, names())} (there are: {', '.join(names())})"
        )
    return cast("Study", importlib.import_module(f"{__name__}.{name}"))


def missing(name: str) -> str | None:
    """Return the command that installs what this study lacks, or None if nothing is missing."""
    study = load(name)
    if all(find_spec(library) is not None for library in study.LIBRARIES):
        return None
    return pip_install(study.EXTRA)


def verdict(*, holds: bool) -> Verdict:
    """Return the word for a claim that was measured and holds, or doesn't."""
    return "reproduced" if holds else "not reproduced"
