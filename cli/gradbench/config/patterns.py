"""Models that a pattern names: an entry for each posterior of posteriordb that matches."""

import re
from pathlib import Path

from gradbench import posteriordb
from gradbench.config.benchmark import Benchmark, ModelEntry
from gradbench.config.yaml_source import Document
from gradbench.errors import ModelError

LONGEST = 64  # characters of a label
ALONE = ("params", "sweep", "data")  # what a posterior doesn't take


def expanded(benchmark: Benchmark, document: Document, folder: Path) -> Benchmark:
    """Return a benchmark with a model for each posterior that a pattern matches.

    Their labels are the posteriors' names, so that seeds don't depend on what else matches. They
    may fail: what can't be built ends with a status, and the others run.

    Raises:
        ConfigError: a pattern matches nothing, or what belongs to one stands elsewhere.
    """
    entries: dict[str, ModelEntry] = {}
    for label, entry in benchmark.models.items():
        at = ("models", label)
        if not posteriordb.is_pattern(entry.use):
            if entry.exclude:
                raise document.error(
                    (*at, "exclude"), f"belongs to a pattern, as use: {posteriordb.PREFIX}*"
                )
            found = {label: entry}
        else:
            for key in ALONE:
                if getattr(entry, key):
                    raise document.error((*at, key), "a posterior of posteriordb takes none")
            try:
                found = _matching(entry, folder)
            except ModelError as error:
                raise document.error((*at, "use"), str(error)) from error
        for name in found:
            if name in entries:
                raise document.error(at, f"{name} is a model of this config already")
        entries |= found
    return benchmark.model_copy(update={"models": entries})


def label_of(use: str) -> str:
    """Return a label for what a model or a sampler is named by: a name, a path, a posterior."""
    stem = Path(use.removeprefix(posteriordb.PREFIX)).stem
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", stem).lstrip("_.+-")[:LONGEST] or "mine"


def _matching(entry: ModelEntry, folder: Path) -> dict[str, ModelEntry]:
    """Return an entry for each posterior, by its label; raise ``ModelError`` where none matches."""
    home = posteriordb.home(entry.posteriordb, folder)
    pattern = entry.use.removeprefix(posteriordb.PREFIX)
    names = posteriordb.matching(pattern, home, exclude=entry.exclude)
    if not names:
        raise ModelError(f"no posterior in {home} matches {pattern!r} and is not left out")
    common = {"exclude": [], "may_fail": True}
    return {
        label_of(name): entry.model_copy(update={"use": posteriordb.PREFIX + name, **common})
        for name in names
    }
