"""Results to rows to text, compared exactly: made-up measurements, known answers."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm

from gradbench.config.benchmark import Gates
from gradbench.config.planning import Cell
from gradbench.draws import Evaluations
from gradbench.errors import StoreError
from gradbench.measure import statuses
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult, Measured, Status
from gradbench.results import export
from gradbench.results.contests import contests
from gradbench.results.growth import growths
from gradbench.results.parameters import parameter_rows
from gradbench.results.rows import rows
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary, is_failure
from gradbench.show.results import results
from gradbench.stats.diagnostics import Diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.timing import Duration, Timing

GATES = Gates()
CHECK = DensityCheck("normal", ("nuts", "emcee"), 16, 2e-15, 3e-9)


def diagnostics(**given: Any) -> Diagnostics:
    """Return two parameters' diagnostics: ESS 1000, nothing wrong."""
    ones = np.ones(2)
    whole: dict[str, Any] = {
        "mean": 0 * ones, "sd": ones, "square_sd": ones, "second_moment": ones,
        "mcse_mean": 0.03 * ones,
        "ess_bulk": 1000 * ones, "ess_tail": 900 * ones, "ess_mean": 1000 * ones,
        "ess_square": np.array([500.0, 400.0]), "rhat": 1.001 * ones, "tau": np.nan * ones,
        "ess_bulk_as_chains": np.nan * ones, "ess_autocorr_time": np.nan * ones,
        "rhat_halves": np.nan * ones, "t_halves": np.nan * ones, "spread_halves": np.nan * ones,
        "pareto_k": 0 * ones, "n_tail": 100 * ones, "n_distinct": 2000 * ones,
        "is_finite": np.ones(2, bool), "is_counted": np.ones(2, bool), "n_independent": 2.0,
        "n_independent_square": 2.0,
    }  # fmt: skip
    return Diagnostics(**{**whole, **given})


def measured(*, sampling_s: float = 3.0, frozen: str | None = None, **given: Any) -> Measured:
    return Measured(
        frozen=frozen,
        timing=Timing(Duration(2.0, 1.9), Duration(1.0, 1.0), Duration(sampling_s, 2.9)),
        evaluations=Evaluations(n_grad_warmup=3000, n_grad_sampling=5000),
        parameters=("x[0]", "x[1]"),
        diagnostics=diagnostics(**given),
        reference=ReferenceMoments(
            mean=np.zeros(2), sd=np.ones(2), square_sd=np.full(2, 2**0.5),
            mean_se=np.zeros(2), variance_se=np.zeros(2),
        ),
        reference_source="exact", n_chains=2, n_draws=1000, is_ensemble=False, n_divergences=0,
        acceptance_rate=0.8, peak_memory_bytes=2**28, fingerprint="ab", backend="c",
        thread_pools={"openblas": 1}, load=0.1,
    )  # fmt: skip


def result(sampler: str = "nuts", replicate: int = 0, **given: Any) -> CellResult:
    cell = Cell(
        model="normal", model_use="gaussian", params={"dim": 2}, sampler=sampler,
        sampler_use="pymc_nuts", options={"draws": 1000}, init="uniform", threads=1,
        replicate=replicate, seed=1, start_seed=2,
    )  # fmt: skip
    found = measured(**given)
    return CellResult(cell, *statuses.status_of(found, GATES), measured=found)


def test_costs_are_time_and_evaluations_over_ess() -> None:
    """4 s for 1000 effective draws is 4 ms each; the worst parameter has 400, so 10 ms."""
    (summary,) = summarize([result()], [CHECK])
    assert summary.status == "ok"
    assert summary.ms_per_ess == pytest.approx(4)
    assert summary.sampling_ms_per_ess == pytest.approx(3)
    assert summary.cpu_ms_per_ess == pytest.approx(3.9)
    assert summary.worst_ms_per_ess == pytest.approx(10)
    assert summary.worst_parameter == "x[1]"
    assert summary.evaluations_per_ess == pytest.approx(8)
    assert summary.z_max == 0
    assert summary.density_value_error == 2e-15


TROUBLE = {
    "nonfinite": {"is_finite": np.array([True, False])},
    "frozen": {"frozen": "x[1]"},
    "not_converged": {"rhat": np.array([1.001, 1.2])},
    "too_few_draws": {"ess_bulk": np.array([1000.0, 399.0])},
}


