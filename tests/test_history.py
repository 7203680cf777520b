"""``gradbench history``: what it keeps, in which order it shows it, and what it marks."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gradbench.cli import main
from gradbench.config import loading
from gradbench.draws import FloatArray
from gradbench.errors import ConfigError, InterpreterError, StoreError
from gradbench.gate import backfill, course, history, repository, steps
from gradbench.gate.history import Entry, History, Stop
from gradbench.gate.sides import Side, simulated
from gradbench.results import execute, store
from gradbench.results.execute import Silent
from tests.made_up import replace_workers

Git = Callable[..., str]

SETUP: dict[str, Any] = {
    "params": {}, "options": {}, "init": "uniform", "n_parameters": 1, "density_signature": 0.0
}  # fmt: skip
CONFIG = {
    "name": "small",
    "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
    "samplers": {"ok": {"use": "emcee", "walkers": 8}, "crashed": {"use": "pymc_nuts"}},
    "replicates": 8,
    "seed": 1,
}
KEY = ("normal", "nuts")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a benchmark of a sampler that works and one that dies, with made-up workers."""
    replace_workers(monkeypatch)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    return execute.start(loading.load(str(folder / "small.yaml")), folder, Silent()).folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture
def git(here: Path) -> Git:
    """Have a git repository in that folder, with one commit; call git in it."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    call("init", "--quiet", "--initial-branch=main")
    committed(call, here, "first")
    return call


def committed(git: Git, here: Path, text: str) -> str:
    (here / "file").write_text(text)
    git("add", "file")
    git("commit", "--quiet", "--message", text)
    return git("rev-parse", "HEAD")


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_a_commit_is_kept_once(
    run: Path, git: Git, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is small text with a line for each replicate; adding it again takes --replace."""
    assert code_of("history", "add", run) == 0
    (path,) = (here / "history").iterdir()
    assert capsys.readouterr().out == f"{path.relative_to(here)}\n"
    text = path.read_text()
    assert git("rev-parse", "HEAD") in text
    assert text.count("\nnormal,ok,") == text.count("\nnormal,crashed,") == 8
    assert len(text) < 10_000
    assert code_of("history", "add", run) == 2
    assert "already exists; use --replace" in capsys.readouterr().err
    assert code_of("history", "add", run, "--replace") == 0
    assert path.read_text().replace(saved(path.read_text()), saved(text)) == text


def saved(text: str) -> str:
    account: dict[str, str] = json.loads(text.partition("\n\n")[0])
    return account["saved"]


