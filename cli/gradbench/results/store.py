"""A run's folder: one JSON file per cell, written whole or not at all, read back in any state."""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from gradbench import records
from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Place
from gradbench.errors import SaveError, StoreError
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import SCHEMA_VERSION, CellResult

SCRATCH = re.compile(r"\..+\.(\d+)\.tmp")  # what a process, named by its id, has not finished
STALE_S = 60.0  # scratch lives for less: older than this, it is not another machine's at work


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as read back: whatever of it was finished.

    Attributes:
        benchmark: the resolved config it was run with.
        machine: what it ran on, and the versions.
        models: fingerprints of the model files, by label.
        checks: the density checks made so far.
        results: finished cells, in the order of the plan.
        is_race: whether a race decided which of the planned cells were run.
        started: when, in UTC; empty where that was not kept.
    """

    benchmark: Benchmark
    machine: Mapping[str, Any]
    models: Mapping[str, str]
    checks: Sequence[DensityCheck]
    results: Sequence[CellResult]
    is_race: bool = False
    started: str = ""


class RunFolder:
    """The folder of one run, open for writing by one process at a time.

    Args:
        path: where it is.
        ids: the names of those cells that are there; an older gradbench, whose samplers had fewer
            options, gave the same cell another one.
    """

    def __init__(self, path: Path, ids: Mapping[Place, str] = MappingProxyType({})) -> None:
        self.path = path
        self._ids = ids

    def add(self, result: CellResult) -> None:
        """Write a finished cell; a result that can't be put as JSON is written as ``failed``.

        Raises:
            SaveError: it can't be written; what was there before is untouched.
        """
        name = self._ids.get(result.cell.place, result.cell.id)
        write(self.path / "cells" / f"{name}.json", result.to_text())

    def add_check(self, check: DensityCheck) -> None:
        """Write a model's density check.

        Raises:
            SaveError: it can't be written.
        """
        write(self.path / "density" / f"{planning.slug(check.model)}.json", records.to_json(check))

    @property
    def draws(self) -> Path:
        """The folder for saved draws, made when first asked for.

        Raises:
            SaveError: it can't be made.
        """
        folder = self.path / "draws"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SaveError(f"{folder}: can't be made: {error.strerror}") from error
        return folder


def create(root: Path, benchmark: Benchmark, about: Mapping[str, Any]) -> RunFolder:
    """Return a new folder ``root/<name>/<UTC time>/`` with the resolved config.

    It has that name once it is whole: a run that is killed before leaves no folder that can't be
    read. ``about`` goes into its ``run.json``: the machine, and the fingerprints of the models.

    Raises:
        SaveError: it can't be made.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    parent = root / benchmark.name
    try:
        with new_folder(parent, stamp) as scratch:
            for name in ("cells", "density"):
                (scratch / name).mkdir()
            write(scratch / "config.yaml", loading.dump(benchmark))
            started = {"schema_version": SCHEMA_VERSION, "started": stamp, **about}
            write(scratch / "run.json", records.to_json(started))
            return RunFolder(named(scratch, parent, stamp))
    except OSError as error:
        raise SaveError(f"{root}: can't make a results folder: {error.strerror}") from error


@contextmanager
def new_folder(parent: Path, name: str) -> Iterator[Path]:
    """Give a hidden folder, to be filled and then renamed; what is not renamed is removed.

    So are those that killed processes left in ``parent``.

    Raises:
        OSError: it can't be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    suffix = f".{os.getpid()}.tmp"
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=suffix, dir=parent))
    try:
        scratch.chmod(0o755)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def named(scratch: Path, parent: Path, name: str) -> Path:
    """Rename a folder to ``parent/name``, or ``name-2`` and so on where another run was as quick.

    Return its new path.
    """
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            return scratch.rename(path)
        except OSError:
            if not path.exists():
                raise
            number += 1


@contextmanager
def locked(folder: RunFolder) -> Iterator[RunFolder]:
    """Hold the folder for this process; the lock goes with the process, however it ends.

    What an earlier process was writing when it was killed is removed.

    Raises:
        StoreError: another gradbench is writing there.
        SaveError: the folder can't be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{folder.path}: another gradbench is writing there; wait for it"
        ) from error
    except OSError as error:
        raise SaveError(f"{folder.path}: can't be written to: {error.strerror}") from error
    try:
        for path in (folder.path, *(p for p in folder.path.iterdir() if p.is_dir())):
            _sweep(path, is_held=True)
        yield folder
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class Outline:
    """A run as its folder tells without a look into its cells.

    Attributes:
        path: the folder.
        benchmark: the resolved config it was run with.
        machine: what it ran on, and the versions.
        sources: fingerprints of the model files, by label.
        cells: the names of finished cells' files, by model, in the plan's order of models.
        places: of those; None where it is no cell of the plan.
        is_race: whether a race decided which of the planned cells were run.
        started: when, in UTC; empty where that was not kept.
    """

    path: Path
    benchmark: Benchmark
    machine: Mapping[str, Any]
    sources: Mapping[str, str]
    cells: Mapping[str, Sequence[str]]
    places: Mapping[str, Place | None]
    is_race: bool = False
    started: str = ""

    @property
    def ids(self) -> dict[Place, str]:
        """The names of the cells that are there; see ``RunFolder``."""
        known = self.places.items()
        return {place: name.removesuffix(".json") for name, place in known if place is not None}

    def check_file(self, model: str) -> Path:
        """Return the file of a model's density check, whether it is there or not."""
        return self.path / "density" / f"{planning.slug(model)}.json"

    def check(self, model: str) -> DensityCheck | None:
        """Return a model's density check, None where none was made.

        Raises:
            StoreError: its file is damaged.
        """
        file = self.check_file(model)
        return _read_check(file) if file.is_file() else None

    def results(self, model: str) -> list[CellResult]:
        """Return a model's finished cells, in the order of the plan.

        Raises:
            StoreError: a file is damaged.
        """
        _, samplers = planning.places(self.benchmark)
        found = [_read_result(self.path / "cells" / name) for name in self.cells[model]]
        made_elsewhere = len(samplers)
        return sorted(
            found, key=lambda r: (r.cell.replicate, samplers.get(r.cell.sampler, made_elsewhere))
        )


