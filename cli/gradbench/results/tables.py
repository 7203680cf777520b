"""A run's tables, a model at a time: kept beside its cells, and made again where those changed.

What a run's folder is asked for again and again (its table, a comparison, its CSV files) is made of
all that its cells say, which takes milliseconds for each. ``tables/`` in the folder holds it by
model; it may be deleted at any time. The first line of a file there seals the rest: a hash of it,
of the state of the cells, and of the code that made it of them.
"""

import json
import os
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import gradbench
from gradbench import records
from gradbench.config import planning
from gradbench.config.planning import ELSEWHERE, Key
from gradbench.draws import FloatArray
from gradbench.measure.result import SCHEMA_VERSION, CellResult, counted
from gradbench.results import export, store
from gradbench.results.parameters import ParameterRow, parameter_rows, smallest_ess
from gradbench.results.store import Outline
from gradbench.results.summarize import as_a_run, of_model
from gradbench.results.summary import Summary
from gradbench.results.times import GOAL

NAMES = tuple(field.name for field in fields(Summary))
RESULTS, PARAMETERS = "results.csv", "parameters.csv"
PACKED = np.dtype("<f8")  # whatever machine reads it
COLUMNS, ESS, ROWS = ".columns", ".ess.json", ".parameters.csv"  # what a model's files end in


@dataclass(frozen=True, slots=True)
class Table:
    """What is made of one model's cells, in the order of the plan.

    Attributes:
        model: its label.
        n: how many of its cells are finished.
        columns: of their summaries, as ``summarize.of_model`` gives them: JSON, by name, which is
            read when it is asked for. A list of one value has it for all cells.
    """

    model: str
    n: int
    columns: Mapping[str, str]

    def column(self, name: str) -> list[Any]:
        """Return the values of all cells."""
        values: list[Any] = json.loads(self.columns[name])
        return values * self.n if len(values) == 1 else values

    @property
    def summaries(self) -> list[Summary]:
        """One for each finished cell."""
        made = [object.__new__(Summary) for _ in range(self.n)]
        for name in NAMES:
            # What the ``__init__`` of a frozen record does, in a fifth of the time.
            put = getattr(Summary, name).__set__
            deque(map(put, made, self.column(name)), maxlen=0)
        return made

    @property
    def is_measured_here(self) -> bool:
        """Whether no cell of it was made elsewhere."""
        return ELSEWHERE not in self.column("sampler_use")


@dataclass(frozen=True, slots=True)
class Worst:
    """The smaller ESS of mean and square, of one model and sampler.

    Attributes:
        replicates: those that have any.
        ess: theirs, by parameter, shape (n,); NaN where there is none.
    """

    replicates: Sequence[int]
    ess: Mapping[str, FloatArray]

    def of(self, replicates: Sequence[int]) -> Mapping[str, FloatArray]:
        """Return what these replicates have, by parameter, shape (n,)."""
        if replicates == self.replicates:
            return self.ess
        at = {replicate: i for i, replicate in enumerate(self.replicates)}
        wanted = [at.get(replicate, -1) for replicate in replicates]
        return {name: np.append(ess, np.nan)[wanted] for name, ess in self.ess.items()}


UNKNOWN = Worst((), {})


def summaries(run: Outline, ess_goal: int = GOAL) -> list[Summary]:
    """Return one summary for each finished cell, as ``summarize`` does.

    Raises:
        StoreError: a file of a cell is damaged.
    """
    return _summaries((shelf.table() for shelf in shelves(run)), ess_goal)


def write(run: Outline, ess_goal: int = GOAL) -> list[Summary]:
    """Write a run's ``results.csv`` and ``parameters.csv``, keep its tables; return its summaries.

    Only what has changed is read, and where nothing has nothing is written. Whoever calls holds the
    folder's lock.

    Raises:
        StoreError: a file of a cell is damaged.
        SaveError: a file can't be written; what was there before is untouched.
    """
    models = [*shelves(run)]
    (run.path / "tables").mkdir(exist_ok=True)
    found = _summaries((shelf.table(is_kept=True) for shelf in models), ess_goal)
    mark = run.path / "tables" / "written"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != _written(run, models, ess_goal):
        store.write(run.path / RESULTS, export.csv_lines(found))
        store.write(run.path / PARAMETERS, _parameters(models))
        store.write(mark, _written(run, models, ess_goal))
    return found


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


def _summaries(tables: Iterable[Table], ess_goal: int) -> list[Summary]:
    return as_a_run([summary for table in tables for summary in table.summaries], ess_goal)