@pytest.mark.parametrize(("status", "given"), TROUBLE.items(), ids=TROUBLE)
def test_what_cant_be_trusted_has_no_cost(status: str, given: Any) -> None:
    """Each kind of trouble has its status, names its parameter, and a dash for a cost."""
    (summary,) = summarize([result(**given)])
    assert summary.status == status
    assert "x[1]" in summary.reason
    assert summary.ms_per_ess is summary.evaluations_per_ess is None
    assert is_failure([summary]) == (status in {"nonfinite", "frozen"})
    (row,) = rows([summary])
    assert row.ms_per_ess is None


def test_rhat_of_disagreeing_chains_is_not_excused_by_their_small_ess() -> None:
    """Chains that disagree have few effective draws; that must not widen what R-hat may be."""
    bad = result(rhat=np.array([1.0, 1.3]), ess_bulk=np.array([900.0, 5.0]))
    assert bad.status == "not_converged"


def test_rhat_and_its_limit_never_look_the_same() -> None:
    """However little R-hat is above its limit, the reason shows that it is."""
    limit = float(result(rhat=np.array([1.0, 1.2])).reason.split("above ")[1])
    n_close = 0
    for excess in np.linspace(-6e-4, 6e-4, 25):
        close = result(rhat=np.array([1.0, limit + excess]))
        if close.status == "not_converged":
            rhat, allowed = close.reason.removeprefix("R-hat of x[1] is ").split(", above ")
            assert float(rhat) > float(allowed)
            n_close += len(rhat) > len("1.234")
    assert n_close > 0


def test_claims_the_errors_refute_lose_their_cost() -> None:
    """Errors four times what the ESS allows are overstated; a common shift is biased."""
    rng = np.random.default_rng(0)
    wild = [result("nuts", r, mean=0.15 * rng.standard_normal(2)) for r in range(12)]
    found = summarize(wild)
    assert {s.status for s in found} == {"overstated"}
    assert found[0].calibration is not None
    assert found[0].error_based_ess == pytest.approx(1000 / found[0].calibration)
    assert "times what its errors allow" in found[0].reason
    assert {s.ms_per_ess for s in found} == {None}
    shifted = summarize([result("nuts", r, mean=np.array([0.0, 0.5])) for r in range(3)])
    assert {s.status for s in shifted} == {"biased"}
    assert "the mean of x[1] is off by +0.50 sd" in shifted[0].reason
    assert is_failure(shifted)
    spread = summarize([result("nuts", r, second_moment=np.array([1.0, 1.9])) for r in range(3)])
    assert "the second moment of x[1] is off" in spread[0].reason


