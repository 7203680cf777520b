"""Files of models and samplers, carried to another machine by their content."""

from collections.abc import Iterable, Mapping, Sequence
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
    sources, own = _of(cells)
    paths = {path for source in sources for path in models.carried(source)}
    paths |= {Path(sampler.use) for sampler in own}
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


def placed(cells: Sequence[Cell], folder: Path) -> list[Cell]:
    """Return cells whose files are those of this machine.

    They are used where they stand if they are there and the same, as on a file system that machines
    share: what lies beside them can be read then. Otherwise they are those that were unpacked into
    ``folder``; whoever loads them holds them to their digests.
    """
    sources, own = _of(cells)
    moved = {source: _moved(source, folder) for source in sources if not _is_here(source)}
    uses = {sampler: str(below(folder, Path(sampler.use))) for sampler in own if not _has(sampler)}
    found = []
    for cell in cells:
        source, sampler = cell.source, cell.sampler_source
        here = replace(cell, source=source and moved.get(source, source))
        if sampler is not None and (use := uses.get(sampler)):
            here = replace(here, sampler_use=use, sampler_source=replace(sampler, use=use))
        found.append(here)
    return found


def _of(cells: Iterable[Cell]) -> tuple[set[models.Source], set[samplers.Source]]:
    """Return the models of cells, and those of their samplers that are files."""
    found = [(cell.source, cell.sampler_source) for cell in cells]
    return (
        {source for source, _ in found if source is not None},
        {sampler for _, sampler in found if sampler is not None and sampler.digest},
    )


def _moved(source: models.Source, folder: Path) -> models.Source:
    data = source.data and below(folder, source.data)
    return replace(source, path=below(folder, source.path), data=data)


def _is_here(source: models.Source) -> bool:
    try:
        return bool(source.digest) and models.fingerprint(source) == source.digest
    except ModelError:
        return False


def _has(source: samplers.Source) -> bool:
    try:
        return samplers.find(source.use, Path()).digest == source.digest
    except SamplerError:
        return False
