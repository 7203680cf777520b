"""Comparisons of gradients as they are kept, with what follows from several of them."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import records
from gradbench.config.planning import slug
from gradbench.errors import SaveError, StoreError
from gradbench.measure.gradients import Comparison, Measured
from gradbench.results import store
from gradbench.stats import diagnostics
from gradbench.stats.interval import Interval

FILE = "gradients.json"
SCHEMA_VERSION = 1
MIN_POINTS = 3  # of a power law: two always lie on one


@dataclass(frozen=True, slots=True)
class GradientRun:
    """What was compared, and where.

    Attributes:
        model: what was asked for, as on the command line.
        machine: what it ran on, and the versions.
        comparisons: one for each point of a sweep, or one.
        schema_version: of this record.
    """

    model: str
    machine: Mapping[str, Any]
    comparisons: Sequence[Comparison]
    schema_version: int = SCHEMA_VERSION

    @property
    def is_failure(self) -> bool:
        """Whether a gradient or a density is broken."""
        return any(one.is_failure for one in self.comparisons)

    @property
    def methods(self) -> list[str]:
        """The names of the methods, in the order that was asked for."""
        return list(dict.fromkeys(one.method for each in self.comparisons for one in each.methods))


def exponent(run: GradientRun, method: str) -> Interval | None:
    """Return b of a gradient's cost ∝ ndim^b, in log-densities of its own backend; None if unknown.

    It takes three dimensions at least.
    """
    costs: dict[float, list[float]] = {}
    for each in run.comparisons:
        for one in each.methods:
            if one.method == method and one.cost is not None:
                costs.setdefault(float(each.ndim), []).append(one.cost.own.estimate)
    if len(costs) < MIN_POINTS:
        return None
    return Interval(
        *diagnostics.exponent_interval(np.array(list(costs)), [np.array(c) for c in costs.values()])
    )


def save(root: Path, run: GradientRun) -> Path:
    """Return the new folder ``root/gradients-MODEL/TIME/`` that the run is kept in.

    Raises:
        SaveError: it can't be made.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    parent = root / f"gradients-{slug(Path(run.model).stem)}"
    try:
        with store.new_folder(parent, stamp) as scratch:
            store.write(scratch / FILE, records.to_json(run))
            return store.named(scratch, parent, stamp)
    except OSError as error:
        raise SaveError(f"{root}: can't make a results folder: {error.strerror}") from error


def load(folder: Path) -> GradientRun | None:
    """Return the run that was kept in a folder, None if it holds no comparison of gradients.

    Raises:
        StoreError: it can't be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return records.from_plain(GradientRun, json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: is damaged: {error}") from error


def as_csv(run: GradientRun) -> str:
    """Return one row for each method and point, units in the columns' names."""
    text = StringIO()
    rows = [_row(run, each, one) for each in run.comparisons for one in each.methods]
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(run: GradientRun, each: Comparison, one: Measured) -> dict[str, Any]:
    cost, error = one.cost, one.error
    row: dict[str, Any] = {
        "model": run.model,
        "params": records.to_json(each.params).strip(),
        "ndim": each.ndim,
        "method": one.method,
        "status": one.status,
        "reason": one.reason,
        "known_by": each.known_by,
        "compile_s": cost and cost.compile_s,
        "logdensity_s": cost and cost.logdensity_s,
        "gradient_s": cost and cost.gradient_s,
    }
    for name in ("own", "default", "looped", "batched"):
        interval = cost and getattr(cost, name)
        for part in ("estimate", "low", "high"):
            key = f"{name}_logdensities" + ("" if part == "estimate" else f"_{part}")
            row[key] = interval and getattr(interval, part)
    return {
        **row,
        "memory_bytes": cost and cost.memory_bytes,
        "largest_error": error and error.largest,
        "rms_error": error and error.typical,
        "largest_error_of_own": error and error.own,
    }
