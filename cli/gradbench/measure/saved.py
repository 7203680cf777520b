"""A cell's saved draws: netCDF that ArviZ reads, with what it takes to judge them again."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import compat, records
from gradbench.config.planning import Cell
from gradbench.draws import Draws, FloatArray, IntArray
from gradbench.measure.result import Measured
from gradbench.stats.diagnostics import Diagnostics
from gradbench.stats.running import Running
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.target import Target

JUDGED = ("parameters", "diagnostics", "reference", "reference_source", "uncounted", "running")
WEIGHT, FAMILY = "weight", "family"  # of draws, among the sample statistics


@dataclass(frozen=True, slots=True)
class Record:
    """What a file of saved draws holds beside the draws.

    Attributes:
        cell: what was run.
        groups: as in ``Draws``.
        facts: of the run, as plain data: a ``Measured`` without what is computed from draws.
    """

    cell: Cell
    groups: IntArray
    facts: Mapping[str, Any]

    def measured(
        self,
        parameters: tuple[str, ...],
        diagnostics: Diagnostics,
        *,
        reference: ReferenceMoments | None,
        reference_source: str | None,
        uncounted: Mapping[str, str],
        running: Running | None,
    ) -> Measured:
        """Return what was measured, with these in place of what was computed from draws.

        Raises:
            KeyError, TypeError, ValueError: the facts are not those of a run.
        """
        judged = (parameters, diagnostics, reference, reference_source, uncounted, running)
        plain = {n: records.to_plain(v) for n, v in zip(JUDGED, judged, strict=True)}
        return Measured.from_json({**self.facts, **plain})


def write(path: Path, draws: Draws, target: Target, cell: Cell, measured: Measured) -> None:
    """Write a cell's draws on the constrained space, whole or not at all."""
    facts = {name: v for name, v in measured.to_json().items() if name not in JUDGED}
    attributes = {
        "cell": json.dumps(cell.to_json()),
        "groups": json.dumps(draws.groups.tolist()),
        "facts": json.dumps(facts),
    }
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        compat.save_draws(
            scratch,
            target.quantities.named(draws.values, target.parameters.diagnosed),
            {**draws.stats, **_of_a_sample(draws)},
            attributes,
            dims=target.quantities.dims,
            coords=target.quantities.coords,
        )
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def record(attributes: Mapping[str, Any]) -> Record | None:
    """Return what the attributes of a file's draws say; None where they are not a cell's.

    Raises:
        KeyError, TypeError, ValueError: they are damaged.
    """
    if not {"cell", "groups", "facts"} <= attributes.keys():
        return None
    cell, groups, facts = (json.loads(attributes[name]) for name in ("cell", "groups", "facts"))
    return Record(Cell.from_json(cell), np.array(groups, dtype=np.int64), facts)


def _of_a_sample(draws: Draws) -> dict[str, FloatArray | IntArray]:
    """Return what a weighted sample has beside its draws, shape (1, draws) each."""
    known = {WEIGHT: draws.weights, FAMILY: draws.families}
    return {name: array[None] for name, array in known.items() if array is not None}
