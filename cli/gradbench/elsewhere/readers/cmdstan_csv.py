"""CmdStan's CSV: a file is a chain; its comments hold the settings and the seconds."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gradbench.elsewhere.chains import Chain, Content, Spent
from gradbench.elsewhere.readers import _shared
from gradbench.errors import ChainsError

SUMMARY = "CmdStan's CSV"

SETTING = re.compile(r"#\s*(\w+)\s*=\s*(.*?)\s*(?:\(Default\))?\s*")
SECONDS = re.compile(r"([-+.\deE]+) seconds \((Warm-up|Sampling)\)")
TRUE = frozenset({"1", "true"})


def reads(path: Path, head: bytes) -> bool:  # noqa: ARG001 - as the others
    """Return whether its settings, or its first columns, are CmdStan's."""
    text = head.decode(errors="replace")
    return bool(re.search(r"^# ?stan_version_major|^lp__,accept_stat__", text, re.MULTILINE))


def read(path: Path) -> Content:
    """Return the chain in a file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ChainsError(f"{path}: can't be read as text: {error}") from error
    comments = [line for line in lines if line.startswith("#")]
    written = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    settings = _settings(comments)
    method = settings.get("method", "sample")
    if method != "sample":
        raise ChainsError(f"{path}: method = {method}: it holds no chain of MCMC draws")
    if len(written) < 2:
        raise ChainsError(f"{path}: there are no draws in it")
    (_, header), *rows = written
    names = header.split(",")
    values, digits = _shared.numbers(path, names, [line for _, line in rows], [n for n, _ in rows])
    thin = _whole(settings, "thin", 1)
    n_warmup = _n_warmup(lines, [n for n, _ in rows], settings, thin)
    stats_at = {_shared.STATS.get(n, n): i for i, n in enumerate(names) if n.endswith("__")}
    values_at = [i for i, name in enumerate(names) if not name.endswith("__")]
    warmup, kept = values[:n_warmup], values[n_warmup:]
    stats: dict[str, npt.NDArray[np.generic]] = {name: kept[:, i] for name, i in stats_at.items()}
    if "max_depth" in settings and "tree_depth" in stats:
        stats["reached_max_treedepth"] = kept[:, stats_at["tree_depth"]] >= _whole(
            settings, "max_depth", 10
        )
    version = [settings.get(f"stan_version_{part}") for part in ("major", "minor", "patch")]
    return Content(
        path=path,
        format="CmdStan CSV",
        names=tuple(names[i] for i in values_at),
        chains=[
            Chain(
                np.ascontiguousarray(kept[:, values_at]),
                stats,
                {name: warmup[:, i] for name, i in stats_at.items()} if n_warmup else {},
            )
        ],
        library=" ".join(["Stan", ".".join(map(str, version))] if all(version) else ["Stan"]),
        index_from=1,
        digits=digits,
        thin=thin,
        spent=_spent(comments),
        notices=_stopped(path, settings, len(kept), thin),
    )


def _settings(comments: list[str]) -> dict[str, str]:
    """Return what the comments set, by name; the first of several counts."""
    found: dict[str, str] = {}
    for line in comments:
        if match := SETTING.fullmatch(line):
            found.setdefault(match[1], match[2])
    return found


def _whole(settings: Mapping[str, str], name: str, default: int) -> int:
    text = settings.get(name, "")
    return int(text) if text.isdigit() else default


def _n_warmup(lines: list[str], at: list[int], settings: Mapping[str, str], thin: int) -> int:
    """Return how many rows are of warm-up: those above the end of adaptation, or as many as set."""
    ends = [n for n, line in enumerate(lines, 1) if line.startswith("# Adaptation terminated")]
    if ends:
        return sum(n < ends[0] for n in at)
    is_saved = settings.get("save_warmup", "0") in TRUE
    return math.ceil(_whole(settings, "num_warmup", 1000) / thin) if is_saved else 0


def _spent(comments: list[str]) -> Spent | None:
    found = {match[2]: float(match[1]) for c in comments if (match := SECONDS.search(c))}
    if not found:
        return None
    return Spent(
        "comments of the files", found.get("Warm-up", np.nan), found.get("Sampling", np.nan)
    )


def _stopped(path: Path, settings: Mapping[str, str], n: int, thin: int) -> tuple[str, ...]:
    asked = math.ceil(_whole(settings, "num_samples", 0) / thin)
    return (f"{path.name} ends after {n} of {asked} draws",) if n < asked else ()
