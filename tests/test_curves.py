"""Error against cost: running moments, b² of known errors, and where it stays small."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.draws import FloatArray
from gradbench.measure.result import CellResult, Measured, Status
from gradbench.results.curves import Curve, curves, reached
from gradbench.results.rows import rows
from gradbench.results.summarize import summarize
from gradbench.show.console import text
from gradbench.show.curves import curves as shown
from gradbench.stats import diagnostics, running
from gradbench.target import ReferenceMoments
from tests.conftest import Run, Write
from tests.made_up import measured as made_up

STANDARD = ReferenceMoments(
    np.zeros(2), np.ones(2), np.full(2, 2**0.5), np.zeros(2), np.zeros(2)
)  # fmt: skip


def normals(seed: int, n_draws: int, shift: float = 0.0) -> FloatArray:
    """Return four chains of two independent standard normals, moved."""
    return np.random.default_rng(seed).standard_normal((4, n_draws, 2)) + shift


def run_of(values: FloatArray, **given: Any) -> Measured:
    """Return a run of these draws (chains, draws, 2)."""
    found = diagnostics.compute(values, np.arange(4), reference_mean=np.zeros(2))
    whole = {
        "diagnostics": found, "running": running.running(values, found),
        "n_chains": 4, "n_draws": values.shape[1], "reference": STANDARD, **given,
    }  # fmt: skip
    return replace(made_up(0), **whole)


def results(**samplers: list[Measured]) -> list[CellResult]:
    """Return the cells of runs, by sampler; one that is an approximation says so itself."""
    benchmark = Benchmark.model_validate(
        {
            "name": "curves",
            "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
            "samplers": {name: {"use": "pymc_nuts"} for name in samplers},
            "replicates": max(map(len, samplers.values())),
        }
    )
    done = []
    for cell in planning.cells(benchmark):
        run = samplers[cell.sampler][cell.replicate]
        status: Status = "approximate" if run.is_approximate else "ok"
        done.append(CellResult(cell, status, "", run))
    return done


def curves_of(found: list[CellResult]) -> dict[str, Curve]:
    return {curve.sampler: curve for curve in curves(found, summarize(found))}


def test_running_moments_are_those_of_the_first_draws() -> None:
    """Scaled back, they are the first draws' own mean and second moment."""
    values = normals(1, 500, shift=7.0)
    found = diagnostics.compute(values, np.arange(4))
    made = running.running(values, found)
    assert made.n_draws[0] == 1
    assert made.n_draws[-1] == 500
    assert len(made.n_draws) <= running.N_POINTS
    for k, n in enumerate(made.n_draws):
        first = values[:, :n].reshape(-1, 2)
        mean = found.mean + found.sd * made.mean[k]
        square = found.sd**2 * made.square[k]
        assert mean == pytest.approx(first.mean(axis=0), abs=1e-4)
        assert square == pytest.approx(((first - found.mean) ** 2).mean(axis=0), rel=1e-4)


def test_running_moments_survive_json_and_a_choice_of_parameters() -> None:
    """What is read back is what was written; of some parameters, their own columns are left."""
    run = run_of(normals(1, 300))
    again = Measured.from_json(json.loads(json.dumps(run.to_json())))
    assert again.running is not None
    assert run.running is not None
    np.testing.assert_array_equal(again.running.mean, run.running.mean)
    second = run.running.only(np.array([False, True]))
    assert second.at.tolist() == [0]
    np.testing.assert_array_equal(second.square[:, 0], run.running.square[:, 1])


def test_of_many_parameters_some_are_followed_and_the_worst() -> None:
    """A file holds at most a hundred and one; the one with the smallest ESS is among them."""
    values = np.random.default_rng(1).standard_normal((2, 200, 300))
    values[:, :, 150] = np.cumsum(values[:, :, 150], axis=1)
    made = running.running(values, diagnostics.compute(values, np.arange(2)))
    assert len(made.at) == running.MAX_PARAMETERS + 1
    assert 150 in made.at


def test_a_constant_and_what_is_not_finite_have_no_error() -> None:
    """They are NaN, without a warning, and no number is made of them."""
    values = normals(1, 100)
    values[..., 0], values[2, 50, 1] = 1.0, np.inf
    made = running.running(values, replace(diagnostics.compute(values, np.arange(4)),
                                           is_counted=np.array([True, True])))  # fmt: skip
    assert np.isnan(made.mean).all()


def test_independent_draws_have_the_error_that_theory_gives_them() -> None:
    """b² of one parameter's mean or second moment is about 1 / n, whichever is larger."""
    found = results(nuts=[run_of(normals(i, 1000)) for i in range(40)])
    (curve,) = curves_of(found).values()
    assert (curve.against, curve.n_replicates) == ("known moments", 40)
    n = 4 * np.array(run_of(normals(0, 1000)).running.n_draws)  # type: ignore[union-attr]
    # The mean of the larger of two independent squared normals is 1 + 2 / pi.
    expected = (1 + 2 / math.pi) / n
    middle = curve.typical[:, 1] / expected
    assert np.median(middle) == pytest.approx(1, abs=0.25)
    assert (curve.worst[:, 0] <= curve.worst[:, 1]).all()
    assert (curve.worst[:, 1] <= curve.worst[:, 2]).all()


