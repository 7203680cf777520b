"""How fast a cluster is: two workers against this machine alone, and what the client can take.

``python benchmarks/cluster.py`` runs cells of a second, which keep a core busy, on this machine and
on two workers of it; cells of ten milliseconds on 1, 2, 4 and 8 workers; and lets workers send
results that are there already, as fast as the client writes them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import records
from gradbench.cluster import dask_channel
from gradbench.cluster.block import Order
from gradbench.cluster.blocks import Spent
from gradbench.cluster.connection import Cluster
from gradbench.cluster.message import QUICKLY, Message
from gradbench.cluster.runner import ClusterRunner
from gradbench.config import loading, planning
from gradbench.measure import machine
from gradbench.measure.result import CellResult
from gradbench.results import execute, store
from gradbench.results.execute import Silent

if not __package__:  # started as a script
    sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.folders import measured

SAMPLER = '''"""Independent normal draws, after some work or some rest."""

import time

from gradbench.sampler import Field
from gradbench.sampler import Options as Base


class Options(Base):
    works: float = Field(0.0, description="seconds that it keeps a core busy")
    rests: float = Field(0.0, description="seconds that it sleeps")


def sample(density, start, options, rng, clock):
    clock.sampling()
    until = time.perf_counter() + options.works
    while time.perf_counter() < until:
        density(start[0])
    time.sleep(options.rests)
    return rng.standard_normal((1, options.draws, density.ndim))
'''
MODEL = """import gradbench as gb


def model():
    return gb.LogDensity(lambda x: -(x**2).sum() / 2, ndim=2)
"""
CONFIG = """name: {name}
models: {{mine: {{use: ./mine.py}}}}
samplers:
  one: {{use: ./some.py, draws: 200, {what}}}
  two: {{use: ./some.py, draws: 300, {what}}}
replicates: {n}
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="cells of a second")
    parser.add_argument("--short", type=int, default=1000, help="cells of ten milliseconds")
    parser.add_argument("--flood", type=int, default=3000, help="results that are there already")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "some.py").write_text(SAMPLER)
        (folder / "mine.py").write_text(MODEL)
        print("| cells | on | n | wall s | cells/s | cells/s, first to last |\n" + 6 * "|---" + "|")
        config = written(folder, "work", "works: 1.0", asked.seconds)
        alone = ran("1 s of work", "this machine alone", config, ())
        both = ran("1 s of work", "2 workers", config, ("--cluster", "local:2"))
        config = written(folder, "rest", "rests: 0.01", asked.short)
        for n in (1, 2, 4, 8):
            ran("10 ms of rest", f"{n} workers", config, ("--cluster", f"local:{n}"))
        flood(folder, asked.flood)
        wall, steady = (fast / slow / 2 for fast, slow in zip(both, alone, strict=True))
        print(f"2 workers over twice this machine: {wall:.2f} of wall, {steady:.2f} first to last")


def written(folder: Path, name: str, what: str, n_cells: int) -> Path:
    """Write a config of so many cells."""
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG.format(name=name, what=what, n=n_cells // 2))
    return path


def ran(cells: str, where: str, config: Path, words: Sequence[str]) -> tuple[float, float]:
    """Run a config, print its line; return cells per second, of all and from first to last."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "gradbench", "run", str(config), "--quiet", *words]
    subprocess.run(command, cwd=config.parent, capture_output=True, check=True)
    spent = time.perf_counter() - begin
    folder = max((config.parent / "results" / config.stem).iterdir())
    return told(cells, where, folder, spent)


def told(cells: str, where: str, folder: Path, spent: float) -> tuple[float, float]:
    """Print a line; return cells per second."""
    written_at = [path.stat().st_mtime for path in (folder / "cells").glob("*.json")]
    n = len(written_at)
    steady = (n - 1) / (max(written_at) - min(written_at))
    print(f"| {cells} | {where} | {n} | {spent:.1f} | {n / spent:.2f} | {steady:.2f} |", flush=True)
    return n / spent, steady


def flood(folder: Path, n_cells: int) -> None:
    """Let two workers send results of fifty parameters that they have already."""
    benchmark = loading.load(str(written(folder, "flood", "rests: 0.0", n_cells)))
    usual = measured(np.random.default_rng(1))

    def attempt(order: Mapping[str, Any], channel: str) -> dict[str, Any]:
        parsed = Order.from_plain(order)
        line = dask_channel._DaskChannel(parsed.id, channel)
        first = parsed.cells[0]
        ready = records.to_json(CellResult(first, "ok", "", usual).to_json())
        before, after = ready.split(records.to_json(first).strip())
        for cell in parsed.cells:
            text = f"{before}{records.to_json(cell).strip()}{after}"
            line.send_cell(Message(parsed.id, "cell", zlib.compress(text.encode(), QUICKLY)))
        return dict(records.to_plain(Spent(1.0, 1.0, 1)))

    dask_channel.attempt = attempt
    cells = planning.cells(benchmark)
    run = store.create(folder / "results", benchmark, {"machine": machine.describe(), "models": {}})
    with ClusterRunner(benchmark, Silent(), Cluster("local:2", replicates=100)) as runner:
        runner.preflight(cells)
        begin = time.perf_counter()
        for result in arriving(runner, cells):
            execute.keep(result, run, Silent())
        told("none, 50 parameters", "2 workers", run.path, time.perf_counter() - begin)


def arriving(runner: ClusterRunner, cells: Sequence[planning.Cell]) -> Iterator[CellResult]:
    """Yield what arrives."""
    yield from (found for found in runner.run(cells) if isinstance(found, CellResult))


if __name__ == "__main__":
    main()
