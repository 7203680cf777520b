"""``compare``, ``baseline``, ``check``, ``ab`` and ``selftest`` as a user meets them."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

Gradbench = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = {
    "name": "small",
    "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
    "samplers": {
        "nuts": {"use": "pymc_nuts", "tune": 200, "draws": 500, "chains": 2},
        "emcee": {"use": "emcee", "walkers": 12, "tune": 100, "draws": 1000},
    },
    "replicates": 16,
    "seed": 1,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, a run of it, and a baseline made from that."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    call(folder, "run", "small.yaml", "--quiet")
    saved = call(folder, "baseline", "save", run_of(folder), "main")
    assert saved.returncode == 0, saved.stderr
    return folder


@pytest.fixture
def gradbench(home: Path) -> Gradbench:
    """Run the real command line in that folder."""
    return lambda *arguments: call(home, *arguments)


def call(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("gradbench")), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def run_of(folder: Path) -> Path:
    return sorted((folder / "results" / "small").iterdir())[0]


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(done.stdout)
    return plain


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    (found,) = as_json(done)["comparisons"]
    return {row["sampler"]: row["verdict"] for row in found["rows"]}


def test_all_three_inputs_say_the_same(home: Path, gradbench: Gradbench) -> None:
    """A run's folder, its results.csv and the baseline made of it are identical to each other."""
    run = run_of(home)
    for base in (run, run / "results.csv", "baseline:main", "results/baselines/main"):
        for head in (run, run / "results.csv"):
            done = gradbench("compare", base, head, "--format", "json", "--fail-on", "regression")
            (found,) = as_json(done)["comparisons"]
            assert [row["n_identical"] for row in found["rows"]] == [16, 16], done.stderr
            assert set(verdicts(done).values()) == {"identical"}
            assert done.returncode == 0
    table = gradbench("compare", "baseline:main", run)
    assert table.stdout.startswith("No regression")
    assert "draws identical" not in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 100


def test_several_heads_stand_side_by_side(home: Path, gradbench: Gradbench) -> None:
    """Three inputs give two columns, each against the first."""
    run = run_of(home)
    done = gradbench("compare", "baseline:main", run, run / "results.csv")
    assert done.stdout.count("No regression (2 identical).") == 2
    assert len(done.stdout.splitlines()) < 30
    together = gradbench("compare", "baseline:main", run, run, "--format", "json")
    assert len(as_json(together)["comparisons"]) == 2


def test_an_older_run_is_read(home: Path, gradbench: Gradbench, tmp_path: Path) -> None:
    """A run from before density signatures compares with one of today; a cut one is one message."""
    old = tmp_path / "old"
    shutil.copytree(run_of(home), old)
    for file in (old / "run.json", *(old / "cells").iterdir(), *(old / "density").iterdir()):
        plain = json.loads(file.read_text())
        plain.pop("signature", None)
        if "schema_version" in plain:
            plain["schema_version"] = 1
        file.write_text(json.dumps(plain))
    done = gradbench("compare", old, run_of(home), "--format", "json")
    assert verdicts(done) == {"nuts": "identical", "emcee": "identical"}, done.stderr
    first = sorted((old / "cells").iterdir())[0]
    first.write_text(first.read_text()[:500])
    cut = gradbench("compare", "baseline:main", old)
    assert cut.returncode == 2
    assert f"{first}: can't be read as JSON" in cut.stderr


def test_a_baseline_is_small_text(home: Path, gradbench: Gradbench) -> None:
    """Saving a run twice gives the same files but for the date; a name is not overwritten."""
    first = home / "results" / "baselines" / "main"
    again = gradbench("baseline", "save", run_of(home), "main")
    assert again.returncode == 2
    assert "use --replace to overwrite it" in again.stderr
    assert gradbench("baseline", "save", run_of(home), "other").returncode == 0
    second = first.with_name("other")
    for name in ("replicates.csv", "config.yaml"):
        assert (first / name).read_text() == (second / name).read_text()
    lines = (first / "replicates.csv").read_text().splitlines()
    assert len(lines) == 33
    assert len(lines[1]) < 150
    listed = gradbench("baseline", "list").stdout
    assert "main" in listed
    assert "other" in listed
    shown = gradbench("baseline", "show", "main").stdout
    assert "catches" in shown
    shutil.rmtree(second)


@pytest.mark.smoke
def test_check_stops_when_draws_are_identical(gradbench: Gradbench) -> None:
    """Unchanged code is identical after a look or two, in exit code 0, with its run kept."""
    done = gradbench("check", "small.yaml", "--baseline", "main", "--format", "csv", "--quiet")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    # The first look has eight; a machine that is suddenly slower gets another, or no verdict.
    assert all(int(row["n_identical"]) in {8, 16, 32} for row in rows)
    assert {row["verdict"] for row in rows} <= {"identical", "inconclusive"}
    assert all(float(row["evaluations_ratio"]) == 1 for row in rows)
    assert "results: results/small/" in done.stderr


