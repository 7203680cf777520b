"""What is installed where cells run, and what of it differs from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradbench import samplers
from gradbench.measure import machine

Versions = Mapping[str, str]
"""The version of each package, Python's own without its last number."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a worker of a cluster is asked before it gets a block.

    Attributes:
        versions: those of the client.
        uses: the samplers of the run.
    """

    versions: Versions
    uses: Sequence[samplers.Source]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker of a cluster has.

    Attributes:
        lacking: what the run's samplers need and isn't there, in words; empty if nothing.
        other: what is there in another version than on the client, in words; empty if nothing.
    """

    lacking: str
    other: str


def here() -> dict[str, str]:
    """Return the versions of this process's packages."""
    described = machine.describe()
    python = ".".join(described["python"].split(".")[:2])
    return {"Python": python, **described["versions"]}


def answer(asked: Asked) -> Answer:
    """Return what this process has of what is asked."""
    theirs = here()
    other = [
        f"{name} {version}, not {asked.versions[name]}"
        for name, version in theirs.items()
        if asked.versions.get(name, version) != version
    ]
    lacking = []
    for source in asked.uses:
        if source.is_shipped:
            if said := samplers.remedy(source.use):
                lacking.append(f"{source.use} is not installed: {said}")
        elif source.distribution:
            found = machine.versions([source.distribution]).get(source.distribution)
            if found is None:
                lacking.append(f"{source.distribution} is not installed")
            elif found != source.version:
                other.append(f"{source.distribution} {found}, not {source.version}")
    return Answer("; ".join(lacking), "; ".join(other))
