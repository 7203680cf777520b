"""Chains as files hold them, of any format, and as they are judged: all of one length."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray, IntArray
from gradbench.errors import ChainsError
from gradbench.measure.saved import Record

MIN_DRAWS = 4  # of a chain: fewer have no halves to compare
MAX_PARAMETERS = 100_000  # scalars in one file: more are data of another kind, or field by field
EXACT = 17  # significant digits that a double is written with
EXACT_SINGLE = 9  # and a single-precision number

Stats = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, or one walker of an ensemble: its draws, shape (draws, n), warm-up removed.

    Attributes:
        values: on whatever scale they were written.
        stats: shape (draws,) each, under ArviZ's names, the library's own where ArviZ has none.
        warmup_stats: the same of warm-up, where the file holds it.
    """

    values: FloatArray
    stats: Stats = field(default_factory=dict)
    warmup_stats: Stats = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that a file tells, of its chains added up; NaN where unknown."""

    source: str
    warmup_s: float = np.nan
    sampling_s: float = np.nan


@dataclass(frozen=True, slots=True)
class Content:
    """What one file holds.

    Attributes:
        path: of the file.
        format: in words.
        names: of n scalars, as the file has them.
        chains: in the file's order.
        library: that made them, as the file names it, with its version; empty where it doesn't.
        is_ensemble: whether the chains are walkers of one ensemble.
        index_from: where the format's indexes start; None where that must be told from them.
        digits: significant ones that numbers are written with.
        thin: every so many steps one draw was kept.
        spent: seconds, or None where the file tells none.
        n_steps: of each chain, warm-up included, where the file holds every one of them.
        notices: what else to know of it.
        record: of gradbench's own saved draws.
    """

    path: Path
    format: str
    names: tuple[str, ...]
    chains: Sequence[Chain]
    library: str = ""
    is_ensemble: bool = False
    index_from: Literal[0, 1] | None = None
    digits: int = EXACT
    thin: int = 1
    spent: Spent | None = None
    n_steps: int | None = None
    notices: tuple[str, ...] = ()
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Chains:
    """Chains of one length that can be judged.

    Attributes:
        names: of n scalars.
        values: shape (chains, draws, n).
        groups: shape (chains,), as in ``gradbench.draws.Draws``.
        stats: shape (chains, draws) each, those that all chains have.
    """

    names: tuple[str, ...]
    values: FloatArray
    groups: IntArray
    stats: Stats

    @property
    def is_ensemble(self) -> bool:
        """Whether chains are walkers that share an ensemble."""
        return len(np.unique(self.groups)) < len(self.groups)

    def without(self, chains: Sequence[int]) -> "Chains":
        """Return the others."""
        kept = np.setdiff1d(np.arange(len(self.values)), chains)
        stats = {name: array[kept] for name, array in self.stats.items()}
        return Chains(self.names, self.values[kept], self.groups[kept], stats)


def checked(content: Content) -> Content:
    """Return a file's content.

    Raises:
        ChainsError: there is nothing in it that can be judged.
    """
    path, names, chains = content.path, content.names, content.chains
    if not names or not chains or not any(len(chain.values) for chain in chains):
        raise ChainsError(f"{path}: there are no draws in it")
    name, n = Counter(names).most_common(1)[0]
    if n > 1:
        raise ChainsError(f"{path}: column {name!r} appears {'twice' if n == 2 else f'{n} times'}")
    fewest = min(len(chain.values) for chain in chains)
    if fewest < MIN_DRAWS:
        draws = "draw" if fewest == 1 else "draws"
        raise ChainsError(
            f"{path}: a chain of {fewest} {draws} can't be judged; {MIN_DRAWS} are needed, and"
            " hundreds to say anything"
        )
    return content


def joined(contents: Sequence[Content], *, are_walkers: bool) -> tuple[Chains, tuple[str, ...]]:
    """Return the chains of several files as one set, and what to know of how that was done.

    Args:
        contents: of the same parameters.
        are_walkers: whether each file's chains are walkers of one ensemble.

    Raises:
        ChainsError: the files hold different parameters.
    """
    first = contents[0]
    for other in contents[1:]:
        if set(other.names) != set(first.names):
            odd = sorted(set(other.names) ^ set(first.names))
            raise ChainsError(
                f"{other.path}: its parameters are not those of {first.path}: {listed(odd)}"
            )
    chains: list[tuple[Chain, Any]] = []
    groups: list[int] = []
    for number, content in enumerate(contents):
        place = {name: i for i, name in enumerate(content.names)}
        order = [place[name] for name in first.names]
        for chain in content.chains:
            groups.append(number if are_walkers else len(groups))
            chains.append((chain, slice(None) if order == sorted(order) else order))
    lengths = [len(chain.values) for chain, _ in chains]
    shortest = min(lengths)
    shared = set.intersection(*(set(chain.stats) for chain, _ in chains))
    joined = Chains(
        names=first.names,
        values=np.stack([chain.values[:shortest, order] for chain, order in chains]),
        groups=np.array(groups, dtype=np.int64),
        stats={
            name: np.stack([chain.stats[name][:shortest] for chain, _ in chains])
            for name in sorted(shared)
        },
    )
    if max(lengths) == shortest:
        return joined, ()
    return joined, (
        f"chains have {listed(map(str, lengths))} draws: the first {shortest} of each are judged",
    )


def listed(words: Iterable[str], most: int = 8) -> str:
    """Return words with commas between them; of many only the first."""
    every = list(words)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
