"""Verdicts on one run and on replicates: draws whose law is known, and what is said of them."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.signal import lfilter

from gradbench.config.benchmark import Gates
from gradbench.config.planning import Cell
from gradbench.draws import Evaluations, FloatArray, IntArray
from gradbench.measure import statuses
from gradbench.measure.result import CellResult, Measured
from gradbench.results.contests import contests
from gradbench.results.parameters import parameter_rows
from gradbench.results.rows import rows
from gradbench.results.summarize import summarize
from gradbench.results.summary import is_failure
from gradbench.show.results import results
from gradbench.stats import diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.starts import Init
from gradbench.timing import Duration, Timing

GATES = Gates()
RNG = np.random.default_rng


def series(shape: tuple[int, ...], phi: float = 0.0, seed: int = 0) -> FloatArray:
    """Return stationary AR(1) series (chains, draws, n) of variance 1."""
    noise = RNG(seed).standard_normal((shape[0], shape[1] + 200, *shape[2:]))
    x: FloatArray = lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=1)[:, 200:]
    return x


def measured(draws: FloatArray, *, is_ensemble: bool = False, **given: Any) -> Measured:
    """Return what a run of these draws (chains, draws, n) would have measured."""
    n_chains, n_draws, n = draws.shape
    groups = np.zeros(n_chains, int) if is_ensemble else np.arange(n_chains)
    whole: dict[str, Any] = {
        "timing": Timing(Duration(), Duration(1.0, 1.0), Duration(3.0, 3.0)),
        "evaluations": Evaluations(n_grad_sampling=5000),
        "parameters": tuple(f"x[{i}]" for i in range(n)),
        "diagnostics": diagnostics.compute(draws, groups),
        "reference": None, "reference_source": None, "n_chains": n_chains, "n_draws": n_draws,
        "is_ensemble": is_ensemble, "n_divergences": None, "acceptance_rate": None,
        "peak_memory_bytes": 1, "fingerprint": "ab", "backend": "c", "thread_pools": {},
        "load": 0.1,
    }  # fmt: skip
    return Measured(**{**whole, **given})


def result(
    draws: FloatArray, replicate: int = 0, *, init: Init = "uniform", **given: Any
) -> CellResult:
    cell = Cell(
        model="m", model_use="m", params={}, sampler="s", sampler_use="s", options={},
        init=init, threads=1, replicate=replicate, seed=replicate, start_seed=2,
    )  # fmt: skip
    found = measured(draws, **given)
    return CellResult(cell, *statuses.status_of(found, GATES), measured=found)


def told(found: list[CellResult]) -> list[str]:
    return [summary.status for summary in summarize(found)]


def shown(found: list[CellResult]) -> str:
    text = io.StringIO()
    results(summarize(found), to=Console(file=text, width=400, highlight=False))
    return text.getvalue()


KINDS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "lone chains": ((1, 1000, 2), {}),
    "chains": ((2, 500, 2), {}),
    "ensembles": ((20, 200, 2), {"is_ensemble": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_replicates_in_two_modes_did_not_converge(kind: str) -> None:
    """Each is fine alone; apart by six sds, none has a price, whatever the sampler is."""
    shape, given = KINDS[kind]
    runs = [result(series(shape, seed=r), r, **given) for r in range(3)]
    assert told(runs) == ["ok"] * 3
    apart = [result(series(shape, seed=r) + 6 * (r == 1), r, **given) for r in range(3)]
    assert {run.status for run in apart} == {"ok"}
    found = summarize(apart)
    assert {summary.status for summary in found} == {"not_converged"}
    assert {summary.ms_per_ess for summary in found} == {None}
    assert found[0].reason.startswith("R-hat of the replicates in x[")
    (row,) = rows(found)
    assert row.rhat is not None
    assert row.rhat > 2
    assert not contests(found)


def test_replicates_of_other_widths_did_not_converge() -> None:
    """The same means and another spread: R-hat of the square tells."""
    runs = [result(series((2, 1000, 1), seed=r) * (1 + (r == 1)), r) for r in range(2)]
    assert told(runs) == ["not_converged"] * 2


def test_a_lone_chain_is_unreliable() -> None:
    """It keeps its price and is marked; nothing compared it. A weighted sample is no chain."""
    chain = result(series((1, 1000, 1)))
    (summary,) = summarize([chain])
    assert summary.status == "unreliable"
    assert "no second to compare it with" in summary.reason
    assert summary.ms_per_ess is not None
    assert told([result(series((1, 1000, 1)), is_weighted=True)]) == ["ok"]
    alone = [result(series((20, 200, 1)), is_ensemble=True)]
    assert told(alone) == ["ok"]
    assert "one run, and no second to compare it with (replicates: 2 or more): s" in shown(alone)


def test_the_halves_of_a_lone_chain_are_compared() -> None:
    """A chain that goes to another place halfway has not converged."""
    x = series((1, 1000, 1))
    x[:, 500:] += 3
    assert result(x).status == "not_converged"
    assert result(x).reason.startswith("R-hat of the chain's halves in x[0] is ")


def test_a_stuck_chain_in_twenty_replicates_voids_no_other() -> None:
    """Of a baseline only the replicate that is stuck counts for nothing; of two, both do."""
    stuck = series((4, 250, 1), seed=99)
    stuck[0] += 5
    runs = [result(series((4, 250, 1), seed=r), r) for r in range(20)]
    assert told([*runs, result(stuck, 20)]) == ["ok"] * 20 + ["not_converged"]
    assert told([runs[0], result(stuck, 1)]) == ["not_converged"] * 2


@pytest.mark.parametrize("n_replicates", [2, 5, 20])
def test_clean_replicates_seldom_disagree(n_replicates: int) -> None:
    """Of 100 clean runs with ESS of 100 to 4,000, one is called, or a few by chance."""
    rng, n, n_called = RNG(1), 20, 0
    bare = result(series((4, 5, n)), is_ensemble=True)
    assert bare.measured is not None
    for _ in range(100):
        group = []
        for _ in range(n_replicates):
            ess, square = rng.uniform(100, 4000, n), rng.uniform(100, 4000, n)
            variance = 1 + np.sqrt(2 / square) * rng.standard_normal(n)
            found = replace(
                bare.measured.diagnostics,
                mean=rng.standard_normal(n) / np.sqrt(ess), sd=np.sqrt(variance),
                square_sd=np.full(n, np.sqrt(2)), ess_mean=ess, ess_square=square,
            )  # fmt: skip
            group.append(
                replace(bare, status="ok", measured=replace(bare.measured, diagnostics=found))
            )
        n_called += statuses.agreement(group, GATES).status is not None
    assert n_called <= 4


def test_walkers_that_wander_off_did_not_converge() -> None:
    """Steps that grow with the distance never settle; the sentence asks whether it is proper."""
    growing = np.exp(0.1 * np.arange(400))[None, :, None] * series((20, 400, 2))
    run = result(growing, is_ensemble=True)
    assert run.status == "not_converged"
    assert "the walkers' spread in x[" in run.reason
    assert run.reason.endswith("is the posterior proper?")
    arriving = series((20, 400, 2)) + np.linspace(2, 0, 400)[None, :, None]
    assert "R-hat of the run's halves in x[" in result(arriving, is_ensemble=True).reason


@pytest.mark.parametrize(("n_walkers", "n"), [(4, 2), (20, 10)])
def test_clean_ensembles_seldom_drift(n_walkers: int, n: int) -> None:
    """Of 40 stationary ensembles of ten autocorrelation times, hardly one is called."""
    found = diagnostics.compute(series((n_walkers, 190, 40 * n), 0.9), np.zeros(n_walkers, int))
    is_large = found.t_halves > diagnostics.t_by_chance(n, n_walkers)
    assert (found.rhat_halves > GATES.rhat).sum() > 40
    assert is_large.reshape(40, n).any(axis=1).sum() <= 2


@pytest.mark.parametrize("groups", [np.arange(4), np.zeros(4, int)])
@pytest.mark.parametrize("scale", [1e160, 1e-170, 1e300])
def test_a_scale_changes_nothing(groups: IntArray, scale: float) -> None:
    """Draws of 1e160 have the ESS that they have at 1; what overflows is null in JSON."""
    x = series((4, 200, 3), 0.5)
    power = 2.0 ** np.round(np.log2(scale))
    plain, scaled = (diagnostics.compute(x * by, groups) for by in (1.0, power))
    for name in ("ess_bulk", "ess_tail", "ess_mean", "ess_square", "rhat", "tau", "pareto_k"):
        assert np.array_equal(getattr(plain, name), getattr(scaled, name), equal_nan=True), name
    assert scaled.sd == pytest.approx(plain.sd * power)
    assert scaled.n_independent == plain.n_independent
    json.dumps(scaled.to_json(), allow_nan=False)
    weighted = diagnostics.compute_weighted(power * x[:1], np.full(200, 1 / 200))
    assert weighted.sd == pytest.approx(power * x[0].std(axis=0))


def test_agreement_of_scales_that_overflow() -> None:
    """Replicates whose variances are beyond a float are compared as any others."""
    near = [result(1e160 * series((2, 500, 1), seed=r), r) for r in range(2)]
    assert told(near) == ["ok"] * 2
    apart = [result(1e160 * (series((2, 500, 1), seed=r) + 3 * r), r) for r in range(2)]
    assert told(apart) == ["not_converged"] * 2


@pytest.mark.parametrize("n_draws", [100, 2000])
def test_pareto_k_is_arviz(n_draws: int) -> None:
    """Pareto k of the heavier tail is ArviZ's, for independent draws and correlated ones."""
    array_stats = pytest.importorskip("arviz_stats.base").array_stats
    x = np.exp(series((2, n_draws // 2, 2), 0.3))
    x[..., 1] = RNG(0).standard_cauchy(x.shape[:2])
    found = diagnostics.compute(x, np.arange(2))
    share = np.fmin(1, found.ess_tail / n_draws)
    expected = [array_stats.pareto_khat(x[..., i], r_eff=share[i]) for i in range(2)]
    assert found.pareto_k == pytest.approx(np.array(expected, float), rel=1e-8)


def heavy(replicate: int, **given: Any) -> CellResult:
    """Return a run of a Cauchy, a normal, a t with 3 degrees of freedom, and a lognormal."""
    rng = RNG(replicate)
    x = rng.standard_normal((2, 1000, 4))
    x[..., 0] = rng.standard_cauchy((2, 1000))
    x[..., 2] = rng.standard_t(3, (2, 1000))
    x[..., 3] = np.exp(x[..., 3])
    return result(x, replicate, **given)


def test_moments_that_dont_exist_are_left_out() -> None:
    """A Cauchy keeps bulk and tail ESS, loses those of mean and square; the others lose nothing."""
    one = np.array([np.nan, 1.0, 1.0, 1.0])
    reference = ReferenceMoments(
        mean=0 * one, sd=one, square_sd=one, mean_se=0 * one, variance_se=0 * one
    )
    runs = [heavy(r, reference=reference) for r in range(2)]
    rows = parameter_rows(runs)
    cauchy, *others = rows[:4]
    assert cauchy.ess_mean is cauchy.ess_square is cauchy.mcse_mean is cauchy.sd is None
    assert cauchy.error_sd is cauchy.z is cauchy.error_based_ess is None
    assert None not in (cauchy.ess_bulk, cauchy.ess_tail)
    for row in others:
        assert None not in (row.ess_mean, row.ess_square, row.mcse_mean, row.sd, row.z)
    found = summarize([heavy(r) for r in range(2)])
    assert found[0].status == "ok"
    assert found[0].heavy_tails is not None
    assert found[0].heavy_tails.startswith("x[0] ")
    assert None not in (found[0].worst_ms_per_ess, found[0].ess_geometric_mean)
    said = "tails too heavy for a variance, so no ESS of mean and square (Pareto k): s x[0] "
    assert said in shown([heavy(r) for r in range(2)])


def test_a_reference_knows_that_moments_exist() -> None:
    """Draws from far out, such as stuck walkers give, are an error where the variance is known."""
    one = np.ones(4)
    known = ReferenceMoments(
        mean=0 * one, sd=one, square_sd=2**0.5 * one, mean_se=0 * one, variance_se=0 * one
    )
    found = summarize([heavy(r, reference=known) for r in range(2)])
    assert found[0].heavy_tails is None
    assert found[0].status in {"biased", "overstated"}
    assert found[0].ms_per_ess is None


def test_light_tails_are_not_called_heavy() -> None:
    """Of 50 t with 2.5 degrees of freedom, whose variance is finite, none loses it by chance."""
    x = RNG(2).standard_t(2.5, (2, 1000, 50))
    (summary,) = summarize([result(x)])
    assert summary.heavy_tails is None


SHARES = {0.005: "ok", 0.02: "unreliable", 0.3: "diverged"}


@pytest.mark.parametrize(("share", "status"), SHARES.items())
def test_divergences_count(share: float, status: str) -> None:
    """Above 1 % of the kept transitions the row is marked, above a quarter it has no price."""
    run = result(series((2, 1000, 1)), n_divergences=int(2000 * share))
    (summary,) = summarize([run])
    assert summary.status == status
    assert (summary.ms_per_ess is None) == (status == "diverged")
    assert ("kept transitions diverged" in summary.reason) == (status != "ok")
    assert not is_failure([summary])


def test_divergences_and_saturated_trees_are_said() -> None:
    """A row with another trouble says its divergences too; saturated trees above 1 % are named."""
    few: dict[str, Any] = {"n_divergences": 100, "n_saturated": 30}
    text = shown([result(series((2, 1000, 1), 0.9), **few)])
    assert "too_few_draws" in text
    assert "kept transitions that diverged: s 5.0%" in text
    assert "at the maximum tree depth, where they are cut short: s 1.5%" in text
    assert "tree depth" not in shown([result(series((2, 1000, 1)), n_saturated=20)])


def test_one_ball_is_said() -> None:
    """Where all runs start around one point, a sentence says what R-hat then can't show."""
    runs = [result(series((20, 200, 1), seed=r), r, init="map", is_ensemble=True) for r in (0, 1)]
    assert "all runs started in one ball" in shown(runs)
    assert "one ball" not in shown([replace(runs[0], cell=replace(runs[0].cell, init="uniform"))])


def test_older_results_are_read() -> None:
    """Results of version 4 have no halves, tails or saturated trees: they are judged without."""
    plain = result(series((2, 1000, 1))).to_json() | {"schema_version": 4}
    for name in ("rhat_halves", "t_halves", "spread_halves", "pareto_k", "n_tail"):
        del plain["measured"]["diagnostics"][name]
    for name in ("is_weighted", "n_saturated"):
        del plain["measured"][name]
    older = CellResult.from_json(json.loads(json.dumps(plain)))
    assert told([older, older]) == ["ok", "ok"]
    assert older.measured is not None
    assert statuses.status_of(older.measured, GATES) == ("ok", "")
    nested = {**plain, "measured": {**plain["measured"], "n_chains": 1, "log_evidence": -3.0}}
    assert told([CellResult.from_json(nested)]) == ["ok"]


@pytest.mark.parametrize("name", ["normal", "Student t", "Cauchy"])
def test_a_long_tail_is_thinned(name: str) -> None:
    """A tail of 40,000 draws has the shape that all of them give, to a hundredth."""
    rng = RNG(3)
    draws = {
        "normal": lambda: rng.standard_normal(40_000),
        "Student t": lambda: rng.standard_t(2.5, 40_000),
        "Cauchy": lambda: rng.standard_cauchy(40_000),
    }[name]()
    tail = np.sort(np.abs(draws))
    thinned = diagnostics._pareto_k(tail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnostics, "MAX_FITTED", len(tail))
        assert thinned == pytest.approx(diagnostics._pareto_k(tail), abs=0.01)
