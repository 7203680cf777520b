"""What gradbench itself costs, as ratios within one run: ``make benchmarks``.

1. One replicate of configs/gaussian50.yaml against a bare script that calls the same libraries with
   the same settings and ``az.summary``.
2. A run's wall time over what it tells of: compile, warm-up and sampling; and the most memory that
   all its processes take together, what they share counted once.
3. ``gradbench --help`` and ``--version`` against ``python -c pass``.
4. The batched log-density against a loop over the single one, and against NumPy by hand; one whose
   parameter check may fail against the same density without the check.
5. The diagnostics against ``az.summary`` on the same draws.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from gradbench import compat, models
from gradbench.measure import machine
from gradbench.results import store
from gradbench.results.summarize import summarize
from gradbench.stats import diagnostics
from gradbench.target.target import Target

POLL_S = 0.5
N_PAIRS = 3  # of long runs, ours and theirs in turn: the machine drifts
GRADBENCH = str(Path(sys.executable).with_name("gradbench"))

BARE = """
import warnings
warnings.simplefilter("ignore")
import arviz as az, emcee, numpy as np, pymc as pm

with pm.Model() as model:
    pm.Normal("x", shape=50)
    trace = pm.sample(1000, tune=1000, chains=2, cores=1, nuts_sampler="pymc", progressbar=False,
                      compute_convergence_checks=False, random_seed=1)
az.summary(trace)
rng = np.random.default_rng(1)
logp = lambda x: -0.5 * np.sum(x**2, axis=1)
sampler = emcee.EnsembleSampler(124, 50, logp, vectorize=True)
state = sampler.run_mcmc(rng.standard_normal((124, 50)), 1000)
sampler.reset()
sampler.run_mcmc(state, 3000)
chain = np.ascontiguousarray(np.swapaxes(sampler.get_chain(), 0, 1))
group = {"x": chain}
az.summary(az.from_dict(group) if az.__version__ < "1" else az.from_dict({"posterior": group}))
"""


def main() -> None:
    """Print the ratios."""
    about = machine.describe()
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']},", end=" ")
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    environment = machine.environment(1)

    def run(*command: str) -> float:
        return seconds(
            lambda: subprocess.run(command, env=environment, check=True, capture_output=True)
        )

    with tempfile.TemporaryDirectory() as folder:
        once = (GRADBENCH, "run", "gaussian50", "--set", "replicates=1", "--results", folder)
        run(*once)
        run(sys.executable, "-c", BARE)  # both with a warm compile cache
        pairs = [(run(*once), run(sys.executable, "-c", BARE)) for _ in range(N_PAIRS)]
        ratio = median(ours / bare for ours, bare in pairs)
        show("run of one replicate / bare script with az.summary", ratio, "at most 0.35")
    whole_runs(environment)

    start = median(run(sys.executable, "-c", "pass") for _ in range(9))
    for flag in ("--help", "--version"):
        took = median(run(GRADBENCH, flag) for _ in range(9))
        show(f"gradbench {flag} / python -c pass", took / start, "at most 5")

    compat.pymc()
    batched_density()
    foreign_summary()


def whole_runs(environment: dict[str, str]) -> None:
    """Print wall times over what runs tell of, and the memory of their processes."""
    schools = ("samplers", "--only", "schools", "--skip-missing")
    bounded = ("--set", "replicates=2", "--set", "limits.total_memory=2GiB")
    for what, words, of_time, of_memory in (
        ("gaussian50, 5 replicates", ("gaussian50",), "at most 1.6", ""),
        ("every sampler, eight schools", (*schools, "--set", "replicates=1"), "at most 1.3", ""),
        ("the same, 2 replicates in 2 GiB", (*schools, *bounded), "", "at most 2"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            command = [GRADBENCH, "run", *words, "--results", folder, "--quiet"]
            wall_s, peak_bytes = watched(command, environment)
            (path,) = Path(folder).glob("*/*")
            run = store.read(path)
        told_s = sum(
            spent or 0
            for s in summarize(run.results, run.checks)
            for spent in (s.compile_s, s.recompile_s, s.warmup_s, s.sampling_s)
        )
        show(f"{what}: wall / (compile + warm-up + sampling)", wall_s / told_s, of_time)
        show(f"{what}: peak memory, GiB", peak_bytes / 2**30, of_memory)


def watched(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Return a command's wall seconds, and the peak of its processes' proportional memory."""
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                tree = psutil.Process(process.pid).children(recursive=True)
                pids = [process.pid, *(child.pid for child in tree)]
                peak = max(peak, sum(machine.memory_bytes(pid) for pid in pids))
            time.sleep(POLL_S)
    return time.perf_counter() - start, peak


def batched_density() -> None:
    """Print the batched log-density against a loop, and against NumPy."""
    target = Target(*models.load(models.find("gaussian", Path()), {"dim": 50}))
    points = np.random.default_rng(0).standard_normal((62, 50))
    constant = -25 * np.log(2 * np.pi)

    def by_hand() -> object:
        return constant - 0.5 * np.einsum("ij,ij->i", points, points)

    batch = each(lambda: target.logdensity_batch(points))
    loop = each(lambda: [target.logdensity(x) for x in points])
    show("62 points at once / in a loop, 50 dimensions", batch / loop)
    show("62 points at once / NumPy by hand", batch / each(by_hand))
    inside = np.random.default_rng(0).uniform(-1, 1, (62, 1))
    checked, plain = (checked_density(is_checked=c) for c in (True, False))
    ratio = each(lambda: checked.logdensity_batch(inside)) / each(
        lambda: plain.logdensity_batch(inside)
    )
    show("62 points at once, a check that may fail / no check", ratio, "at most 1.5")


def checked_density(*, is_checked: bool) -> Target:
    """Return a normal of 100 data whose scale may be negative."""
    pm = compat.pymc()
    data = np.random.default_rng(1).standard_normal(100)
    with pm.Model() as model:
        scale = 1 + 0.3 * pm.Normal("b")
        if is_checked:
            pm.Normal("y", 0, scale, observed=data)
        else:
            logp = -0.5 * (data / scale) ** 2 - pm.math.log(scale) - 0.5 * np.log(2 * np.pi)
            pm.Potential("y", logp)
    return Target(model)


def foreign_summary() -> None:
    """Print the diagnostics of 124 walkers, 3000 steps, 50 parameters against az.summary."""
    az = compat.arviz()
    walkers = np.random.default_rng(0).standard_normal((124, 3000, 50)).cumsum(axis=1)
    group = {"x": walkers}
    data = az.from_dict(group) if az.__version__ < "1" else az.from_dict({"posterior": group})
    groups = np.zeros(124, dtype=np.int64)
    ratio = median(
        seconds(lambda: az.summary(data)) / seconds(lambda: diagnostics.compute(walkers, groups))
        for _ in range(N_PAIRS)
    )
    show("az.summary / all diagnostics, 124 x 3000 x 50", ratio, "at least 5")


def seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def each(work: Callable[[], object], n: int = 300) -> float:
    """Return the median seconds of a short call, over several batches of n."""
    return median(seconds(lambda: [work() for _ in range(n)]) / n for _ in range(7))


def show(what: str, ratio: float, aim: str = "") -> None:
    """Print one ratio beside its aim."""
    print(f"{ratio:8.3g}  {what}" + (f"  ({aim})" if aim else ""), flush=True)


if __name__ == "__main__":
    main()
