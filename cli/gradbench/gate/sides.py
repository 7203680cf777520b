"""One side of a comparison: what a run, its CSV or a baseline says of each model and sampler."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from gradbench.config.planning import ELSEWHERE, Cell, Key
from gradbench.draws import FloatArray, IntArray
from gradbench.errors import StoreError
from gradbench.results import store
from gradbench.results.store import Outline, Stored
from gradbench.results.summarize import of_stored
from gradbench.results.tables import UNKNOWN, shelves, worst_of

IDENTITY = ("model", "sampler", "replicate", "seed", "status", "reason", "fingerprint")
COUNTS = ("n_logp_warmup", "n_logp_sampling", "n_grad_warmup", "n_grad_sampling")
CPU = ("warmup_cpu_s", "sampling_cpu_s")
WORDS = ("params", "options", "init")  # of the setup, as they stand in a CSV
NUMBERS = ("n_parameters", "density_signature")
LATER = ("parameters", "default_options")  # not in older ones
COLUMNS = (*IDENTITY, *COUNTS, "ess_geometric_mean", *CPU, *WORDS, *NUMBERS, *LATER)
OPTIONAL = frozenset({"density_signature", *LATER})

Setup = Mapping[str, Any]
Said = Mapping[str, Any]  # of a cell's summary, these columns


class Record(NamedTuple):
    """One replicate; numbers are NaN where it gave none, the fingerprint then is empty."""

    replicate: int
    seed: int
    status: str
    reason: str
    fingerprint: str
    n_evaluations: float
    ess: float
    cpu_s: float


Fields = tuple[int, int, str, str, str, float, float, float]  # a Record, made in half the time


@dataclass(frozen=True, slots=True)
class Series:
    """The replicates of one model and sampler, shape (n,) each, in the order of their numbers.

    Attributes:
        setup: what must be the same on both sides, by the names of ``Summary``.
        replicate, seed, status, reason, fingerprint: as in ``Summary``.
        n_evaluations: log-densities and gradients, warm-up and sampling.
        ess: geometric mean over parameters of the ESS of the mean.
        cpu_s: of warm-up and sampling.
        worst: the smaller ESS of mean and square, by parameter; empty where it wasn't kept.
    """

    setup: Setup
    replicate: IntArray
    seed: IntArray
    status: tuple[str, ...]
    reason: tuple[str, ...]
    fingerprint: tuple[str, ...]
    n_evaluations: FloatArray
    ess: FloatArray
    cpu_s: FloatArray
    worst: Mapping[str, FloatArray] = field(default_factory=dict)

    def first(self, n: int) -> "Series":
        """Return the first n replicates."""
        return replace(
            self,
            **{name: getattr(self, name)[:n] for name in self.__slots__[1:-1]},
            worst={name: ess[:n] for name, ess in self.worst.items()},
        )


@dataclass(frozen=True, slots=True)
class Side:
    """A result set reduced to what a comparison needs.

    Attributes:
        name: as the user gave it.
        series: by model and sampler, in the order of the plan.
        machine: what it ran on, as in ``run.json``; empty where that isn't known.
        advisory: why a model and sampler can't be gated; only a baseline says so.
        config: the file to run it again with; empty where there is none.
    """

    name: str
    series: Mapping[Key, Series]
    machine: Mapping[str, Any] = field(default_factory=dict)
    advisory: Mapping[Key, str] = field(default_factory=dict)
    config: str = ""

    def only(self, keys: Iterable[Key]) -> "Side":
        """Return the side with only these models and samplers."""
        return replace(self, series={k: self.series[k] for k in keys if k in self.series})


def simulated(setup: Setup, log_cost: FloatArray, log_time: FloatArray) -> Series:
    """Return replicates that were never run, with these costs and times; all of them are ok.

    Args:
        setup: what was asked.
        log_cost: shape (n,), log of evaluations per effective sample.
        log_time: shape (n,), log of CPU seconds per evaluation.
    """
    n = len(log_cost)
    n_evaluations = np.full(n, 1e5)
    return Series(
        setup=setup,
        replicate=np.arange(n),
        seed=np.arange(n),
        status=("ok",) * n,
        reason=("",) * n,
        fingerprint=("",) * n,
        n_evaluations=n_evaluations,
        ess=n_evaluations / np.exp(log_cost),
        cpu_s=n_evaluations * np.exp(log_time),
    )


def of_run(name: str, run: Stored) -> Side:
    """Return the side that a run gives; its name is its folder."""
    ran = [result for result in run.results if not result.cell.is_elsewhere]
    summaries = of_stored(replace(run, results=ran))
    found = [{name: getattr(summary, name) for name in COLUMNS} for summary in summaries]
    config = str(Path(name) / "config.yaml")
    series = gather(map(_record, found), _setups(found), worst_of(ran))
    machine = _machine(run.machine, (summary.block for summary in summaries))
    return Side(name, series, machine, config=config)


def of_folder(name: str) -> Side:
    """Return the side that a run's folder gives, as ``of_outline`` does.

    Raises:
        StoreError: it is not a run's folder, or a file in it is damaged.
    """
    return of_outline(name, store.outline(Path(name)))


def of_outline(name: str, run: Outline) -> Side:
    """Return the side that a run gives, from the tables that are kept in its folder.

    Raises:
        StoreError: a file in it is damaged.
    """
    series: dict[Key, Series] = {}
    machine = run.machine
    for shelf in shelves(run):
        table = shelf.table()
        if not table.is_measured_here:
            # What others say of its samplers is no part of a comparison.
            return of_run(name, store.whole_run(run))
        machine = _machine(machine, table.column("block"))
        values = zip(*map(table.column, COLUMNS), strict=True)
        found = [dict(zip(COLUMNS, of_one, strict=True)) for of_one in values]
        known = shelf.worst()
        for key, one in gather(map(_record, found), _setups(found)).items():
            kept = known.get(key[1], UNKNOWN)
            series[key] = replace(one, worst=kept.of(one.replicate.tolist()))
    return Side(name, series, machine, config=str(run.path / "config.yaml"))


def _machine(machine: Mapping[str, Any], blocks: Iterable[str | None]) -> Mapping[str, Any]:
    """Return a run's machine; without a host where cells ran on a cluster: no time is judged."""
    if all(block is None for block in blocks):
        return machine
    return {name: said for name, said in machine.items() if name != "host"}


