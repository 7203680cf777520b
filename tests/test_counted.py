"""Which quantities count: what is frozen, constant, an indicator, large, or chosen."""

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import compat
from gradbench.config.benchmark import Gates
from gradbench.config.planning import Cell
from gradbench.draws import Draws, Evaluations
from gradbench.errors import ModelError
from gradbench.measure import result, statuses
from gradbench.measure.result import Measured
from gradbench.measure.worker import Session
from gradbench.results import store
from gradbench.results.parameters import parameter_rows
from gradbench.results.summarize import summarize
from gradbench.target import parameters
from gradbench.target.target import Target
from gradbench.timing import Timing

pm = compat.pymc()

Write = Callable[..., Path]
Gradbench = Callable[..., subprocess.CompletedProcess[str]]

MODEL = """
def model(rows=2000):
    with pm.Model() as m:
        a, b = pm.Normal("a", 0, 1), pm.Normal("b", 20, 1)
        pm.Deterministic("b_wins", b > a)
        pm.Deterministic("a_is_positive", pm.math.switch(a > 0, 1.0, 0.0))
        pm.Deterministic("above", pm.math.maximum(b - 4, 0))
        pm.Deterministic("fitted", a + b * np.linspace(0, 1, rows))
    return m
"""


@pytest.fixture(scope="module")
def odd() -> Any:
    """A model with an indicator, one of float type, what is cut off at 0, and many rows."""
    namespace: dict[str, Any] = {"np": np, "pm": pm}
    exec(MODEL, namespace)
    return namespace["model"]()


def counting(model: Any, *counted: str) -> tuple[Target, list[str]]:
    of = Target(model, mode="FAST_COMPILE", counted=counted)
    return of, np.array(of.names)[of.parameters.is_candidate].tolist()


def test_by_default_indicators_and_many_rows_do_not_count(odd: Any) -> None:
    """Free parameters count and what is computed, but for whole numbers and over 200 values."""
    of, names = counting(odd)
    assert names == ["a", "b", "above"]
    assert set(of.names) == {"a", "b", "b_wins", "a_is_positive", "above"}
    assert of.parameters.uncounted == {
        "b_wins": "whole numbers",
        "a_is_positive": "whole numbers",
        "fitted": "2,000 values, more than 200",
    }
    assert of.constrain(np.zeros((2, 3, 2))).shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["b_wins"], ["b_wins"]),
        (["a*", "~a_*"], ["a", "above"]),
        (["~a_*", "a*"], ["a", "above"]),
        (["~above"], ["a", "b"]),
        (["fitted[1?]", "b"], ["b", *(f"fitted[{i}]" for i in range(10, 20))]),
        (["fitted", "~fitted[*]", "?"], ["a", "b"]),
    ],
    ids=str,
)
def test_names_choose_what_counts(odd: Any, patterns: list[str], names: list[str]) -> None:
    """Names, * and ? choose quantities and scalars of them, an indicator too; ~ leaves out."""
    assert counting(odd, *patterns)[1] == names


def test_an_unknown_name_is_refused(odd: Any) -> None:
    """A name that nothing has costs one message with the nearest; so does leaving nothing."""
    with pytest.raises(ModelError, match="no 'fited'; did you mean 'fitted'"):
        Target(odd, counted=["a", "fited"]).require("uniform")
    with pytest.raises(ModelError, match=r"~\* leaves nothing that counts"):
        Target(odd, counted=["~*"]).require("uniform")


def test_columns_are_evaluated_a_few_draws_at_a_time(odd: Any, monkeypatch: Any) -> None:
    """However few draws are evaluated together, the values are the same."""
    of, _ = counting(odd, "fitted")
    points = np.random.default_rng(0).standard_normal((2, 7, 2))
    whole = of.constrain(points)
    monkeypatch.setattr(parameters, "EVALUATED_BYTES", 3 * 8 * 2005)
    assert np.array_equal(of.constrain(points), whole)


def drawn(of: Target) -> Measured:
    """Return what an ensemble of exact draws gives, as a worker measures it."""
    values = np.random.default_rng(0).standard_normal((20, 100, 2)) + np.array([0.0, 20.0])
    session = Session()
    session._target = of
    draws = Draws(values=values, groups=np.zeros(20, int), evaluations=Evaluations())
    found = session._measure(
        draws, values[:, 0], start_kind="uniform", timing=Timing(), peak_memory_bytes=0, load=0.0
    )
    return Measured.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))


