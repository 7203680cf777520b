"""The command line when nobody reads it, when it is asked to end, and when it is given a model."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gradbench.cli import finish_on_signals, main
from gradbench.config import loading
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import cells
from gradbench.errors import ConfigError
from gradbench.gate import baseline, gate
from gradbench.gate.gate import Judged
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Compared, Comparison
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.results import execute, store
from gradbench.results.execute import Outcome
from gradbench.results.summary import Summary

FAILED = Summary(
    model="m", sampler="s", replicate=0, status="failed", reason="[why]", init="uniform",
    threads=1, seed=1, start_seed=2, params="{}", options="{}",
)  # fmt: skip
REGRESSED = Comparison(
    "a", "b", [Compared(model="m", sampler="s", verdict="regressed", reason="why")]
)

Write = Callable[..., Path]


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a stdout whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        yield
        monkeypatch.undo()


@pytest.mark.usefixtures("unread")
def test_a_run_nobody_reads(config: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its files are written, and its exit code is that of its cells."""
    monkeypatch.setattr(
        execute, "start", lambda *_, **__: Outcome(tmp_path, [FAILED], is_interrupted=False)
    )
    csv, plain = tmp_path / "r.csv", tmp_path / "r.json"
    assert code_of("run", config(), "--csv", csv, "--json", plain) == 1
    assert "[why]" in csv.read_text()
    assert json.loads(plain.read_text())[0]["reason"] == "[why]"
    assert code_of("run", config(), "--csv", "-", "--json", plain) == 1


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("form", [(), ("--format", "table"), ("--format", "json")])
def test_a_verdict_nobody_reads(
    form: tuple[str, ...], config: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The verdict is the exit code all the same, and files come before what is printed."""
    stored = baseline.Baseline("x", "now", "0", [], Side("x", {}, {}))
    monkeypatch.setattr(baseline, "load", lambda _: stored)
    monkeypatch.setattr(gate, "check", lambda *_, **__: Judged(REGRESSED, [tmp_path]))
    junit = tmp_path / "junit.xml"
    words = ("--format", "junit", "--output", junit) if form else ()
    assert code_of("check", config(), "--baseline", "x", *words, *form) == 3
    assert junit.exists() == bool(words)


@pytest.mark.usefixtures("unread")
def test_lists_nobody_reads() -> None:
    """Help and lists end quietly, too."""
    assert code_of("list", "configs") == 0
    assert code_of("--help") == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stdout can't be written for another reason, that is said, with exit code 1."""
    told: list[str] = []
    with Path("/dev/full").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr("click.echo", lambda text, **_: told.append(text))
        assert code_of("list", "configs") == 1
        monkeypatch.undo()
    assert told[-1].startswith("gradbench: ")
    assert "can't be written: No space left on device" in told[-1]


def test_a_stdout_that_was_never_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started with stdout closed, a command works."""
    monkeypatch.setattr(sys, "stdout", None)
    assert code_of("list", "configs") == 0


def test_names_that_an_encoding_lacks() -> None:
    """What stdout's encoding can't hold is escaped, not a traceback."""
    code = "from gradbench.cli import main; import click; main(['list', 'configs'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gaussian50" in done.stdout


def test_hanging_up_is_an_interrupt() -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does; nohup's ignoring is respected."""
    before = {asked: signal.getsignal(asked) for asked in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for asked in before:
            signal.signal(asked, signal.SIG_DFL)
            finish_on_signals()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), asked)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        finish_on_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)


@pytest.mark.parametrize(
    "use", ["./my_model.py", "gaussian", "posteriordb:a-b", "x/it's my [b=1].stan", "-.py"]
)
def test_a_model_is_no_config(
    use: str, model_file: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model in a config's place is told from one, with a config to paste that names it."""
    monkeypatch.chdir(tmp_path)
    model_file("def model():\n    return None\n")
    with pytest.raises(ConfigError) as refused:
        loading.load(use)
    said, pasted = str(refused.value).split("\n\n")
    assert said.startswith(f"{use}: this is a model")
    assert "gradbench check-model" in said
    benchmark = Benchmark.model_validate(yaml.safe_load(pasted))
    assert [entry.use for entry in benchmark.models.values()] == [use]
    assert len(pasted.splitlines()) == 4
    if use.startswith("./"):
        Path(f"{benchmark.name}.yaml").write_text(pasted)
        assert loading.load(f"{benchmark.name}.yaml").replicates == benchmark.replicates


def test_a_runs_folder_is_no_config(tmp_path: Path) -> None:
    """A run's folder in a config's place is told how to be resumed."""
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"is a run's folder: gradbench run --resume"):
        loading.load(str(tmp_path))


RETRIES: dict[str, tuple[tuple[str, ...], str]] = {
    "without a run": (("--retry", "crashed"), "--resume RESULTS"),
    "misspelt": (("--resume", ".", "--retry", "crashed,timout"), "did you mean 'timeout'?"),
    "measured": (("--resume", ".", "--retry", "ok"), "a cell that was measured is kept"),
}


@pytest.mark.parametrize("name", RETRIES)
def test_what_cant_be_retried(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in --retry is told before anything is read."""
    words, said = RETRIES[name]
    assert code_of("run", *(words if name != "without a run" else ("gaussian50", *words))) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_retried_cells_keep_what_they_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only cells of the statuses named run again, and an interrupt leaves their old results."""
    benchmark = Benchmark.model_validate(
        {
            "name": "n",
            "models": {"m": {"use": "gaussian", "params": {"dim": 2}}},
            "samplers": {"s": {"use": "pymc_nuts", "sweep": {"draws": [100, 200]}}},
            "replicates": 2,
        }
    )
    plan = cells(benchmark)
    prints = execute.fingerprints(plan)
    folder = store.create(tmp_path, benchmark, {"models": prints})
    for cell, status in zip(plan, ("crashed", "timeout", "failed", "refused"), strict=True):
        folder.add(CellResult(cell, status, "old"))  # type: ignore[arg-type]
    ran: list[str] = []

    def run(_: Runner, todo: Any, __: Path | None) -> Iterator[CellResult]:
        for cell in todo:
            ran.append(cell.id)
            if len(ran) == 2:
                raise KeyboardInterrupt
            yield CellResult(cell, "failed", "new")

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(Runner, "preflight", lambda *_, **__: None)
    code = code_of("run", "--quiet", "--resume", folder.path, "--retry", "crashed,timeout,failed")
    assert code == 130
    assert ran == [plan[0].id, plan[1].id]
    found = {result.cell.id: result for result in store.read(folder.path).results}
    assert [(found[c.id].status, found[c.id].reason) for c in plan] == [
        ("failed", "new"), ("timeout", "old"), ("failed", "old"), ("refused", "old"),
    ]  # fmt: skip


def test_a_shell_completes_commands(
    gradbench: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """What the README tells to put into a shell's start-up file works."""
    asked = {
        "_GRADBENCH_COMPLETE": "bash_complete",
        "COMP_CWORD": "1",
        "COMP_WORDS": "gradbench ch",
    }
    done = gradbench(env=asked)
    offered = ["choose", "check", "check-model", "check-sampler"]
    assert done.stdout.split() == [f"plain,{name}" for name in offered]