def outline(path: Path) -> Outline:
    """Return what a run's folder tells, finished or interrupted, without reading its cells.

    A cell's file has its place in its name; one that is no cell of the plan is read.

    Raises:
        StoreError: it is not a run's folder, or a file in it is damaged or too new.
    """
    if not (path / "run.json").is_file():
        raise StoreError(f"{path}: not a results folder: there is no run.json in it")
    about = _load(path / "run.json")
    if not isinstance(about, dict) or about.get("schema_version", 0) > SCHEMA_VERSION:
        raise StoreError(f"{path / 'run.json'}: not written by this or an older gradbench")
    benchmark = loading.restore(path / "config.yaml")
    planned = planning.names(benchmark)
    models, _ = planning.places(benchmark)
    cells: dict[str, list[str]] = {}
    places: dict[str, Place | None] = {}
    for name in _names(path / "cells"):
        place = planned.get(name.rpartition("-")[0])
        model = _read_result(path / "cells" / name).cell.model if place is None else place[0]
        cells.setdefault(model, []).append(name)
        places[name] = place
    return Outline(
        path=path,
        benchmark=benchmark,
        machine=about.get("machine", {}),
        sources=about.get("models", {}),
        cells=dict(sorted(cells.items(), key=lambda item: models.get(item[0], 0))),
        places=places,
        is_race=about.get("is_race", False),
        started=_iso(about.get("started", "")),
    )


def read(path: Path) -> Stored:
    """Return a run, finished or interrupted.

    Raises:
        StoreError: it is not a run's folder, or a file in it is damaged or too new.
    """
    return whole_run(outline(path))


def whole_run(run: Outline) -> Stored:
    """Return a run with all that its cells say.

    Raises:
        StoreError: a file in its folder is damaged.
    """
    return Stored(
        benchmark=run.benchmark,
        machine=run.machine,
        models=run.sources,
        checks=[_read_check(file) for file in sorted((run.path / "density").glob("*.json"))],
        results=[result for model in run.cells for result in run.results(model)],
        is_race=run.is_race,
        started=run.started,
    )


def write(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Write a file as ``whole`` does; a text may come in parts.

    Raises:
        SaveError: it can't be written; a file of that name is as it was.
    """
    parts = [content] if isinstance(content, str | bytes) else content
    with whole(path) as file:
        file.writelines(part.encode() if isinstance(part, str) else part for part in parts)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file to be written whole or not at all: a scratch file, flushed to disk, then renamed.

    A device or a pipe, such as /dev/stdout, is written to as it is.

    Raises:
        SaveError: it can't be written; a file of that name is as it was.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with scratch.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise SaveError(f"{path}: can't be written: {error.strerror or error}") from error


def _sweep(folder: Path, *, is_held: bool = False) -> None:
    """Remove what killed processes were writing in a folder.

    In one that this process holds that is all scratch; elsewhere other processes may be at work, of
    this machine or of another one that shares the folder.
    """
    for path in folder.iterdir():
        if match := SCRATCH.fullmatch(path.name):
            with suppress(OSError):  # another process was quicker, or it isn't ours
                if is_held or _is_abandoned(path, int(match[1])):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_abandoned(path: Path, pid: int) -> bool:
    import psutil

    return not psutil.pid_exists(pid) and time.time() - path.stat().st_mtime > STALE_S


def _names(folder: Path) -> list[str]:
    """Return the names of a folder's JSON files, sorted; paths would take ten times as long."""
    if not folder.is_dir():
        return []
    return sorted(name for name in os.listdir(folder) if name.endswith(".json"))  # noqa: PTH208


def _iso(stamp: str) -> str:
    """Return a time as it is written in text, from how it stands in a folder's name."""
    date, _, time_of_day = stamp.partition("T")
    return f"{date}T{time_of_day.replace('-', ':')}" if time_of_day else ""


def _read_result(file: Path) -> CellResult:
    try:
        return CellResult.from_json(_load(file))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{file}: not a cell's result: {error}; delete it to run it again"
        ) from error


def _read_check(file: Path) -> DensityCheck:
    try:
        return records.from_plain(DensityCheck, _load(file))
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{file}: not a density check: {error}") from error


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: can't be read as JSON: {error}") from error
