"""``gradbench gradients`` from the command line to its folder, and how it ends on bad input."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest

from gradbench import compat, timing
from gradbench.cli import gradbench as program
from gradbench.cli import gradients as command
from gradbench.config.benchmark import Limits
from gradbench.errors import GradbenchError
from gradbench.measure import gradient_cost, gradient_points
from gradbench.measure.worker import Session
from gradbench.measure.workers import Stopped
from gradbench.show import gradients as shown
from gradbench.studies import Finding

compat.pymc()
import pytensor  # noqa: E402 - after pymc, whose import is kept quiet

Write = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]

FEW = ("--points", 2, "--methods", "jax_reverse,finite_forward")

NO_GRADIENT = """
from gradbench.logdensity import LogDensity

def logp(x):
    return -0.5 * float((x**2).sum()) - float(np.abs(x[0]) ** 3)

def model():
    return LogDensity(logp, ndim=2)
"""
RANDOM = """
from gradbench.logdensity import LogDensity

def model():
    rng = np.random.default_rng()
    return LogDensity(lambda x: float(rng.normal() - x @ x), ndim=1, gradient=lambda x: -2 * x)
"""
UNSEEDED = """
def model():
    with pm.Model() as made:
        pm.Normal("x", np.random.default_rng().normal(), 1.0)
    return made
"""
JUMP = """
def model():
    with pm.Model() as made:
        x = pm.Normal("x", 0.0, 2.0)
        pm.Potential("step", pt.switch(x > 0.05, 0.7, 0.0))
    return made
"""
KINK = """
def model():
    with pm.Model() as made:
        pm.Laplace("x", 0.1, 1.0)
    return made
"""
FLOAT32 = """
import jax.numpy as jnp
from gradbench.logdensity import LogDensity

def model():
    return LogDensity(lambda x: -(x.astype(jnp.float32) ** 2).sum() / 3, ndim=2, kind="jax")
"""
NOWHERE = """
def model():
    with pm.Model() as made:
        x = pm.Normal("x")
        pm.Potential("never", pt.switch(x > 1e9, 0.0, -np.inf))
    return made
"""


def test_from_model_to_folder(gradbench: Run, tmp_path: Path) -> None:
    """A table on stdout, a folder that shows it again, and a CSV beside it."""
    ran = gradbench("gradients", "gaussian", "--param", "dim=1", *FEW, "--csv", "out.csv")
    assert ran.returncode == 0, ran.stderr
    assert "gaussian  dim=1, 1 dimension" in ran.stdout
    assert "cheapest exact gradient: jax_reverse" in ran.stdout
    rows = {
        row["method"]: row for row in csv.DictReader(StringIO((tmp_path / "out.csv").read_text()))
    }
    assert rows["jax_reverse"]["status"] == "exact"
    assert float(rows["jax_reverse"]["largest_error"]) <= 1e-11
    assert rows["finite_forward"]["status"] == "approximate"
    (folder,) = (tmp_path / "results" / "gradients-gaussian").iterdir()
    assert gradbench("show", folder).stdout == ran.stdout.replace(
        "results/", f"{tmp_path}/results/"
    )


def test_the_command_starts_fast() -> None:
    """Neither the command nor ``show`` imports PyTensor: workers do."""
    code = (
        "import sys, gradbench.cli.gradients, gradbench.cli.show\n"
        "heavy = {'pymc', 'pytensor', 'jax', 'sympy', 'arviz', 'numba'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gaussian", "--methods", "jax_revers"], "did you mean 'jax_reverse'"),
        (["gaussian", "--methods", ""], "no method ''"),
        (["gaussian", "--sweep", "dim"], "write it as --sweep key=value,value,..."),
        (["gaussian", "--sweep", "dim=2,,3"], "write it as --sweep key=value,value,..."),
        (["gaussian", "--sweep", "dimension=2,3"], "dimension"),
        (["gaussian", "--sweep", "dim=2,3", "--param", "dim=4"], "is set by --param too"),
        (["gaussian", "--param", "dim"], "write it as --param key=value"),
        (["gaussian", "--timeout", "soon"], "must be a time such as 90s or 10min"),
        (["gausian"], "gaussian"),
        ([], "give a MODEL"),
        (["gaussian", "--studies"], "give a MODEL"),
        (["gaussian", "--points", "0"], "1<=x<=16"),
    ],
)
def test_a_mistake_is_told(words: list[str], message: str) -> None:
    """What can't be read ends with code 2 and says what is allowed, before anything runs."""
    with pytest.raises((GradbenchError, click.ClickException)) as told:
        program.main(["gradients", *words], standalone_mode=False)
    assert getattr(told.value, "exit_code", None) == 2
    assert message in str(getattr(told.value, "message", told.value))