# -- what is kept ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where what is made of a model's cells is kept, and a hash of all that it is made of."""

    run: Outline
    model: str
    made_of: str

    def file(self, suffix: str) -> Path:
        """Return one of its files, whether it is there or not."""
        return self.run.path / "tables" / f"{planning.slug(self.model)}{suffix}"

    def table(self, *, is_kept: bool = False) -> Table:
        """Return the model's table: what is kept, or a new one, which then is kept if asked for.

        Raises:
            StoreError: a file of a cell is damaged.
        """
        n = len(self.run.cells[self.model])
        is_whole = all(self.file(suffix).is_file() for suffix in (ROWS, ESS))
        if is_whole and (kept := self._read(COLUMNS)) is not None:
            return Table(self.model, n, dict(line.split(" ", 1) for line in kept.splitlines()))
        results = self.run.results(self.model)
        columns = _columns(self.run, self.model, results)
        if is_kept:
            rows = export.csv_lines(parameter_rows(results), kind=ParameterRow, has_head=False)
            store.write(self.file(ROWS), rows)
            self._write(ESS, records.to_json(_plain(worst_of(results))))
            # Last: it says that all are there.
            self._write(COLUMNS, "".join(f"{name} {values}\n" for name, values in columns.items()))
        return Table(self.model, n, columns)

    def worst(self) -> dict[str, Worst]:
        """Return the ESS of each sampler's parameters: what is kept, or what the cells give.

        Raises:
            StoreError: a file of a cell is damaged.
        """
        if (kept := self._read(ESS)) is not None:
            plain = json.loads(kept)
        else:
            plain = _plain(worst_of(self.run.results(self.model)))
        return {sampler: _worst(**of_one) for sampler, of_one in plain.items()}

    def _read(self, suffix: str) -> str | None:
        """Return what is kept; None where it is damaged, or made of other cells."""
        try:
            seal, _, text = self.file(suffix).read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return text if seal == self._seal(text) else None

    def _write(self, suffix: str, text: str) -> None:
        store.write(self.file(suffix), [self._seal(text), "\n", text])

    def _seal(self, text: str) -> str:
        return _hash(self.made_of + text)


def shelves(run: Outline) -> Iterator[Shelf]:
    """Yield the shelf of each model, in the plan's order."""
    gates = records.to_plain(run.benchmark.gates.model_dump())
    for model, names in run.cells.items():
        files = [f"{run.path}/cells/{name}" for name in names]
        plain = [
            gradbench.__version__, _newest(), SCHEMA_VERSION, len(run.cells), gates,
            [_stamp(file) for file in [*files, str(run.check_file(model))]],
        ]  # fmt: skip
        yield Shelf(run, model, _hash(json.dumps(plain)))


def _stamp(file: str) -> list[str | int]:
    name = file.rpartition("/")[2]
    try:
        found = os.stat(file)  # noqa: PTH116 - of each cell, and paths take longer
    except OSError:
        return [name]
    return [name, found.st_size, found.st_mtime_ns]


@cache
def _newest() -> int:
    """Return when the newest file of this package was written: a checkout has one version long."""
    return max(file.stat().st_mtime_ns for file in Path(__file__).parents[1].rglob("*.py"))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _columns(run: Outline, model: str, results: Sequence[CellResult]) -> dict[str, str]:
    """Return the columns of a model's summaries, as a ``Table`` has them."""
    found = of_model(
        results,
        run.check(model),
        gates=run.benchmark.gates,
        n_models=len(run.cells),
        host=run.machine.get("host"),
    )
    return {name: _column([getattr(summary, name) for summary in found]) for name in NAMES}


def _column(values: Sequence[Any]) -> str:
    texts = list(map(json.dumps, records.to_plain(values)))
    return f"[{', '.join(texts if len({*texts}) > 1 else texts[:1])}]"


def _plain(found: Mapping[Key, Mapping[str, Mapping[int, float]]]) -> dict[str, Any]:
    """Return what ``worst_of`` gave of one model as plain data, by sampler."""
    plain = {}
    for (_, sampler), of_one in found.items():
        replicates = sorted({replicate for ess in of_one.values() for replicate in ess})
        ess = [[of.get(n, np.nan) for n in replicates] for of in of_one.values()]
        # A hundred thousand cells have five million of them, which take long to read as text.
        packed = b64encode(np.array(ess, dtype=PACKED).tobytes()).decode()
        plain[sampler] = {"replicates": replicates, "names": [*of_one], "ess": packed}
    return plain


def _worst(replicates: Sequence[int], names: Sequence[str], ess: str) -> Worst:
    rows = np.frombuffer(b64decode(ess), dtype=PACKED).reshape(len(names), len(replicates))
    return Worst(replicates, dict(zip(names, rows, strict=True)))


def _parameters(models: Iterable[Shelf]) -> Iterator[str]:
    yield from export.csv_lines([], kind=ParameterRow)
    for shelf in models:
        with shelf.file(ROWS).open(encoding="utf-8") as lines:
            yield from lines


def _written(run: Outline, models: Sequence[Shelf], ess_goal: int) -> str:
    """Return a hash of a run's CSV files as they are, and of all that they are made of."""
    files = [_stamp(f"{run.path}/{name}") for name in (RESULTS, PARAMETERS)]
    return _hash(json.dumps([ess_goal, files, [shelf.made_of for shelf in models]]))
