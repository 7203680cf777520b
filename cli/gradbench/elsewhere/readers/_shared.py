"""What readers share: numbers in text, tables of draws, and the names of statistics."""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray
from gradbench.elsewhere.chains import EXACT, EXACT_SINGLE, Chain, Content
from gradbench.errors import ChainsError

STATS: Mapping[str, str] = {
    "lp__": "lp",
    "accept_stat__": "acceptance_rate",
    "divergent__": "diverging",
    "treedepth__": "tree_depth",
    "n_leapfrog__": "n_steps",
    "energy__": "energy",
    "stepsize__": "step_size",
    "numerical_error": "diverging",
    "hamiltonian_energy": "energy",
    "logjoint": "lp",
    "log_prob": "lp",
}  # Stan's, Turing's and emcee's names, and ArviZ's
OF_TURING = frozenset({"hamiltonian_energy", "numerical_error"})
OF_SAMPLERS = frozenset(
    {
        *STATS,
        *STATS.values(),
        "hamiltonian_energy_error",
        "is_accept",
        "is_adapt",
        "log_density",
        "loglikelihood",
        "logprior",
        "max_hamiltonian_energy_error",
        "nom_step_size",
        "step_size_bar",
    }
)  # columns that are no parameters
CHAIN = (".chain", "chain", "chain__", "chain_id")
ORDER = (".iteration", "iteration", "iter__", ".draw", "draw", "draw__")
WORDS = {"NA": math.nan, "": math.nan, "TRUE": 1.0, "FALSE": 0.0, "true": 1.0, "false": 0.0}
SAMPLED = 200  # fields of which significant digits are counted


def is_statistic(name: str) -> bool:
    """Return whether a column is a sampler's statistic, not a parameter."""
    return name in OF_SAMPLERS or name.endswith("__")


def numbers(
    path: Path, names: Sequence[str], lines: Sequence[str], at: Sequence[int]
) -> tuple[FloatArray, int]:
    """Return the numbers in lines of CSV, (lines, names), and how many digits they have.

    Args:
        path: of the file, for messages.
        names: of the columns.
        lines: without the header.
        at: the number of each line in the file.

    Raises:
        ChainsError: a line is cut short, or a field is no number.
    """
    try:
        values = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    except ValueError:
        values = np.array(
            [_row(path, names, line, n) for line, n in zip(lines, at, strict=True)], dtype=float
        )
    if values.shape[1] != len(names):
        _row(path, names, lines[0], at[0])
    fields = ",".join(lines[: 1 + SAMPLED // len(names)]).split(",")
    return values, max(map(_digits, fields[:SAMPLED]), default=EXACT)


def _row(path: Path, names: Sequence[str], line: str, at: int) -> list[float]:
    fields = next(csv.reader([line]))
    if len(fields) != len(names):
        raise ChainsError(
            f"{path}:{at}: {len(fields)} fields where the header has {len(names)}: the file is cut"
            " short, or damaged"
        )
    return [_number(path, name, field, at) for name, field in zip(names, fields, strict=True)]


def _number(path: Path, name: str, field: str, at: int) -> float:
    text = field.strip()
    try:
        return WORDS[text] if text in WORDS else float(text)
    except ValueError:
        is_complex = re.fullmatch(r"[-+.\deE]+[ij]|[-+.\deE]+[-+][.\deE+-]*\s*(i|j|im)", text)
        kind = "a complex number" if is_complex else "no number"
        raise ChainsError(
            f"{path}:{at}: {name}: {text[:40]!r} is {kind}; draws are real numbers"
        ) from None


def _digits(field: str) -> int:
    """Return how many significant digits a number is written with."""
    mantissa = re.split("[eE]", field.strip().lstrip("+-"))[0].replace(".", "")
    return min(EXACT, len(mantissa.lstrip("0")))


def numeric(path: Path, name: str, array: Any) -> FloatArray:
    """Return an array as doubles.

    Raises:
        ChainsError: it holds no real numbers.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        kinds = {"c": "complex numbers", "U": "text", "S": "text", "T": "text", "M": "dates"}
        kind = kinds.get(values.dtype.kind, "objects")
        raise ChainsError(f"{path}: {name} holds {kind}; draws are real numbers")
    return np.asarray(values, dtype=np.float64)


def digits_of(arrays: Iterable[npt.NDArray[Any]]) -> int:
    """Return the significant digits of the coarsest of these arrays."""
    singles = any(array.dtype.kind == "f" and array.dtype.itemsize < 8 for array in arrays)
    return EXACT_SINGLE if singles else EXACT


def of_table(path: Path, kind: str, names: Sequence[str], rows: FloatArray, digits: int) -> Content:
    """Return the chains of a table, a row for each draw and a column for each name.

    Columns ``.chain``, ``.iteration`` and ``.draw``, by these or similar names, say where a draw
    belongs; without the first it is one chain.

    Raises:
        ChainsError: a chain has an iteration twice.
    """
    lower = [name.lower() for name in names]
    chain_at = next((lower.index(name) for name in CHAIN if name in lower), None)
    order_at = next((lower.index(name) for name in ORDER if name in lower), None)
    keys = {i for i, name in enumerate(lower) if name in {*CHAIN, *ORDER} or not name}
    stats_at = {i: names[i] for i in range(len(names)) if i not in keys and is_statistic(names[i])}
    values_at = [i for i in range(len(names)) if i not in keys and i not in stats_at]
    labels = np.zeros(len(rows)) if chain_at is None else rows[:, chain_at]
    chains, steps = [], set()
    for label in dict.fromkeys(labels.tolist()):
        own = rows[labels == label]
        if order_at is not None:
            order = own[:, order_at]
            own, order = own[np.argsort(order, kind="stable")], np.sort(order)
            if len(np.unique(order)) < len(order):
                raise ChainsError(
                    f"{path}: chain {label:g} has {names[order_at]}"
                    f" {order[1:][np.diff(order) == 0][0]:g} twice; if each of several files"
                    " is a chain, drop that column"
                )
            steps |= set(np.diff(order).tolist())
        stats = {STATS.get(name, name): own[:, i] for i, name in stats_at.items()}
        chains.append(Chain(np.ascontiguousarray(own[:, values_at]), stats))
    return Content(
        path=path,
        format=kind,
        names=tuple(names[i] for i in values_at),
        chains=chains,
        library=_library(names),
        digits=digits,
        thin=int(steps.pop()) if len(steps) == 1 else 1,
    )


def _library(names: Sequence[str]) -> str:
    if "n_leapfrog__" in names:
        return "Stan"
    return "Turing" if set(names) >= OF_TURING else ""
