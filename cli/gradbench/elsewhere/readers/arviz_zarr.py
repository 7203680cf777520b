"""ArviZ's zarr: a folder, or a zip archive of one."""

from importlib.util import find_spec
from pathlib import Path

from gradbench.elsewhere.chains import Content
from gradbench.elsewhere.readers import _arviz
from gradbench.errors import ChainsError, pip_install

SUMMARY = "ArviZ's zarr"
MARKS = (".zgroup", ".zmetadata", "zarr.json")


def reads(path: Path, head: bytes) -> bool:
    """Return whether it is a folder that zarr wrote, or a zip archive named as one."""
    is_archive = head.startswith(b"PK") and path.name.endswith((".zarr.zip", ".zarr"))
    return is_archive or any((path / mark).is_file() for mark in MARKS)


def read(path: Path) -> Content:
    """Return the chains in a folder."""
    if find_spec("zarr") is None:
        raise ChainsError(f"{path}: zarr files need zarr: {pip_install('chains')}")
    return _arviz.read(path, "ArviZ zarr", "zarr")
