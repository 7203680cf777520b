"""Summaries to a Parquet file: the columns of ``results.csv`` with their types, model by model."""

from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from gradbench import records
from gradbench.errors import library
from gradbench.results import export, store
from gradbench.results.summary import Summary


def require() -> Any:
    """Return the library that writes it.

    Raises:
        LibraryError: it isn't installed.
    """
    return library("pyarrow.parquet", "Parquet needs pyarrow", "chains")


def write(path: Path, found: Iterable[Summary]) -> None:
    """Write a table as Parquet, whole or not at all, each model a row group.

    Args:
        path: of the file.
        found: the cells, those of a model together; no more than one model's are held at a time.

    Raises:
        LibraryError: pyarrow isn't installed.
        SaveError: it can't be written; a file of that name is as it was.
    """
    parquet = require()
    import pyarrow as arrow

    types = {int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema(
        [
            arrow.field(field.name, types[kind], nullable=may_be_empty)
            for field in fields(Summary)
            for kind, may_be_empty in [export.value_of(field.type)]
        ]
    )
    with store.whole(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for _, of_model in groupby(found, key=lambda summary: summary.model):
            cells = list(of_model)
            columns = [[getattr(cell, name) for cell in cells] for name in schema.names]
            writer.write_table(arrow.table(records.to_plain(columns), schema=schema))