def planned(cells: Iterable[Cell]) -> Side:
    """Return the side of cells that were not run: their setups, as far as they are known."""
    unknown = dict.fromkeys(NUMBERS)
    setups = {
        cell.key: {
            "params": cell.params, "options": cell.options, "init": cell.init,
            "parameters": ", ".join(cell.parameters), "defaults": cell.defaults, **unknown
        }
        for cell in cells
    }  # fmt: skip
    return Side("", {key: _series(key, [], setup, {}) for key, setup in setups.items()})


def of_csv(path: Path) -> Side:
    """Return the side that a ``results.csv`` gives, read line by line.

    Raises:
        StoreError: it is not such a file, is cut short, or mixes runs that can't be one side.
    """
    setups: dict[Key, Setup] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            series = gather(_records(path, csv.reader(lines), setups), setups)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: can't be read as CSV: {error}") from error
    except DuplicateError as error:
        raise StoreError(f"{path}: {error}; compare one run with another, not a mix") from error
    if not series:
        raise StoreError(f"{path}: no results in it")
    return Side(str(path), series)


class DuplicateError(ValueError):
    """A replicate stands twice in one result set."""


def gather(
    records: Iterable[tuple[Key, Fields]],
    setups: Mapping[Key, Setup],
    worst: Mapping[Key, Mapping[str, Mapping[int, float]]] | None = None,
) -> dict[Key, Series]:
    """Return each model and sampler's records as one series.

    Args:
        records: each with its model and sampler, in any order.
        setups: by model and sampler; may be filled while the records are read.
        worst: by model and sampler, parameter, and replicate.

    Raises:
        DuplicateError: a replicate stands twice.
    """
    grouped: dict[Key, list[Fields]] = {}
    for key, record in records:
        grouped.setdefault(key, []).append(record)
    return {
        key: _series(key, grouped.pop(key), setups[key], (worst or {}).get(key, {}))
        for key in list(grouped)
    }


