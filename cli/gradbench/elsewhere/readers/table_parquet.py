"""Tables as Parquet: a row for each draw, columns as in the CSV."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gradbench.elsewhere.chains import Content
from gradbench.elsewhere.readers import _shared
from gradbench.errors import ChainsError, headline, pip_install

SUMMARY = "Parquet with a row for each draw"
MAGIC = b"PAR1"


def reads(path: Path, head: bytes) -> bool:  # noqa: ARG001 - as the others
    """Return whether it begins as Parquet does."""
    return head.startswith(MAGIC)


def read(path: Path) -> Content:
    """Return the chains in a table."""
    if find_spec("pyarrow") is None:
        raise ChainsError(f"{path}: Parquet needs pyarrow: {pip_install('chains')}")
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise ChainsError(f"{path}: can't be read as Parquet: {headline(str(error))}") from error
    if not table.num_rows:
        raise ChainsError(f"{path}: there are no draws in it")
    names = table.column_names
    columns = [np.asarray(column.to_numpy(zero_copy_only=False)) for column in table.columns]
    rows = [_shared.numeric(path, name, c) for name, c in zip(names, columns, strict=True)]
    digits = _shared.digits_of(columns)
    return _shared.of_table(path, "Parquet", names, np.stack(rows, axis=1), digits)
