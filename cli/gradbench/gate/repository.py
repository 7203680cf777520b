"""What git says of the repository that is measured: its commits, their order, a copy of one."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gradbench.errors import StoreError

FOREIGN = "not a git repository"  # what git says, in English, outside of one
N_NAMED = 3  # changed files in a message


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit by its full hash, with the time it was committed in UTC."""

    sha: str
    time: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree, by its uppermost folder."""

    root: Path

    def commit(self, name: str) -> Commit | None:
        """Return the commit of a name, tag or hash; None where it has none of this name."""
        # After a dash or with a colon, a name would be an option or a file of a commit.
        found = self._git("log", "-1", "--format=%H %ct", "--end-of-options", name, "--")
        if found is None or not found.strip():
            return None
        return _commit(found)

    def first_parents(self) -> list[str]:
        """Return the hashes from HEAD along first parents, the oldest first; none if it is cut off.

        A shallow clone, as CI makes it, knows its last commits only.
        """
        if (self._git("rev-parse", "--is-shallow-repository") or "").strip() == "true":
            return []
        found = self._git("rev-list", "--first-parent", "--reverse", "HEAD") or ""
        return found.split()

    def between(self, commits: str) -> list[Commit]:
        """Return the commits of a range such as ``v1.0..main``, first parents, the oldest first.

        Raises:
            StoreError: it is no range of this repository, or nothing is in it.
        """
        found = self._git(
            "log", "--first-parent", "--reverse", "--format=%H %ct", "--end-of-options", commits,
            "--",
        )  # fmt: skip
        if not found:
            raise StoreError(f"{commits}: no commits of {self.root}; write it as OLD..NEW")
        return [_commit(line) for line in found.splitlines()]

    def tags(self) -> dict[str, str]:
        """Return the tag of each commit that has one, by its hash; of several the last by version.

        An annotated tag is an object of its own, which points to its commit.
        """
        form = "%(objectname) %(*objectname) %(refname:strip=2)"
        found = self._git("for-each-ref", "--sort=version:refname", f"--format={form}", "refs/tags")
        lines = (line.split() for line in (found or "").splitlines())
        return {words[-2]: words[-1] for words in lines}

    def changed(self, *, beside: Path) -> list[str]:
        """Return the files under version control that aren't as HEAD has them.

        Args:
            beside: a folder that doesn't count: the history is no part of what is measured.
        """
        inside = beside.resolve()
        left_out = [f":(exclude){inside}"] if inside.is_relative_to(self.root) else []
        found = self._git("status", "--porcelain", "--untracked-files=no", "--", ".", *left_out)
        return [line[3:] for line in (found or "").splitlines()]

    def project(self) -> str:
        """Return the name of the project that its pyproject.toml gives, or an empty string."""
        import tomllib

        try:
            about = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
            return str(about.get("project", {}).get("name", ""))
        except (OSError, ValueError):
            return ""

    @contextmanager
    def copy(self, commit: Commit) -> Iterator[Path]:
        """Give a temporary working tree of a commit.

        Raises:
            StoreError: git can't make it.
        """
        with tempfile.TemporaryDirectory(prefix="gradbench-") as scratch:
            tree = Path(scratch) / "tree"
            if self._git("worktree", "add", "--detach", "--force", str(tree), commit.sha) is None:
                raise StoreError(f"{self.root}: git can't make a working tree of {commit.sha}")
            try:
                yield tree
            finally:
                self._git("worktree", "remove", "--force", str(tree))

    def _git(self, *arguments: str) -> str | None:
        code, said, _ = _run(self.root, arguments)
        return said if code == 0 else None


def find(folder: Path) -> Repository | None:
    """Return the repository that a folder is in, None where it is in none or git is missing.

    Raises:
        StoreError: git refuses to look at it.
    """
    try:
        code, said, wrong = _run(folder, ["rev-parse", "--show-toplevel"])
    except FileNotFoundError:
        return None
    if code != 0 and FOREIGN not in wrong:
        raise StoreError(f"{folder}: git can't read its repository: {wrong.strip()}")
    return Repository(Path(said.rstrip("\n"))) if code == 0 else None


def named(files: Sequence[str]) -> str:
    """Return the first few of some files in words."""
    more = f" and {len(files) - N_NAMED} more" if len(files) > N_NAMED else ""
    return ", ".join(files[:N_NAMED]) + more


def _commit(line: str) -> Commit:
    sha, seconds = line.split()
    moment = datetime.fromtimestamp(int(seconds), UTC)
    return Commit(sha, moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _run(folder: Path, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Return what git answers: its exit code, what it prints, and what it says is wrong."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.returncode, done.stdout, done.stderr
