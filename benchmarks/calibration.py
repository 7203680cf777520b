"""How often clean runs are called biased or overstated by chance, and false ones rightly.

Runs are simulated: independent draws or AR(1) chains of laws whose moments are known. Effective
sample sizes are estimated from the draws, and whole rows judged, as a benchmark's are. Run as
``python benchmarks/calibration.py``; what it printed stands in ``benchmarks/calibration.md``.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special, stats
from scipy.signal import lfilter

from gradbench.config.planning import Cell
from gradbench.draws import Evaluations, FloatArray
from gradbench.measure.result import CellResult, Measured
from gradbench.results.replicates import against_reference
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.timing import Duration, Timing

N_CHAINS, N_DRAWS = 2, 800
SETTINGS = ((10, 0.0), (30, 0.4))  # dimension, autocorrelation of neighbouring draws
N_REPLICATES = (1, 2, 5, 20)
POWER_REPLICATES = (2, 3, 5, 20)
PHI_SLOW = 0.8  # of the direction that is slower than the others

Change = Callable[[Measured], Measured]


@dataclass(frozen=True, slots=True)
class Family:
    """A law: how (chains, draws, d) become its draws, and raw moments 1 to 4 of each parameter."""

    draw: Callable[[np.random.Generator, int, float], FloatArray]
    raw: Callable[[int], FloatArray]


def series(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return stationary AR(1) series of variance 1, shape (chains, draws, d)."""
    n_before = 60 if phi else 0
    noise = rng.standard_normal((N_CHAINS, N_DRAWS + n_before, d))
    stationary: FloatArray = lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=1)
    return stationary[:, n_before:]


