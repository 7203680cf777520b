"""What ``gradbench gradients`` tells of ten shipped models, and what its own harness adds.

1. Every method that is exact by its nature on ten models: cost of the cheapest exact gradient,
   largest error of those that are exact, and how long the command takes.
2. The harness against a loop by hand: CPU seconds of one gradient as the command times it, and as
   ``time.process_time`` around a plain loop has it, interleaved.

``python benchmarks/gradients.py``; what it printed stands in ``gradients.md``. ``--methods`` takes
others, and ``--models kepler,radon`` those models alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gradbench import gradients, models, timing
from gradbench.measure import machine
from gradbench.measure.gradients import EXACT
from gradbench.target.target import Target

MODELS = (
    ("gaussian", "dim=2"),
    ("gaussian", "dim=100"),
    ("eight_schools", ""),
    ("funnel", ""),
    ("kepler", ""),
    ("radon", ""),
    ("logistic_regression", ""),
    ("gaussian_process", ""),
    ("stochastic_volatility", ""),
    ("student_t", ""),
)
TIMED = ("pytensor_numba", "jax_reverse")
N_ROUNDS = 31
GRADBENCH = str(Path(sys.executable).with_name("gradbench"))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    exact = [n for n in gradients.names() if gradients.load(n).MODE in {"reverse", "forward"}]
    parser.add_argument("--methods", default=",".join(exact), help="only these")
    parser.add_argument("--points", default="4", help="at which errors are taken, at most")
    parser.add_argument("--models", help="only these")
    given = parser.parse_args()
    options = ["--points", given.points, "--methods", given.methods]
    names = given.models.split(",") if given.models else models.names()
    about = machine.describe()
    print(f"{about['processor']}, Python {about['python']}\n")
    print("| model | dimensions | cheapest exact gradient | in default log-densities |"
          " exact methods | their largest error | others | seconds |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    worst = max(row(model, param, options) for model, param in MODELS if model in names)
    print(f"\nlargest error of an exact method: {worst:.0e}; the aim is {EXACT:.0e}")
    for name in TIMED:
        print(overhead(name))


def row(model: str, param: str, options: list[str]) -> float:
    """Print a model's row; return the largest error of an exact method."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*(["--param", param] if param else []), *options, "--results", folder]
        started = time.perf_counter()
        ran = subprocess.run(
            [GRADBENCH, "gradients", model, *words, "--quiet", "--json", "-"],
            capture_output=True,
            text=True,
            check=False,  # it ends with 1 where a method isn't exact, which is told below
        )
        spent_s = time.perf_counter() - started
    if not ran.stdout:
        sys.exit(ran.stderr)
    (found,) = json.loads(ran.stdout)["comparisons"]
    others = [
        f"{one['method']}: {one['status']}"
        for one in found["methods"]
        if one["status"] not in {"exact", "unsuited"}
    ]
    exact = [one for one in found["methods"] if one["status"] == "exact"]
    best = min(exact, key=_default, default=None)
    worst = max((one["error"]["largest"] for one in exact), default=0.0)
    cells = (
        f"{model} {param}".strip(),
        len(found["points"]["at"][0]),
        "–" if best is None else best["method"],
        "–" if best is None else f"{_default(best):.2f}",
        len(exact),
        f"{worst:.0e}",
        ", ".join(others) or "–",
        f"{spent_s:.0f}",
    )
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return float(worst)


def _default(one: dict[str, Any]) -> float:
    return float(one["cost"]["default"]["estimate"])


def overhead(name: str) -> str:
    """Return by how much a gradient costs more as the harness times it than in a loop by hand."""
    target = Target(*models.load(models.find("eight_schools", Path()), {}))
    gradient = gradients.load(name).build(target).alone.gradient
    x = np.zeros(target.ndim)
    n = max(1, int(timing.BATCH_S / timing.seconds(lambda: gradient(x))))
    ratios = []
    for _ in range(N_ROUNDS):
        started = time.process_time()
        for _ in range(n):
            gradient(x)
        by_hand_s = (time.process_time() - started) / n
        (ours_s,) = timing.interleaved({"": lambda: gradient(x)}, n_rounds=1)[""]
        ratios.append(ours_s / by_hand_s)
    low, high = np.quantile(ratios, [0.25, 0.75])
    return (
        f"harness / loop by hand, {name}: {median(ratios):.3f}"
        f" (quartiles {low:.3f} and {high:.3f} of {N_ROUNDS} pairs)"
    )


if __name__ == "__main__":
    main()