def test_one_replicate_shows_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A mean a fifth of an sd off at an ESS of 400 is four standard errors: told, not judged."""
    off = result("nuts", mean=np.array([0.0, 0.2]), ess_mean=np.full(2, 400.0))
    found = summarize([off, result("emcee")])
    assert {s.status for s in found} == {"ok"}
    nuts, emcee = sorted(rows(found), key=lambda row: row.sampler, reverse=True)
    allowed = norm.isf(0.01 / 4)  # of two parameters, on either side
    assert nuts.lone_z == pytest.approx((4.0, allowed))
    assert emcee.lone_z == pytest.approx((0.0, allowed))
    results(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "nuts 4.0 (chance allows 2.8); emcee 0.0" in shown
    two = summarize([result("nuts", r, mean=np.array([0.01 * r, 0])) for r in (0, 1)])
    assert rows(two)[0].lone_z is None


def test_one_replicate_far_off_is_contradicted() -> None:
    """Ten standard errors and half an sd refute an ESS at once; of a tiny error the sd says so."""
    off = result("nuts", mean=np.array([0.0, -0.5]), ess_mean=np.full(2, 400.0))
    (summary,) = summarize([off])
    assert summary.status == "overstated"
    assert summary.reason == (
        "the mean of x[1] is off by 10.0 standard errors that its ESS claims,"
        " where chance allows 2.8"
    )
    assert summary.ms_per_ess is None
    tiny = result("nuts", mean=np.array([0.0, 0.09]), ess_mean=np.full(2, 1e5))
    assert summarize([tiny])[0].status == "ok"
    both = result("nuts", mean=np.array([0.3, 0.09]), ess_mean=np.array([1e3, 1e5]))
    assert "the mean of x[0]" in summarize([both])[0].reason


def test_a_references_own_error_counts() -> None:
    """Half an sd off a reference that is itself known to a fifth of an sd contradicts nothing."""
    off = result("nuts", mean=np.array([0.0, 0.5]), ess_mean=np.full(2, 400.0))
    assert off.measured is not None
    assert off.measured.reference is not None
    rough = replace(off.measured.reference, mean_se=np.full(2, 0.2))
    (summary,) = summarize([replace(off, measured=replace(off.measured, reference=rough))])
    assert summary.status == "ok"
    assert summary.z_max == pytest.approx(0.5 / np.hypot(0.05, 0.2))


def three() -> list[Summary]:
    """Three replicates of a cheap sampler, of one four times as dear, and of one that crashes."""
    results = []
    for replicate, factor in enumerate((1.0, 1.1, 0.9)):
        results += [
            result("frail", replicate, sampling_s=0.3 * factor),
            result("dear", replicate, sampling_s=15 * factor),
            result("cheap", replicate, sampling_s=3 * factor),
        ]
    results[6] = CellResult(results[6].cell, "crashed", "the worker died of SIGSEGV")
    return summarize(results, [CHECK])


def test_rows_are_sorted_by_cost_and_compared() -> None:
    """The cheapest sampler stands first, and its lead has an interval."""
    first, second, _ = rows(three())
    assert (first.sampler, second.sampler) == ("cheap", "dear")
    (contest,) = contests(three())
    assert (contest.best, contest.other) == ("cheap", "dear")
    assert contest.time is not None
    assert contest.time.low < contest.time.estimate < contest.time.high
    assert contest.time.estimate == pytest.approx(4.0, rel=0.01)
    assert contest.evaluations.estimate == pytest.approx(1)


def of_ten(*statuses: Status) -> list[Summary]:
    """Ten replicates, some of them with another status and no cost, the last ones first."""
    results = [result("nuts", replicate) for replicate in range(10)]
    for i, status in enumerate(statuses):
        results[i] = CellResult(results[i].cell, status, f"{status} for a reason")
    rival = [result("rival", replicate, sampling_s=15) for replicate in range(10)]
    return summarize([*results, *rival], [CHECK])


def test_survivors_give_no_price() -> None:
    """One replicate in ten may lack a cost; with two the sampler has none, and no contest."""
    (row, _), one = rows(of_ten("crashed")), of_ten("crashed")
    assert (row.sampler, row.status, row.n_uncosted) == ("nuts", "crashed", 1)
    assert row.ms_per_ess is not None
    assert [contest.best for contest in contests(one)] == ["nuts"]
    assert "crashed 1/10" in printed(one)
    assert "nuts: crashed in 1 of 10: crashed for a reason" in printed(one)

    two = of_ten("crashed", "timeout")
    first, last = rows(two)
    assert (first.sampler, last.sampler, last.n_uncosted) == ("rival", "nuts", 2)
    assert last.ms_per_ess is last.worst_ms_per_ess is last.evaluations_per_ess is None
    assert last.worst_parameter is None
    assert not contests(two)
    assert "crashed 2/10" in printed(two)


def test_what_lacks_a_cost_names_the_row() -> None:
    """A crash is told before what is merely unreliable, however often that is."""
    results = [replace(result("nuts", i), status="unreliable", reason="short") for i in range(3)]
    results[2] = CellResult(results[2].cell, "crashed", "the worker died")
    (row,) = rows(summarize(results, [CHECK]))
    assert (row.status, row.n_status, row.reason) == ("crashed", 1, "the worker died")
    assert row.lone_z is None
    (alone,) = rows(summarize([result("nuts", 0)], [CHECK]))
    assert alone.lone_z is not None
    lost = CellResult(results[1].cell, "crashed", "the worker died")
    (row,) = rows(summarize([result("nuts", 0), lost], [CHECK]))
    assert row.lone_z is None, "one of two is not alone"


def printed(found: list[Summary], width: int = 100) -> str:
    text = io.StringIO()
    results(found, to=Console(file=text, width=width, highlight=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip()


TABLE = """\
normal  3 replicates, started from uniform(-2, 2) on the unconstrained scale
                    ms/ESS         s to 1 000  evals         compile
sampler          [95 % CI]          worst ESS   /ESS    ESS        s  R-hat  div.  status
──────────────────────────────────────────────────────────────────────────────────────────────
cheap    3.99 [3.31, 4.81]  10.5 [8.77, 12.5]   8.00  1 000     2.00  1.001     0  ok
dear     16.0 [12.6, 20.2]  40.4 [32.1, 50.9]   8.00  1 000     2.00  1.001     0  ok
frail                    –                  –      –  1 000     2.00  1.001     0  crashed 1/3
hidden (terminal too narrow): worst ms/ESS, warm-up + sampling s, evals to b² 0.01

