"""The GitHub action: its scripts, run by bash with a stand-in for GitHub's own command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


def bash(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does, in ``folder``; stand-ins for commands are in its bin."""
    (folder / "bin").mkdir(exist_ok=True)
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PATH": path, "RUNNER_TEMP": str(folder), **environment},
    )


def stand_in(folder: Path, name: str, script: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    command = folder / "bin" / name
    command.write_text(f"#!/bin/bash\n{script}\n")
    command.chmod(0o755)


def test_inputs_reach_the_scripts() -> None:
    """Every input is used, and only through the environment: no text is pasted into a script."""
    used = str([step.get("env", {}) for step in STEPS.values()]) + str(STEPS["Comment"]["if"])
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in used
    for step in STEPS.values():
        assert "${{" not in step["run"]


@pytest.mark.parametrize("code", [0, 3])
def test_the_verdict_goes_everywhere(code: int, tmp_path: Path) -> None:
    """Summary, outputs and annotations are written whatever the verdict, which comes last."""
    stand_in(
        tmp_path,
        "gradbench",
        'echo "$@" > asked; while [ $# -gt 0 ]; do'
        ' [ "$1" = --output ] && echo verdict > "$2"; shift; done;'
        f" echo ::notice::seen; exit {code}",
    )
    summary, outputs = tmp_path / "summary", tmp_path / "outputs"
    done = bash(
        "Run and judge",
        tmp_path,
        CONFIG="gate",
        BASELINE="main",
        ARGUMENTS="--strict --max-replicates 64",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(outputs),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "::notice::seen\n"
    assert summary.read_text() == "verdict\n"
    said: dict[str, Any] = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    assert said["code"] == str(code)
    assert Path(said["junit"]).is_file()
    asked = (tmp_path / "asked").read_text()
    assert "check gate --baseline main --quiet --strict --max-replicates 64" in asked
    assert bash("Verdict", tmp_path, CODE=said["code"]).returncode == code


def test_the_command_of_the_action_is_real(tmp_path: Path) -> None:
    """The flags the action passes are flags that ``gradbench check`` has."""
    environment = {"CONFIG": "gate", "BASELINE": "none", "ARGUMENTS": "--strict"}
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    done = bash("Run and judge", tmp_path, **environment, **files)
    assert "no baseline 'none'" in done.stderr
    assert "code=2" in (tmp_path / "GITHUB_OUTPUT").read_text()


@pytest.mark.parametrize(
    ("earlier", "expected"), [("", "issues/7/comments"), ("42", "issues/comments/42")]
)
def test_a_comment_is_made_once_and_then_updated(
    earlier: str, expected: str, tmp_path: Path
) -> None:
    """With an earlier comment that is the one changed; no right to comment fails nothing."""
    (tmp_path / "body.md").write_text("verdict")
    environment = {"NUMBER": "7", "BODY": "body.md", "GITHUB_REPOSITORY": "o/r"}
    stand_in(
        tmp_path, "gh", f'echo "$@" >> asked; [[ "$*" == *--paginate* ]] && echo "{earlier}"; :'
    )
    assert bash("Comment", tmp_path, **environment).returncode == 0
    *_, last = (tmp_path / "asked").read_text().splitlines()
    assert f"repos/o/r/{expected} --field body=@body.md" in last
    stand_in(tmp_path, "gh", "exit 1")
    denied = bash("Comment", tmp_path, **environment)
    assert denied.returncode == 0
    assert "no right to" in denied.stdout
