"""Is ``gradbench choose`` right? Each choice beside the truth of a longer run of all samplers.

For each model: a run of all samplers that suit it and have a price, each at a length and with
replicates that rank them, is the truth, in seconds to 1,000 effective draws of the worst parameter;
then one choice. It is right where the true time of what it recommends is within 1.1 times the
best's. Run it alone on a machine or a core of it: ``python benchmarks/choose.py --budget 2min``.
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
from gradbench.choose.entrants import FIRST, LONGER, fitting
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
TIMEOUT = "20s"  # of a cell of the truth: whoever takes longer is not the best of these models
PRICELESS = ("pymc_advi", "stan_advi", "blackjax_pathfinder")  # approximations

ROBUST = """import numpy as np
import pymc as pm

def model():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 3))
    y = x @ [1.0, -0.5, 0.2] + rng.standard_t(3, size=80)
    with pm.Model() as robust:
        slopes = pm.Normal("slopes", 0.0, 2.0, shape=3)
        scale = pm.HalfNormal("scale", 1.0)
        nu = pm.Gamma("nu", 2.0, 0.1)
        pm.StudentT("y", nu=nu, mu=x @ slopes, sigma=scale, observed=y)
    return robust
"""
VALLEY = """import numpy as np
from gradbench.logdensity import LogDensity

def log_density(x):
    return -0.5 * ((x[0] - 2.0) / 0.7) ** 2 - 0.5 * ((x[1] - np.sin(x[0])) / 0.3) ** 2

def model():
    return LogDensity(log_density, names=["x", "y"], gradient="jax")
"""
OWN = {"robust_regression": ROBUST, "sine_valley": VALLEY}
MODELS = (
    "gaussian", "eight_schools", "robust_regression", "student_t", "hep_counting", "sine_valley",
    "constrained", "logistic_regression", "correlated_gaussian", "implicit_root", "ordered_mixture",
    "radon", "kepler", "rosenbrock",
)  # fmt: skip


def main() -> None:
    """Print a line for each model, and the shares of all so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--budget", default="2min")
    asked = parser.parse_args()
    about = machine.describe()
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}\n")
    print("| model | chosen | best | times the best | dropped | it took s | the truth s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    found = [one for name in asked.models.split(",") if (one := judged(name, asked.budget))]
    right = np.mean([one["times"] <= RIGHT for one in found])
    dropped = np.mean([one["is_dropped"] for one in found])
    share = np.sum([one["took_s"] for one in found]) / np.sum([one["truth_s"] for one in found])
    print(f"\n{right:.0%} within {RIGHT} times the best, {dropped:.0%} dropped the best;")
    print(f"choices took {share:.2f} of the time of the truth")


def judged(name: str, budget: str) -> Mapping[str, Any] | None:
    """Return how a choice did on one model, and print it; None where there is no truth."""
    with tempfile.TemporaryDirectory() as folder:
        use = name
        if name in OWN:
            use = f"./{name}.py"
            (Path(folder) / use).write_text(OWN[name])
        started = time.monotonic()
        truth = true_seconds(use, Path(folder))
        truth_s = time.monotonic() - started
        started = time.monotonic()
        said = called("choose", use, "--budget", budget, "--json", "-", "--quiet", folder=folder)
        took_s = time.monotonic() - started
    if not truth:
        print(f"| {name} | | no sampler has a price | | | | {truth_s:.0f} |", flush=True)
        return None
    chosen = json.loads(said)
    best = min(truth, key=lambda sampler: truth[sampler])
    winner = chosen["winner"]
    ended = {one["sampler"]: one["ended"] for one in chosen["standings"]}
    is_dropped = any(word in ended[best] for word in ("slower", "longer", "no answer"))
    times = truth.get(winner, float("inf")) / truth[best]
    print(
        f"| {name} | {winner} | {best} | {times:.2f} | {'yes' if is_dropped else 'no'}"
        f" | {took_s:.0f} | {truth_s:.0f} |",
        flush=True,
    )
    print("  <!--", {k: round(v, 2) for k, v in sorted(truth.items(), key=lambda x: x[1])}, "-->")
    return {"times": times, "is_dropped": is_dropped, "took_s": took_s, "truth_s": truth_s}


def true_seconds(use: str, folder: Path) -> dict[str, float]:
    """Return the seconds to 1,000 effective draws, by sampler, of those that have a price."""
    about = runner.examine(ModelEntry(use=use).source(folder), {})
    entries = {}
    for sampler, reason in about.unsuited.items():
        if reason is None and sampler not in PRICELESS:
            options = samplers.load(sampler).options()
            length = {"draws": LENGTH} if options.tune else {}
            entries[sampler] = {"use": sampler, **fitting(options, about.ndim), **length}
    config = {
        "name": "truth", "models": {"model": {"use": use, "init": about.starts[0]}},
        "samplers": entries, "replicates": N_REPLICATES, "limits": {"timeout": TIMEOUT},
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
