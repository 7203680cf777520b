"""A run killed again and again at random moments, and resumed: is anything lost, doubled, changed?

A benchmark of small cells is run once undisturbed. Then runs of it are killed (SIGKILL, SIGTERM,
SIGINT or SIGHUP to gradbench itself; of every four kills one is SIGKILL to a worker) after a time
drawn at random, looked at, and resumed until they are done. Run as
``python benchmarks/faults.py``; exit code 1 if anything is wrong.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import yaml

MODEL = """
from gradbench import LogDensity

def model(dim=2):
    return LogDensity(lambda x: -0.5 * float(x @ x), ndim=dim)
"""  # a plain function, as there is little to compile
WORKERS = {"gradbench.measure.worker", "gradbench.measure.nursery"}
EMCEE = {"use": "emcee", "walkers": 10, "tune": 100}
CONFIG: dict[str, Any] = {
    "name": "faults",
    "models": {"a": {"use": "./model.py"}, "b": {"use": "./model.py", "params": {"dim": 3}}},
    "samplers": {"emcee": {**EMCEE, "sweep": {"draws": [500, 1000]}}},
    "replicates": 2,
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RETRY = "crashed,failed"  # what a killed worker may have made of its cells
N_TRIES = 40  # to finish a run
GRACE_S = 30.0  # for a run that is asked to end, and for its workers to follow it

Cells = dict[str, dict[str, Any]]


def main() -> None:
    """Kill and resume until so many kills have been made; print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "model.py").write_text(MODEL)
        (home / "faults.yaml").write_text(yaml.safe_dump(CONFIG))
        started = time.monotonic()
        code = run(home, "run", "faults.yaml", "--results", "undisturbed").wait()
        assert code in {0, 1}, code  # by chance an error may contradict an ESS
        usual_s = time.monotonic() - started
        (folder,) = (home / "undisturbed" / "faults").iterdir()
        truth = {key: fingerprint(cell) for key, cell in cells(folder).items()}
        print(f"{len(truth)} cells, undisturbed in {usual_s:.0f} s", flush=True)
        kills, wrong, n_runs = Counter[str](), list[str](), 0
        while kills.total() - kills["none"] < given.kills:
            n_runs += 1
            wrong += disturbed(home / f"run-{n_runs}", truth, usual_s, rng, kills)
    n_kills = kills.total() - kills.pop("none", 0)
    print(f"{n_kills} kills in {n_runs} runs: {dict(kills)}")
    print("nothing lost, doubled or changed; no worker left" if not wrong else "\n".join(wrong))
    sys.exit(bool(wrong))


def disturbed(
    root: Path, truth: dict[str, str], usual_s: float, rng: random.Random, kills: Counter[str]
) -> list[str]:
    """Start a run, kill and resume it until it is done; return what was wrong."""
    home, wrong = root.parent, list[str]()
    for _ in range(N_TRIES):
        seen = [f for f in root.glob("faults/*") if not f.name.startswith(".")]
        before = cells(seen[0]) if seen else {}
        words = ["--resume", str(seen[0]), "--retry", RETRY] if seen else ["faults.yaml"]
        process = run(home, "run", *words, "--results", str(root))
        kill, code = disturb(process, rng, rng.uniform(0, 1.1 * usual_s))
        kills[kill or "none"] += 1
        wrong += [f"{root.name}: {kill}: workers left: {left}"] if (left := workers(home)) else []
        seen = [f for f in root.glob("faults/*") if not f.name.startswith(".")]
        if len(seen) > 1:
            wrong.append(f"{root.name}: {kill}: {len(seen)} folders")
        after = cells(seen[0]) if seen else {}
        wrong += [f"{root.name}: {kill}: {said}" for said in compared(before, after, truth)]
        print(f"{root.name}: {kill or 'left alone'}: {len(after)} cells, code {code}", flush=True)
        allowed = {"": {0, 1}, "worker": {0, 1}, "SIGKILL": {-9}}.get(kill, {130, 0, 1})
        # A signal before Python has set up its handlers, while it imports, ends it at once.
        at_once = {-int(getattr(signal, kill))} if kill.startswith("SIG") else set()
        if code not in allowed | at_once:
            wrong.append(f"{root.name}: {kill}: exit code {code}")
        if set(after) == set(truth) and all(is_kept(cell) for cell in after.values()):
            scratch = [str(path) for path in root.rglob(".*.tmp")]
            is_clean = kill not in {"", "worker"} or not [p for p in scratch if "/cells/" in p]
            return wrong + ([] if is_clean else [f"{root.name}: scratch left: {scratch}"])
    return [*wrong, f"{root.name}: not done after {N_TRIES} tries"]


def disturb(
    process: "subprocess.Popen[bytes]", rng: random.Random, after_s: float
) -> tuple[str, int]:
    """Kill a process, or a worker of it, after a time; return what was killed and its exit code."""
    try:
        return "", process.wait(after_s)
    except subprocess.TimeoutExpired:
        pass
    kill = "worker" if rng.random() < 0.25 else ""
    try:
        if kill:
            rng.choice(psutil.Process(process.pid).children()).kill()
            return kill, process.wait()
    except (IndexError, psutil.NoSuchProcess):
        kill = ""  # there is no worker now
    chosen = rng.choice(SIGNALS)
    process.send_signal(chosen)
    return chosen.name, process.wait(GRACE_S)


def compared(before: Cells, after: Cells, truth: dict[str, str]) -> list[str]:
    """Return what is wrong with the cells there are now."""
    kept = {key for key, cell in before.items() if is_kept(cell)}
    said = [f"{key} is lost" for key in kept - set(after)]
    said += [f"{key} is changed" for key in kept & set(after) if before[key] != after[key]]
    said += [f"{key} is foreign" for key in set(after) - set(truth)]
    said += [
        f"{key} has other draws"
        for key, cell in after.items()
        if is_kept(cell) and key in truth and fingerprint(cell) != truth[key]
    ]
    return said


def is_kept(cell: dict[str, Any]) -> bool:
    """Return whether a cell was measured, so that no retry touches it."""
    return cell["measured"] is not None


def fingerprint(cell: dict[str, Any]) -> str:
    """Return that of a measured cell's draws."""
    return str(cell["measured"]["fingerprint"])


def cells(folder: Path) -> Cells:
    """Return the cells of a run by their file's name; each of them must be readable."""
    return {path.name: json.loads(path.read_text()) for path in folder.glob("cells/*.json")}


def workers(home: Path) -> list[int]:
    """Return the workers that are left of what was started in this folder, after some grace."""
    deadline = time.monotonic() + GRACE_S
    while True:
        left = [
            process.pid
            for process in psutil.process_iter(["cmdline", "cwd"])
            if WORKERS & {*(process.info["cmdline"] or ())} and process.info["cwd"] == str(home)
        ]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def run(home: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start gradbench, its output thrown away."""
    return subprocess.Popen(
        [sys.executable, "-m", "gradbench", *words, "--quiet"],
        cwd=home,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
