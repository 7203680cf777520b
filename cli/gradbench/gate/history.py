"""A history: what an effective sample costs at each commit of a project, or release of a library.

``history/`` holds a small text file for each of them and each environment: an account as JSON, an
empty line, and a line of CSV for each replicate. From these every series is rebuilt.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gradbench import records
from gradbench.config import loading
from gradbench.errors import DISTRIBUTION, SaveError, StoreError, did_you_mean
from gradbench.gate import kept, sides
from gradbench.gate.baseline import NAME
from gradbench.gate.repository import Commit, Repository, named
from gradbench.gate.sides import Side
from gradbench.results import store
from gradbench.results.store import Outline

ROOT = Path("history")
SUFFIX = ".txt"
FILES = f"[!.]*-{'[0-9a-f]' * 8}{SUFFIX}"  # a file ends with its environment
COMMITS = "commits"  # the line that isn't a library's
HEX = re.compile(r"[0-9a-f]{40,64}")
SHOWN = 10  # digits of a hash
FEWEST = 4  # digits by which a commit may be named


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured: a commit, or a release.

    Attributes:
        commit: its full hash, or the name that the user gave it where there is no repository.
        release: of a library, as ``emcee==3.1.4``; a point has this or a commit.
        time: when it was committed, or measured where that isn't known; in UTC; empty of a release.
        is_dirty: the working tree was not as committed.
    """

    commit: str = ""
    release: str = ""
    time: str = ""
    is_dirty: bool = False

    @property
    def name(self) -> str:
        """What a reader calls it."""
        short = self.commit[:SHOWN] if HEX.fullmatch(self.commit) else self.commit
        return (self.release or short) + (", dirty" if self.is_dirty else "")

    @property
    def line(self) -> str:
        """The line of points that it is on: the library of a release, or the commits."""
        return self.release.partition("==")[0] or COMMITS

    @property
    def version(self) -> Version:
        """The version of a release."""
        return Version(self.release.partition("==")[2])

    @property
    def file(self) -> str:
        """What its files' names begin with: the time first, so that they are listed in order."""
        return f"{self.time.replace(':', '-')}-{self.key}" if self.time else self.key

    @property
    def key(self) -> str:
        """What tells it from others, and can be part of a file's name."""
        if self.release:
            return self.release.replace("==", "-")
        short = self.commit[:12] if HEX.fullmatch(self.commit) else self.commit
        return short + ("-dirty" if self.is_dirty else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one file holds.

    Attributes:
        path: the file.
        point: what was measured.
        environment: what it was measured in, as eight digits.
        library: the one under test, whose version is no part of the environment, or empty.
        saved: when, in UTC.
        config_hash: of the resolved config.
        side: the replicates.
    """

    path: Path
    point: Point
    environment: str
    library: str
    saved: str
    config_hash: str
    side: Side


@dataclass(frozen=True, slots=True)
class Stop:
    """A point on its line, with what was measured of it, by environment."""

    point: Point
    entries: Mapping[str, Entry]

    def like(self, entry: Entry) -> Entry:
        """Return the entry of the same environment, or of another: evaluations compare anyway."""
        return self.entries.get(entry.environment) or next(iter(self.entries.values()))


@dataclass(frozen=True, slots=True)
class History:
    """All that a folder holds, in order.

    Attributes:
        folder: where it is.
        lines: the points of each line, the oldest first: a library's releases by version, commits
            as they follow each other along first parents, or by time where git can't tell.
        aside: commits that are not among the first parents of HEAD.
        tags: of commits, by hash.
    """

    folder: Path
    lines: Mapping[str, Sequence[Stop]]
    aside: Sequence[Stop] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def stops(self) -> list[Stop]:
        """Every point, those aside last."""
        return [*(stop for line in self.lines.values() for stop in line), *self.aside]

    @property
    def environments(self) -> dict[str, Mapping[str, Any]]:
        """What each environment is, by its digits, in the order they were met."""
        entries = [entry for stop in self.stops for entry in stop.entries.values()]
        return {
            entry.environment: surroundings(entry.side.machine, entry.library) for entry in entries
        }

    def called(self, point: Point) -> str:
        """Return what a reader calls a point on its line: a version, or a commit with its tag."""
        if point.release:
            return str(point.version)
        tag = self.tags.get(point.commit)
        return f"{point.name} ({tag})" if tag else point.name

    def find(self, name: str, repository: Repository | None) -> Stop:
        """Return the point of a release or its version, or of whatever git knows a commit by.

        Raises:
            StoreError: none has this name, or more than one.
        """
        commit = None if repository is None else repository.commit(name)
        sha = name if commit is None else commit.sha
        found = [
            stop
            for stop in self.stops
            if sha in {stop.point.release, stop.point.release.partition("==")[2], stop.point.commit}
            or (len(sha) >= FEWEST and stop.point.commit.startswith(sha))
        ]
        clean = [stop for stop in found if not stop.point.is_dirty] or found
        if len(clean) == 1:
            return clean[0]
        if clean:
            several = ", ".join(stop.point.name for stop in clean)
            raise StoreError(f"{name}: more than one point of {self.folder}: {several}")
        known = [name for stop in self.stops for name in (stop.point.name, *self._tag(stop))]
        raise StoreError(
            f"{name}: not in {self.folder}{did_you_mean(name, known)}"
            f" (gradbench history list shows what is)"
        )

    def _tag(self, stop: Stop) -> list[str]:
        return [tag] if (tag := self.tags.get(stop.point.commit)) else []


def measured(
    run: Outline, repository: Repository | None, commit: str | None, folder: Path, *, is_dirty: bool
) -> Point:
    """Return the commit that a run measured.

    Args:
        run: of it.
        repository: the one of the current folder.
        commit: as the user names it; None for HEAD.
        folder: the history, which is no part of what is measured.
        is_dirty: accept a working tree that is not as committed, and mark it.

    Raises:
        StoreError: there is no such commit, none is named, or the tree is not as committed.
    """
    if repository is None:
        if commit is None:
            raise StoreError(
                "this is no git repository: say with --commit what was measured, a hash or a name"
            )
        if NAME.fullmatch(commit) is None:
            raise StoreError(f"--commit {commit!r}: letters, digits and _ . + - only, at most 64")
        return Point(commit, time=run.started, is_dirty=is_dirty)
    found = repository.commit(commit or "HEAD")
    if found is None:
        raise StoreError(f"{repository.root}: has no commit {commit or 'yet'}")
    # Of a commit that is named, the tree of today says nothing.
    changed = repository.changed(beside=folder) if commit is None else []
    if changed and not is_dirty:
        raise StoreError(
            f"{repository.root}: not as committed: {named(changed)}; commit first, name with"
            " --commit what was measured, or mark it with --dirty"
        )
    return Point(
        found.sha, time=found.time, is_dirty=bool(changed) or (is_dirty and commit is not None)
    )


def add(
    run: Outline, point: Point, folder: Path, *, library: str = "", is_new: bool = True
) -> Path:
    """Keep a run in a history and return its file.

    Args:
        run: what was measured.
        point: what it was measured of.
        folder: the history.
        library: the one under test: its version is no part of the environment.
        is_new: refuse to overwrite what is there.

    Raises:
        StoreError: the run has nothing to keep, or the file is there.
        SaveError: it can't be written; a file of that name is as it was.
    """
    side = sides.of_outline(point.name, run)
    if not side.series:
        raise StoreError("the run has no results to keep")
    account, replicates = kept.written(side, loading.dump(run.benchmark))
    digits = environment(run.machine, library)
    path = folder / f"{point.file}-{digits}{SUFFIX}"
    # Of a commit that no repository knows, the time is that of a run.
    taken = [
        one.path
        for one in entries(folder)
        if (one.point.key, one.environment) == (point.key, digits)
    ]
    if is_new and taken:
        raise StoreError(f"{taken[0]}: already exists; use --replace to overwrite it")
    about = {"point": records.to_plain(point), "environment": digits, "library": library, **account}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{folder}: can't be made: {error.strerror}") from error
    store.write(path, f"{records.to_json(about, indent=1)}\n{replicates}")
    for other in taken:
        if other != path:
            other.unlink(missing_ok=True)
    return path


def entries(folder: Path) -> list[Entry]:
    """Return what the files of a folder hold, in the order of their names; none if it isn't there.

    Raises:
        StoreError: one can't be read.
    """
    return [_read(path) for path in sorted(folder.glob(FILES))]


def read(folder: Path, repository: Repository | None) -> History:
    """Return the history that a folder holds.

    Raises:
        StoreError: it holds none, or a file of it can't be read.
    """
    found = entries(folder)
    if not found:
        raise StoreError(
            f"{folder}: no history there yet; gradbench history add RESULTS --to {folder} begins it"
        )
    by_point: dict[str, dict[str, Entry]] = {}
    for entry in found:
        by_point.setdefault(entry.point.key, {})[entry.environment] = entry
    by_line: dict[str, list[Stop]] = {}
    for of_point in by_point.values():
        stop = Stop(next(iter(of_point.values())).point, of_point)
        by_line.setdefault(stop.point.line, []).append(stop)
    commits, aside = _ordered(by_line.pop(COMMITS, []), repository)
    lines = {
        library: sorted(stops, key=lambda stop: stop.point.version)
        for library, stops in sorted(by_line.items())
    }
    if commits:
        lines[COMMITS] = commits
    return History(folder, lines, aside, {} if repository is None else repository.tags())


def surroundings(machine: Mapping[str, Any], library: str) -> dict[str, Any]:
    """Return the environment of a machine: what must be the same for times to compare.

    Of the system the name only: CI's machines have a new kernel every other week. The library under
    test is left out, as its version is what a history is of.
    """
    system = str(machine.get("system", "")).partition(" ")[0]
    under_test = "gradbench" if library == DISTRIBUTION else library
    versions = {
        name: version
        for name, version in sorted(machine.get("versions", {}).items())
        if not library or canonicalize_name(name) != canonicalize_name(under_test)
    }
    named = {name: machine.get(name, "") for name in ("processor", "python")}
    return {**named, "system": system, "versions": versions}


def environment(machine: Mapping[str, Any], library: str) -> str:
    """Return eight digits that tell an environment from others."""
    return sha256(records.to_json(surroundings(machine, library)).encode()).hexdigest()[:8]


def release(name: str) -> Point:
    """Return the point of a release, written as ``emcee==3.1.4``.

    Raises:
        StoreError: it is written otherwise.
    """
    library, _, version = name.partition("==")
    try:
        point = Point(release=f"{canonicalize_name(library.strip())}=={Version(version.strip())}")
    except InvalidVersion as error:
        raise StoreError(f"{name}: {version or 'nothing'!r} is not a version") from error
    if NAME.fullmatch(point.line) is None:
        raise StoreError(f"{name}: write it as LIBRARY==VERSION")
    return point


def commit(found: Commit) -> Point:
    """Return the point of a commit."""
    return Point(found.sha, time=found.time)


def _read(path: Path) -> Entry:
    with kept.reading(path, "a file of a history"):
        text, _, table = path.read_text(encoding="utf-8").partition("\n\n")
        account = kept.account_of(text, path)
        point = records.from_plain(Point, account["point"])
        side = kept.side(point.name, account, io.StringIO(table, newline=""), path)
        if point.release:
            point = release(point.release)
        return Entry(
            path, point, account["environment"], account["library"], account["saved"],
            account["config_hash"], side,
        )  # fmt: skip


def _ordered(stops: Sequence[Stop], repository: Repository | None) -> tuple[list[Stop], list[Stop]]:
    """Return the commits in order, and those that have no place in it."""
    line = [] if repository is None else repository.first_parents()
    place = {sha: number for number, sha in enumerate(line)}

    def of(stop: Stop) -> tuple[int, str, bool]:
        return place.get(stop.point.commit, -1), stop.point.time, stop.point.is_dirty

    on_line = [stop for stop in stops if stop.point.commit in place]
    if not on_line:
        return sorted(stops, key=of), []
    aside = [stop for stop in stops if stop.point.commit not in place]
    return sorted(on_line, key=of), sorted(aside, key=of)
