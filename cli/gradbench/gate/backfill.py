"""A history of what is past: a benchmark run on earlier releases of a library, or commits.

Each is installed into an environment of its own, above this one's packages, and its workers are of
that environment's interpreter. What a history has already is left alone: a backfill that was
interrupted goes on where it was.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

import gradbench
from gradbench.config import loading
from gradbench.config.benchmark import Benchmark
from gradbench.errors import (
    DISTRIBUTION,
    ConfigError,
    InterpreterError,
    ModelError,
    SamplerError,
    StoreError,
    headline,
)
from gradbench.gate import history, kept
from gradbench.gate.history import Point
from gradbench.gate.repository import Commit, Repository
from gradbench.measure import machine
from gradbench.measure.runner import Runner
from gradbench.measure.workers import interpreter
from gradbench.results import execute, store
from gradbench.results.execute import Display

BETWEEN = ".."
MARK = "gradbench runs on "  # before it, a command may print what it likes
HOLD = f"import sys; print('{MARK}' + sys.executable, flush=True); sys.stdin.read()"
FILLED = re.compile(r"\{(\w*)\}")

Show = Callable[[], AbstractContextManager[Display]]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured.

    Attributes:
        points: of a library or a repository, the oldest first.
        library: the one under test.
        repository: whose commits the points are; None of releases.
    """

    points: Sequence[Point]
    library: str
    repository: Repository | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a backfill.

    Attributes:
        failed: why a point could not be measured, by its name.
        is_interrupted: whether points are left that were not tried.
    """

    failed: Mapping[str, str]
    is_interrupted: bool


def asked(text: str, repository: Repository | None, library: str = "") -> Asked:
    """Return the points that a text names.

    Args:
        text: ``emcee==3.1.0,3.1.4``, ``emcee==3.1.0..3.1.6``, or a range of git's, ``v3.0..main``.
        repository: of the commits.
        library: what is under test; by default that of the text, or the repository's project.

    Raises:
        StoreError: it names none, or what it names isn't there.
    """
    name, equals, versions = text.partition("==")
    if equals:
        listed = (
            _between(name, *versions.split(BETWEEN, 1))
            if BETWEEN in versions
            else versions.split(",")
        )
        points = [history.release(f"{name}=={version}") for version in listed]
        return Asked(list(dict.fromkeys(points)), library or points[0].line)
    if repository is None:
        raise StoreError(
            f"{text}: this is no git repository; give releases as LIBRARY==VERSION,VERSION, or a"
            " repository with --repository"
        )
    points = [history.commit(found) for found in repository.between(text)]
    return Asked(points, library or repository.project(), repository)


def fill(
    benchmark: Benchmark,
    wanted: Asked,
    folder: Path,
    root: Path,
    *,
    python: str = "",
    is_new: bool = True,
    show: Show,
    tell: Tell,
) -> Filled:
    """Run a benchmark on each point that a history doesn't have, and keep it there.

    Args:
        benchmark: what is run.
        wanted: the points.
        folder: the history.
        root: a results folder for each run is made below it.
        python: a command that runs a Python which has gradbench and the point; in it {version},
            {library}, {commit}, {tree} and {gradbench} are filled in. By default an environment is
            made with pip, and removed afterwards.
        is_new: leave alone what the history has; otherwise it is measured again.
        show: gives the display of a run.
        tell: is told what is under way.

    Raises:
        SaveError: a result can't be written.
        ConfigError: the command has something to be filled in that isn't known.
    """
    _command(python, _words(wanted, wanted.points[0], Path()))
    known = _known(folder) if is_new else {}
    asked_now = kept.hash_of(loading.dump(benchmark))
    failed: dict[str, str] = {}
    for point in wanted.points:
        if point.key in known:
            another = "" if known[point.key] == asked_now else ", run with another config"
            tell(f"{point.name}: already in {folder}{another}; --replace measures it again")
            continue
        try:
            with _environment(wanted, point, python, tell) as command:
                tell(f"{point.name}: running on {command}")
                make = partial(Runner, python=interpreter(command))
                with show() as display:
                    outcome = execute.start(benchmark, root, display, make=make)
            if outcome.is_interrupted:
                return Filled(failed, is_interrupted=True)
            run = store.outline(outcome.folder)
            path = history.add(run, point, folder, library=wanted.library, is_new=False)
            tell(f"{point.name}: {path}")
        except (InterpreterError, ModelError, SamplerError, StoreError) as error:
            failed[point.name] = str(error)
            tell(f"{point.name}: {error}")
        except KeyboardInterrupt:
            return Filled(failed, is_interrupted=True)
    return Filled(failed, is_interrupted=False)


def requirement() -> str:
    """Return what pip installs this gradbench by: its checkout, or its version."""
    checkout = Path(gradbench.__file__).resolve().parents[2]
    is_checkout = (checkout / "pyproject.toml").is_file() and checkout.name != "site-packages"
    return str(checkout) if is_checkout else f"{DISTRIBUTION}=={gradbench.__version__}"


def _known(folder: Path) -> dict[str, str]:
    """Return the keys of what a history has of this kind of machine, with its config's hash."""
    here = _kind(machine.describe())
    found = history.entries(folder)
    return {
        entry.point.key: entry.config_hash for entry in found if _kind(entry.side.machine) == here
    }


