"""Workers that compute nothing: what a cell gives is made up, as its sampler's label says."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradbench.config.benchmark import Benchmark, Gates
from gradbench.config.planning import Cell
from gradbench.draws import Evaluations
from gradbench.measure import machine, nursery, statuses, workers
from gradbench.measure.bare import Bare
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult, Measured
from gradbench.measure.workers import Stopped
from gradbench.report.sources import Source
from gradbench.results.store import Stored
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary
from gradbench.stats.diagnostics import Diagnostics
from gradbench.stats.running import Running
from gradbench.target import ReferenceMoments
from gradbench.timing import Duration, Timing


def diagnostics(replicate: int, **given: Any) -> Diagnostics:
    """Return two parameters' diagnostics, errors as honest as their ESS of 1,000."""
    ones, error = np.ones(2), np.array([0.03, -0.03]) * (1 - replicate % 3)
    whole: dict[str, Any] = {
        "mean": error, "sd": ones, "square_sd": 1.4 * ones, "second_moment": 1 + error,
        "mcse_mean": 0.03 * ones, "ess_bulk": np.array([1100.0, 1000.0]),
        "ess_tail": 900 * ones, "ess_mean": 1000 * ones, "ess_square": np.array([500.0, 400.0]),
        "rhat": 1.001 * ones, "tau": np.nan * ones, "ess_bulk_as_chains": np.nan * ones,
        "ess_autocorr_time": np.nan * ones, "rhat_halves": np.nan * ones,
        "t_halves": np.nan * ones, "spread_halves": np.nan * ones, "pareto_k": 0 * ones,
        "n_tail": 100 * ones, "n_distinct": 2000 * ones, "is_finite": np.ones(2, bool),
        "is_counted": np.ones(2, bool), "n_independent": 2.0, "n_independent_square": 2.0,
    }  # fmt: skip
    return Diagnostics(**{**whole, **given})


# The error falls as it should until it is what all draws have.
RUNNING = Running(
    n_draws=np.array([1, 10, 100, 1000]),
    at=np.arange(2),
    mean=np.outer([1.0, 0.3, 0.1, 0.0], [1, -1]),
    square=np.ones((4, 2)),
)


def measured(replicate: int, **given: Any) -> Measured:
    """Return a run of two chains; what isn't a field of its own is one of its diagnostics."""
    own = {name: given.pop(name) for name in list(given) if name in Measured.__slots__}
    factor = 1 + 0.1 * (replicate % 3 - 1)
    usual = Measured(
        timing=Timing(
            Duration(2.0 * (replicate == 0), 2.0 * (replicate == 0)),
            Duration(factor, factor),
            Duration(3 * factor, 3 * factor),
        ),
        evaluations=Evaluations(n_grad_warmup=3000, n_grad_sampling=5000 + 100 * (replicate % 3)),
        parameters=("x[0]", "x[1]"),
        diagnostics=diagnostics(replicate, **given),
        reference=ReferenceMoments(
            np.zeros(2), np.ones(2), np.full(2, 2**0.5), np.zeros(2), np.zeros(2)
        ),
        reference_source="exact", n_chains=2, n_draws=1000, is_ensemble=False, n_divergences=0,
        acceptance_rate=0.8, peak_memory_bytes=2**28, fingerprint=f"ab{replicate}", backend="c",
        thread_pools={"openblas": 1}, load=0.5, start="uniform", start_span=3.0,
        batch_form="vectorized", n_saturated=0, versions={"pymc": "6.0.0"},
        running=RUNNING,
    )  # fmt: skip
    return replace(usual, **own)


OFF = np.array([0.0, 0.5])
TOO_LARGE = np.array([[0.3, -0.3], [-0.3, 0.3], [0.0, 0.3]])  # for an ESS of 1,000

