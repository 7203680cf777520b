"""A row for chains made elsewhere, beside those of a run of the same model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradbench import models
from gradbench.config import planning
from gradbench.config.planning import Cell
from gradbench.elsewhere.asked import Model
from gradbench.errors import ModelError, StoreError
from gradbench.measure.result import CellResult
from gradbench.models import Source
from gradbench.results import execute, store
from gradbench.results.store import RunFolder, Stored
from gradbench.results.summary import Summary


def cell_of(stored: Stored, folder: Path, asked: Model | str | None) -> Cell:
    """Return a cell of the run whose model is the one asked for, or the only one there is.

    Args:
        stored: the run.
        folder: its own.
        asked: a model, or the run's own label of one; None for the only one.

    Raises:
        StoreError: the run has none, or several.
    """
    cells = {
        result.cell.model: result.cell
        for result in reversed(stored.results)
        if not result.cell.is_elsewhere and result.cell.source is not None
    }
    fitting = {
        label: cell
        for label, cell in cells.items()
        if asked is None or asked == label or (isinstance(asked, Model) and _is_same(cell, asked))
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    there = ", ".join(cells) or "none"
    if asked is not None:
        name = asked.label if isinstance(asked, Model) else asked
        raise StoreError(f"{folder}: the run has no model {name} (it has: {there})")
    raise StoreError(f"{folder}: say which of the run's models it is with --model: {there}")


def model_of(cell: Cell) -> Model:
    """Return a cell's model."""
    assert cell.source is not None
    return Model(cell.model, cell.model_use, cell.source, cell.params)


def add(path: Path, results: Sequence[CellResult], model: str) -> list[Summary]:
    """Add results to a run as rows of one of its models, and return all of the run's rows.

    What is there of the same label is another replicate, and the same draws take their own place.

    Raises:
        StoreError: the run has a sampler of that name, or another process writes there.
        SaveError: it can't be written; what was there before is untouched.
    """
    folder = RunFolder(path)
    with store.locked(folder):
        stored = store.read(path)
        _, samplers = planning.places(stored.benchmark)
        folder = RunFolder(path, {r.cell.place: r.cell.id for r in stored.results})
        there = [r for r in stored.results if r.cell.is_elsewhere and r.cell.model == model]
        for result in results:
            label = result.cell.sampler
            if label in samplers:
                raise StoreError(
                    f"{path}: the run has a sampler {label!r} already; choose another --label"
                )
            placed = _placed(result, [r for r in there if r.cell.sampler == label], model)
            there.append(placed)
            folder.add(placed)
        return execute.tabulate(folder)


def _placed(result: CellResult, others: Sequence[CellResult], model: str) -> CellResult:
    """Return a result with its place in the run: that of the same draws, or the next free one."""
    fingerprint = result.measured and result.measured.fingerprint
    same = (o for o in others if o.measured and o.measured.fingerprint == fingerprint)
    after = 1 + max((other.cell.replicate for other in others), default=-1)
    replicate = next((other.cell.replicate for other in same), after)
    return replace(result, cell=replace(result.cell, model=model, replicate=replicate))


def _is_same(cell: Cell, asked: Model) -> bool:
    """Return whether a cell's model has the same files and the same parameters."""
    assert cell.source is not None
    if cell.source.digest != models.fingerprint(asked.source):
        return False
    return _resolved(asked.source, cell.params) == _resolved(asked.source, asked.params)


def _resolved(source: Source, params: Mapping[str, Any]) -> dict[str, Any]:
    if source.path.suffix != ".py":
        return dict(params)
    try:
        return models.resolved(source.path, params)
    except ModelError:  # a default that can't be read without running the file
        return dict(params)
