"""Optional libraries: what is said when one is missing, and when one is broken."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradbench.results import store

Write = Callable[..., Path]
Gradbench = Callable[..., subprocess.CompletedProcess[str]]

BOTH: dict[str, Any] = {
    "samplers": {
        "rust": {"use": "nutpie", "tune": 50, "draws": 50},
        "nuts": {"use": "pymc_nuts", "tune": 200, "draws": 300},
    }
}

HIDING = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, *more: None if name == "nutpie" else find(name, *more)
)
"""


@pytest.fixture
def hidden(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which nutpie is not to be found, in the workers either."""
    folder = tmp_path / "hiding"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDING)
    return {"PYTHONPATH": os.fspath(folder)}


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which zeus can be found and not be imported."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "zeus.py").write_text('raise ImportError("libzeus.so.7: no such file")')
    return {"PYTHONPATH": os.fspath(folder)}


def test_a_missing_library_is_told_before_anything_runs(
    config: Write, gradbench: Gradbench, tmp_path: Path, hidden: dict[str, str]
) -> None:
    """The sampler, the exact command that installs it, exit code 2, and no results folder."""
    done = gradbench("run", config(**BOTH), "--quiet", env=hidden)
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert "samplers.rust: nutpie is not installed: " in first
    assert first.endswith('pip install "gradbench-mcmc[nutpie]"')
    assert "--skip-missing" in hint
    assert not (tmp_path / "results").exists()


def test_the_rest_runs(
    config: Write, gradbench: Gradbench, tmp_path: Path, hidden: dict[str, str]
) -> None:
    """With --skip-missing the others run, what was left out is told, and resuming agrees."""
    done = gradbench("run", config(**BOTH), "--skip-missing", "--quiet", env=hidden)
    assert done.returncode == 0, done.stderr
    assert 'left out, not installed: rust: pip install "gradbench-mcmc[nutpie]"' in done.stderr
    (folder,) = (tmp_path / "results" / "small").iterdir()
    assert [result.cell.sampler for result in store.read(folder).results] == ["nuts"]
    assert gradbench("run", "--resume", folder, "--quiet").returncode == 0


def test_nothing_is_left_to_run(
    config: Write, gradbench: Gradbench, hidden: dict[str, str]
) -> None:
    """Where no sampler is installed that is said, with what installs them."""
    only = {"samplers": {"rust": {"use": "nutpie"}}}
    done = gradbench("run", config(**only), "--skip-missing", env=hidden)
    assert done.returncode == 2
    assert done.stderr == (
        'gradbench: none of the samplers is installed: pip install "gradbench-mcmc[nutpie]"\n'
    )


def test_it_is_listed(gradbench: Gradbench, hidden: dict[str, str]) -> None:
    """The list says what is missing and how to get it; so does the sampler's own page."""
    shown = gradbench("list", "samplers", env=hidden).stdout
    line = next(line for line in shown.splitlines() if line.startswith("nutpie "))
    assert line.split()[1:3] == ["yes", "no"]
    assert 'pip install "gradbench-mcmc[nutpie]"' in shown
    page = gradbench("list", "samplers", "nutpie", env=hidden).stdout
    assert 'not installed: pip install "gradbench-mcmc[nutpie]"' in page


def test_a_broken_library_costs_its_own_cells(
    config: Write, gradbench: Gradbench, tmp_path: Path, broken: dict[str, str]
) -> None:
    """A library that can't be imported is one line, exit code 1, and the others run."""
    both = {"thunder": {"use": "zeus", "walkers": 8}, "nuts": BOTH["samplers"]["nuts"]}
    done = gradbench("run", config(samplers=both), "--quiet", env=broken)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert "thunder: failed: ImportError: libzeus.so.7: no such file" in done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    statuses = {result.cell.sampler: result.status for result in store.read(folder).results}
    assert statuses == {"thunder": "failed", "nuts": "ok"}
