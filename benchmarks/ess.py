"""Estimates of the effective sample size of emcee's ensembles, against the truth; and their cost.

A 50-dimensional standard normal, 124 walkers; then ten normals of fewer dimensions, some of them
equicorrelated, so that all means share one direction. All start from exact draws. The truth is the
variance over the mean squared error of many runs; no estimator has a hand in it. Run as
``python benchmarks/ess.py``; what it printed stands in ``benchmarks/ess.md``.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import emcee
import numpy as np

from gradbench import compat
from gradbench.draws import FloatArray
from gradbench.stats import diagnostics

WALKERS, NDIM = 124, 50
TARGETS = [(ndim, rho) for ndim in (3, 5, 7, 10, 15) for rho in (0.0, 0.7)]
STEPS = 2000  # of the ten targets


def main() -> None:
    """Print the table, then the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=24)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--only", choices=["normal", "correlated", "speed"])
    given = parser.parse_args()
    if given.only in (None, "normal"):
        normal(given.steps, given.replicates)
    if given.only in (None, "correlated"):
        correlated(given.replicates)
    if given.only in (None, "speed"):
        print(f"\n{speed()}")


def normal(steps: Sequence[int], n_replicates: int) -> None:
    """Print the table of the 50-dimensional normal."""
    print(f"{NDIM}-d standard normal, {WALKERS} walkers, {n_replicates} replicates; claimed /")
    print("true ESS, with the sd of the log over replicates; the truth with its 95 % interval\n")
    heads = (
        "steps", "T/τ", "true ESS, mean", "ensemble ESS", "ranks (bulk)",
        "ArviZ, walkers as chains", "emcee's τ", "true ESS, square", "ensemble ESS, square",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n_steps in steps:
        print(row(n_steps, n_replicates), flush=True)


def correlated(n_replicates: int) -> None:
    """Print what is claimed over the truth, of normals with one correlation between all."""
    print(f"\nclaimed / true ESS, {STEPS:,} steps, {n_replicates} replicates\n")
    heads = (
        "d",
        "correlation",
        "walkers",
        "T/τ",
        "worth of d means",
        "of the mean",
        "of the square",
    )
    print(f"| {' | '.join(heads)} |\n|---|---|---|---|---|---|---|")
    for ndim, rho in TARGETS:
        n_walkers = max(20, 4 * ndim)
        covariance = rho + (1 - rho) * np.eye(ndim)
        n_draws = n_walkers * STEPS
        length = min(STEPS, n_draws // diagnostics.N_BATCHES)
        claims, errors, worths = [], [], []  # of the mean and of the square
        for seed in range(n_replicates):
            x = np.moveaxis(walkers(STEPS, seed, n_walkers, covariance), 2, 0)
            mean = x.mean(axis=(1, 2), keepdims=True)
            claims.append([diagnostics.ess_of_ensemble(of) for of in (x, (x - mean) ** 2)])
            square_error = ((x**2).mean(axis=(1, 2)) - 1) / np.sqrt(2)
            errors.append([mean[:, 0, 0], square_error])
            draws = np.moveaxis(x, 0, 2)
            worths.append(
                [
                    diagnostics.n_independent(draws, length=length, of_squares=of_squares)
                    for of_squares in (False, True)
                ]
            )
        claimed, off = np.array(claims), np.array(errors)
        worth = np.mean(worths, axis=0)
        ratios = [
            ratio(diagnostics.calibration(claimed[:, i], off[:, i], n_independent=float(worth[i])))
            for i in (0, 1)
        ]
        times = STEPS / np.mean(n_draws / claimed[:, 0])
        cells = f"{ndim} | {rho:g} | {n_walkers} | {times:.0f} | {worth[0]:.1f}"
        print(f"| {cells} | {' | '.join(ratios)} |", flush=True)


def ratio(found: diagnostics.Calibration) -> str:
    """Return a ratio with its interval."""
    return f"{found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}]"


def row(n_steps: int, n_replicates: int) -> str:
    """Return the table's row for runs of this length."""
    runs = [
        diagnostics.compute(
            walkers(n_steps, seed, WALKERS, np.eye(NDIM)),
            np.zeros(WALKERS, dtype=np.int64),
            reference_mean=np.zeros(NDIM),
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


def walkers(n_steps: int, seed: int, n_walkers: int, covariance: FloatArray) -> FloatArray:
    """Return (walkers, steps, dimensions) of one run on a normal, from exact draws."""
    rng = np.random.RandomState(seed)
    root = np.linalg.cholesky(covariance)
    whitening = np.linalg.inv(root).T

    def logdensity(x: FloatArray) -> FloatArray:
        white = x @ whitening
        return np.asarray(-0.5 * np.einsum("ij,ij->i", white, white))

    sampler = emcee.EnsembleSampler(n_walkers, len(covariance), logdensity, vectorize=True)
    exact = rng.standard_normal((n_walkers, len(covariance))) @ root.T
    sampler.run_mcmc(emcee.State(exact, random_state=rng.get_state()), n_steps)
    chain: FloatArray = np.swapaxes(sampler.get_chain(), 0, 1)
    return chain


def speed() -> str:
    """Return how much faster than ``az.summary`` the diagnostics are, on a run of 3,000 steps."""
    az = compat.arviz()
    values = walkers(3000, 0, WALKERS, np.eye(NDIM))
    one_ensemble = np.zeros(WALKERS, dtype=np.int64)
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
