"""A run's folder: one JSON file per cell, written whole or not at all, read back in any state."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradbench import config, grid
from gradbench.config import Benchmark
from gradbench.density import DensityCheck
from gradbench.errors import SaveError, StoreError
from gradbench.result import SCHEMA_VERSION, CellResult


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as read back: whatever of it was finished.

    Attributes:
        benchmark: the resolved config it was run with.
        machine: what it ran on, and the versions.
        models: fingerprints of the model files, by label.
        checks: the density checks made so far.
        results: finished cells, in the order of the plan.
    """

    benchmark: Benchmark
    machine: Mapping[str, Any]
    models: Mapping[str, str]
    checks: Sequence[DensityCheck]
    results: Sequence[CellResult]


class RunFolder:
    """The folder of one run, open for writing by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, result: CellResult) -> None:
        """Write a finished cell.

        Raises:
            SaveError: it can't be written; what was there before is untouched.
        """
        write(self.path / "cells" / f"{result.cell.id}.json", _json(result.to_json()))

    def add_check(self, check: DensityCheck) -> None:
        """Write a model's density check.

        Raises:
            SaveError: it can't be written.
        """
        write(self.path / "density" / f"{grid.slug(check.model)}.json", _json(asdict(check)))

    @property
    def draws(self) -> Path:
        """The folder for saved draws, made when first asked for."""
        folder = self.path / "draws"
        folder.mkdir(exist_ok=True)
        return folder


def create(root: Path, benchmark: Benchmark, about: Mapping[str, Any]) -> RunFolder:
    """Return a new folder ``root/<name>/<UTC time>/`` with the resolved config.

    ``about`` goes into its ``run.json``: the machine, and the fingerprints of the models.

    Raises:
        SaveError: it can't be made.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        path = _new_folder(root / benchmark.name, stamp)
        for name in ("cells", "density"):
            (path / name).mkdir()
    except OSError as error:
        raise SaveError(f"{root}: can't make a results folder: {error.strerror}") from error
    write(path / "config.yaml", config.dump(benchmark))
    write(
        path / "run.json",
        _json({"schema_version": SCHEMA_VERSION, "started": stamp, **about}),
    )
    return RunFolder(path)


@contextmanager
def locked(folder: RunFolder) -> Iterator[RunFolder]:
    """Hold the folder for this process; the lock goes with the process, however it ends.

    Raises:
        StoreError: another gradbench is writing there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{folder.path}: another gradbench is writing there; wait for it"
        ) from error
    try:
        yield folder
    finally:
        lock.release()


def read(path: Path) -> Stored:
    """Return a run, finished or interrupted.

    Raises:
        StoreError: it is not a run's folder, or a file in it is damaged or too new.
    """
    if not (path / "run.json").is_file():
        raise StoreError(f"{path}: not a results folder: there is no run.json in it")
    about = _load(path / "run.json")
    if not isinstance(about, dict) or about.get("schema_version", 0) > SCHEMA_VERSION:
        raise StoreError(f"{path / 'run.json'}: not written by this or an older gradbench")
    results = [_read_result(file) for file in sorted((path / "cells").glob("*.json"))]
    benchmark = config.restore(path / "config.yaml")
    order = {(c.model, c.sampler, c.replicate): i for i, c in enumerate(grid.cells(benchmark))}
    results.sort(key=lambda r: order.get((r.cell.model, r.cell.sampler, r.cell.replicate), 0))
    return Stored(
        benchmark=benchmark,
        machine=about.get("machine", {}),
        models=about.get("models", {}),
        checks=[_read_check(file) for file in sorted((path / "density").glob("*.json"))],
        results=results,
    )


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a scratch file, flushed to disk, then renamed.

    A device or a pipe, such as /dev/stdout, is written to as it is.

    Raises:
        SaveError: it can't be written; a file of that name is as it was.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SaveError(f"{path}: can't be written: {error.strerror}") from error
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise SaveError(f"{path}: can't be written: {error.strerror}") from error


def _new_folder(parent: Path, name: str) -> Path:
    """Make and return ``parent/name``, or ``name-2`` and so on where another run was as quick."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _read_result(file: Path) -> CellResult:
    try:
        return CellResult.from_json(_load(file))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{file}: not a cell's result: {error}; delete it to run it again"
        ) from error


def _read_check(file: Path) -> DensityCheck:
    try:
        return DensityCheck.from_json(_load(file))
    except (KeyError, TypeError) as error:
        raise StoreError(f"{file}: not a density check: {error}") from error


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: can't be read as JSON: {error}") from error


def _json(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, allow_nan=False, separators=(",", ":")) + "\n"
