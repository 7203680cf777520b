"""A run's tables, a model at a time: kept beside its cells, and made again where those changed.

What a run's folder is asked for again and again (its table, a comparison, its CSV files) is made of
all that its cells say, which takes milliseconds for each. ``tables/`` in the folder holds it by
model; it may be deleted at any time.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import gradbench
from gradbench import records
from gradbench.config import planning
from gradbench.config.planning import ELSEWHERE, Key
from gradbench.measure.result import SCHEMA_VERSION, CellResult, counted
from gradbench.results import export, store
from gradbench.results.parameters import ParameterRow, parameter_rows, smallest_ess
from gradbench.results.store import Outline
from gradbench.results.summarize import as_a_run, of_model
from gradbench.results.summary import Summary
from gradbench.results.times import GOAL

Some = TypeVar("Some")

COLUMNS, ESS, ROWS = ".json", ".ess.json", ".parameters.csv"  # what a model's files end in
NAMES = tuple(field.name for field in fields(Summary))

Worst = Mapping[str, Mapping[int, float]]
"""The smaller ESS of mean and square, by parameter and replicate."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is made of one model's cells.

    Attributes:
        model: its label.
        columns: of its summaries, as ``summarize.of_model`` gives them.
    """

    model: str
    columns: Mapping[str, Sequence[Any]]

    @property
    def summaries(self) -> list[Summary]:
        """One for each finished cell, in the order of the plan."""
        names = self.columns.keys()
        return [
            Summary(**dict(zip(names, values, strict=True)))
            for values in zip(*self.columns.values(), strict=True)
        ]

    @property
    def is_measured_here(self) -> bool:
        """Whether no cell of it was made elsewhere."""
        return ELSEWHERE not in self.columns["sampler_use"]


def summaries(run: Outline, ess_goal: int = GOAL) -> list[Summary]:
    """Return one summary for each finished cell, as ``summarize`` does.

    Raises:
        StoreError: a file of a cell is damaged.
    """
    return as_a_run([s for table in tables(run) for s in table.summaries], ess_goal)


def worst(run: Outline, model: str) -> dict[str, Worst]:
    """Return what is kept of each sampler's parameters on a model, made again where need be.

    Raises:
        StoreError: a file of a cell is damaged.
    """
    kept = _kept(run, model, ESS, _worst)
    return _by_label(worst_of(run.results(model))) if kept is None else kept


def tables(run: Outline) -> Iterator[Table]:
    """Yield the table of each model: the one that is kept, or a new one where cells have changed.

    Raises:
        StoreError: a file of a cell is damaged.
    """
    for model in run.cells:
        yield _kept_table(run, model) or _table(run, model, run.results(model))


def write(run: Outline, ess_goal: int = GOAL) -> list[Summary]:
    """Write a run's ``results.csv`` and ``parameters.csv``, keep its tables; return its summaries.

    Only what has changed is read. Whoever calls holds the folder's lock.

    Raises:
        StoreError: a file of a cell is damaged.
        SaveError: a file can't be written; what was there before is untouched.
    """
    found: list[Summary] = []
    for model in run.cells:
        if (table := _kept_table(run, model)) is None:
            results = run.results(model)
            table = _table(run, model, results)
            _keep(run, table, results)
        found += table.summaries
    whole = as_a_run(found, ess_goal)
    store.write(run.path / "results.csv", export.csv_lines(whole))
    store.write(run.path / "parameters.csv", _parameters(run))
    return whole


def _table(run: Outline, model: str, results: Sequence[CellResult]) -> Table:
    found = of_model(
        results,
        run.check(model),
        gates=run.benchmark.gates,
        n_models=len(run.cells),
        host=run.machine.get("host"),
    )
    plain = [records.to_plain(summary) for summary in found]
    return Table(model, {name: [row[name] for row in plain] for name in NAMES})


def worst_of(results: Sequence[CellResult]) -> dict[Key, dict[str, dict[int, float]]]:
    """Return each parameter's smallest ESS, by model and sampler, parameter, replicate."""
    worst: dict[Key, dict[str, dict[int, float]]] = {}
    for result in results:
        if result.measured is None:
            continue
        of_cell = worst.setdefault(result.cell.key, {})
        (judged,) = counted([result.measured])
        smallest = smallest_ess(judged.diagnostics)
        for name, ess in zip(judged.parameters, smallest.tolist(), strict=True):
            of_cell.setdefault(name, {})[result.cell.replicate] = ess
    return worst


