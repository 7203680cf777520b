"""Is ``gradbench choose`` right? Each choice beside the truth of a longer run of all samplers.

For each model: a run of all samplers that suit it, each at a length and with replicates that rank
them, is the truth, in seconds to 1,000 effective draws of the worst parameter; then one choice. It
is right where the true time of what it recommends is within 1.1 times the best's. Run it alone on a
machine: ``python benchmarks/choose.py --models gaussian,eight_schools --budget 3min``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gradbench import samplers
from gradbench.choose.entrants import FIRST, LONGER, required
from gradbench.config.benchmark import ModelEntry
from gradbench.measure import machine, runner
from gradbench.measure.result import COSTED
from gradbench.results import export
from gradbench.results.rows import is_priced
from gradbench.results.summary import numbers

GRADBENCH = str(Path(sys.executable).with_name("gradbench"))
RIGHT = 1.1  # times the best's true time
N_REPLICATES = 3
LENGTH = LONGER**2 * FIRST  # draws of each chain or walker in the truth's runs


def main() -> None:
    """Print a line for each model, and the shares of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="gaussian,eight_schools,kepler,radon,funnel")
    parser.add_argument("--budget", default="5min")
    asked = parser.parse_args()
    about = machine.describe()
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}")
    print(
        "model              chosen          best            times the best  dropped  s of  truth s"
    )
    found = [one for name in asked.models.split(",") if (one := judged(name, asked.budget))]
    right = np.mean([one["times"] <= RIGHT for one in found])
    dropped = np.mean([one["is_dropped"] for one in found])
    share = np.sum([one["took_s"] for one in found]) / np.sum([one["truth_s"] for one in found])
    print(f"{right:.0%} within {RIGHT} times the best, {dropped:.0%} dropped the best")
    print(f"time: {share:.2f} of what the truth took")


def judged(name: str, budget: str) -> Mapping[str, Any] | None:
    """Return how a choice did on one model, and print it; None where there is no truth."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        truth = true_seconds(name, Path(folder))
        truth_s = time.monotonic() - started
        started = time.monotonic()
        said = called("choose", name, "--budget", budget, "--json", "-", "--quiet", folder=folder)
        took_s = time.monotonic() - started
    if not truth:
        print(f"{name:18} no sampler has a price: there is no truth")
        return None
    chosen = json.loads(said)
    best = min(truth, key=lambda sampler: truth[sampler])
    winner = chosen["winner"]
    ended = {one["sampler"]: one["ended"] for one in chosen["standings"]}
    is_dropped = any(word in ended[best] for word in ("slower", "longer", "no answer"))
    times = truth.get(winner, float("inf")) / truth[best]
    print(
        f"{name:18} {winner or 'none':15} {best:15} {times:10.2f} {is_dropped!s:>8}"
        f" {took_s:7.0f} {truth_s:8.0f}",
        flush=True,
    )
    return {"times": times, "is_dropped": is_dropped, "took_s": took_s, "truth_s": truth_s}


def true_seconds(name: str, folder: Path) -> dict[str, float]:
    """Return the seconds to 1,000 effective draws, by sampler, of those that have a price."""
    about = runner.examine(ModelEntry(use=name).source(Path()), {})
    entries = {}
    for sampler, reason in about.unsuited.items():
        if reason is None:
            options = samplers.load(sampler).options.fewest(about.ndim)
            length = {"draws": LENGTH} if options.tune else {}
            entries[sampler] = {"use": sampler, **required(options), **length}
    config = {
        "name": "truth", "models": {name: {"use": name, "init": about.starts[0]}},
        "samplers": entries, "replicates": N_REPLICATES,
    }  # fmt: skip
    (folder / "truth.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    called("run", "truth.yaml", "--csv", "truth.csv", "--quiet", folder=str(folder))
    groups: dict[str, list[Any]] = {}
    for summary in export.from_csv(folder / "truth.csv"):
        groups.setdefault(summary.sampler, []).append(summary)
    return {
        sampler: float(np.exp(np.mean(np.log(numbers(group, "seconds_to_ess_goal")))))
        for sampler, group in groups.items()
        if is_priced(group) and all(summary.status in COSTED for summary in group)
    }


def called(*words: str, folder: str) -> str:
    """Return what a command prints; a cell that failed is no mistake here."""
    done = subprocess.run(
        [GRADBENCH, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