• cheap is 4.00 [3.28, 4.86] times cheaper than dear in time, 1.00 [1.00, 1.00] times in evaluations
• fastest to so many effective draws of the worst parameter, compile and warm-up included: cheap to
  any number
• ESS claimed / ESS from errors against known moments: cheap 0 [0, 0]; dear 0 [0, 0]; frail 0 [0, 0]
• samplers agree: largest difference of a mean or second moment 0.0 standard errors, where chance
  allows 3.5
• density check: 16 points, largest relative difference of values 2e-15, of gradients 3e-09
• frail: crashed in 1 of 3: the worker died of SIGSEGV"""


def test_the_table_to_the_byte() -> None:
    """The table of made-up results, compared exactly."""
    assert printed(three()) == TABLE


def test_csv_is_exact_both_ways() -> None:
    """A results.csv gives back the very summaries, so its table is the same."""
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "results.csv"
        path.write_text(export.to_csv(three()))
        assert export.from_csv(path) == three()
        for damage, words in {
            "": "no results in it",
            "a,b\n1,2\n": "not a results.csv: it has no column 'model'",
            export.to_csv(three())[:-60]: r"results.csv:10: cut short",
            export.to_csv(three()).replace(
                ",uniform,1,", ",uniform,?,"
            ): "results.csv:2: not a line",
        }.items():
            path.write_text(damage)
            with pytest.raises(StoreError, match=words):
                export.from_csv(path)


def test_results_survive_json() -> None:
    """A cell's result survives JSON; one from a newer version is refused."""
    import json

    whole = result(tau=np.array([3.0, np.nan]), sd=np.array([np.inf, 1.0]))
    again = CellResult.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False)))
    assert export.to_csv(summarize([again])) == export.to_csv(summarize([whole]))
    with pytest.raises(ValueError, match="newer than this gradbench"):
        CellResult.from_json({**whole.to_json(), "schema_version": 99})


def test_one_row_per_parameter() -> None:
    """parameters.csv has errors and z-scores of the mean and of the second moment."""
    rows = parameter_rows([result(mean=np.array([0.1, 0.0]))])
    assert [row.parameter for row in rows] == ["x[0]", "x[1]"]
    assert rows[0].error_sd == pytest.approx(0.1)
    assert rows[0].z == pytest.approx(0.1 * 1000**0.5)
    assert rows[0].error_based_ess == pytest.approx(100)
    assert rows[1].error_based_ess is None


def test_ensembles_shorter_than_ten_times_are_marked_and_costed() -> None:
    """An ensemble of 2.5 autocorrelation times keeps its cost and says what it lacks."""
    found = replace(measured(tau=np.array([100.0, 400.0])), is_ensemble=True)
    status, reason = statuses.status_of(found, GATES)
    assert status == "unreliable"
    assert reason == "1000 steps are 2.5 autocorrelation times of x[1]; 10 are needed"


def swept(
    dims: tuple[Any, ...] = (2, 10, 50), power: float = 0.5, sampler: str = "nuts", **given: Any
) -> list[CellResult]:
    """Return two replicates at each point of a sweep, sampling time a power of the dimension."""
    found = []
    for dim in dims:
        for replicate, factor in enumerate((1.1, 1 / 1.1)):
            bare = result(sampler, replicate, **given)
            assert bare.measured is not None
            spent = factor * (dim if type(dim) is int and dim > 0 else 1) ** power
            timing = Timing(sampling=Duration(spent, spent))
            cell = replace(bare.cell, model=f"normal[dim={dim}]", params={"dim": dim})
            found.append(replace(bare, cell=cell, measured=replace(bare.measured, timing=timing)))
    return found


def test_growth_is_the_exponent_of_the_cost() -> None:
    """Time that grows as the root of the dimension, evaluations that don't: both are found."""
    found = summarize([*swept(), *swept(power=2.0, sampler="emcee")])
    nuts, emcee = growths(found)
    assert (nuts.model, nuts.parameter, nuts.sampler) == ("normal", "dim", "nuts")
    assert (nuts.smallest, nuts.largest, nuts.n_points, nuts.n_uncosted) == (2, 50, 3, 0)
    assert nuts.time is not None
    assert emcee.time is not None
    assert nuts.time.estimate == pytest.approx(0.5)
    assert nuts.evaluations.estimate == pytest.approx(0)
    assert emcee.time.estimate == pytest.approx(2)
    assert {s.time_exponent for s in found} == {nuts.time.estimate, emcee.time.estimate}
    assert found[0].evaluations_exponent_low == nuts.evaluations.low