def _series(
    key: Key, records: list[Fields], setup: Setup, worst: Mapping[str, Mapping[int, float]]
) -> Series:
    columns: Iterable[tuple[Any, ...]] = zip(*sorted(records), strict=True)
    replicate, seed, status, reason, fingerprint, *numbers = columns if records else [()] * 8
    for one, other in pairwise(replicate):
        if one == other:
            raise DuplicateError(f"replicate {one} of {key[1]} on {key[0]} appears twice")
    n_evaluations, ess, cpu_s = (np.array(column, dtype=np.float64) for column in numbers)
    return Series(
        setup=setup,
        replicate=np.array(replicate, dtype=np.int64),
        seed=np.array(seed, dtype=np.int64),
        status=status,
        reason=reason,
        fingerprint=fingerprint,
        n_evaluations=n_evaluations,
        ess=ess,
        cpu_s=cpu_s,
        worst={
            name: np.array([values.get(number, np.nan) for number in replicate])
            for name, values in worst.items()
        },
    )


def _setups(found: Iterable[Said]) -> dict[Key, Setup]:
    """Return what must be the same on both sides of a comparison, by model and sampler."""
    return {key: _setup_of(said) for key, said in {_key(said): said for said in found}.items()}


def _setup_of(said: Said) -> Setup:
    plain = {name: said[name] for name in (*WORDS, *NUMBERS)}
    plain |= {name: json.loads(plain[name]) for name in ("params", "options")}
    defaults = _listed(said["default_options"] or "")
    return plain | {"parameters": said["parameters"] or "", "defaults": defaults}


def _listed(names: str) -> list[str]:
    return names.split(", ") if names else []


def _key(said: Said) -> Key:
    return said["model"], said["sampler"]


def _record(said: Said) -> tuple[Key, Record]:
    return _key(said), Record(
        replicate=said["replicate"],
        seed=said["seed"],
        status=said["status"],
        reason=said["reason"],
        fingerprint=said["fingerprint"] or "",
        n_evaluations=_sum(said, COUNTS),
        ess=_number(said["ess_geometric_mean"]),
        cpu_s=_sum(said, CPU),
    )


def _records(
    path: Path, lines: Iterator[list[str]], setups: dict[Key, Setup]
) -> Iterator[tuple[Key, Fields]]:
    """Yield a CSV's records; note the setup of each model and sampler where it first stands."""
    header = next(lines, [])
    if missing := [name for name in COLUMNS if name not in {*header, *OPTIONAL}]:
        raise StoreError(f"{path}: not a results.csv: it has no column {missing[0]!r}")
    at = {name: header.index(name) for name in COLUMNS if name in header}
    words = itemgetter(*(at[name] for name in (*IDENTITY, *WORDS)))
    numbers = itemgetter(*(at[name] for name in (*COUNTS, *CPU, "ess_geometric_mean")))
    first: dict[Key, list[str]] = {}
    n_columns = len(header)
    made_by = header.index("sampler_use") if "sampler_use" in header else None
    for number, line in enumerate(lines, start=2):
        if len(line) != n_columns:
            raise StoreError(f"{path}:{number}: cut short, or with a field too many")
        if made_by is not None and line[made_by] == ELSEWHERE:
            continue
        model, sampler, replicate, seed, status, reason, fingerprint, *said = words(line)
        key = (model, sampler)
        try:
            if first.setdefault(key, said) != said:
                raise StoreError(
                    f"{path}:{number}: {sampler} on {model} has other options than above;"
                    " compare one run with another, not a mix"
                )
            # A replicate that failed says nothing of the model's size or density.
            if key not in setups or setups[key]["n_parameters"] is None:
                setups[key] = _setup({name: line[i] for name, i in at.items()})
            *counts, warmup_s, sampling_s, ess = _floats(numbers(line))
            yield key, (
                int(replicate), int(seed), intern(status), reason, fingerprint,
                sum(counts), ess, warmup_s + sampling_s,
            )  # fmt: skip
        except ValueError as error:
            raise StoreError(f"{path}:{number}: not a line of a results.csv: {error}") from error


def _floats(texts: tuple[str, ...]) -> list[float]:
    """Return numbers, NaN for an empty field."""
    try:
        return list(map(float, texts))
    except ValueError:
        return [float(text or "nan") for text in texts]


def _setup(line: Mapping[str, str]) -> Setup:
    size, signature = line["n_parameters"], line.get("density_signature", "")
    return {
        "params": json.loads(line["params"]),
        "options": json.loads(line["options"]),
        "init": line["init"],
        "n_parameters": int(size) if size else None,
        "density_signature": float(signature) if signature else None,
        "parameters": line.get("parameters", ""),
        "defaults": _listed(line.get("default_options", "")),
    }


def _sum(said: Said, columns: tuple[str, ...]) -> float:
    return sum(_number(said[name]) for name in columns)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
