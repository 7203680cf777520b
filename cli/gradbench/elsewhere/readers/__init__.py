"""Readers of files of chains: every module here but ``_shared`` ones is one, for one format."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from gradbench import folders
from gradbench.elsewhere import refusals
from gradbench.elsewhere.chains import Content, checked
from gradbench.errors import ChainsError

HEAD_BYTES = 4096  # of a file, by which formats are told apart


class Reader(Protocol):
    """A module in this folder. Importing it must not import its library."""

    SUMMARY: str
    """The format in a few words."""

    def reads(self, path: Path, head: bytes) -> bool:
        """Return whether a file, or a folder, is of its format; ``head`` is how the file begins."""
        ...

    def read(self, path: Path) -> Content:
        """Return what a file holds.

        Raises:
            ChainsError: it is damaged, or holds no chains.
        """
        ...


def names() -> list[str]:
    """Return the names of all readers, sorted."""
    return folders.names(__path__)


def load(name: str) -> Reader:
    """Return the reader of this name."""
    return cast("Reader", importlib.import_module(f"{__name__}.{name}"))


def read(paths: Sequence[Path]) -> list[Content]:
    """Return what files hold, one for each.

    Raises:
        ChainsError: one can't be read, holds nothing that can be judged, or stands there twice.
    """
    for path in paths:
        if list(paths).count(path) > 1:
            raise ChainsError(f"{path}: is given twice")
    return [checked(_reader(path).read(path)) for path in paths]


def _reader(path: Path) -> Reader:
    """Return the reader of a file's format.

    Raises:
        ChainsError: no reader knows it, or it can't be opened.
    """
    if not path.exists():
        raise ChainsError(f"{path}: no such file")
    head = b""
    if path.is_file():
        try:
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise ChainsError(f"{path}: can't be read: {error.strerror}") from error
        if not head:
            raise ChainsError(f"{path}: is empty")
    refusals.refuse(path, head)
    every = [load(name) for name in names()]
    for reader in every:
        if reader.reads(path, head):
            return reader
    known = "; ".join(reader.SUMMARY for reader in every)
    raise ChainsError(f"{path}: is in no format that is read here ({known})")
