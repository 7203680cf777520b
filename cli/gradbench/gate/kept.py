"""What is kept of a side under version control: an account of it, and a line for each replicate.

The account is plain data: when and where, and for each model and sampler what was asked and its
worst parameters. The replicates are CSV. Both are small text, in the order of the plan. A baseline
is a folder of them, a point of a history one file.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from gradbench.config.planning import Key
from gradbench.errors import StoreError
from gradbench.gate import pair, rule, sides
from gradbench.gate.sides import DuplicateError, Record, Side
from gradbench.measure.result import SCHEMA_VERSION

WORST = tuple(f"ess_worst_{i + 1}" for i in range(rule.N_WORST))
COLUMNS = ("model", "sampler", *Record._fields, *WORST)

JSON = dict[str, Any]


def written(side: Side, config: str) -> tuple[JSON, str]:
    """Return the account of a side, and its replicates as CSV.

    Args:
        side: what is kept.
        config: the resolved config it was run with, of which the account holds a hash.
    """
    worst = {key: pair.worst_parameters(series) for key, series in side.series.items()}
    account = {
        "schema_version": SCHEMA_VERSION,
        "saved": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config_hash": hash_of(config),
        "machine": dict(side.machine),
        "cells": [
            {"model": key[0], "sampler": key[1], "setup": dict(series.setup), "worst": worst[key]}
            for key, series in side.series.items()
        ],
    }
    return account, _csv(side, worst)


def hash_of(config: str) -> str:
    """Return what tells a resolved config from others."""
    return sha256(config.encode()).hexdigest()[:16]


def account_of(text: str, path: Path) -> JSON:
    """Return the account that a text holds; ``path`` is what messages call it.

    Raises:
        StoreError: a newer gradbench wrote it.
        ValueError, KeyError, TypeError: it is none.
    """
    account: JSON = json.loads(text)
    if account["schema_version"] > SCHEMA_VERSION:
        raise StoreError(f"{path}: not written by this or an older gradbench")
    return account


def side(name: str, account: JSON, lines: Iterable[str], source: Path) -> Side:
    """Return the side that was written.

    Args:
        name: what it is called.
        account: as ``written`` gave it.
        lines: of the replicates.
        source: what messages call the lines.

    Raises:
        StoreError: the lines are damaged.
        ValueError, KeyError, TypeError, AttributeError: the account is.
    """
    cells = {(cell["model"], cell["sampler"]): cell for cell in account["cells"]}
    worst: dict[Key, dict[str, dict[int, float]]] = {}
    try:
        series = sides.gather(
            _records(source, csv.reader(lines), cells, worst),
            {key: cell["setup"] for key, cell in cells.items()},
            worst,
        )
    except (UnicodeDecodeError, csv.Error, DuplicateError) as error:
        raise StoreError(f"{source}: can't be read: {error}") from error
    return Side(name, series, account["machine"])


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what a missing or damaged file raises into one message; ``kind`` is what it should be.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename}: can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path}: not {kind}, or a damaged one: {error!r}") from error


def _csv(side: Side, worst: Mapping[Key, Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for key, series in side.series.items():
        smallest = [series.worst[name] for name in worst[key]]
        numbers = [series.n_evaluations, series.ess, series.cpu_s, *smallest]
        words = zip(
            series.replicate, series.seed, series.status, series.reason, series.fingerprint,
            strict=True,
        )  # fmt: skip
        for said, *measured in zip(words, *numbers, strict=True):
            shown = map(_six_digits, measured)
            writer.writerow([*key, *said, *shown, *[""] * (len(WORST) - len(smallest))])
    return text.getvalue()


def _six_digits(number: float) -> str:
    """Return a whole number exactly, another to a hundredth of the quietest cell's noise."""
    if not np.isfinite(number):
        return ""
    return f"{number:.0f}" if number == round(number) else f"{number:.6g}"


def _records(
    source: Path,
    lines: Iterator[list[str]],
    cells: Mapping[Key, JSON],
    worst: dict[Key, dict[str, dict[int, float]]],
) -> Iterator[tuple[Key, Record]]:
    if tuple(next(lines, [])) != COLUMNS:
        raise StoreError(f"{source}: not the replicates of a baseline or of a history")
    n_words = COLUMNS.index("n_evaluations")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(COLUMNS) or (line[0], line[1]) not in cells:
            raise StoreError(f"{source}:{number}: cut short, or of a cell that isn't listed")
        model, sampler, replicate, seed, status, reason, fingerprint = line[:n_words]
        numbers = [float(text or "nan") for text in line[n_words:]]
        key = (model, sampler)
        of_cell = worst.setdefault(key, {})
        for parameter, ess in zip(cells[key]["worst"], numbers[3:], strict=False):
            of_cell.setdefault(parameter, {})[int(replicate)] = ess
        record = Record(int(replicate), int(seed), status, reason, fingerprint, *numbers[:3])
        yield key, record
