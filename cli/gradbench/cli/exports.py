"""Results as text, to files or to stdout."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gradbench.results import export, parquet, store
from gradbench.results.summary import Summary

Asked = tuple[str | None, Callable[[], str]]
"""Where a text is wanted, ``-`` for stdout and None for nowhere, and what makes it."""


def exported(*asked: Asked) -> str:
    """Write the files asked for, before anything is printed; return what stdout is to carry.

    Raises:
        SaveError: one can't be written.
    """
    printed = ""
    for place, form in asked:
        if place == "-":
            printed += form()
        elif place:
            store.write(Path(place), form())
    return printed


def of_results(found: Sequence[Summary], csv: str | None, json: str | None) -> str:
    """Write a run's CSV and JSON, as ``exported`` does."""
    return exported((csv, lambda: export.to_csv(found)), (json, lambda: export.to_json(found)))


def require_parquet(place: Path | None) -> None:
    """Raise where the Parquet file that is wanted can't be made, before anything is run.

    Raises:
        LibraryError: what writes it isn't installed.
    """
    if place is not None:
        parquet.require()


def tell_parquet(place: Path | None, found: Iterable[Summary]) -> None:
    """Write results as Parquet, if that is wanted.

    Raises:
        SaveError: it can't be written.
    """
    if place is not None:
        parquet.write(place, found)
