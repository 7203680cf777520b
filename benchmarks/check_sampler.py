"""How often ``gradbench check-sampler`` calls a correct sampler wrong.

Correct samplers are judged on the four models over many seeds, by what the command judges with, in
one process and without a worker: ``python benchmarks/check_sampler.py --seeds 50``.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark, Gates
from gradbench.config.planning import Cell
from gradbench.measure import statuses
from gradbench.measure.result import CellResult, Measured
from gradbench.measure.worker import Session
from gradbench.results.check_sampler import ESS, FULL, LABEL, MODELS, QUICK, Replicates, of_model

SAMPLERS: dict[str, dict[str, Any]] = {
    "pymc_metropolis": {},
    "pymc_slice": {"tune": 300, "draws": 1000},
    "emcee": {"walkers": 16, "tune": 1000, "draws": 2000},
    "pymc_nuts": {"tune": 500, "draws": 500},
    "nutpie": {},
}

GATES = Gates(ess=ESS)


class Here:
    """Runs cells of one model in this very process."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(self, cells: Sequence[Cell], *, stays_warm: bool = False) -> Iterator[CellResult]:  # noqa: ARG002
        """Yield each cell's result."""
        for cell in cells:
            plain = cell.to_json()
            if self._session is None:
                self._session = Session()
                self._session.build(plain)
            measured = Measured.from_json(self._session.sample(plain, None))
            yield CellResult(cell, *statuses.judge(measured, GATES), measured)


def planned(use: str, options: dict[str, Any], seed: int) -> Benchmark:
    """Return the benchmark that the command makes of a sampler."""
    text = {
        "name": "check",
        "models": {label: dict(entry) for label, entry in MODELS.items()},
        "samplers": {LABEL: {"use": use, **options}},
        "gates": {"ess": ESS},
        "replicates": 100,
        "seed": seed,
    }
    return loading.read(yaml.safe_dump(text), "check", Path())


def main() -> None:
    """Print the lines that failed, and how many there were of each sampler and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sampler", nargs="*", default=list(SAMPLERS))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    for use in given.sampler:
        for label in given.models:
            here, found = Here(), []
            for seed in range(given.first, given.first + given.seeds):
                benchmark = planned(use, SAMPLERS.get(use, {}), seed)
                cells = [cell for cell in planning.cells(benchmark) if cell.model == label]
                effort = QUICK if given.quick else FULL
                line, is_seen = of_model(label, Replicates(here, cells), GATES, effort)
                found.append(line)
                if line.outcome == "failed" or is_seen is False:
                    print(use, label, seed, line, is_seen, flush=True)
            n_failed = sum(line.outcome == "failed" for line in found)
            n_again = sum("by chance:" in line.reason for line in found)
            row = {"sampler": use, "model": label, "seeds": len(found), "failed": n_failed}
            print(json.dumps(row | {"asked again": n_again}), flush=True)


if __name__ == "__main__":
    main()
