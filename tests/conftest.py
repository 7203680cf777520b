"""Fixtures: small configs, the real command line, and models that misbehave."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from threadpoolctl import threadpool_limits

from gradbench.measure import machine

Write = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
Said = Callable[..., str]

# As in a worker, before anything is imported: two test processes with two threads each on two cores
# are slower, and JAX 0.10 can wait for itself for ever when it has more than one.
os.environ.update(dict.fromkeys(machine.THREAD_VARIABLES, "1"))

# A plugin may have imported NumPy before, whose BLAS read none of them; with more threads, sums end
# in another digit.
threadpool_limits(1)

# Readline, which pytest imports, says to the processes that it starts how wide a terminal would be.
os.environ.pop("COLUMNS", None)

# A shell starts what runs in the background with Ctrl-C ignored, and so would the commands below.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def config(tmp_path: Path) -> Write:
    """Write a small benchmark of a 2-d Gaussian, keys replaced as given; None removes one."""

    def write(name: str = "small.yaml", **keys: Any) -> Path:
        whole = {
            "name": "small",
            "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
            "samplers": {"nuts": {"use": "pymc_nuts", "tune": 200, "draws": 300, "chains": 2}},
            "replicates": 1,
            "seed": 1,
            **keys,
        }
        path = tmp_path / name
        path.write_text(
            yaml.safe_dump({k: v for k, v in whole.items() if v is not None}, sort_keys=False)
        )
        return path

    return write


@pytest.fixture
def model_file(tmp_path: Path) -> Write:
    """Write a model file with this body."""

    def write(body: str, name: str = "my_model.py") -> Path:
        path = tmp_path / name
        path.write_text(
            "import os, time\nimport numpy as np\nimport pymc as pm\n"
            "import pytensor.tensor as pt\n" + textwrap.dedent(body)
        )
        return path

    return write


@pytest.fixture
def command() -> list[str]:
    """The installed ``gradbench`` entry point of the interpreter that runs the tests."""
    return [str(Path(sys.executable).with_name("gradbench"))]


@pytest.fixture
def gradbench(tmp_path: Path, command: list[str]) -> Run:
    """Run the real command line in a folder of its own."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "NO_COLOR": "1", **options.pop("env", {})},
            **options,
        )

    return run


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Run the command line on made-up workers; return what it prints, and check its exit code."""
    from gradbench.cli import main
    from tests.made_up import replace_workers

    replace_workers(monkeypatch)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main([*words])
        printed = capsys.readouterr()
        assert (end.value.code or 0) == code, printed.err
        return printed.out

    return run


@pytest.fixture
def interrupted(tmp_path: Path, command: list[str]) -> Callable[..., int]:
    """Start the command line, send it a signal once a condition holds, return its exit code."""

    def run(*arguments: object, when: Callable[[], bool], send: signal.Signals) -> int:
        import time

        with subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + 120
            while not when():
                assert process.poll() is None, "it ended before the condition held"
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(send)
            return process.wait(timeout=60)

    return run
