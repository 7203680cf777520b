"""How often the gate is wrong, and what it catches: simulated, with the rule that ships.

Twenty cells, five models by four samplers, whose log costs have a known noise; ``gate.decide``
looks at 8, 16, 32 … replicates as ``gradbench check`` and ``gradbench ab`` do. A stuck replicate
costs a hundred times what it should, on either side. Prints one line for each case:

    python benchmarks/gate.py [--runs N] [--quick]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from scipy import stats

from gradbench.config.planning import Key
from gradbench.gate import gate, rule
from gradbench.gate.sides import Series, Side, simulated

CELLS: list[Key] = list(product((f"model{i}" for i in range(5)), (f"sampler{i}" for i in range(4))))
SLOWED = CELLS[:1]
STUCK = 100.0  # times the cost
TIME_SD = 0.03  # of one replicate's CPU time, side by side
LAYOUT_SD = 0.02  # of a process
CONDITIONS = {
    "options": {}, "params": {}, "init": "uniform", "n_parameters": 1, "density_signature": None,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One line: the noise, the replicates, and what is slowed down by how much."""

    sd: float
    stuck: float
    n_base: int
    n_max: int
    slowdown: float = 1.0
    factor: str = "evaluations"
    cells: str = "one"
    is_paired: bool = False


@dataclass(frozen=True)
class Outcome:
    """One simulated gate."""

    is_failed: bool
    is_caught: bool
    is_passed: bool
    n_replicates: float


def simulate(case: Case, seed: int) -> Outcome:
    """Return what one gate said."""
    rng = np.random.default_rng([seed, round(1e4 * case.sd), round(1e4 * case.slowdown)])
    slowed = [key for key in CELLS if key[1] == "sampler0"] if case.cells == "sampler" else SLOWED
    base = Side("base", {key: series(case, rng, case.n_base, 1.0, 1.0) for key in CELLS})
    head = {}
    for key in CELLS:
        factor = case.slowdown if key in slowed else 1.0
        cost, speed = (factor, 1.0) if case.factor == "evaluations" else (1.0, factor)
        head[key] = series(case, rng, case.n_max, cost, speed)
    take = gate.rehearsed(base, Side("head", head), is_paired=case.is_paired)
    found = gate.decide(take, rule.looks(case.n_max), is_paired=case.is_paired)
    regressed = {row.key for row in found.having("regressed")}
    pools = {pool.sampler for pool in found.pooled if pool.is_regressed}
    caught = "sampler0" in pools if case.cells == "sampler" else slowed[0] in regressed
    is_true = regressed <= set(slowed) and pools <= {key[1] for key in slowed}
    passed = {row.key for row in found.having("fine", "identical", "improved")}
    return Outcome(
        is_failed=bool(found.regressions) if case.slowdown == 1.0 else not is_true,
        is_caught=case.slowdown > 1.0 and (caught or bool(regressed & set(slowed))),
        is_passed=slowed[0] in passed,
        n_replicates=float(np.mean([row.n_head for row in found.rows])),
    )


def series(case: Case, rng: np.random.Generator, n: int, cost: float, speed: float) -> Series:
    """Return n replicates, ``cost`` and ``speed`` times as dear."""
    logs = rng.normal(np.log(cost), case.sd, n)
    logs += np.log(STUCK) * (rng.random(n) < case.stuck)
    n_processes = -(-n // gate.PER_PROCESS)
    layout = np.repeat(rng.normal(0, LAYOUT_SD, n_processes), gate.PER_PROCESS)[:n]
    times = layout + rng.normal(0, TIME_SD, n)
    return simulated(CONDITIONS, logs, np.log(1e-5 * speed) + times)


def cases() -> Iterator[Case]:
    """Yield the cases: the default replicates first, then as many as the noise asks for."""
    for sd, stuck in product((0.05, 0.10, 0.20), (0.0, 0.025)):
        for slowdown in (1.0, 1.10, 1.15):
            yield Case(sd, stuck, 64, 32, slowdown)
    for sd, n_base, n_max in ((0.10, 256, 128), (0.20, 1024, 512)):
        for stuck, slowdown in product((0.0, 0.025), (1.0, 1.10, 1.15)):
            yield Case(sd, stuck, n_base, n_max, slowdown)
    for sd in (0.05, 0.10):
        yield Case(sd, 0.025, 64, 32, 1.05, cells="sampler")
    for slowdown in (1.0, 1.10, 1.15):
        yield Case(0.10, 0.025, 32, 32, slowdown, factor="time", is_paired=True)


def line(case: Case, found: list[Outcome]) -> str:
    """Return a case's line."""
    n = len(found)
    failed = sum(one.is_failed for one in found)
    most = stats.binomtest(failed, n).proportion_ci().high
    where = {"one": "one cell", "sampler": "one sampler"}[case.cells]
    what = f"{where} {case.slowdown - 1:+.0%} {case.factor}" if case.slowdown > 1 else "A/A"
    caught = sum(one.is_caught for one in found) / n
    passed = sum(one.is_passed for one in found) / n
    mode = "ab" if case.is_paired else "check"
    return (
        f"{mode:5} {case.sd:5.0%} {case.stuck:6.1%} {case.n_base:6} {case.n_max:5}"
        f"  {what:28} {failed:3} of {n:5} (≤ {most:.2%})"
        + (f" {caught:8.1%} {passed:8.1%}" if case.slowdown > 1 else " " * 18)
        + f" {np.mean([one.n_replicates for one in found]):10.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3000, help="gates of each A/A case")
    parser.add_argument("--quick", action="store_true", help="the default replicates only")
    arguments = parser.parse_args()
    print("gate  noise  stuck stored   max  truth                        false failures       "
          "   caught   passed replicates")  # fmt: skip
    started = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        for case in cases():
            if arguments.quick and (case.n_max > rule.LOOKS):
                continue
            n = arguments.runs if case.slowdown == 1.0 else max(1, arguments.runs // 6)
            n = n if case.n_max < 512 else max(1, n // 10)  # these take a second each
            print(line(case, list(pool.map(partial(simulate, case), range(n), chunksize=10))))
            sys.stdout.flush()
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
