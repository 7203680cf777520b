"""What a report is made of: runs, as they are read, and what of them goes into one picture."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradbench.config import planning
from gradbench.errors import StoreError
from gradbench.gate import sides
from gradbench.gate.compare import compare
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Comparison
from gradbench.measure.result import CellResult
from gradbench.report.chains import saved
from gradbench.report.material import Material
from gradbench.results import export, gradients, store
from gradbench.results.curves import Curve, curves
from gradbench.results.rows import rows
from gradbench.results.store import Stored
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary
from gradbench.results.times import with_times

LETTERS = string.ascii_uppercase  # of several runs, each has one


@dataclass(frozen=True, slots=True)
class Source:
    """A run that is reported.

    Attributes:
        name: as the user gave it.
        found: its cells in flat numbers.
        stored: all else of it; None where only its ``results.csv`` is known.
        draws: files of saved draws, by the cell's id.
    """

    name: str
    found: Sequence[Summary]
    stored: Stored | None = None
    draws: Mapping[str, Path] = field(default_factory=dict)

    def labelled(self, letter: str) -> tuple[list[Summary], list[CellResult]]:
        """Return its cells with a letter behind their samplers, if one is given."""
        results = [*_results(self)]
        return (
            [replace(s, sampler=_named(s.sampler, letter)) for s in self.found],
            [
                replace(r, cell=replace(r.cell, sampler=_named(r.cell.sampler, letter)))
                for r in results
            ],
        )


def read(path: Path, ess_goal: int) -> Source:
    """Return a run's folder, finished or not, or its ``results.csv``.

    Raises:
        StoreError: it is neither, or there is nothing in it.
    """
    if gradients.load(path) is not None:
        raise StoreError(f"{path}: compares gradients, not samplers: gradbench show prints it")
    if path.is_file():
        return Source(str(path), with_times(export.from_csv(path), ess_goal))
    stored = store.read(path)
    if not stored.results:
        raise StoreError(f"{path}: no results in it yet")
    gates = stored.benchmark.gates
    found = summarize(stored.results, stored.checks, gates=gates, ess_goal=ess_goal)
    draws = {file.stem: file for file in (path / "draws").glob("*.nc")}
    return Source(str(path), found, stored, draws)


def compared(sources: Sequence[Source]) -> list[Comparison]:
    """Return the others compared with the first, where both have a model and sampler."""
    if len(sources) < 2:
        return []
    base, *heads = map(_side, sources)
    alike = (head for head in heads if base.series.keys() & head.series.keys())
    return [compare(base, head) for head in alike]


def _side(source: Source) -> Side:
    if source.stored is None:
        return sides.of_csv(Path(source.name))
    return sides.of_run(source.name, source.stored)


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
    found: dict[str, dict[str, list[Summary]]] = {}
    results: dict[str, list[CellResult]] = {}
    errors: dict[str, list[Curve]] = {}
    draws: dict[planning.Key, Path] = {}
    for source, letter in zip(sources, letters(sources), strict=True):
        summaries, own = source.labelled(letter)
        for summary in summaries:
            of_model = found.setdefault(planning.split(summary.model)[0], {})
            of_model.setdefault(summary.model, []).append(summary)
        for result in own:
            results.setdefault(planning.split(result.cell.model)[0], []).append(result)
        results_of_source = _results(source)
        for curve in curves(results_of_source, source.found) if results_of_source else ():
            named = replace(curve, sampler=_named(curve.sampler, letter))
            errors.setdefault(planning.split(curve.model)[0], []).append(named)
        for original, result in zip(_results(source), own, strict=True):
            path = source.draws.get(original.cell.id)
            if result.measured is not None and path is not None:
                draws.setdefault(result.cell.key, path)
    return [
        Material(
            model=model,
            found=(cells := [cell for point in points.values() for cell in point]),
            rows=(table := rows(cells)),
            results=(measured := results.get(model, [])),
            curves=errors.get(model, ()),
            chains=saved(table, measured, draws),
        )
        for model, points in found.items()
    ]


def _named(sampler: str, letter: str) -> str:
    return f"{sampler} ({letter})" if letter else sampler


def _results(source: Source) -> Sequence[CellResult]:
    return () if source.stored is None else source.stored.results
