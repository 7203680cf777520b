"""What a report is made of: runs, as they are read, and what of them goes into one picture."""

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from gradbench.config import planning
from gradbench.errors import StoreError
from gradbench.gate.compare import compare
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Comparison
from gradbench.measure.result import CellResult
from gradbench.report.chains import saved
from gradbench.report.material import Material
from gradbench.results import export, gradients, store, tables
from gradbench.results.curves import Curve, curves
from gradbench.results.rows import rows
from gradbench.results.store import Stored
from gradbench.results.summary import Summary
from gradbench.results.times import with_times

Some = TypeVar("Some")

LETTERS = string.ascii_uppercase  # of several runs, each has one


@dataclass(frozen=True, slots=True)
class Source:
    """A run that is reported.

    Attributes:
        name: as the user gave it.
        found: its cells in flat numbers.
        stored: all else of it; None where only its ``results.csv`` is known.
        draws: saved draws of a replicate, by model and sampler.
    """

    name: str
    found: Sequence[Summary]
    stored: Stored | None = None
    draws: Mapping[planning.Key, Path] = field(default_factory=dict)

    @property
    def results(self) -> Sequence[CellResult]:
        """What its cells measured."""
        return () if self.stored is None else self.stored.results

    def lettered(self, letter: str) -> "Source":
        """Return it with a letter behind the labels of its samplers."""

        def named(sampler: str) -> str:
            return f"{sampler} ({letter})"

        found = [replace(cell, sampler=named(cell.sampler)) for cell in self.found]
        draws = {(model, named(sampler)): path for (model, sampler), path in self.draws.items()}
        if self.stored is None:
            return replace(self, found=found, draws=draws)
        results = [
            replace(result, cell=replace(result.cell, sampler=named(result.cell.sampler)))
            for result in self.stored.results
        ]
        return replace(self, found=found, draws=draws, stored=replace(self.stored, results=results))


def read(path: Path, ess_goal: int) -> Source:
    """Return a run's folder, finished or not, or its ``results.csv``.

    Raises:
        StoreError: it is neither, or there is nothing in it.
    """
    if gradients.load(path) is not None:
        raise StoreError(f"{path}: compares gradients, not samplers: gradbench show prints it")
    if path.is_file():
        return Source(str(path), with_times(export.from_csv(path), ess_goal))
    run = store.outline(path)
    stored = store.whole_run(run)
    if not stored.results:
        raise StoreError(f"{path}: no results in it yet")
    found = tables.summaries(run, ess_goal)
    kept = {file.stem: file for file in (path / "draws").glob("*.nc")}
    draws = {
        result.cell.key: kept[result.cell.id]
        for result in reversed(stored.results)
        if result.measured is not None and result.cell.id in kept
    }
    return Source(str(path), found, stored, draws)


def compared(several: Iterable[Side]) -> list[Comparison]:
    """Return the others compared with the first, where both have a model and sampler."""
    base, *heads = several
    alike = (head for head in heads if base.series.keys() & head.series.keys())
    return [compare(base, head) for head in alike]


def letters(sources: Sequence[Source]) -> list[str]:
    """Return the letter of each run; an empty one where there is no other.

    Raises:
        StoreError: there are more runs than letters.
    """
    if len(sources) > len(LETTERS):
        raise StoreError(f"{len(sources)} results side by side are too many; give {len(LETTERS)}")
    return [""] if len(sources) == 1 else [*LETTERS[: len(sources)]]


def materials(sources: Sequence[Source]) -> list[Material]:
    """Return each model's material, of all runs together: their samplers bear the run's letter."""
    lettered = [
        source.lettered(letter) if letter else source
        for source, letter in zip(sources, letters(sources), strict=True)
    ]
    found = _by_model(lettered, lambda source: source.found, lambda cell: cell.model)
    results = _by_model(lettered, lambda source: source.results, lambda cell: cell.cell.model)
    errors = _by_model(lettered, _curves, lambda curve: curve.model)
    draws = {key: path for source in reversed(lettered) for key, path in source.draws.items()}
    return [_material(model, found, results, errors, draws) for model in found]


def _material(
    model: str,
    found: Mapping[str, list[Summary]],
    results: Mapping[str, list[CellResult]],
    errors: Mapping[str, list[Curve]],
    draws: Mapping[planning.Key, Path],
) -> Material:
    # The cells of a sweep's point stand beside each other, whichever run they are of.
    points = dict.fromkeys(cell.model for cell in found[model])
    cells = [cell for point in points for cell in found[model] if cell.model == point]
    table, measured = rows(cells), results.get(model, [])
    return Material(
        model=model,
        found=cells,
        rows=table,
        results=measured,
        curves=errors.get(model, []),
        chains=saved(table, measured, draws),
    )


def _by_model(
    sources: Iterable[Source],
    records: Callable[[Source], Iterable[Some]],
    model: Callable[[Some], str],
) -> dict[str, list[Some]]:
    """Return records of all runs by their model, the points of its sweep together."""
    grouped: dict[str, list[Some]] = {}
    for source in sources:
        for record in records(source):
            grouped.setdefault(planning.split(model(record))[0], []).append(record)
    return grouped


def _curves(source: Source) -> list[Curve]:
    return curves(source.results, source.found) if source.stored is not None else []