def slow_direction(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return draws whose common part, 0.3 of the variance, is slower than what is their own."""
    common = series(rng, 1, max(phi, PHI_SLOW))
    return np.asarray(np.sqrt(0.7) * series(rng, d, phi) + np.sqrt(0.3) * common)


def equicorrelated(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return draws with correlation 0.7."""
    return np.asarray(np.sqrt(0.3) * series(rng, d, phi) + np.sqrt(0.7) * series(rng, 1, phi))


def shared_scale(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return uncorrelated draws that share a log-normal scale."""
    return series(rng, d, phi) * np.exp(0.5 * series(rng, 1, phi))


def hierarchical(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return a mean, a log-scale and d - 2 parameters that are normal around and by them."""
    z = series(rng, d, phi)
    parts = z[..., :1] + np.exp(0.5 * z[..., 1:2]) * z[..., 2:]
    return np.concatenate([z[..., :2], parts], axis=2)


def student(rng: np.random.Generator, d: int, phi: float) -> FloatArray:
    """Return a multivariate Student t with 5 degrees of freedom."""
    level = special.ndtr(series(rng, 1, phi))
    return np.asarray(series(rng, d, phi) / np.sqrt(stats.chi2.ppf(level, 5) / 5))


NORMAL = np.array([0.0, 1.0, 0.0, 3.0])


def alike(*raw: float) -> Callable[[int], FloatArray]:
    """Return the same raw moments for each parameter, shape (d, 4)."""
    return lambda d: np.tile(raw, (d, 1))


FAMILIES = {
    "independent normals": Family(series, alike(*NORMAL)),
    "normals, equicorrelated 0.7": Family(equicorrelated, alike(*NORMAL)),
    "normals, slow common direction": Family(slow_direction, alike(*NORMAL)),
    "normals of a shared scale": Family(
        shared_scale, alike(0, np.exp(0.5), 0, 3 * np.exp(2.0))
    ),
    "hierarchical": Family(
        hierarchical,
        lambda d: np.vstack(
            [
                np.tile(NORMAL, (2, 1)),
                np.tile(
                    [0, 1 + np.exp(0.5), 0, 3 + 6 * np.exp(0.5) + 3 * np.exp(2.0)], (d - 2, 1)
                ),
            ]
        ),
    ),
    "Student t, 5 degrees of freedom": Family(student, alike(0, 5 / 3, 0, 25)),
    "log-normals": Family(
        lambda rng, d, phi: np.exp(series(rng, d, phi)),
        alike(*(float(np.exp(k**2 / 2)) for k in range(1, 5))),
    ),
}  # fmt: skip


def main() -> None:
    """Print the rates of false verdicts, then those of right ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=250, help="simulated, of each family")
    parser.add_argument("--rows", type=int, default=400, help="drawn from the runs, of each kind")
    parser.add_argument("--only-power", action="store_true")
    given = parser.parse_args()
    heads = "| claims | " + " | ".join(f"{n} replicates" for n in POWER_REPLICATES) + " |"
    if not given.only_power:
        clean_rows(given.runs, given.rows)
    print(f"\n{heads}\n|---|{'---|' * len(POWER_REPLICATES)}")
    rng = np.random.default_rng(1)
    for family, d, phi in (
        ("independent normals", 30, 0.4),
        ("normals, equicorrelated 0.7", 10, 0.0),
        ("normals of a shared scale", 30, 0.4),
    ):
        runs = [run(FAMILIES[family], rng, d, phi) for _ in range(given.runs)]
        for name, change in CHANGES.items():
            false = [change(one) for one in runs]
            caught = [
                np.mean([s != "ok" for s in verdicts(false, rng, n, given.rows // 4)])
                for n in POWER_REPLICATES
            ]
            cells = " | ".join(f"{100 * rate:.0f}" for rate in caught)
            print(f"| {family}, d = {d}: {name} | {cells} |", flush=True)


def clean_rows(n_runs: int, n_rows: int) -> None:
    """Print how many of 100 clean rows have a false verdict: biased + overstated."""
    heads = " | ".join(f"{n} replicate{'s' if n > 1 else ''}" for n in N_REPLICATES)
    print(f"| law | d | φ | {heads} |\n|---|---|---|{'---|' * len(N_REPLICATES)}")
    every: dict[int, list[str]] = {n: [] for n in N_REPLICATES}
    for seed, (family, law) in enumerate(FAMILIES.items()):
        for d, phi in SETTINGS:
            rng = np.random.default_rng([seed, d])
            runs = [run(law, rng, d, phi) for _ in range(n_runs)]
            found = {n: verdicts(runs, rng, n, n_rows) for n in N_REPLICATES}
            for n in N_REPLICATES:
                every[n] += found[n]
            cells = " | ".join(map(rates, found.values()))
            print(f"| {family} | {d} | {phi:g} | {cells} |", flush=True)
    print(f"| all | | | {' | '.join(map(rates, every.values()))} |", flush=True)


def rates(found: Sequence[str]) -> str:
    """Return how many of 100 verdicts are biased and how many overstated."""
    return " + ".join(f"{100 * found.count(s) / len(found):.1f}" for s in ("biased", "overstated"))


def verdicts(
    runs: Sequence[Measured], rng: np.random.Generator, n_replicates: int, n_rows: int
) -> list[str]:
    """Return the status of rows of replicates: every run once if alone, else drawn at random."""
    if n_replicates == 1:
        picks = [np.array([i]) for i in range(len(runs))]
    else:
        picks = [rng.choice(len(runs), n_replicates, replace=False) for _ in range(n_rows)]
    rows = [
        [CellResult(cell(r), "ok", measured=runs[i]) for r, i in enumerate(pick)] for pick in picks
    ]
    # What `summarize` asks for the status of a row, without its hundred other columns.
    return [against_reference(row).status or "ok" for row in rows]


def run(law: Family, rng: np.random.Generator, d: int, phi: float) -> Measured:
    """Return what would be stored of one run."""
    mean, second, third, fourth = law.raw(d).T
    variance = second - mean**2
    central_fourth = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    exact = np.zeros(d)
    return Measured(
        timing=Timing(Duration(0, 0), Duration(1, 1), Duration(1, 1)),
        evaluations=Evaluations(), parameters=tuple(f"x[{i}]" for i in range(d)),
        diagnostics=diagnose(law.draw(rng, d, phi), mean),
        reference=ReferenceMoments(
            mean=mean, sd=np.sqrt(variance), square_sd=np.sqrt(central_fourth - variance**2),
            mean_se=exact, variance_se=exact,
        ),
        reference_source="exact", n_chains=N_CHAINS, n_draws=N_DRAWS, is_ensemble=False,
        n_divergences=0, acceptance_rate=None, peak_memory_bytes=0, fingerprint="", backend="",
        thread_pools={}, load=0.0,
    )  # fmt: skip


def diagnose(x: FloatArray, reference_mean: FloatArray) -> Diagnostics:
    """Return what `diagnostics.compute` does but for ranks, which no calibration asks for."""
    squares = (x - x.mean(axis=(0, 1))) ** 2

    def ess(of: FloatArray) -> FloatArray:
        halves = of.reshape(2 * N_CHAINS, N_DRAWS // 2, -1)
        return diagnostics.ess_of_chains(np.moveaxis(halves, 2, 0))

    d = x.shape[2]
    sd, of_mean = x.std(axis=(0, 1), ddof=1), ess(x)
    length = N_CHAINS * N_DRAWS // diagnostics.N_BATCHES
    # What no verdict on errors asks for is left out: it takes most of the time.
    unknown: dict[str, Any] = dict.fromkeys(Diagnostics.__slots__, np.full(d, np.nan))
    known: dict[str, Any] = {
        "mean": x.mean(axis=(0, 1)),
        "sd": sd,
        "square_sd": squares.std(axis=(0, 1), ddof=1),
        "second_moment": ((x - reference_mean) ** 2).mean(axis=(0, 1)),
        "mcse_mean": sd / np.sqrt(of_mean),
        "ess_mean": of_mean,
        "ess_square": ess(squares),
        "is_finite": np.ones(d, dtype=bool),
        "is_counted": np.ones(d, dtype=bool),
        "n_independent": diagnostics.n_independent(x, length=length),
        "n_independent_square": diagnostics.n_independent(x, length=length, of_squares=True),
    }
    return Diagnostics(**unknown | known)


def cell(replicate: int) -> Cell:
    """Return the cell that a simulated run is of."""
    return Cell(
        model="law", model_use="law", params={}, sampler="simulated", sampler_use="simulated",
        options={}, init="reference", threads=1, replicate=replicate, seed=0, start_seed=0,
    )  # fmt: skip


def changed(**factors: float) -> Change:
    """Return a change of a run's diagnostics by these factors."""

    def change(one: Measured) -> Measured:
        found: Mapping[str, Any] = {
            name: factor * getattr(one.diagnostics, name) for name, factor in factors.items()
        }
        return replace(one, diagnostics=replace(one.diagnostics, **found))

    return change


def shifted(by_sd: float) -> Change:
    """Return a change of every second moment, by sds of (x - mean)²."""

    def change(one: Measured) -> Measured:
        assert one.reference is not None
        off = one.diagnostics.second_moment + by_sd * one.reference.square_sd
        return replace(one, diagnostics=replace(one.diagnostics, second_moment=off))

    return change


CHANGES: dict[str, Change] = {
    "mean, 1.5 times too large": changed(ess_mean=1.5),
    "mean, 2 times": changed(ess_mean=2.0),
    "mean, 3 times": changed(ess_mean=3.0),
    "mean, 4 times": changed(ess_mean=4.0),
    "second moment, 2 times": changed(ess_square=2.0),
    "second moment, 4 times": changed(ess_square=4.0),
    "second moment off by -0.2 sd": shifted(-0.2),
}


if __name__ == "__main__":
    main()
