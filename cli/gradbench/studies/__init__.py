"""What the texts on automatic differentiation claim, measured: every module here is one claim.

A module that starts with an underscore is none. The texts are those that this project grew out of;
a claim that takes whole runs of samplers is a benchmark in ``configs/`` instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from gradbench import folders
from gradbench.errors import GradbenchError

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
    return folders.names(__path__)


def load(name: str) -> Study:
    """Return the study of this name, without importing its libraries.

    Raises:
        GradbenchError: there is none of this name.
    """
    return cast("Study", folders.load(__name__, name, names(), "study", GradbenchError))


def missing(name: str) -> str | None:
    """Return the command that installs what this study lacks, or None if nothing is missing."""
    study = load(name)
    return folders.remedy(study.LIBRARIES, study.EXTRA)


def verdict(*, holds: bool) -> Verdict:
    """Return the word for a claim that was measured and holds, or doesn't."""
    return "reproduced" if holds else "not reproduced"