def test_points_without_a_cost_are_left_out_and_counted() -> None:
    """What didn't converge has no place on the line; the sentence counts such points."""
    stuck = swept((100, 200), rhat=np.array([1.0, 1.5]))
    found = summarize([*swept(), *stuck])
    (growth,) = growths(found)
    assert (growth.n_points, growth.n_uncosted, growth.largest) == (3, 2, 50)
    assert (
        "cost of nuts grows as dim^0.00 [0.00, 0.00] in evaluations, dim^0.50 [0.50, 0.50] in time"
        " (dim 2 … 50; 3 points; 2 without a cost left out)"
    ) in " ".join(printed(found).split())


@pytest.mark.parametrize(
    "results",
    [
        swept((2, 10)),
        [*swept((2, 10)), *swept((50, 100), rhat=np.array([1.0, 1.5]))],
        swept(("a", "b", "c")),
        swept((True, False, 0)),
        [result("nuts", replicate) for replicate in range(3)],
    ],
    ids=["two points", "two with a cost", "words", "no positive numbers", "no sweep"],
)
def test_no_growth_is_told_from_too_little(results: list[CellResult]) -> None:
    """Without three costed points of one positive number there is no exponent and no sentence."""
    found = summarize(results)
    assert growths(found) == []
    assert {s.time_exponent for s in found} == {None}
    assert "grows as" not in printed(found)


def test_a_sweep_is_one_table() -> None:
    """All points of a sweep stand under one head, each told from the next by its value."""
    both = [*swept(), *swept(power=2.0, sampler="emcee")]
    both.sort(key=lambda r: r.cell.params["dim"])
    text = printed(summarize(both), width=110)
    lines = text.splitlines()
    assert sum(line.startswith("normal  2 replicates") for line in lines) == 1
    points = [line.split()[:2] for line in lines if line.split()[-1:] == ["ok"]]
    assert points == [[dim, s] for dim in ("2", "10", "50") for s in ("nuts", "emcee")]
    assert "times cheaper than emcee at dim=10 in time" in " ".join(text.split())
    two = [replace(r, cell=replace(r.cell, model=f"n[dim={i},rho=0.5]"))
           for i, r in enumerate(swept((2, 10)))]  # fmt: skip
    assert "\ndim, rho  sampler" in printed(summarize(two), width=110)
    assert "\n0, 0.5    nuts" in printed(summarize(two), width=110)


def approximation(replicate: int = 0, **given: Any) -> CellResult:
    bare = result("advi", replicate, **given)
    assert bare.measured is not None
    found = replace(bare.measured, is_approximate=True)
    return CellResult(bare.cell, *statuses.status_of(found, GATES), measured=found)


def test_an_approximation_is_never_costed() -> None:
    """It has a time and an error, no effective sample size, and is no failure; its row is last."""
    off = approximation(mean=np.array([0.3, 0.4]), rhat=np.array([1.0, 1.5]))
    (summary,) = summarize([off])
    assert summary.status == "approximate"
    assert summary.ess is summary.ess_bulk_min is summary.rhat_max is summary.ms_per_ess is None
    assert summary.error_rms_sd == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 2))
    assert not is_failure([summary])
    stuck = result("stuck", rhat=np.array([1.0, 1.5]))
    found = summarize([off, stuck, result()])
    assert [row.sampler for row in rows(found)] == ["nuts", "stuck", "advi"]
    shown = io.StringIO()
    results(found, to=Console(file=shown, width=120))
    line = next(text for text in shown.getvalue().splitlines() if text.startswith("advi"))
    assert "4.00 s to 0.354 sd" in line
    assert shown.getvalue().count("────") > 1, "a rule above the approximations"


def test_evidence_has_its_error() -> None:
    """One replicate gives the sampler's own error, several their spread."""

    def nested(replicate: int, log_evidence: float) -> CellResult:
        bare = result("nested", replicate)
        assert bare.measured is not None
        found = replace(bare.measured, log_evidence=log_evidence, log_evidence_se=0.2)
        return replace(bare, measured=found)

    (alone,) = rows(summarize([nested(0, -31.0)]))
    assert alone.log_evidence == (-31.0, 0.2)
    (both,) = rows(summarize([nested(0, -31.0), nested(1, -32.0)]))
    assert both.log_evidence == pytest.approx((-31.5, 0.5))
