"""The names of a file's columns and those of a model's scalars: which is which."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradbench.elsewhere.chains import listed
from gradbench.errors import ChainsError, did_you_mean
from gradbench.measure.known import Known
from gradbench.target.quantities import scalars

Index = tuple[int, ...]

BRACKETS = re.compile(r"(.+?)[\[(](\d+(?:\s*,\s*\d+)*)[\])]")
PARTS = re.compile(r"([.:]?)([^.:]+)")  # of Stan's names: ta.1:2.3 is element 3 of part 2 of ta[1]
COMPLEX = {"real": 1, "imag": 2}  # the last index of a complex number's parts in Stan
SCALES = re.compile(r"(?:log|logit|sqrt|inv|exp)[_(](\w+?)\)?|(\w+?)_(?:log|logit|raw|unc|free)_*")


@dataclass(frozen=True, slots=True)
class Matching:
    """Which column is which scalar of a model.

    Attributes:
        columns: of the model's scalars that the file has, by name.
        missing: what the model has and the file hasn't: quantities, or scalars of one.
        foreign: columns that are none of the model's.
        notices: why some of them couldn't be matched.
    """

    columns: Mapping[str, int]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    notices: tuple[str, ...]


def parsed(name: str) -> tuple[str, Index | None]:
    """Return a column's quantity and its index as written: of ``x[1, 2]``, ``x.1.2``, ``t:1.2``."""
    if match := BRACKETS.fullmatch(name):
        return match[1], tuple(int(number) for number in match[2].split(","))
    parts = PARTS.findall(name)
    dotted = [word for mark, word in parts[1:] if mark == "."]
    if not dotted or not all(word.isdigit() or word in COMPLEX for word in dotted):
        return name.replace(":", "."), None
    quantity = ".".join(word for i, (mark, word) in enumerate(parts) if i == 0 or mark == ":")
    return quantity, tuple(COMPLEX[word] if word in COMPLEX else int(word) for word in dotted)


def matched(
    names: Sequence[str],
    known: Known,
    *,
    index_from: Literal[0, 1] | None,
    statistics: Iterable[str] = (),
) -> Matching:
    """Return which of a file's columns are which scalars of a model.

    Args:
        names: of the columns.
        known: of the model.
        index_from: where the file's indexes start; None where that must be told from them.
        statistics: other columns that may be parameters on the unconstrained scale.

    Raises:
        ChainsError: none of them is one.
    """
    found: dict[str, dict[Index, int]] = {}
    foreign, notices = [], []
    for at, name in enumerate(names):
        quantity, index = parsed(name)
        if quantity in known.shapes:
            found.setdefault(quantity, {})[index or ()] = at
        else:
            foreign.append(name)
    if index_from is None:
        index_from, doubts = _index_from(found, known.shapes)
        notices += doubts
    columns: dict[str, int] = {}
    for quantity, by_index in found.items():
        placed = _placed(by_index, known.shapes[quantity], index_from)
        if placed is None:
            foreign += [names[at] for at in by_index.values()]
            notices.append(_misfit(quantity, by_index, known.shapes[quantity], index_from))
        else:
            names_of = dict(
                zip(_indexes(known.shapes[quantity]), _scalars(quantity, known), strict=True)
            )
            columns |= {names_of[index]: at for index, at in placed.items()}
    if not columns:
        raise ChainsError(
            f"none of the columns is of the model: they are {listed(names)}; the model's parameters"
            f" are {listed(list(known.shapes))}{_hint(names, known)}"
        )
    notices += _explained([*foreign, *statistics], known)
    if foreign:
        notices.append(f"not of the model, left out: {listed(foreign)}")
    missing = _missing(columns, known)
    return Matching(columns, missing, tuple(foreign), tuple(dict.fromkeys(notices)))