class Here:
    """Workers whose answers are made in this process, without a compiler, and timed briefly.

    What a worker makes of the model's file is made anew for each answer, as in a process of its
    own, and all goes through JSON.
    """

    def __init__(self, _threads: int, limits: Limits) -> None:
        self._limits = limits

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def alone(self, do: str, **arguments: Any) -> Any:
        """Answer as a worker does; within a millisecond no worker can."""
        if self._limits.timeout_s <= 1e-3:
            raise Stopped("timeout", f"not done after {self._limits.timeout_s:g} s")
        try:
            with pytensor.config.change_flags(mode="FAST_COMPILE"):
                answer = getattr(Session(), do)(**json.loads(json.dumps(arguments)))
        except GradbenchError as error:
            raise Stopped("failed", str(error)) from error
        return json.loads(json.dumps(answer))

    def ask(self, _do: str) -> dict[str, str]:
        """Say nothing of the machine."""
        return {}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run the command in this process and in a folder of its own; return its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "Workers", Here)
    monkeypatch.setattr(command, "finish_on_signals", lambda: None)
    monkeypatch.setattr(gradient_points, "STEPS_S", 0.0)
    monkeypatch.setattr(gradient_cost, "N_ROUNDS", 3)
    monkeypatch.setattr(timing, "BATCH_S", 1e-3)

    def run(*words: object) -> int:
        try:
            return int(
                program.main(["gradients", *map(str, words), "--quiet"], standalone_mode=False)
            )
        except GradbenchError as error:
            click.echo(error, err=True)
            return error.exit_code

    return run


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (NO_GRADIENT, 0, "the density: it has no gradient"),
        (RANDOM, 1, "the density: the log-density is random"),
        (UNSEEDED, 1, "differs from one process to the next"),
        (JUMP, 1, "the density: it jumps by 0.7 near x = (0.05"),
        (KINK, 0, "the density: its gradient jumps near x = (0.1"),
        (FLOAT32, 0, "the density: it computes in float32"),
    ],
    ids=["no gradient", "random", "unseeded", "jump", "kink", "float32"],
)
def test_what_is_wrong_with_a_density_is_told(
    here: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    model_file: Write,
    body: str,
    code: int,
    said: str,
) -> None:
    """Each flaw of a density has its sentence and its exit code, and differences are compared."""
    assert here(model_file(body), "--methods", "own,finite_central", "--json", "-") == code
    told = capsys.readouterr()
    assert said in " ".join(told.err.split())
    (found,) = json.loads(told.out)["comparisons"]
    assert found["methods"][1]["cost"] is not None


@pytest.mark.slow
def test_a_model_without_a_gradient_is_compared(gradbench: Run, model_file: Write) -> None:
    """In real workers, too, what has no gradient says so, and its differences are compared."""
    ran = gradbench("gradients", model_file(NO_GRADIENT), "--methods", "own,finite_central")
    assert ran.returncode == 0, ran.stderr
    assert "the density: it has no gradient" in " ".join(ran.stdout.split())


def test_a_density_that_is_nowhere_finite_is_told(
    here: Callable[..., int], capsys: pytest.CaptureFixture[str], model_file: Write
) -> None:
    """Where no point has a finite density there is nothing to compare, with code 2."""
    assert here(model_file(NOWHERE), *FEW) == 2
    assert "finite" in capsys.readouterr().err


def test_a_sweep_that_fails_keeps_what_was_before(
    here: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A point of a sweep that can't be loaded ends it; those before are shown and kept."""
    assert here("gaussian", "--sweep", "dim=2,-1", *FEW) == 2
    assert "dim=2, 2 dimensions" in capsys.readouterr().out
    assert len(list((tmp_path / "results" / "gradients-gaussian").iterdir())) == 1


def test_what_takes_too_long_is_a_timeout(
    here: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit within which not even the points are found ends the command, and is told."""
    assert here("gaussian", *FEW, "--timeout", "1ms") == 2
    assert "not done after 0.001 s" in capsys.readouterr().err


def test_a_study_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A claim has its source and a line for each finding; one that wasn't measured says why."""

    class Claim:
        CLAIM = "The sky is blue."
        PRINTED = "blue"
        SOURCE = "a song"
        LIBRARIES: Sequence[str] = ("eyes",)
        EXTRA = ""

        def measure(self) -> tuple[Finding, ...]:
            """Return what is there."""
            return (Finding("colour", "blue", "grey", "not reproduced", "it rains"),)

    shown.study(Claim(), Claim().measure(), None)
    shown.study(Claim(), (), "no eyes")
    out = capsys.readouterr().out
    assert "The sky is blue.  a song" in out
    line = next(line for line in out.splitlines() if "colour" in line)
    assert line.split() == ["colour", "blue", "grey", "not", "reproduced"]
    assert "it rains" in out
    assert "• not measured: no eyes" in out