# What makes a replicate have its status: what was measured, or how its worker ended.
MEASURED: dict[str, Callable[[int], Measured]] = {
    "ok": measured,
    "unreliable": lambda i: measured(i, n_divergences=100),
    "approximate": lambda i: measured(i, is_approximate=True, n_divergences=None, running=None),
    "too_few_draws": lambda i: measured(i, ess_bulk=np.array([1000.0, 399.0])),
    "not_converged": lambda i: measured(i, rhat=np.array([1.001, 1.2 if i == 1 else 1.001])),
    "diverged": lambda i: measured(i, n_divergences=900),
    "frozen": lambda i: measured(i, frozen="x[1]"),
    "nonfinite": lambda i: measured(i, is_finite=np.array([True, False])),
    "biased": lambda i: measured(i, mean=OFF),
    "disagrees": lambda i: measured(i, mean=OFF, reference=None),
    "overstated": lambda i: measured(i, mean=TOO_LARGE[i], ess_mean=np.full(2, 1e4)),
}
ENDED = {
    status: Stopped(status, f"{status}, said the worker", "all that it said")
    for status in ("timeout", "out_of_memory", "crashed", "failed")
}
UNSUITED = "no [log-density] suits it"


class Fake:
    """A worker that computes nothing: a sampler's label says what becomes of its cells."""

    pid = 1
    is_alive = True

    def __init__(self, *_: object) -> None:
        self._cell: Cell | None = None

    def call(self, do: str, **given: Any) -> Any:
        if do == "describe":
            labels = [cell["sampler"] for cell in given["cells"]]
            return {
                "ndim": 2,
                "complaints": [UNSUITED if s == "unsuited" else None for s in labels],
            }
        if do == "build":
            self._cell = Cell.from_json(given["cell"])
        if do == "probe":
            assert self._cell is not None
            values = [0.0, 1.0 if self._cell.sampler == "refused" else 0.0, -np.inf]
            told = {"values": values, "slopes": None}
            bare = {"logdensity_s": 1e-4, "batched_s": 5e-5, "gradient_s": 2e-4}
            truth = {
                "target_values": [0.0, 0.0, -np.inf], "again": [0.0, 0.0, -np.inf], "bare": bare
            }  # fmt: skip
            return told | (truth if given["with_target"] else {})
        if do == "sample":
            cell = Cell.from_json(given["cell"])
            if cell.sampler in ENDED:
                raise ENDED[cell.sampler]
            return MEASURED[cell.sampler](cell.replicate).to_json()
        return {"remedies": {}, "points": [[0.0, 0.0], [1.0, 2.0], [9.0, 9.0]]}.get(do, {})

    def close(self) -> None:
        pass


def replace_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs have made-up workers, on a made-up machine."""
    monkeypatch.setattr(workers, "Worker", Fake)
    monkeypatch.setattr(nursery, "CAN_FORK", False)
    monkeypatch.setattr(machine, "describe", lambda: {"cores": 2, "versions": {"pymc": "6.0.0"}})


def source(
    *labels: str, model: str = "normal", replicates: int = 3, name: str = "run", **given: Any
) -> Source:
    """Return a run of these samplers that was never made, each with its made-up measurements.

    Args:
        labels: of the samplers.
        model: its label.
        replicates: of each.
        name: of the run.
        given: as ``measured`` takes them.
    """
    return Source(name, *_summarized([*results(*labels, model=model, n=replicates, **given)]))


def results(*labels: str, model: str = "normal", n: int = 3, **given: Any) -> Iterator[CellResult]:
    """Yield the cells of such a run."""
    for sampler in labels:
        for replicate in range(n):
            made = measured(replicate, **given)
            cell = Cell(
                model=model, model_use="gaussian", params={"dim": 2}, sampler=sampler,
                sampler_use="pymc_nuts", options={}, init="uniform", threads=1,
                replicate=replicate, seed=1, start_seed=2,
            )  # fmt: skip
            yield CellResult(cell, *statuses.status_of(made, Gates()), made)


def _summarized(cells: list[CellResult]) -> tuple[list[Summary], Stored]:
    models = dict.fromkeys(result.cell.model for result in cells)
    bare = Bare(logdensity_s=1e-4, batched_s=5e-5, gradient_s=2e-4)
    checks = [DensityCheck(model, ("nuts",), 16, 2e-15, 3e-9, bare=bare) for model in models]
    entry = {"models": {"m": {"use": "gaussian"}}, "samplers": {"s": {"use": "emcee"}}}
    benchmark = Benchmark.model_validate({"name": "made-up", **entry})
    about = {"cores": 2, "versions": {"pymc": "6.0.0"}}
    return summarize(cells, checks), Stored(benchmark, about, {}, checks, cells)
