"""Where a report goes: one page, or a folder with a file for each picture and its numbers."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from gradbench.config import planning
from gradbench.errors import ReportError, SaveError
from gradbench.report import pictures, render
from gradbench.report.page import Report
from gradbench.report.picture import Picture
from gradbench.report.pictures import ratios
from gradbench.report.render import Form
from gradbench.report.sources import materials
from gradbench.results import store

MAX_NAME = 80  # characters of a model's label in a file's name


def require_file(path: Path) -> None:
    """Raise ``ReportError`` where a page can't be written, before anything is made for it."""
    if path.is_dir():
        raise ReportError(f"{path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise ReportError(f"{path}: there is no folder {path.parent}")


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all.

    Raises:
        ReportError: it can't be written.
    """
    try:
        store.write(path, page)
    except SaveError as error:
        raise ReportError(str(error)) from error


def write_pictures(folder: Path, report: Report, form: Form, width: int) -> int:
    """Write each picture and, beside it, the numbers drawn; return how many pictures there are.

    Raises:
        ReportError: there is none, or they can't be written.
        LibraryError: what draws them isn't installed.
    """
    render.require()
    named = dict(_named(report))
    if not named:
        asked = ", ".join(report.only) or "any"
        raise ReportError(f"nothing to draw: these results don't hold what {asked} needs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in named.items():
            store.write(folder / f"{name}.{form}", render.file(picture.draw(width), form))
            store.write(folder / f"{name}.csv", to_csv(picture))
    except (OSError, SaveError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ReportError(f"{folder}: can't be written: {said}") from error
    return len(named)


def to_csv(picture: Picture) -> str:
    """Return exactly the numbers that are drawn; what isn't known is empty."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, [*picture.rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(picture.rows)
    return lines.getvalue()


def _named(report: Report) -> Iterator[tuple[str, Picture]]:
    """Yield each picture with the name of its file, no two of which are the same."""
    taken: set[str] = set()

    def free(name: str) -> str:
        n = 2
        chosen = name
        while chosen in taken:
            chosen, n = f"{name}-{n}", n + 1
        taken.add(chosen)
        return chosen

    for material in materials(report.sources):
        label = planning.slug(material.model)[:MAX_NAME]
        for picture in pictures.of_model(material, report.only):
            yield free(f"{label}-{picture.name}"), picture
    for comparison in report.comparisons:
        found = ratios.picture(comparison) if report.wants(ratios.NAME) else None
        if found is not None:
            yield free(ratios.NAME), found
