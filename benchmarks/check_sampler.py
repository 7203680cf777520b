"""How often ``gradbench check-sampler`` calls a correct sampler wrong.

Correct samplers are judged on the four models over many seeds, by what the command judges with, in
one process and without a worker: ``python benchmarks/check_sampler.py --seeds 50``.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark, Gates
from gradbench.config.planning import Cell
from gradbench.measure import statuses
from gradbench.measure.result import CellResult, Measured
from gradbench.measure.worker import Session
from gradbench.results.check_sampler import (
    ESS,
    FULL,
    LABEL,
    MODELS,
    QUICK,
    Effort,
    Replicates,
    of_model,
)

PAGE = Path(__file__).parents[1] / "docs/examples/sampler-package/src/walkers/random_walk.py"

SAMPLERS: dict[str, dict[str, Any]] = {
    "pymc_metropolis": {},
    "pymc_slice": {"tune": 300, "draws": 1000},
    "emcee": {"walkers": 16, "tune": 1000, "draws": 2000},
    "pymc_nuts": {"tune": 500, "draws": 500},
    "nutpie": {},
    str(PAGE): {},
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
            yield CellResult(cell, *statuses.status_of(measured, GATES), measured)


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


@dataclass(slots=True)
class Count:
    """How often one sampler was judged on one model, and what became of it.

    Attributes:
        here: the sampler, built once for all seeds.
        n: seeds so far.
        n_again: of these, how often chance made more replicates necessary.
        failed: the seeds at which it was called wrong.
        blind: the seeds at which a wrong reference would have been overlooked.
    """

    here: Here = field(default_factory=Here)
    n: int = 0
    n_again: int = 0
    failed: list[int] = field(default_factory=list)
    blind: list[int] = field(default_factory=list)

    def judge(self, use: str, label: str, seed: int, effort: Effort) -> None:
        """Judge the sampler once more, with another seed, and tell what failed."""
        benchmark = planned(use, SAMPLERS.get(use, {}), seed)
        cells = [cell for cell in planning.cells(benchmark) if cell.model == label]
        line, is_seen = of_model(label, Replicates(self.here, cells), GATES, effort)
        self.n += 1
        self.n_again += "by chance:" in line.reason
        if line.outcome == "failed":
            self.failed.append(seed)
        if is_seen is False:
            self.blind.append(seed)
        if line.outcome != "passed" or is_seen is False:
            print(use, label, seed, line, is_seen, flush=True)

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "judged": self.n,
            "failed": self.failed,
            "blind": self.blind,
            "asked again": self.n_again,
        }


def main() -> None:
    """Print, after every seed, how often each sampler failed on each model so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sampler", nargs="*", default=list(SAMPLERS))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    counts = {(use, label): Count() for use in given.sampler for label in given.models}
    for seed in range(given.first, given.first + given.seeds):
        for (use, label), count in counts.items():
            count.judge(use, label, seed, QUICK if given.quick else FULL)
        print(f"after seed {seed}, {time.process_time():.0f} CPU seconds:", flush=True)
        for (use, label), count in counts.items():
            print(
                json.dumps({"sampler": Path(use).stem, "model": label} | count.to_json()),
                flush=True,
            )


if __name__ == "__main__":
    main()
