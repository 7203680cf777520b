"""A baseline: what of a run is kept under version control, so that later runs can be held to it.

``results/baselines/NAME/`` holds the resolved ``config.yaml``; ``baseline.json``: when and where,
and for each model and sampler what was asked, its worst parameters and its noise; and
``replicates.csv``: a line for each replicate. All of it is small, sorted text.
"""

import dataclasses
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradbench import records
from gradbench.config import loading
from gradbench.config.planning import Key
from gradbench.errors import SaveError, StoreError, did_you_mean
from gradbench.gate import compare, kept, pair, rule, sides
from gradbench.gate.sides import Series, Side
from gradbench.gate.words import percent
from gradbench.results import store
from gradbench.results.store import Outline

ROOT = Path("results/baselines")
PREFIX = "baseline:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
MIN_REPLICATES = 8  # fewer tell nothing about the noise


@dataclass(frozen=True, slots=True)
class Entry:
    """What a baseline can do for one model and sampler.

    Attributes:
        model, sampler: labels.
        n_replicates: that have a cost.
        evaluations_per_ess: median over replicates.
        noise: sd of the log cost over replicates.
        catches: the smallest ratio of cost that 32 fresh replicates will catch; None if unknown.
        advisory: why it can't be gated, with the replicates that it would take, or empty.
    """

    model: str
    sampler: str
    n_replicates: int
    evaluations_per_ess: float | None
    noise: float
    catches: float | None
    advisory: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """A stored baseline; ``saved`` is in UTC, ``config_hash`` tells resolved configs apart."""

    name: str
    saved: str
    config_hash: str
    entries: Sequence[Entry]
    side: Side


def save(run: Outline, name: str, *, replace: bool = False, root: Path = ROOT) -> Baseline:
    """Keep a run as a baseline and return it.

    Raises:
        StoreError: the name can't be one, is taken, or the run has nothing to keep.
        SaveError: it can't be written; a baseline of that name is as it was.
    """
    path = _path(name, root)
    if path.exists() and not replace:
        raise StoreError(f"{path}: already exists; use --replace to overwrite it")
    if not run.cells:
        raise StoreError(f"{name}: the run has no results to keep")
    resolved = loading.dump(run.benchmark)
    account, replicates = kept.written(sides.of_outline(name, run), resolved)
    try:
        with store.new_folder(root, name) as scratch:
            store.write(scratch / "config.yaml", resolved)
            store.write(scratch / "baseline.json", records.to_json(account, indent=1))
            store.write(scratch / "replicates.csv", replicates)
            if path.exists():
                shutil.rmtree(path)
            scratch.rename(path)
    except OSError as error:
        raise SaveError(f"{root}: can't make a baseline: {error.strerror}") from error
    return load(name, root)


def load(name: str, root: Path = ROOT) -> Baseline:
    """Return a stored baseline.

    Raises:
        StoreError: there is none of this name, or it is damaged or too new.
    """
    path = _path(name, root)
    if not (path / "baseline.json").is_file():
        known = names(root)
        raise StoreError(
            f"no baseline {name!r} in {root}{did_you_mean(name, known)}"
            f" (there are: {', '.join(known) or 'none'}; gradbench baseline save makes one)"
        )
    with kept.reading(path, "a baseline"):
        account = kept.account_of((path / "baseline.json").read_text(encoding="utf-8"), path)
        table = path / "replicates.csv"
        with table.open(encoding="utf-8", newline="") as lines:
            side = kept.side(PREFIX + name, account, lines, table)
        entries = [_entry(key, series, len(side.series)) for key, series in side.series.items()]
        advisory = {(e.model, e.sampler): e.advisory for e in entries if e.advisory}
        side = dataclasses.replace(side, advisory=advisory)
        return Baseline(name, account["saved"], account["config_hash"], entries, side)


def names(root: Path = ROOT) -> list[str]:
    """Return the names of the stored baselines, sorted."""
    return sorted(path.parent.name for path in root.glob("[!.]*/baseline.json"))


def side(source: str, root: Path = ROOT) -> Side:
    """Return the side that a user names: ``baseline:NAME``, a run's folder, or a results.csv.

    Raises:
        StoreError: it is none of these, or can't be read.
    """
    if source.startswith(PREFIX):
        return load(source.removeprefix(PREFIX), root).side
    path = Path(source)
    if path.is_file():
        return sides.of_csv(path)
    if (path / "baseline.json").is_file():
        return load(path.name, path.parent).side
    if not path.is_dir():
        raise StoreError(
            f"{source}: no such file or folder; give a run's folder, a results.csv, or {PREFIX}NAME"
        )
    found = sides.of_folder(source)
    if not found.series:
        raise StoreError(f"{source}: no results in it yet")
    return found


def _path(name: str, root: Path) -> Path:
    if NAME.fullmatch(name) is None:
        raise StoreError(
            f"{name!r} can't be a baseline's name: letters, digits and _ . + - only, as it names a"
            f" folder in {root}"
        )
    return root / name


def _entry(key: Key, series: Series, n_cells: int) -> Entry:
    usable = pair.is_usable(series)
    n = int(usable.sum())
    cost = series.n_evaluations[usable] / series.ess[usable]
    typical = float(np.median(cost)) if n else None
    trouble = compare.trouble(series)
    if trouble or n < MIN_REPLICATES:
        why = trouble or f"{n} replicates tell too little of the noise: save at least 64"
        return Entry(*key, n, typical, float("nan"), None, why)
    noise = pair.noise(series)
    se = rule.standard_error(noise, n, rule.LOOKS)
    catches = rule.catches(se, n_cells)
    why = ""
    if catches > rule.GATED:
        needed = rule.n_needed(noise, rule.GATED, n_cells)
        why = (
            f"too noisy to be judged: replicates vary by {100 * noise:.0f} %, {n} of them against"
            f" {rule.LOOKS} would catch {percent(np.exp(catches))}; about {needed} a side would"
            f" catch {percent(np.exp(rule.GATED))}"
        )
    return Entry(*key, n, typical, noise, float(np.exp(catches)), why)