def test_a_tree_that_is_not_as_committed(
    run: Path, git: Git, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused or marked; the history itself and files git doesn't know don't count."""
    assert code_of("history", "add", run) == 0
    git("add", "history")
    (here / "untracked").write_text("")
    assert code_of("history", "add", run, "--replace") == 0
    (here / "file").write_text("changed")
    assert code_of("history", "add", run, "--replace") == 2
    assert "not as committed: file; commit first" in capsys.readouterr().err
    assert code_of("history", "add", run, "--dirty") == 0
    assert code_of("history", "list") == 0
    assert ", dirty" in capsys.readouterr().out
    assert code_of("history", "add", run, "--commit", "HEAD", "--replace") == 0


def test_without_a_repository(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was measured has to be named; its time is that of the run."""
    assert code_of("history", "add", run) == 2
    assert "say with --commit what was measured" in capsys.readouterr().err
    assert code_of("history", "add", run, "--commit", "a/b") == 2
    assert code_of("history", "add", run, "--commit", "nightly-3") == 0
    (path,) = (here / "history").iterdir()
    assert path.name.startswith("20")
    assert "-nightly-3-" in path.name
    assert code_of("history", "show") == 0
    assert "nightly-3" in capsys.readouterr().out
    about = run / "run.json"
    about.write_text(about.read_text().replace('"started":"20', '"started":"21'))
    assert code_of("history", "add", run, "--commit", "nightly-3") == 2, "at another time"
    assert code_of("history", "add", run, "--commit", "nightly-3", "--replace") == 0
    assert [path.name[:2] for path in files(here)] == ["21"]


def test_first_parents_give_the_order(
    run: Path, git: Git, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commits stand as first parents do, whatever their times; those of a branch stand aside."""
    first = git("rev-parse", "HEAD")
    git("tag", "v1")
    second = committed(git, here, "second")
    git("checkout", "--quiet", "-b", "branch", first)
    aside = committed(git, here, "aside")
    git("checkout", "--quiet", "main")
    for sha in (second, aside, first):
        assert code_of("history", "add", run, "--commit", sha) == 0
    stored = [json.loads(file.read_text().partition("\n\n")[0]) for file in files(here)]
    later = next(file for file, one in zip(files(here), stored, strict=True)
                 if one["point"]["commit"] == first)  # fmt: skip
    later.write_text(later.read_text().replace('"time": "2', '"time": "9'))
    found = history.read(here / "history", repository.find(here))
    assert [stop.point.commit for stop in found.lines["commits"]] == [first, second]
    assert [stop.point.commit for stop in found.aside] == [aside]
    capsys.readouterr()
    assert code_of("history", "show", "ok", "--against", "v1") == 0
    out = capsys.readouterr().out
    assert f"{first[:10]} (v1)" in out
    assert "identical" in out
    assert f"not among the first parents of HEAD, so not in the tables: {aside[:10]}" in out
    git("clone", "--quiet", "--depth", "1", here.as_uri(), "shallow")
    cut = history.read(here / "history", repository.find(here / "shallow"))
    assert len(cut.lines["commits"]) == 3, "a clone that is cut off tells no order"


def files(here: Path) -> list[Path]:
    return sorted((here / "history").iterdir())


MISTAKES: dict[str, tuple[Sequence[str], str]] = {
    "nothing there": (["history", "show", "--from", "none"], "no history there yet"),
    "no such sampler": (["history", "show", "okk"], "did you mean 'ok'?"),
    "no such point": (["history", "show", "--against", "v9"], "v9: not in history"),
    "no such commit": (["history", "add", "RUN", "--commit", "v9"], "has no commit v9"),
    "no run": (["history", "add", "history"], "not a results folder"),
    "a file for a folder": (["history", "add", "RUN", "--to", "file"], "file: can't be made"),
    "a folder for a page": (["history", "report", "--output", "history"], "is a folder"),
    "no range": (["history", "backfill", "v8..v9", "RUN/config.yaml"], "no commits of"),
    "no version": (["history", "backfill", "emcee==x", "RUN/config.yaml"], "'x' is not a version"),
    "not known": (
        ["history", "backfill", "emcee==3.1.6", "RUN/config.yaml", "--python", "x {tree}"],
        "{tree}: what is filled in here are",
    ),
    "an open quote": (
        ["history", "backfill", "emcee==3.1.6", "RUN/config.yaml", "--python", "'x"],
        "No closing quotation",
    ),
}


@pytest.mark.usefixtures("git", "here")
@pytest.mark.parametrize(("words", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_message(
    words: Sequence[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be done ends with a message that says why, and without a traceback."""
    assert code_of("history", "add", run) == 0
    code = code_of(*(word.replace("RUN", str(run)) for word in words))
    assert code in {1, 2}
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("git")
@pytest.mark.parametrize(
    "damage", [lambda text: text[:300], lambda text: text[:-40], lambda _: "[]", lambda _: ""]
)
def test_a_damaged_file_is_told(
    damage: Callable[[str], str], run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is cut short, or is something else, is named."""
    assert code_of("history", "add", run) == 0
    (path,) = files(here)
    path.write_text(damage(path.read_text()))
    assert code_of("history", "list") == 2
    assert path.name in capsys.readouterr().err


def test_an_environment_is_what_times_depend_on() -> None:
    """Another library version is another one; the kernel and the library under test are not."""
    machine = {
        "processor": "p", "system": "Linux 6.1", "python": "3.13.0", "host": "a",
        "versions": {"numpy": "2.0", "emcee": "3.1.0"},
    }  # fmt: skip

    def digits(**changed: Any) -> str:
        return history.environment({**machine, **changed}, "emcee")

    same = digits()
    assert digits(system="Linux 6.2", host="b") == same
    assert digits(versions={"numpy": "2.0", "emcee": "3.1.6"}) == same
    assert digits(versions={"numpy": "2.1", "emcee": "3.1.0"}) != same
    assert digits(processor="q") != same
    assert len({history.environment(machine, ""), same}) == 2


def made(
    logs: Sequence[FloatArray], *, draws: Sequence[str] | None = None, n_environments: int = 1
) -> History:
    """Return a history of releases with these log costs, each with draws of its own by default."""
    stops = []
    for i, of_point in enumerate(logs):
        drawn = str(i) if draws is None else draws[i]
        series = simulated(SETUP, of_point, np.full(len(of_point), np.log(1e-6)))
        series = replace(series, fingerprint=tuple(f"{drawn}-{j}" for j in range(len(of_point))))
        point = history.release(f"walkers==1.{i}")
        entries = {
            name: Entry(
                Path(name), point, name[-1], "walkers", "", "", Side(f"1.{i}", {KEY: series})
            )
            for name in (f"{i}-{e}" for e in range(n_environments))
        }
        stops.append(Stop(point, entries))
    return History(Path("history"), {"walkers": stops})


def test_a_step_is_marked_where_it_begins() -> None:
    """25 % more from the eighth release on: one step, its ratio right, its verdict the gate's."""
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.05, (12, 16))
    logs[7:] += np.log(1.25)
    (found,) = course.courses(made([*logs], n_environments=2))
    marked = {str(row.point.version): row.step for row in found.rows if row.step is not None}
    assert [*marked] == ["1.7"]
    ratio = marked["1.7"].ratio
    assert ratio.low < 1.25 < ratio.high
    assert ratio.high / ratio.low < 1.1
    verdicts = [row.before.verdict for row in found.rows if row.before is not None]
    assert verdicts.count("regressed") == 2, "in both environments"
    (last,) = course.courses(made([*logs]), last=2)
    assert [str(row.point.version) for row in last.rows] == ["1.10", "1.11"]


def test_the_same_draws_count_once() -> None:
    """Ten releases with one set of draws and ten with another are two observations, not twenty."""
    one = np.linspace(-0.1, 0.1, 8)
    logs, draws = [one] * 10 + [one + 0.1] * 10, ["a"] * 10 + ["b"] * 10
    (found,) = course.courses(made(logs, draws=draws))
    assert not any(row.step for row in found.rows)
    (wrong,) = course.courses(made(logs))
    assert any(row.step for row in wrong.rows), "each with draws of its own would be proof"


@pytest.mark.parametrize("stuck", [0.0, 0.02])
def test_flat_series_have_no_steps(stuck: float) -> None:
    """Of 100 flat series of twenty releases at most a few get a step."""
    rng = np.random.default_rng(3)
    n_wrong = 0
    for _ in range(100):
        logs = rng.normal(0, 0.1, (20, 32))
        logs += np.log(100) * (rng.random(logs.shape) < stuck)
        n_wrong += bool(steps.find([*logs]))
    assert n_wrong <= 4


def test_steps_need_their_library(
    monkeypatch: pytest.MonkeyPatch, run: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the tables are there, and a line says what to install."""
    assert git("rev-parse", "HEAD")
    monkeypatch.setattr(steps, "is_available", lambda: False)
    assert code_of("history", "add", run) == 0
    assert code_of("history", "show") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert 'pip install "gradbench-mcmc[history]"' in out
    assert "crashed" in out, "a sampler without a cost says why"


def test_releases_are_ordered_by_version(run: Path, tmp_path: Path) -> None:
    """1.10 comes after 1.9; a release is found by its name, and libraries don't mix."""
    folder = tmp_path / "history"
    outline = store.outline(run)
    for name in ("emcee==3.1.10", "emcee==3.1.9", "zeus==1.0"):
        history.add(outline, history.release(name), folder, library="emcee")
    found = history.read(folder, None)
    assert {
        line: [stop.point.release for stop in stops] for line, stops in found.lines.items()
    } == {"emcee": ["emcee==3.1.9", "emcee==3.1.10"], "zeus": ["zeus==1.0"]}
    assert found.find("emcee==3.1.10", None).point.release == "emcee==3.1.10"
    with pytest.raises(StoreError, match="did you mean"):
        found.find("emcee==3.1.11", None)


@pytest.mark.usefixtures("git")
def test_the_page_of_a_history(here: Path, run: Path) -> None:
    """It has each course's numbers and sentence, and what is hostile in it does nothing."""
    pytest.importorskip("vl_convert")
    from gradbench.report.history import page

    rng = np.random.default_rng(5)
    found = made([*rng.normal(0, 0.05, (3, 8)), *rng.normal(0.4, 0.05, (3, 8))])
    hostile = ("<script>alert(1)</script>", '"onload=x')
    for stop in found.lines["walkers"]:
        for entry in stop.entries.values():
            entry.side.series[hostile] = entry.side.series[KEY]  # type: ignore[index]
    made_of = page(found, course.courses(found), title="</title><b>", pinned="")
    assert "<script>alert" not in made_of
    assert "</title><b>" not in made_of
    assert made_of.count("<figure") == 2
    assert "the cost steps at 1.3" in made_of
    assert code_of("history", "add", run) == 0
    assert code_of("history", "report", "--output", here / "page.html") == 0
    assert "Nowhere a cost: crashed." in (here / "page.html").read_text()


@pytest.mark.slow
def test_the_workflow_to_paste_keeps_a_branch(run: Path, git: Git, here: Path) -> None:
    """Its script makes the branch, and adds to it at the next push; the page is beside it."""
    page = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()
    (workflow,) = (
        yaml.safe_load(text)
        for text in re.findall(r"```yaml\n(name: history.*?)```", page, re.DOTALL)
    )
    script = workflow["jobs"]["add"]["steps"][-1]["run"]
    subprocess.run(["git", "init", "--quiet", "--bare", here.parent / "origin"], check=True)
    git("remote", "add", "origin", str(here.parent / "origin"))
    shutil.copytree(run, here / "results" / "small" / "now")
    (here / "bin").mkdir()
    command = here / "bin" / "gradbench"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gradbench "$@"\n')
    command.chmod(0o755)
    for number in (1, 2):
        rooms = here.parent / f"room-{number}"
        rooms.mkdir()
        environment = {
            "PATH": f"{here / 'bin'}:{os.environ['PATH']}", "RUNNER_TEMP": str(rooms),
            "GITHUB_STEP_SUMMARY": str(here / "summary"), "GITHUB_SHA": str(number),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=here, capture_output=True, text=True,
            check=False, env={**os.environ, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        git("fetch", "--quiet", "origin", "gradbench-history")
        held = git("ls-tree", "-r", "--name-only", "FETCH_HEAD").splitlines()
        assert [name for name in held if not name.startswith("history/")] == ["index.html"]
        assert len(held) == 1 + number
        assert git("rev-list", "--count", "FETCH_HEAD") == str(number)
        committed(git, here, f"next {number}")
    assert "ok on normal" in (here / "summary").read_text()


# -- backfill --------------------------------------------------------------------------------


def test_ranges() -> None:
    """Versions are listed; what is neither that nor a repository's is refused."""
    found = backfill.asked("emcee==3.1.0, 3.1.4", None)
    assert [point.release for point in found.points] == ["emcee==3.1.0", "emcee==3.1.4"]
    assert found.library == "emcee"
    with pytest.raises(StoreError, match="no git repository"):
        backfill.asked("v1..v2", None)


@pytest.mark.slow
def test_a_backfill_goes_on(here: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each release is run by what its command runs; what is there is not run again."""
    words = ["history", "backfill", "emcee==3.1.4,3.1.6", run / "config.yaml", "--quiet"]
    python = f"env MEASURED={{version}} {sys.executable}"
    assert code_of(*words, "--python", python) == 0
    assert [file.name[:11] for file in files(here)] == ["emcee-3.1.4", "emcee-3.1.6"]
    (here / "history" / files(here)[0].name).unlink()
    capsys.readouterr()
    assert code_of(*words, "--python", python) == 0
    err = capsys.readouterr().err
    assert "emcee==3.1.4: running on" in err
    assert "emcee==3.1.6: already in history; --replace" in err
    assert "emcee==3.1.6: running" not in err
    assert code_of(*words, "--python", "false", "--replace") == 1
    assert "false -c" not in capsys.readouterr().err
    assert len(files(here)) == 2


def test_commits_have_a_tree_of_their_own(git: Git, here: Path) -> None:
    """Each commit is checked out beside the working tree, and that is gone afterwards."""
    first = git("rev-parse", "HEAD")
    second = committed(git, here, "second")
    third = committed(git, here, "third")
    found = backfill.asked(f"{first}..main", repository.find(here))
    assert [point.commit for point in found.points] == [second, third]
    assert found.repository is not None
    commit = found.repository.commit(second)
    assert commit is not None
    with found.repository.copy(commit) as tree:
        assert (tree / "file").read_text() == "second"
    assert not tree.exists()
    assert len(git("worktree", "list").splitlines()) == 1
    assert (here / "file").read_text() == "third"


def test_a_command_is_held_as_long_as_its_python_is_used() -> None:
    """What it prints before doesn't count; one that runs no Python is told with its last line."""
    talking = ["sh", "-c", f'echo "resolving …"; exec {sys.executable} "$@"', "sh"]
    with backfill._held(talking) as python:
        assert python.samefile(sys.executable)
    with (
        pytest.raises(InterpreterError, match="runs no Python: no such version"),
        backfill._held(["sh", "-c", "echo 'no such version' >&2; exit 1"]),
    ):
        pass
    with pytest.raises(InterpreterError, match="can't be run"), backfill._held(["not-there"]):
        pass
    with pytest.raises(ConfigError, match="what is filled in here"):
        backfill._filled("{nothing}", {"version": "1"})