def test_an_indicator_that_is_always_true_voids_nothing(odd: Any) -> None:
    """It has no ESS, the run has a status by its parameters, and only those make the headline."""
    found = drawn(counting(odd)[0])
    names = dict(zip(found.parameters, found.diagnostics.is_counted.tolist(), strict=True))
    assert names == {"a": True, "b": True, "b_wins": False, "a_is_positive": False, "above": True}
    ess = dict(zip(found.parameters, found.diagnostics.ess_bulk.tolist(), strict=True))
    assert np.isnan(ess["b_wins"])
    assert ess["a_is_positive"] > 0
    status, reason = statuses.status_of(found, Gates())
    assert (status, reason) == ("ok", "")
    cell = Cell("m", "m", {}, "s", "s", {}, "uniform", 1, 0, 1, 2)
    done = result.CellResult(cell, status, reason, found)
    (summary,) = summarize([done])
    assert summary.ess == pytest.approx(np.mean([ess["a"], ess["b"], ess["above"]]))
    assert summary.uncounted is not None
    assert "fitted (2,000 values, more than 200)" in summary.uncounted
    rows = {row.parameter: row for row in parameter_rows([done])}
    assert rows["b_wins"].ess_bulk is None
    assert not rows["b_wins"].is_counted
    assert rows["a"].is_counted

    frozen = replace(found, frozen="a")
    assert statuses.status_of(frozen, Gates()) == ("frozen", "a chain of a never moved")


def test_what_is_chosen_is_all_that_is_judged(odd: Any) -> None:
    """Thousands of values count where they are named; a constant one leaves nothing to price."""
    found = drawn(counting(odd, "fitted")[0])
    assert found.diagnostics.is_counted.sum() == 2000
    assert {name.partition("[")[0] for name in result.counted([found])[0].parameters} == {"fitted"}
    constant = drawn(counting(odd, "b_wins")[0])
    assert statuses.status_of(constant, Gates())[0] == "too_few_draws"


def test_replicates_are_judged_by_what_counts_in_all(odd: Any) -> None:
    """What is constant in one replicate counts in none of what they say together."""
    one = drawn(counting(odd)[0])
    is_counted = one.diagnostics.is_counted & (np.array(one.parameters) != "above")
    other = replace(one, diagnostics=replace(one.diagnostics, is_counted=is_counted))
    assert [run.parameters for run in result.counted([one, other])] == [("a", "b")] * 2


def test_cells_without_a_choice_are_what_they_were() -> None:
    """The file name of a cell, which its seeds and the run's resuming hang on, is unchanged."""
    cell = Cell("m", "m", {}, "s", "s", {}, "uniform", 1, 0, 1, 2)
    assert cell.id == "m-s-0-ac272369"
    chosen = replace(cell, parameters=("a",))
    assert chosen.id != cell.id
    assert Cell.from_json(chosen.to_json()) == chosen
    assert Cell.from_json(cell.to_json()) == cell


@pytest.mark.slow
def test_a_run_says_what_counts(
    config: Write, model_file: Write, gradbench: Gradbench, tmp_path: Path
) -> None:
    """In the table's sentences, in parameters.csv, in check-model; a wrong name ends it first."""
    model_file(MODEL)
    entry = {"use": "./my_model.py", "parameters": ["a", "fited"]}
    emcee = {"use": "emcee", "walkers": 8, "tune": 100, "draws": 1000, "backend": "c"}
    path = config(models={"mine": entry}, samplers={"emcee": emcee})
    refused = gradbench("run", path)
    assert refused.returncode == 2
    assert "models.mine: parameters: the model has no 'fited'; did you mean" in refused.stderr
    done = gradbench("run", path, "--set", "models.mine.parameters=[a, ~b]", "--save-draws")
    assert done.returncode == 0, done.stderr
    assert "what counts (parameters:): a, ~b" in done.stdout
    (folder,) = (tmp_path / "results" / "small").iterdir()
    with (folder / "parameters.csv").open() as file:
        counted = {row["parameter"]: row["is_counted"] for row in csv.DictReader(file)}
    assert counted["a"] == "True"
    assert counted["b"] == "False"
    assert store.read(folder).results[0].cell.parameters == ("a", "~b")
    (saved,) = (folder / "draws").iterdir()
    posterior = compat.arviz().from_netcdf(saved)["posterior"]
    assert {"a", "b", "above", "b_wins"} == set(posterior.data_vars) - {"a_is_positive"}
    checked = " ".join(gradbench("check-model", "./my_model.py").stdout.split())
    assert "fitted 2000 computed no: 2,000 values, more than 200" in checked
    assert "b_wins – computed no: whole numbers" in checked
    assert "above – computed yes" in checked