def expanded(asked: str, n: int, known: Known | None) -> tuple[str, ...]:
    """Return n names from a list in words, in which a quantity of the model stands for its scalars.

    Raises:
        ChainsError: they are more or fewer.
    """
    words = [word.strip() for word in re.split(r",(?![^\[(]*[\])])", asked)]
    if len(words) != n and len(words) == 1 and known is None:
        words = scalars(words[0], (n,))
    if len(words) != n and known is not None:
        words = [s for w in words for s in (_scalars(w, known) if w in known.shapes else [w])]
    if len(words) != n:
        raise ChainsError(f"--names: {len(words)} names for {n} columns")
    return tuple(words)


def _indexes(shape: Sequence[int]) -> list[Index]:
    return [tuple(index) for index in np.ndindex(*shape)]


def _scalars(quantity: str, known: Known) -> list[str]:
    return scalars(quantity, known.shapes[quantity])


def _index_from(
    found: Mapping[str, Mapping[Index, int]], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Literal[0, 1] | None, list[str]]:
    """Return where indexes start, by those that only one of the two ways allows."""
    indexes = [
        (number, size)
        for quantity, by_index in found.items()
        for index in by_index
        if len(index) == len(shapes[quantity])
        for number, size in zip(index, shapes[quantity], strict=True)
    ]
    if any(number == 0 for number, _ in indexes):
        return 0, []
    if any(number == size for number, size in indexes):
        return 1, []
    if not indexes:
        return 0, []
    return None, ["whether indexes start from 0 or from 1 can't be told from the columns"]


def _placed(
    by_index: Mapping[Index, int], shape: tuple[int, ...], index_from: int | None
) -> dict[Index, int] | None:
    """Return columns by index from 0, None where they don't fit the shape."""
    if set(by_index) == {()}:
        one = tuple(0 for _ in shape)
        return {one: by_index[()]} if np.prod(shape) == 1 else None
    if index_from is None:
        return None
    placed = {tuple(n - index_from for n in index): at for index, at in by_index.items()}
    return placed if set(placed) <= set(_indexes(shape)) else None


def _misfit(
    quantity: str, by_index: Mapping[Index, int], shape: tuple[int, ...], index_from: int | None
) -> str:
    if index_from is None:
        return f"{quantity}: left out, as its indexes may start from 0 or from 1"
    first, last = min(by_index), max(by_index)
    return (
        f"{quantity}: its columns have the indexes {_shown(first)} to {_shown(last)}, which don't"
        f" fit the model's shape {_shown(shape)}"
    )


def _shown(index: Sequence[int]) -> str:
    return f"({', '.join(map(str, index))})"


def _explained(foreign: Iterable[str], known: Known) -> list[str]:
    """Return what is said of columns that are a parameter on another scale."""
    said = []
    for name in dict.fromkeys(parsed(name)[0] for name in foreign):
        if name in known.variables and name not in known.shapes:
            owner = max((q for q in known.free if name.startswith(q)), key=len, default="")
            said.append(
                f"{name} is {owner} on PyMC's unconstrained scale, and not compared: save {owner}"
                " itself"
            )
        elif match := SCALES.fullmatch(name):
            owner = match[1] or match[2]
            if owner in known.shapes:
                said.append(
                    f"{name} may be {owner} on another scale, and is not compared: only {owner}"
                    " itself can be"
                )
    return said


def _missing(columns: Mapping[str, int], known: Known) -> tuple[str, ...]:
    """Return what is diagnosed in a run, or free, and not in the file."""
    missing: list[str] = []
    for quantity in known.shapes:
        every = _scalars(quantity, known)
        wanted = every if quantity in known.free else [s for s in every if s in set(known.names)]
        lacking = [scalar for scalar in wanted if scalar not in columns]
        missing += [quantity] if lacking and len(lacking) == len(wanted) else lacking
    return tuple(missing)


def _hint(names: Sequence[str], known: Known) -> str:
    if all(parsed(name)[0] == "x" for name in names):
        return "; --names says what the columns are, in order"
    return did_you_mean(parsed(names[0])[0], list(known.shapes))
