"""``--parquet``: the columns of results.csv with their types, or one line about what is missing."""

import csv
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradbench.errors import LibraryError, SaveError
from gradbench.results import export
from gradbench.results import parquet as written
from gradbench.results.summary import Summary
from tests.conftest import Said, Write

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra chains is not installed")

WHAT: dict[str, Any] = {
    "models": {name: {"use": "gaussian", "params": {"dim": 2}} for name in ("one", "two")},
    "samplers": {name: {"use": "pymc_nuts"} for name in ("ok", "timeout")},
    "replicates": 2,
}


def test_it_holds_what_the_csv_holds(said: Said, config: Write) -> None:
    """The same columns and values, none where the CSV is empty; each model is a row group."""
    words = ("--quiet", "--csv", "r.csv", "--parquet", "r.parquet")
    said("run", str(config(**WHAT)), *words, code=1)
    read = parquet.ParquetFile("r.parquet")
    assert read.num_row_groups == len(WHAT["models"])
    plain = read.read().to_pylist()
    with Path("r.csv").open(newline="") as lines:
        expected = list(csv.DictReader(lines))
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in plain] == expected
    types = dict(zip(read.schema_arrow.names, map(str, read.schema_arrow.types), strict=True))
    assert (types["model"], types["seed"], types["n_draws"]) == ("string", "int64", "int64")
    assert (types["ms_per_ess"], types["reference"]) == ("double", "string")
    assert (types["log_evidence"], types["origin"]) == ("double", "string"), "no cell has any"
    said("show", "r.csv", "--parquet", "s.parquet")
    assert parquet.read_table("s.parquet").to_pylist() == plain


def test_what_is_shown_is_written(said: Said, config: Write) -> None:
    """Of a run's folder the cells of the labels that are asked for."""
    said("run", str(config(**WHAT)), "--quiet", code=1)
    (folder,) = Path("results").glob("*/*")
    said("show", str(folder), "--only", "two", "--parquet", "r.parquet")
    assert parquet.read_table("r.parquet").column("model").to_pylist() == ["two"] * 4


def test_without_pyarrow_nothing_is_run(
    said: Said, config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 2, a line says what to install, and there is no folder."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said("run", str(config(**WHAT)), "--quiet", "--parquet", "r.parquet", code=2)
    assert not Path("results").exists()
    with pytest.raises(LibraryError, match=r'pip install "gradbench-mcmc\[chains\]"$'):
        written.require()


def test_it_is_written_whole_or_not_at_all(said: Said, config: Write) -> None:
    """Where writing ends halfway the old file is as it was, with nothing beside it."""
    said("run", str(config(**WHAT)), "--quiet", "--csv", "r.csv", code=1)
    found = export.from_csv(Path("r.csv"))
    path = Path("kept") / "r.parquet"
    path.parent.mkdir()
    path.write_text("old")

    def stopped() -> Iterator[Summary]:
        yield from found[:-1]
        raise OSError(errno.EIO, "no such luck")

    with pytest.raises(SaveError, match="no such luck"):
        written.write(path, stopped())
    assert [file.read_text() for file in path.parent.iterdir()] == ["old"]
