"""Files of models and samplers, carried to another machine by their content."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gradbench import models, samplers
from gradbench.config.planning import Cell
from gradbench.errors import ModelError, SamplerError

Files = Mapping[str, bytes]
"""The content of files, by their absolute paths here."""


def packed(cells: Iterable[Cell]) -> dict[str, bytes]:
    """Return the files that cells need where they run.

    Raises:
        ModelError: one can't be read.
    """
    paths: set[Path] = set()
    for cell in cells:
        if cell.source is not None:
            paths.update(models.carried(cell.source))
        if (sampler := cell.sampler_source) is not None and sampler.digest:
            paths.add(Path(sampler.use))
    try:
        return {str(path): path.read_bytes() for path in sorted(paths)}
    except OSError as error:
        raise ModelError(f"{error.filename}: can't be read: {error.strerror}") from error


def unpacked(files: Files, folder: Path) -> None:
    """Write files into a folder, as they stood to each other.

    Raises:
        OSError: one can't be written.
    """
    for name, content in files.items():
        path = below(folder, Path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def below(folder: Path, path: Path) -> Path:
    """Return where an absolute path is in a folder that has the same tree."""
    return folder / path.relative_to(path.anchor)


def placed(cell: Cell, folder: Path) -> Cell:
    """Return a cell whose files are those of this machine.

    They are used where they stand if they are there and the same, as on a file system that machines
    share: what lies beside them can be read then. Otherwise they are those that were unpacked into
    ``folder``; whoever loads them holds them to their digests.
    """
    source, sampler = cell.source, cell.sampler_source
    if source is not None and not _is_here(source):
        data = source.data and below(folder, source.data)
        source = replace(source, path=below(folder, source.path), data=data)
    if sampler is not None and sampler.digest and not _has_sampler(sampler):
        use = str(below(folder, Path(sampler.use)))
        return replace(
            cell, source=source, sampler_use=use, sampler_source=replace(sampler, use=use)
        )
    return replace(cell, source=source)


def _is_here(source: models.Source) -> bool:
    try:
        return bool(source.digest) and models.fingerprint(source) == source.digest
    except ModelError:
        return False


def _has_sampler(source: samplers.Source) -> bool:
    try:
        return samplers.find(source.use, Path()).digest == source.digest
    except SamplerError:
        return False
