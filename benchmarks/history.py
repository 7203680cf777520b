"""How often the search for steps in a history is wrong, and what it catches: simulated.

``--penalties`` prints, for each length of a series and number of replicates, the penalty that 1 in
100 flat series reaches: what ``gate/steps.py`` has is fitted to these. Without it, prints how many
flat series get a step with the penalty that ships, and how many steps are found. A stuck replicate
costs a hundred times what it should:

    python benchmarks/history.py [--penalties] [--series N]
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from scipy import stats

from gradbench.draws import FloatArray
from gradbench.gate import rule, steps
from gradbench.stats import rank_tests

STUCK = 100.0  # times the cost
LEVEL = 0.01  # of flat series that get a step
LENGTHS = (2, 3, 5, 10, 20, 50, 100, 200)
REPLICATES = (8, 16, 64)
N_AT_ONCE = 2_000_000  # numbers in memory
MOST_STEPS = 3  # more gain less each, on a flat series


def flat(
    rng: np.random.Generator, n_series: int, length: int, n_replicates: int, stuck: float
) -> FloatArray:
    """Return log costs (series, length, replicates) of one level, their noise 1."""
    logs: FloatArray = rng.standard_normal((n_series, length, n_replicates))
    logs += 100 * np.log(STUCK) / 5 * (rng.random(logs.shape) < stuck)  # at a noise of 5 %
    return logs


def standardised(logs: FloatArray) -> FloatArray:
    """Return each observation in units of its error as ``steps.find`` does: (series, length)."""
    n_series, length, n_replicates = logs.shape
    centres = rank_tests.centre(logs.reshape(-1, n_replicates), rule.CONFIDENCE)[0]
    errors = [steps.error(steps.noise(list(one)), n_replicates) for one in logs]
    found: FloatArray = centres.reshape(n_series, length) / np.array(errors)[:, None]
    return found


def reached(z: FloatArray) -> FloatArray:
    """Return the smallest penalty at which each series (series, length) gets no step."""
    n_series, length = z.shape
    sums, squares = (
        np.concatenate([np.zeros((n_series, 1)), np.cumsum(x, axis=1)], axis=1) for x in (z, z**2)
    )
    sizes = np.arange(length + 1)[None, :] - np.arange(length + 1)[:, None]

    def cost_to(end: int) -> FloatArray:
        """Return the cost of each segment that ends there, by its start: (series, end)."""
        total = sums[:, end, None] - sums[:, :end]
        cost: FloatArray = squares[:, end, None] - squares[:, :end] - total**2 / sizes[:end, end]
        return cost

    best = np.full((MOST_STEPS + 1, n_series, length + 1), np.inf)
    for end in range(1, length + 1):
        cost = cost_to(end)
        best[0, :, end] = cost[:, 0]
        for n in range(1, min(MOST_STEPS, end - 1) + 1):
            best[n, :, end] = (best[n - 1, :, 1:end] + cost[:, 1:]).min(axis=1)
    gains = [
        (best[0, :, -1] - best[n, :, -1]) / n for n in range(1, min(MOST_STEPS, length - 1) + 1)
    ]
    most: FloatArray = np.max(gains, axis=0)
    return most


def batches(length: int, n_replicates: int, n_series: int) -> Iterator[int]:
    """Yield sizes of batches that fit into memory."""
    walsh = n_replicates * (n_replicates + 1) // 2
    most = max(1, N_AT_ONCE // (length * max(walsh, length)))
    while n_series > 0:
        yield min(most, n_series)
        n_series -= most


def all_reached(
    rng: np.random.Generator, length: int, n_replicates: int, stuck: float, n_series: int
) -> FloatArray:
    """Return the smallest penalties without a step of so many flat series."""
    found = [
        reached(standardised(flat(rng, n, length, n_replicates, stuck)))
        for n in batches(length, n_replicates, n_series)
    ]
    return np.concatenate(found)


def print_penalties(n_series: int) -> None:
    """Print the table that the penalty is fitted to."""
    print("length" + "".join(f"  {n:3} replicates" for n in REPLICATES) + "   known noise")
    rng = np.random.default_rng(1)
    for length in LENGTHS:
        found = [
            np.quantile(all_reached(rng, length, n, 0.0, n_series), 1 - LEVEL) for n in REPLICATES
        ]
        known = [reached(rng.standard_normal((n, length))) for n in batches(length, 1, n_series)]
        found.append(np.quantile(np.concatenate(known), 1 - LEVEL))
        print(f"{length:6}" + "".join(f"  {value:14.2f}" for value in found), flush=True)


def print_rates(n_series: int) -> None:
    """Print how many flat series get a step, and how many steps are found where there is one."""
    print(
        "length  replicates  stuck  flat series with a step          step of 2 / 3 / 5 errors found"
    )
    rng = np.random.default_rng(2)
    for length, n, stuck in product((5, 10, 30, 100), (8, 32), (0.0, 0.025)):
        limit = steps.penalty(length, length * n)
        wrong = int((all_reached(rng, length, n, stuck, n_series) > limit).sum())
        interval = stats.binomtest(wrong, n_series).proportion_ci()
        series = flat(rng, max(20, n_series // 100), length, n, stuck)
        power = [found(series, size) for size in (2.0, 3.0, 5.0)]
        print(
            f"{length:6}  {n:10}  {stuck:5.1%}  {wrong / n_series:6.2%}"
            f" ({interval.low:.2%} to {interval.high:.2%}){'':8}"
            + " / ".join(f"{share:4.0%}" for share in power),
            flush=True,
        )


def found(series: FloatArray, size: float) -> float:
    """Return the share of steps halfway that the search finds, at the place or beside it.

    Args:
        series: flat ones (series, length, replicates).
        size: of the step, in errors of one observation.
    """
    _, length, n_replicates = series.shape
    halfway = length // 2
    hits = 0
    for logs in series:
        stepped = logs.copy()
        stepped[halfway:] += size * steps.error(1.0, n_replicates)
        hits += any(abs(step.index - halfway) <= 1 for step in steps.find(list(stepped)))
    return hits / len(series)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--penalties", action="store_true", help="print what they are fitted to")
    parser.add_argument("--series", type=int, default=20_000, help="flat series of each kind")
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    (print_penalties if given.penalties else print_rates)(given.series)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
