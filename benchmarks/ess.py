"""Estimates of the effective sample size of emcee's ensembles, against the truth; and their cost.

A 50-dimensional standard normal, 124 walkers, started from exact draws. The truth is the variance
over the mean squared error of many runs; no estimator has a hand in it. Run as
``python benchmarks/ess.py``; what it printed stands in ``benchmarks/ess.md``.
"""

import argparse
import time
from collections.abc import Callable

import emcee
import numpy as np

from gradbench import compat, diagnostics
from gradbench.draws import FloatArray

WALKERS, NDIM = 124, 50


def main() -> None:
    """Print the table, then the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=24)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 3000])
    given = parser.parse_args()
    print(f"{NDIM}-d standard normal, {WALKERS} walkers, {given.replicates} replicates; claimed /")
    print("true ESS, with the sd of the log over replicates; the truth with its 95 % interval\n")
    heads = (
        "steps", "T/τ", "true ESS, mean", "ensemble ESS", "ranks (bulk)",
        "ArviZ, walkers as chains", "emcee's τ", "true ESS, square", "ensemble ESS, square",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n_steps in given.steps:
        print(row(n_steps, given.replicates), flush=True)
    print(f"\n{speed()}")


def row(n_steps: int, n_replicates: int) -> str:
    """Return the table's row for runs of this length."""
    runs = [
        diagnostics.compute(
            walkers(n_steps, seed), np.zeros(WALKERS, dtype=np.int64), reference_mean=np.zeros(NDIM)
        )
        for seed in range(n_replicates)
    ]
    of_mean = truth(np.array([run.mean for run in runs]))
    of_square = truth(np.array([(run.second_moment - 1) / np.sqrt(2) for run in runs]))
    tau = WALKERS * n_steps / of_mean[0]
    claims = {
        name: np.array([getattr(run, name).mean() for run in runs])
        for name in (
            "ess_mean",
            "ess_bulk",
            "ess_bulk_as_chains",
            "ess_autocorr_time",
            "ess_square",
        )
    }
    cells = [
        f"{n_steps:,}",
        f"{n_steps / tau:.1f}",
        interval(of_mean),
        *(claim(claims[name], of_mean[0]) for name in list(claims)[:-1]),
        interval(of_square),
        claim(claims["ess_square"], of_square[0]),
    ]
    return f"| {' | '.join(cells)} |"


def walkers(n_steps: int, seed: int) -> FloatArray:
    """Return (walkers, steps, dimensions) of one run from exact draws."""
    rng = np.random.RandomState(seed)
    sampler = emcee.EnsembleSampler(
        WALKERS, NDIM, lambda x: -0.5 * np.einsum("ij,ij->i", x, x), vectorize=True
    )
    start = emcee.State(rng.standard_normal((WALKERS, NDIM)), random_state=rng.get_state())
    sampler.run_mcmc(start, n_steps)
    chain: FloatArray = np.swapaxes(sampler.get_chain(), 0, 1)
    return chain


def speed() -> str:
    """Return how much faster than ``az.summary`` the diagnostics are, on a run of 3,000 steps."""
    az = compat.arviz()
    values, one_ensemble = walkers(3000, 0), np.zeros(WALKERS, dtype=np.int64)
    has_data_trees = int(az.__version__.split(".")[0]) >= 1
    posterior = {"posterior": {"x": values}} if has_data_trees else {"x": values}
    draws = az.from_dict(posterior) if has_data_trees else az.from_dict(posterior=posterior)
    ours = min(seconds(lambda: diagnostics.compute(values, one_ensemble)) for _ in range(3))
    theirs = min(seconds(lambda: az.summary(draws)) for _ in range(2))
    return (
        f"{WALKERS} × 3,000 × {NDIM}: compute {ours:.1f} s, az.summary {theirs:.1f} s"
        f" (ArviZ {az.__version__}): {theirs / ours:.1f} times faster"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def truth(errors: FloatArray) -> tuple[float, float, float]:
    """Return the ESS that (replicates, NDIM) errors in sds allow, pooled over dimensions."""
    honest = diagnostics.calibration(
        np.ones_like(errors), errors, n_independent=float(errors.shape[1])
    )
    return 1 / honest.ratio, 1 / honest.high, 1 / honest.low


def claim(claimed: FloatArray, true: float) -> str:
    """Return a claim over the truth, and its scatter."""
    return f"{np.exp(np.log(claimed).mean()) / true:.2f} ({np.log(claimed).std(ddof=1):.2f})"


def interval(found: tuple[float, float, float]) -> str:
    """Return an estimate with its interval."""
    return f"{found[0]:.0f} [{found[1]:.0f}, {found[2]:.0f}]"


if __name__ == "__main__":
    main()
