"""Tables as CSV: a row for each draw, as R's posterior and Julia's MCMCChains write them."""

import csv
import io
from pathlib import Path

from gradbench.elsewhere.chains import Content
from gradbench.elsewhere.readers import _shared, cmdstan_csv
from gradbench.errors import ChainsError

SUMMARY = "CSV with a row for each draw (.chain, .iteration, .draw)"


def reads(path: Path, head: bytes) -> bool:
    """Return whether it is text with columns that is not CmdStan's."""
    is_text = b"\0" not in head and path.suffix.lower() in {".csv", ".txt", ""}
    return path.is_file() and is_text and not cmdstan_csv.reads(path, head)


def read(path: Path) -> Content:
    """Return the chains in a table."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ChainsError(f"{path}: can't be read as text: {error}") from error
    written = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if not written:
        raise ChainsError(f"{path}: is empty")
    (at, header), *rows = written
    names = next(csv.reader(io.StringIO(header)))
    if not any(_is_name(name) for name in names):
        raise ChainsError(f"{path}:{at}: its first line must name the columns")
    if not rows:
        raise ChainsError(f"{path}: there are no draws in it")
    if not names[0]:  # R's row names
        names, rows = names[1:], [(n, line.partition(",")[2]) for n, line in rows]
    values, digits = _shared.numbers(path, names, [line for _, line in rows], [n for n, _ in rows])
    return _shared.of_table(path, "CSV", names, values, digits)


def _is_name(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False