def test_warm_up_and_compile_are_in_the_cost() -> None:
    """The first point has paid for warm-up; the last for everything."""
    (curve,) = curves_of(results(nuts=[run_of(normals(1, 1000))])).values()
    assert curve.evaluations[0] == pytest.approx(3000 + 5000 / 1000)
    assert curve.evaluations[-1] == 8000
    assert curve.seconds[-1] == pytest.approx(2 + 0.9 + 2.7)
    assert np.isnan(curve.equivalents).all()  # no bare evaluation was measured


def test_a_bias_stays() -> None:
    """A mean half a sd off has a b² of a quarter, and never reaches the goal."""
    found = results(off=[run_of(normals(i, 4000, shift=0.5)) for i in range(3)])
    summaries = summarize(found)
    assert [summary.status for summary in summaries] == ["biased"] * 3
    for summary in summaries:
        assert summary.b2 == pytest.approx(0.25, abs=0.1)
        assert summary.evaluations_to_b2_goal is None
    (row,) = rows(summaries)
    assert row.evaluations_to_b2_goal == math.inf


def test_without_a_reference_the_others_agreement_stands_in() -> None:
    """Its own draws are not among what a sampler is compared with; a lone one has no curve."""
    runs = {
        name: [run_of(normals(seed + i, 8000), reference=None) for i in range(2)]
        for seed, name in enumerate(("one", "two", "three"))
    }
    found = curves_of(results(**runs))
    assert {curve.against for curve in found.values()} == {"the agreement of the others"}
    assert found["one"].worst[-1, 1] < 0.005
    assert curves_of(results(one=runs["one"])) == {}


def test_what_is_known_too_badly_is_not_known() -> None:
    """Moments with a standard error of a tenth of a sd can't tell an error of a tenth of one."""
    vague = replace(STANDARD, mean_se=np.full(2, 0.1), variance_se=np.full(2, 0.2))
    assert curves_of(results(nuts=[run_of(normals(1, 1000), reference=vague)])) == {}


def test_an_approximation_is_a_point() -> None:
    """It has the cost of the fit and the error of what was fitted."""
    fitted = run_of(normals(1, 4000, shift=0.3), is_approximate=True, running=None)
    (curve,) = curves_of(results(advi=[fitted])).values()
    assert curve.is_approximate
    assert curve.worst.shape == (1, 3)
    assert curve.worst[0, 1] == pytest.approx(0.09, abs=0.04)


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        ([1.0, 0.1, 0.001], 10**2.5),  # halfway between two points, in powers
        ([0.001, 0.1, 0.001], 10**2.5),  # what rises again hasn't stayed
        ([1.0, 0.1, 0.01], math.inf),
        ([1.0, np.nan, 0.001], 1000.0),
        ([0.001, 0.001, 0.001], 10.0),
        ([1.0, 0.1, 0.0], None),
    ],
)
def test_where_the_error_stays_below_the_goal(error: list[float], cost: float | None) -> None:
    """From there on it does; between points both are powers of each other."""
    found = reached(np.array([10.0, 100.0, 1000.0]), np.array(error))
    if cost is None:
        assert 100 < found < 110
    else:
        assert found == pytest.approx(cost)


LINES = """
normal  error against cost
         evaluations                                 b² at
sampler  10   20      50   100  200    500         its end
──────────────────────────────────────────────────────────
good     ▇▇▆▆▆▆▆▅▅▅▅▅▄▄▄▄▄▃▃▃▃▃▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁     0.00100
fitted                                          ▃   0.0500

• b² of the worst parameter, mean or second moment, the median over replicates:
  ▁ below 0.01, █ above 10; compared with known moments
"""


def test_curves_in_a_terminal() -> None:
    """A line of blocks for each sampler, over one axis; an approximation is one block."""
    one, end = np.ones(3), np.full(3, 1e-3)

    def curve(sampler: str, evaluations: list[float], worst: FloatArray) -> Curve:
        work = np.array(evaluations)
        unknown = np.full(len(work), np.nan)
        return Curve(
            "normal", sampler, "known moments", len(work) == 1, 3, work, unknown, work, worst, worst
        )

    found = [
        curve("good", [10.0, 1000.0], np.array([5 * one, end])),
        curve("fitted", [1500.0], np.array([0.05 * one])),
    ]
    assert text(lambda to: shown(found, to=to), width=80) == LINES


def test_nothing_known_is_said() -> None:
    """Where no curve can be drawn there is a sentence, not silence."""
    assert "no curves" in text(lambda to: shown([], to=to), width=80)


def test_curves_of_a_run(config: Write, gradbench: Run, tmp_path: Path) -> None:
    """A real run has them, of warm-up and sampling; a table alone has not."""
    gradbench("run", str(config()), "--quiet")
    (folder,) = (tmp_path / "results" / "small").iterdir()
    said = gradbench("show", "--curves", str(folder))
    assert "error against cost" in said.stdout
    assert "density-equivalents" in said.stdout
    refused = gradbench("show", "--curves", str(folder / "results.csv"))
    assert refused.returncode == 2
    assert "give the folder of the run" in refused.stderr
