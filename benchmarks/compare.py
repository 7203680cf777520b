"""What ``gradbench compare`` costs on large result sets: seconds beyond start-up, and memory.

Writes pairs of made-up ``results.csv`` files and runs the real command on them:

    python benchmarks/compare.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gradbench.results.export import to_csv
from gradbench.results.summary import Summary

SHAPES = ((1, 2, 5), (20, 5, 100), (100, 10, 100), (20, 5, 1000))  # models, samplers, replicates
N_REPEATS = 3


def write(path: Path, shape: tuple[int, int, int], seed: int) -> None:
    """Write a ``results.csv`` of this shape, its costs with 5 % of noise."""
    rng = np.random.default_rng(seed)
    n_models, n_samplers, n_replicates = shape
    options = '{"tune": 1000, "draws": 1000, "backend": "default", "chains": 2}'
    found = [
        Summary(
            model=f"model{m}",
            sampler=f"sampler{s}",
            replicate=r,
            status="ok",
            reason="",
            ess_geometric_mean=1000 * float(np.exp(rng.normal(0, 0.05))),
            warmup_cpu_s=0.5,
            sampling_cpu_s=1.0,
            n_logp_warmup=0,
            n_logp_sampling=0,
            n_grad_warmup=10_000,
            n_grad_sampling=10_000,
            n_parameters=50,
            density_signature=1.25,
            fingerprint=f"{rng.integers(2**63):016x}",
            init="uniform",
            threads=1,
            seed=int(rng.integers(2**31)),
            start_seed=1,
            params="{}",
            options=options,
        )
        for m in range(n_models)
        for s in range(n_samplers)
        for r in range(n_replicates)
    ]
    path.write_text(to_csv(found))


def run(base: Path, head: Path) -> tuple[float, float]:
    """Return the fastest of a few runs in seconds, and the largest memory in MiB."""
    command = [sys.executable, "-m", "gradbench", "compare", str(base), str(head)]
    command += ["--format", "csv", "--output", os.devnull]
    times, peaks = [], []
    for _ in range(N_REPEATS):
        started = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            _, code, usage = os.wait4(process.pid, 0)
            process.returncode = code
        times.append(time.perf_counter() - started)
        peaks.append(usage.ru_maxrss / 1024)
        assert code == 0
    return min(times), max(peaks)


def main() -> None:
    """Print a line for each shape."""
    print("    rows    cells  replicates  seconds  beyond start-up  MiB")
    with tempfile.TemporaryDirectory() as folder:
        start_s = 0.0
        for shape in SHAPES:
            base, head = (Path(folder) / f"{name}.csv" for name in ("base", "head"))
            write(base, shape, 1)
            write(head, shape, 2)
            spent_s, peak = run(base, head)
            start_s = start_s or spent_s
            n_cells = shape[0] * shape[1]
            print(
                f"{n_cells * shape[2]:8} {n_cells:8} {shape[2]:11} {spent_s:8.2f}"
                f" {spent_s - start_s:16.2f} {peak:4.0f}"
            )


if __name__ == "__main__":
    main()