def _kind(about: Mapping[str, Any]) -> tuple[str, str]:
    surroundings = history.surroundings(about, "")
    return surroundings["processor"], surroundings["system"]


def _between(library: str, oldest: str, newest: str) -> list[str]:
    """Return the releases of a library from one to another, as pip knows them."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", library],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    match = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    if match is None:
        said = headline(_last(done.stderr)) or "it lists no versions"
        raise StoreError(
            f"{library}: pip can't tell its releases ({said}); list them as"
            f" {library}=={oldest},{newest}"
        )
    try:
        first, last = Version(oldest), Version(newest)
        known = sorted(map(Version, match[1].split(", ")))
    except InvalidVersion as error:
        raise StoreError(f"{library}=={oldest}{BETWEEN}{newest}: {error}") from error
    found = [str(version) for version in known if first <= version <= last]
    if not found:
        raise StoreError(f"{library}=={oldest}{BETWEEN}{newest}: no release between; {match[0]}")
    return found


@contextmanager
def _environment(wanted: Asked, point: Point, python: str, tell: Tell) -> Iterator[Path]:
    """Give the interpreter of an environment that has a point, and lives for so long."""
    with ExitStack() as stack:
        tree = Path()
        if wanted.repository is not None:
            commit = Commit(point.commit, point.time)
            tree = stack.enter_context(wanted.repository.copy(commit))
        words = _words(wanted, point, tree)
        tell(f"{point.name}: preparing its environment")
        if python:
            command = _command(python, words)
        else:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="gradbench-"))
            command = [_made(Path(scratch), words)]
        yield stack.enter_context(_held(command))


def _words(wanted: Asked, point: Point, tree: Path) -> dict[str, str]:
    """Return what can be filled in at a point."""
    words = {"library": wanted.library, "gradbench": requirement()}
    if wanted.repository is not None:
        return words | {"commit": point.commit, "tree": str(tree)}
    return words | {"version": str(point.version)}


def _command(text: str, words: Mapping[str, str]) -> list[str]:
    """Return the words of a command, with what stands in braces filled in.

    Raises:
        ConfigError: that isn't known, or a quote is left open.
    """
    try:
        return [_filled(word, words) for word in shlex.split(text)]
    except ValueError as error:
        raise ConfigError(f"--python {text}: {error}") from error


def _filled(word: str, words: Mapping[str, str]) -> str:
    for name in FILLED.findall(word):
        if name not in words:
            known = ", ".join(f"{{{known}}}" for known in words)
            raise ConfigError(f"--python: {{{name}}}: what is filled in here are {known}")
    return FILLED.sub(lambda match: words[match[1]], word)


def _made(scratch: Path, words: Mapping[str, str]) -> str:
    """Return the interpreter of a new environment: this one's packages, and the point before them.

    So gradbench and all that the point leaves alone is the same everywhere.

    Raises:
        InterpreterError: it can't be made.
    """
    python = scratch / "bin" / "python"
    has_pip = find_spec("pip") is not None
    _called([sys.executable, "-m", "venv", *(["--without-pip"] if has_pip else []), str(scratch)])
    (packages,) = scratch.glob("lib/python*/site-packages")
    below = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    # Added so, what the packages below are led to is found as well: a checkout, for one.
    line = f"import site; [site.addsitedir(path) for path in {below!r}]\n"
    (packages / "gradbench-below.pth").write_text(line, encoding="utf-8")
    under_test = words.get("tree") or f"{words['library']}=={words['version']}"
    _called([str(python), "-m", "pip", "install", "--quiet", under_test])
    return str(python)


def _called(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = _last(done.stderr or done.stdout)
        raise InterpreterError(f"can't be installed: {shlex.join(command)}: {said}")


@contextmanager
def _held(command: Sequence[str]) -> Iterator[Path]:
    """Give the interpreter that a command runs, and let the command go on for so long.

    An environment that lives only while its command runs is there all the time.

    Raises:
        InterpreterError: it runs none.
    """
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(
                [*command, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True,
            )  # fmt: skip
        except OSError as error:
            raise InterpreterError(f"{command[0]}: can't be run: {error.strerror}") from error
        with process:
            assert process.stdout is not None
            told = (line for line in process.stdout if line.startswith(MARK))
            answer = next(told, "").removeprefix(MARK).strip()
            if not answer:
                process.wait()
                errors.seek(0)
                said = _last(errors.read()) or "it said nothing"
                raise InterpreterError(f"{shlex.join(command)}: runs no Python: {said}")
            yield Path(answer)


def _last(text: str) -> str:
    """Return the last line of what a command said is wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
