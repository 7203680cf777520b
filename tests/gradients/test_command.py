"""``gradbench gradients`` from the command line to its folder, and how it ends on bad input."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import click
import pytest

from gradbench.cli import gradbench as program
from gradbench.errors import GradbenchError
from gradbench.show import gradients as shown
from gradbench.studies import Finding

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        pytest.param(NO_GRADIENT, 0, "the density: it has no gradient", marks=pytest.mark.smoke),
        (RANDOM, 1, "the density: the log-density is random"),
        (UNSEEDED, 1, "differs from one process to the next"),
        (JUMP, 1, "the density: it jumps by 0.7 near x = (0.05"),
        (KINK, 0, "the density: its gradient jumps near x = (0.1"),
        (FLOAT32, 0, "the density: it computes in float32"),
    ],
    ids=["no gradient", "random", "unseeded", "jump", "kink", "float32"],
)
def test_what_is_wrong_with_a_density_is_told(
    gradbench: Run, model_file: Write, body: str, code: int, said: str
) -> None:
    """Each flaw of a density has its sentence and its exit code, and differences are compared."""
    path = model_file(body)
    ran = gradbench("gradients", path, "--methods", "pytensor_c,finite_central", "--json", "-")
    assert ran.returncode == code, ran.stderr
    assert said in " ".join(ran.stderr.split())
    (found,) = json.loads(ran.stdout)["comparisons"]
    assert found["methods"][1]["cost"] is not None


@pytest.mark.slow
def test_a_density_that_is_nowhere_finite_is_told(gradbench: Run, model_file: Write) -> None:
    """Where no point has a finite density there is nothing to compare, with code 2."""
    ran = gradbench("gradients", model_file(NOWHERE), *FEW)
    assert ran.returncode == 2
    assert "finite" in ran.stderr


@pytest.mark.slow
def test_a_sweep_that_fails_keeps_what_was_before(gradbench: Run, tmp_path: Path) -> None:
    """A point of a sweep that can't be loaded ends it; those before are shown and kept."""
    ran = gradbench("gradients", "gaussian", "--sweep", "dim=2,-1", *FEW)
    assert ran.returncode == 2
    assert "dim=2, 2 dimensions" in ran.stdout
    assert len(list((tmp_path / "results" / "gradients-gaussian").iterdir())) == 1


@pytest.mark.slow
def test_what_takes_too_long_is_a_timeout(gradbench: Run) -> None:
    """A limit that no method can keep is each one's status, and no failure of the command's."""
    ran = gradbench("gradients", "gaussian", *FEW, "--timeout", "1ms")
    assert ran.returncode == 2
    assert "not done after 0.001 s" in ran.stderr


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
