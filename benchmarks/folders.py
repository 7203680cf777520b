"""What a folder of very many cells costs: to append to, to show, to resume, to compare.

Cells are made up, fifty parameters each, ten replicates of twenty samplers; nothing is sampled.
``python benchmarks/folders.py --cells 100000`` takes half an hour and sixteen gigabytes of disk;
with ``--folders DIR`` the folders are kept there, and used again.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.draws import Evaluations
from gradbench.measure import machine
from gradbench.measure.result import CellResult, Measured
from gradbench.results import execute, store
from gradbench.results.store import RunFolder
from gradbench.stats import diagnostics, running
from gradbench.timing import Duration, Timing

N_SAMPLERS, N_REPLICATES, N_PARAMETERS = 20, 10, 50
N_CHAINS, N_DRAWS = 4, 500
N_APPENDED = 500
NAMES = ("one", "other")
MIB = 2**10  # of a peak in KiB


def main() -> None:
    """Make two folders, and print what is done with them, with times and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--folders", type=Path, help="where they are kept, and used again")
    parser.add_argument("--make", choices=NAMES, help="make this one there, and nothing else")
    asked = parser.parse_args()
    if asked.make:
        made(asked.folders, asked.cells, asked.make)
        return
    with tempfile.TemporaryDirectory() as scratch:
        told(asked.folders or Path(scratch), asked.cells)


def told(place: Path, n_cells: int) -> None:
    """Print what is done with the folders there, which are made first where need be."""
    for name in NAMES:
        if not (place / name).is_dir():
            # In a process of its own: a child's peak is at least what its parent had.
            words = ["--cells", str(n_cells), "--folders", str(place), "--make", name]
            subprocess.run([sys.executable, __file__, *words], check=True)
    folder, other = (str(next((place / name).iterdir())) for name in NAMES)
    for path in (folder, other):
        shutil.rmtree(Path(path) / "tables", ignore_errors=True)
    print("| what | s | of these CPU | peak MiB |\n|---|---|---|---|")
    for what, words in {
        "resume, tables not there": ["run", "--resume", folder, "--quiet"],
        "the same of another": ["run", "--resume", other, "--quiet"],
        "resume": ["run", "--resume", folder, "--quiet"],
        "show": ["show", folder],
        "show --only m0": ["show", folder, "--only", "m0"],
        "show --parquet": ["show", folder, "--parquet", str(place / "results.parquet")],
        "compare": ["compare", folder, other],
    }.items():
        spent_s, cpu_s, peak = called(words)
        print(f"| {what} | {spent_s:.1f} | {cpu_s:.1f} | {peak / MIB:.0f} |", flush=True)
    with tempfile.TemporaryDirectory(dir=place) as empty:
        in_turn(Path(folder), Path(empty))


def made(place: Path, n_cells: int, name: str) -> None:
    """Make the folder of a run of made-up cells; print what appending to it costs."""
    n_models = max(1, n_cells // (N_SAMPLERS * N_REPLICATES))
    benchmark = Benchmark.model_validate(
        {
            "name": name,
            "models": {
                f"m{i}": {"use": "gaussian", "params": {"dim": N_PARAMETERS}}
                for i in range(n_models)
            },
            "samplers": {f"s{i}": {"use": "pymc_nuts"} for i in range(N_SAMPLERS)},
            "replicates": N_REPLICATES,
        }
    )
    cells = planning.cells(benchmark)
    about = {"machine": machine.describe(), "models": execute.fingerprints(cells)}
    folder = store.create(place, benchmark, about)
    rng = np.random.default_rng(len(name))
    usual = measured(rng)
    spent_s = [_added(folder, cell, usual, rng) for cell in cells]
    share = max(1, len(cells) // 10)
    first, last = (1e3 * float(np.mean(part)) for part in (spent_s[:share], spent_s[-share:]))
    print(f"{len(cells):,} cells appended, {first:.2f} ms each of the first tenth, {last:.2f} last")


def in_turn(full: Path, empty: Path) -> None:
    """Print what a cell costs that is appended to a folder, and to an empty one, in turn."""
    rng = np.random.default_rng(0)
    usual = measured(rng)
    (empty / "cells").mkdir(parents=True)
    spent_s: dict[Path, list[float]] = {full: [], empty: []}
    for cell in planning.cells(store.outline(full).benchmark)[:N_APPENDED]:
        for path, spent in spent_s.items():
            spent.append(_added(RunFolder(path), replace(cell, model="new"), usual, rng))
    for file in (full / "cells").glob("new-*"):
        file.unlink()
    here, there = (1e3 * float(np.median(spent)) for spent in spent_s.values())
    print(f"in turn: {here:.2f} ms for a cell more, {there:.2f} in an empty folder (medians)")


def measured(rng: np.random.Generator) -> Measured:
    """Return a run of which only the moments will differ."""
    values = rng.standard_normal((N_CHAINS, N_DRAWS, N_PARAMETERS))
    found = diagnostics.compute(values, np.arange(N_CHAINS))
    second = Duration(1.0, 1.0)
    return Measured(
        timing=Timing(Duration(), second, second),
        evaluations=Evaluations(n_grad_warmup=4000, n_grad_sampling=4000),
        parameters=tuple(f"x[{i}]" for i in range(N_PARAMETERS)),
        diagnostics=found, running=running.running(values, found),
        reference=None, reference_source=None,
        n_chains=N_CHAINS, n_draws=N_DRAWS, is_ensemble=False, n_divergences=0,
        acceptance_rate=0.8, peak_memory_bytes=2**28, fingerprint="", backend="c",
        thread_pools={}, load=0.5, start="uniform", start_span=3.0,
    )  # fmt: skip


def _added(
    folder: RunFolder, cell: planning.Cell, usual: Measured, rng: np.random.Generator
) -> float:
    """Write a cell with means of its own; return the seconds."""
    found = usual.diagnostics
    moved = found.mean + found.sd / np.sqrt(found.ess_mean) * rng.standard_normal(N_PARAMETERS)
    run = replace(
        usual,
        diagnostics=replace(found, mean=moved),
        evaluations=Evaluations(n_grad_warmup=4000, n_grad_sampling=int(rng.integers(3900, 4100))),
        fingerprint=f"{folder.path.parent.name}{cell.seed:x}",  # no two folders have one draw
    )
    result = CellResult(cell, "ok", "", run)
    begin = time.perf_counter()
    folder.add(result)
    return time.perf_counter() - begin


def called(words: Sequence[str]) -> tuple[float, float, int]:
    """Return the wall and the CPU seconds of a command of gradbench, and its peak in KiB."""
    begin = time.perf_counter()
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.execv(sys.executable, [sys.executable, "-m", "gradbench", *words])
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 1}:
        raise SystemExit(f"gradbench {' '.join(words)}: failed")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


if __name__ == "__main__":
    main()