# -- what is kept ----------------------------------------------------------------------------


def _file(run: Outline, model: str, suffix: str) -> Path:
    return run.path / "tables" / f"{planning.slug(model)}{suffix}"


def _keep(run: Outline, table: Table, results: Sequence[CellResult]) -> None:
    (run.path / "tables").mkdir(exist_ok=True)
    made_of = _made_of(run, table.model)
    # The others first: a table says that all are there.
    rows = export.csv_lines(parameter_rows(results), kind=ParameterRow, has_head=False)
    store.write(_file(run, table.model, ROWS), rows)
    found = _by_label(worst_of(results))
    replicates = {
        sampler: sorted({replicate for ess in of_one.values() for replicate in ess})
        for sampler, of_one in found.items()
    }
    ess = {
        sampler: {
            name: [values.get(replicate) for replicate in replicates[sampler]]
            for name, values in of_one.items()
        }
        for sampler, of_one in found.items()
    }
    plain = {"made_of": made_of, "replicates": replicates, "ess": ess}
    store.write(_file(run, table.model, ESS), records.to_json(plain))
    plain = {"made_of": made_of, "columns": table.columns}
    store.write(_file(run, table.model, COLUMNS), records.to_json(plain))


def _kept_table(run: Outline, model: str) -> Table | None:
    """Return the table that is kept, None where there is none or it is of other cells."""
    if not _file(run, model, ROWS).is_file():
        return None
    return _kept(run, model, COLUMNS, lambda plain: Table(model, plain["columns"]))


def _kept(
    run: Outline, model: str, suffix: str, read: Callable[[dict[str, Any]], Some]
) -> Some | None:
    """Return what a file holds that was made of the cells as they are; None where none does."""
    try:
        plain = json.loads(_file(run, model, suffix).read_text(encoding="utf-8"))
        return read(plain) if plain["made_of"] == _made_of(run, model) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged is as good as none: it is made again


def _worst(plain: dict[str, Any]) -> dict[str, Worst]:
    return {
        sampler: {
            name: dict(zip(plain["replicates"][sampler], map(_number, ess), strict=True))
            for name, ess in of_sampler.items()
        }
        for sampler, of_sampler in plain["ess"].items()
    }


def _by_label(found: Mapping[Key, Worst]) -> dict[str, Worst]:
    """Return what is by model and sampler, of one model, by sampler."""
    return {sampler: of_one for (_, sampler), of_one in found.items()}


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _made_of(run: Outline, model: str) -> str:
    """Return a hash of all that a table is made of: files, gates, and the code that makes it."""
    files = [*run.cells[model], run.check_file(model)]
    plain = [
        gradbench.__version__, _newest(), SCHEMA_VERSION, len(run.cells),
        records.to_plain(run.benchmark.gates.model_dump()), [_stamp(file) for file in files],
    ]  # fmt: skip
    return sha256(json.dumps(plain).encode()).hexdigest()


def _stamp(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except OSError:
        return [file.name]
    return [file.name, found.st_size, found.st_mtime_ns]


@cache
def _newest() -> int:
    """Return when the newest file of this package was written: a checkout has one version long."""
    return max(file.stat().st_mtime_ns for file in Path(__file__).parents[1].rglob("*.py"))


def _parameters(run: Outline) -> Iterator[str]:
    yield from export.csv_lines([], kind=ParameterRow)
    for model in run.cells:
        with _file(run, model, ROWS).open(encoding="utf-8") as lines:
            yield from lines