def test_check_catches_a_worse_sampler(home: Path, gradbench: Gradbench) -> None:
    """Half the draws' worth: exit code 3, the algorithm named, with a command that repeats it."""
    source = home / "results" / "baselines" / "main"
    flattering = home / "results" / "baselines" / "flattering"
    shutil.copytree(source, flattering)
    table = flattering / "replicates.csv"
    header, *lines = list(csv.reader(table.read_text().splitlines()))
    for line in lines:
        line[header.index("fingerprint")] = "0" * 16
        if line[1] == "nuts":
            line[header.index("ess")] = str(1.5 * float(line[header.index("ess")]))
    table.write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")
    done = gradbench(
        "check", "small.yaml", "--baseline", "flattering", "--quiet", "--format", "json",
        "--format", "junit", "--output", "-", "--output", "junit.xml",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert verdicts(done)["nuts"] == "regressed"
    (found,) = as_json(done)["comparisons"]
    reason = found["rows"][0]["reason"]
    assert "the algorithm got slower; seed" in reason
    assert "<failure" in (home / "junit.xml").read_text()
    again = reason.split("again: gradbench ")[1].split()
    assert gradbench(*again, "--dry-run").stdout.splitlines()[-1] == "1 cells; nothing was run"


def test_other_options_are_not_run_at_all(gradbench: Gradbench) -> None:
    """A cell that asks another question than the baseline is exit 4, and costs no time."""
    done = gradbench(
        "check", "small.yaml", "--baseline", "main", "--set", "samplers.emcee.draws=500",
        "--format", "json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 4
    assert verdicts(done) == {"emcee": "not comparable", "nuts": "identical"}
    (found,) = as_json(done)["comparisons"]
    (row,) = [row for row in found["rows"] if row["sampler"] == "emcee"]
    assert row["reason"] == "draws is 500, was 1000"
    assert row["n_head"] == 0


def test_ab_runs_two_interpreters_by_turns(home: Path, gradbench: Gradbench) -> None:
    """The same interpreter on both sides: same draws, time judged, two runs kept."""
    python = Path(sys.executable)
    done = gradbench(
        "ab", "small.yaml", "--base", python, "--head", python.parents[1], "--only", "nuts",
        "--format", "json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = as_json(done)["comparisons"]
    (row,) = found["rows"]
    assert row["is_time_judged"]
    assert row["n_identical"] >= 8
    assert row["verdict"] in {"identical", "inconclusive"}
    for name in ("base", "head"):
        (folder,) = (home / "results" / f"small-{name}").iterdir()
        assert len(list((folder / "cells").iterdir())) == row["n_head"]


def test_selftest_catches_what_it_plants(gradbench: Gradbench) -> None:
    """The same code passes, a worse tuning is caught and put down to evaluations."""
    done = gradbench("selftest", "small.yaml", "--only", "emcee", "--pairs", "8", "--gates", "20")
    assert "false alarms" in done.stdout, done.stderr
    assert (
        "worse tuning: caught, and attributed to evaluations only, in 1 of 1 cells" in done.stdout
    )
    assert done.returncode in {0, 1}, "on two dimensions the density is no part of the time"


BAD = {
    "one input": (["compare", "baseline:main"], "give two or more to compare"),
    "an unknown baseline": (["check", "small.yaml", "--baseline", "mian"], "did you mean 'main'?"),
    "a slash": (["compare", "baseline:a/b", "baseline:main"], "can't be a baseline's name"),
    "no python": (
        ["ab", "small.yaml", "--base", "/nope"],
        "is not a runnable Python interpreter",
    ),
    "nothing in common": (["compare", "baseline:main", "other.csv"], "no model and sampler in"),
    "an unknown label": (
        ["check", "small.yaml", "--baseline", "main", "--only", "nut"],
        "did you mean 'nuts'?",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message(case: str, home: Path, gradbench: Gradbench) -> None:
    """Each mistake is told in one message, with exit code 2."""
    text = (run_of(home) / "results.csv").read_text()
    (home / "other.csv").write_text(text.replace("normal,", "another,"))
    arguments, said = BAD[case]
    done = gradbench(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interpreter_without_gradbench(tmp_path: Path, gradbench: Gradbench) -> None:
    """A virtual environment that lacks gradbench is told, with the command that installs it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    done = gradbench("ab", "small.yaml", "--base", sys.executable, "--head", tmp_path / "bare")
    assert done.returncode == 2
    assert "gradbench can't be imported there" in done.stderr
    assert "-m pip install gradbench-mcmc==" in done.stderr


def test_an_interrupted_check_keeps_what_it_ran(home: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with 130, no verdict, and a folder that can still be compared."""
    import time

    # Cells of seconds: however slow this test's own process, no verdict comes before the signal.
    source = home / "results" / "baselines" / "main"
    slow = source.with_name("slow")
    shutil.copytree(source, slow)
    about = slow / "baseline.json"
    about.write_text(about.read_text().replace('"draws": 500', '"draws": 10000'))
    root = tmp_path / "kept"
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("gradbench")), "check", "small.yaml", "--baseline",
         "slow", "--results", str(root), "--only", "nuts", "--set", "samplers.nuts.draws=10000",
         "--quiet"],
        cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while len(list(root.glob("small/*/cells/*.json"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "interrupted before a verdict" in err
    (folder,) = (root / "small").iterdir()
    assert call(home, "compare", "baseline:slow", folder).returncode == 0
