"""``gradbench run`` as a user meets it: the real command, real samplers, real trouble."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gradbench import samplers
from gradbench.measure.result import CellResult
from gradbench.results import store

pytestmark = pytest.mark.slow

Write = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
Interrupt = Callable[..., int]

WORKERS = {"gradbench.measure.worker", "gradbench.measure.nursery"}
NUTS = {"use": "pymc_nuts", "tune": 200, "draws": 300, "chains": 2}
BOTH = {"nuts": NUTS, "emcee": {"use": "emcee", "walkers": 12, "tune": 200, "draws": 1500}}


def run_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "results" / "small").iterdir()
    return folder


def statuses(tmp_path: Path) -> list[tuple[str, str]]:
    return [(r.cell.sampler, r.status) for r in results_in(tmp_path)]


def results_in(tmp_path: Path) -> list[CellResult]:
    return list(store.read(run_folder(tmp_path)).results)


def n_cells(tmp_path: Path) -> int:
    return len(list(tmp_path.glob("results/small/*/cells/*.json")))


def columns(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.smoke
def test_runs_reports_and_repeats(config: Write, gradbench: Run, tmp_path: Path) -> None:
    """A run prints its table, keeps its numbers, and repeats them to the last digit."""
    path = config(samplers=BOTH, replicates=2)
    first = gradbench("run", path, "--csv", "-", "--save-draws")
    assert first.returncode == 0, first.stderr
    assert "density check: 16 points" in first.stderr
    assert "times cheaper than" in first.stderr or "no clear difference" in first.stderr
    cells = columns(first.stdout)
    assert [(c["sampler"], c["replicate"]) for c in cells] == [
        ("nuts", "0"),
        ("emcee", "0"),
        ("nuts", "1"),
        ("emcee", "1"),
    ]
    for cell in cells:
        spent = float(cell["warmup_s"]) + float(cell["sampling_s"])
        assert float(cell["ms_per_ess"]) == pytest.approx(1e3 * spent / float(cell["ess"]))
        assert int(cell["peak_memory_bytes"]) > 50e6
    assert [c["compile_s"] != "" for c in cells] == [True, True, False, False]
    folder = run_folder(tmp_path)
    assert (folder / "results.csv").read_text() == first.stdout
    parameters = columns((folder / "parameters.csv").read_text())
    assert [p["parameter"] for p in parameters[:2]] == ["x[0]", "x[1]"]

    shown = gradbench("show", folder)
    from_csv = gradbench("show", folder / "results.csv")
    assert shown.returncode == from_csv.returncode == 0
    assert shown.stdout == from_csv.stdout
    assert shown.stdout.strip() in first.stderr

    second = columns(gradbench("run", path, "--csv", "-", "--quiet").stdout)
    for key in ("fingerprint", "ess", "evaluations_per_ess", "n_grad_warmup", "n_logp_sampling"):
        assert [c[key] for c in second] == [c[key] for c in cells], key

    from gradbench import compat

    (saved, *_) = sorted((folder / "draws").glob("*nuts-0*.nc"))
    az = compat.arviz()
    posterior = az.from_netcdf(saved)["posterior"]
    assert posterior["x"].shape == (2, 300, 2)
    ess = float(az.ess(posterior["x"].to_numpy()[..., 0], method="bulk"))
    assert ess == pytest.approx(float(parameters[0]["ess_bulk"]), rel=1e-8)


def test_json_is_all_of_stdout(config: Write, gradbench: Run) -> None:
    """--json - prints JSON alone, without NaN; --dry-run prints the plan and writes nothing."""
    path = config()
    (cell,) = json.loads(gradbench("run", path, "--json", "-").stdout)
    assert cell["status"] in {"ok", "too_few_draws"}
    plan = gradbench("run", path, "--dry-run", "--results", "elsewhere")
    assert "1 cells; nothing was run" in plan.stdout
    assert not (path.parent / "elsewhere").exists()


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits(width: int, config: Write, gradbench: Run, tmp_path: Path) -> None:
    """No line of the table is wider than the terminal, and nothing is cut with an ellipsis."""
    gradbench("run", config(samplers=BOTH, replicates=2), "--quiet")
    shown = gradbench("show", run_folder(tmp_path), env={"COLUMNS": str(width)}).stdout
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    assert "\x1b" not in shown
    assert ("hidden (terminal too narrow)" in shown) == (width == 80)


REFUSED_MODELS = {
    "raises": (
        "def model():\n    raise ValueError('no data')\n",
        "my_model.py:6: ValueError: no data",
    ),
    "returns nothing": ("def model():\n    pass\n", "model() returned nothing"),
    "is discrete": (
        "def model():\n    with pm.Model() as m:\n        pm.Poisson('n', 3)\n    return m\n",
        "discrete parameters (n ~ Poisson)",
    ),
    "is empty": ("def model():\n    return pm.Model()\n", "no free parameters"),
    "refuses its parameter": (
        "def model(dim=1):\n    with pm.Model() as m:\n        pm.Normal('x', shape=-1)\n"
        "    return m\ndef reference(dim=1):\n    return 3\n",
        "my_model.py",
    ),
}


@pytest.mark.parametrize(("body", "words"), REFUSED_MODELS.values(), ids=REFUSED_MODELS)
def test_refuses_a_model_that_cant_be_built(
    body: str, words: str, config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """A model that raises, or isn't one, costs one message, exit code 2, and no folder."""
    model_file(body)
    done = gradbench("run", config(models={"mine": {"use": "./my_model.py"}}))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_refuses_to_start_from_draws_that_cant_be_made(
    config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """init: reference on a model without exact draws is refused before anything runs."""
    model_file("def model():\n    with pm.Model() as m:\n        pm.Normal('x')\n    return m\n")
    done = gradbench("run", config(models={"mine": {"use": "./my_model.py"}}, init="reference"))
    assert (done.returncode, (tmp_path / "results").exists()) == (2, False)
    assert "init: reference needs exact draws" in done.stderr


@pytest.mark.parametrize(
    ("given", "ndim", "expected"),
    [({}, 7, 14), ({}, 1, 4), ({"moves": "snooker"}, 1, 8), ({"walkers": 30}, 7, 30)],
)
def test_walkers_fit_the_dimension(given: dict[str, Any], ndim: int, expected: int) -> None:
    """Where a config names none there are as many as dimension and moves need."""
    options = samplers.load("emcee").options(**given).fitted(ndim)
    assert options.n_starts == expected


def test_refuses_too_few_walkers(config: Write, gradbench: Run, tmp_path: Path) -> None:
    """Fewer walkers than twice the dimension are refused before anything runs."""
    path = config(samplers={"emcee": {"use": "emcee", "walkers": 3}})
    done = gradbench("run", path)
    assert (done.returncode, (tmp_path / "results").exists()) == (2, False)
    assert "samplers.emcee: on model normal: walkers: 3 is too few for 2 dimensions" in done.stderr


def test_a_sampler_that_suits_one_model_only_runs_there(
    config: Write, gradbench: Run, tmp_path: Path
) -> None:
    """Where others run, a sampler that can't is a row that says why, and no failure."""
    two = {name: {"use": "gaussian", "params": {"dim": dim}} for name, dim in (("a", 2), ("b", 9))}
    emcee = {"use": "emcee", "walkers": 8, "tune": 100, "draws": 300}
    done = gradbench("run", config(models=two, samplers={"emcee": emcee}), "--quiet")
    assert done.returncode == 0, done.stderr
    assert "emcee: unsuited: walkers: 8 is too few for 9 dimensions" in done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    found = {result.cell.model: result for result in store.read(folder).results}
    assert found["b"].status == "unsuited"
    assert found["a"].measured is not None


def trouble(model_file: Write, what: str) -> dict[str, Any]:
    """Write a model that gets into trouble while it is sampled, not while it is checked."""
    model_file(f"""
        from pytensor.graph.basic import Apply
        from pytensor.graph.op import Op

        class Trouble(Op):
            calls = 0

            def make_node(self, x):
                return Apply(self, [x], [pt.dscalar()])

            def perform(self, node, inputs, outputs):
                Trouble.calls += 1
                if Trouble.calls > 2000:
                    {what}
                outputs[0][0] = np.asarray(-0.5 * np.sum(inputs[0] ** 2))

            def grad(self, inputs, gradients):
                return [-inputs[0] * gradients[0]]

            pullback = lambda self, inputs, outputs, gradients: self.grad(inputs, gradients)

        def model():
            with pm.Model() as m:
                x = pm.Flat("x", shape=2)
                pm.Potential("trouble", Trouble()(x))
            return m
        """)
    return {
        "models": {
            "bad": {"use": "./my_model.py"},
            "good": {"use": "gaussian", "params": {"dim": 2}},
        },
        "samplers": {"nuts": {**NUTS, "tune": 2000, "backend": "c"}},
        "replicates": 2,
    }


@pytest.mark.parametrize(
    ("what", "limits", "status", "words"),
    [
        ("os.abort()", {}, "crashed", "SIGABRT"),
        ("os._exit(3)", {}, "crashed", "exit code 3"),
        ("time.sleep(1000)", {"timeout": "20s"}, "timeout", "not done after 20 s"),
        (
            "globals().setdefault('hoard', []).append(np.ones(2**24))",
            {"memory": "1500MB"},
            "out_of_memory",
            "of 1431 MiB allowed",
        ),
        ("raise RuntimeError('boom')", {}, "failed", "boom"),
    ],
)
def test_trouble_costs_its_own_cells_only(
    what: str,
    limits: Any,
    status: str,
    words: str,
    config: Write,
    model_file: Write,
    gradbench: Run,
    tmp_path: Path,
) -> None:
    """A crash, hang, hoard or exception is a row with that status; the other model goes on."""
    keys = trouble(model_file, what) | {"replicates": 1 if limits else 2}
    done = gradbench("run", config(**keys, limits=limits))
    assert done.returncode == 1, done.stderr
    bad, good = (
        [r for r in results_in(tmp_path) if r.cell.model == model] for model in ("bad", "good")
    )
    assert {r.status for r in bad} == {status}
    assert all(words in r.reason for r in bad)
    assert {r.status for r in good} <= {"ok", "too_few_draws"}
    assert status in done.stdout
    assert "Traceback" not in done.stderr


def test_a_model_that_dies_at_birth_is_a_row_too(
    config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """A model that kills its worker when it is built costs its own cells only."""
    model_file("def model():\n    os.abort()\n")
    models = {"bad": {"use": "./my_model.py"}, "good": {"use": "gaussian", "params": {"dim": 2}}}
    assert gradbench("run", config(models=models)).returncode == 1
    assert [r.status == "crashed" for r in results_in(tmp_path)] == [True, False]


def test_a_density_that_changes_is_refused(
    config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """A model whose data are drawn without a seed differs between samplers, and is refused."""
    model_file("""
        def model():
            with pm.Model() as m:
                x = pm.Normal("x", shape=2)
                pm.Normal("y", x, observed=np.random.default_rng().normal(size=2))
            return m
        """)
    done = gradbench("run", config(models={"mine": {"use": "./my_model.py"}}, samplers=BOTH))
    assert done.returncode == 1
    assert ("emcee", "refused") in statuses(tmp_path)
    words = " ".join(done.stdout.split())
    assert "differs from the model's by more than a constant: at x = (" in words


LONG = {"nuts": {**NUTS, "draws": 8000}}


@pytest.mark.smoke
def test_ctrl_c_keeps_what_is_finished_and_resumes(
    config: Write, gradbench: Run, interrupted: Interrupt, tmp_path: Path
) -> None:
    """Ctrl-C exits with 130; what was finished is shown; --resume does only the rest."""
    path = config(samplers=LONG, replicates=3)
    code = interrupted("run", path, when=lambda: n_cells(tmp_path) >= 1, send=signal.SIGINT)
    assert code == 130
    kept = results_in(tmp_path)
    assert 1 <= len(kept) < 3
    assert (run_folder(tmp_path) / "results.csv").exists()
    times = {f.name: f.stat().st_mtime_ns for f in run_folder(tmp_path).glob("cells/*.json")}
    assert gradbench("run", "--resume", run_folder(tmp_path)).returncode == 0
    assert len(results_in(tmp_path)) == 3
    for name, changed in times.items():
        assert (run_folder(tmp_path) / "cells" / name).stat().st_mtime_ns == changed


def workers(folder: Path) -> list[int]:
    """Return the workers of what was started in this folder."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "cwd"])
        if WORKERS & {*(process.info["cmdline"] or ())} and process.info["cwd"] == str(folder)
    ]


@pytest.mark.parametrize("n_before", [0, 1])
def test_a_kill_leaves_a_readable_run_and_no_workers(
    n_before: int, config: Write, gradbench: Run, interrupted: Interrupt, tmp_path: Path
) -> None:
    """SIGKILL within or between cells loses the running cell at most; workers die with it."""
    density = tmp_path / "results" / "small"

    def is_time() -> bool:
        begun = any(density.glob("*/density/*.json")) and n_cells(tmp_path) >= n_before
        return begun and bool(workers(tmp_path))

    path = config(samplers=LONG, replicates=2)
    code = interrupted("run", path, when=is_time, send=signal.SIGKILL)
    assert code == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers(tmp_path)
    assert gradbench("show", run_folder(tmp_path)).returncode in {0, 2}
    assert gradbench("run", "--resume", run_folder(tmp_path)).returncode == 0
    assert len(results_in(tmp_path)) == 2


SMALL_FILES = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_full_disk_is_said_and_loses_nothing(
    config: Write, command: list[str], tmp_path: Path
) -> None:
    """Where a result can't be written, the message says so, and earlier cells can be read."""
    models = {
        "few": {"use": "gaussian", "params": {"dim": 2}},
        "many": {"use": "gaussian", "params": {"dim": 4000}},
    }
    limited = [sys.executable, "-c", SMALL_FILES, *command, "run", str(config(models=models))]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "can't be written: File too large" in done.stderr
    assert [r.cell.model for r in results_in(tmp_path)] == ["few"]
    assert not list(run_folder(tmp_path).rglob("*.tmp"))


def test_two_runs_at_once_keep_apart(
    config: Write, command: list[str], gradbench: Run, tmp_path: Path
) -> None:
    """Two runs started together get a folder each; a folder in use is not resumed."""
    path = config(samplers=LONG)
    running = [
        subprocess.Popen([*command, "run", str(path), "--quiet"], cwd=tmp_path, env=os.environ)
        for _ in range(2)
    ]
    while n_folders(tmp_path) < 2:
        time.sleep(0.05)
    folder = next((tmp_path / "results" / "small").glob("[!.]*"))
    while not (folder / ".lock").exists():
        time.sleep(0.02)
    # Stopped, they hold their folders however long the refusal takes on a loaded machine.
    for process in running:
        process.send_signal(signal.SIGSTOP)
    try:
        refused = gradbench("run", "--resume", folder)
    finally:
        for process in running:
            process.send_signal(signal.SIGCONT)
    assert refused.returncode == 2
    assert "another gradbench is writing there" in refused.stderr
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert n_cells(tmp_path) == 2


def n_folders(tmp_path: Path) -> int:
    return len(list(tmp_path.glob("results/small/[!.]*")))


def test_a_changed_model_is_not_resumed(
    config: Write, model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """A run is finished only with the model it was begun with."""
    body = "def model():\n    with pm.Model() as m:\n        pm.Normal('x')\n    return m\n"
    model_file(body)
    gradbench("run", config(models={"mine": {"use": "./my_model.py"}}))
    model_file(body + "# changed\n")
    done = gradbench("run", "--resume", run_folder(tmp_path))
    assert done.returncode == 2
    assert "my_model.py has changed since this run began" in done.stderr
