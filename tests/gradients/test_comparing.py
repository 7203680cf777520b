"""A comparison asks a worker for each method, keeps what was done, and is shown and kept."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gradbench.errors import ModelError, StoreError
from gradbench.measure.ascent import WAYS, Ascent
from gradbench.measure.gradient_cost import Cost, Given
from gradbench.measure.gradient_points import SCHEMES, STEPS, Points
from gradbench.measure.gradients import Answer, Comparison, compare, n_steps
from gradbench.measure.workers import Stopped, Workers
from gradbench.models import Source
from gradbench.records import from_plain, to_plain
from gradbench.results import gradients as kept
from gradbench.results.gradients import GradientRun, exponent
from gradbench.show import gradients as shown
from gradbench.stats.interval import Interval

COSTS = {"jax_reverse": 1.5, "finite_central": None, "finite_five": 9.0}  # None: 2 * ndim + 1


def normal(ndim: int) -> Points:
    """Return points of a standard normal, all known."""
    at = np.random.default_rng(ndim).normal(size=(5, ndim))
    return Points(
        at=at,
        values=-0.5 * (at**2).sum(axis=1),
        exact=-at,
        rest=np.zeros_like(at),
        slopes=np.full((5, 4), np.nan),
        uncertainties=np.full((5, 4), np.nan),
        condition=np.full(5, 1e-16),
        n_digits=60,
        reason="",
        is_function=False,
        flaws={},
        steps={scheme: np.geomspace(1e-1, 1e-9, len(STEPS)) for scheme in SCHEMES},
    )


def cost(ndim: int, times: float | None) -> Cost:
    """Return a cost of so many log-densities, as many as central differences take for None."""
    n = times or 2.0 * ndim + 1
    of_own = Interval(n, 0.9 * n, 1.1 * n)
    return Cost(0.5, 1e-6, n * 1e-6, of_own, of_own, None, of_own, 2**20)


class FakePool:
    """Workers that answer at once: of a normal, or what was planted for a method."""

    def __init__(self, ndim: int, planted: dict[str, Any] | None = None) -> None:
        self.points, self.planted = normal(ndim), planted or {}

    def alone(self, do: str, **arguments: Any) -> Any:
        """Answer as a worker does."""
        name = arguments.get("method", arguments.get("way", do))
        answer = self.planted.get(name)
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer
        points = self.points
        if do == "gradient_points":
            return to_plain(points)
        if do == "ascend":
            short = 0.0 if "exact" in name else 0.5
            return to_plain(Ascent(name, "done", 17, 0.25, -short, points.at[0] + short))
        noise = 1e-7 if "finite" in name else 0.0
        given = Given(points.values, -points.at * (1 + noise), points.values)
        return to_plain(Answer(cost(points.at.shape[1], COSTS[name]), given))


class Told:
    """An observer that counts."""

    def __init__(self) -> None:
        self.n = 0
        self.words: list[str] = []

    def doing(self, words: str) -> None:
        """This begins now."""
        self.words.append(words)

    def finished(self, n: int = 1) -> None:
        """This many more are done."""
        self.n += n


def compared(
    ndim: int = 3,
    planted: dict[str, Any] | None = None,
    *,
    methods: Sequence[str] = tuple(COSTS),
    is_optimized: bool = False,
    observer: Told | None = None,
) -> Comparison:
    """Return a comparison by fake workers."""
    return compare(
        Source(Path("normal.py")),
        {"dim": ndim},
        methods,
        n_points=5,
        timeout_s=60,
        pool=cast("Workers", FakePool(ndim, planted)),
        observer=observer or Told(),
        is_optimized=is_optimized,
    )


@pytest.fixture
def sweep() -> GradientRun:
    """A run over four dimensions."""
    return GradientRun("normal", {}, [compared(n) for n in (2, 10, 100, 1000)])


def test_each_method_has_its_status() -> None:
    """What is right to rounding is exact, differences are approximate, nothing fails."""
    found = compared()
    assert [(one.method, one.status) for one in found.methods] == [
        ("jax_reverse", "exact"),
        ("finite_central", "approximate"),
        ("finite_five", "approximate"),
    ]
    assert found.is_complete
    assert not found.is_failure
    assert found.known_by == "the graph in 60 digits and more"


@pytest.mark.parametrize(
    ("ended", "is_failure"),
    [("timeout", False), ("out_of_memory", False), ("crashed", True), ("failed", True)],
)
def test_a_method_that_ends_early_costs_no_other(ended: Any, is_failure: bool) -> None:
    """A limit that is reached, or a death, is that method's status; the others are compared."""
    found = compared(planted={"finite_central": Stopped(ended, "not done after 60 s\nand more")})
    assert [one.status for one in found.methods] == ["exact", ended, "approximate"]
    assert found.methods[1].reason == "not done after 60 s"
    assert found.is_failure == is_failure


def test_an_unsuited_method_says_why() -> None:
    """A method that can't be has its reason, and fails nothing."""
    found = compared(planted={"jax_reverse": {"unsuited": "JAX has no such operation"}})
    assert (found.methods[0].status, found.methods[0].reason) == (
        "unsuited",
        "JAX has no such operation",
    )
    assert not found.is_failure


def test_a_model_that_cant_be_loaded_ends_it() -> None:
    """What the first worker says of the model is the error."""
    with pytest.raises(ModelError, match="finite at none"):
        compared(planted={"gradient_points": Stopped("failed", "finite at none of the points")})


def test_interrupted_it_keeps_what_is_done() -> None:
    """Ctrl-C in the second method leaves the first, judged."""
    found = compared(planted={"finite_central": KeyboardInterrupt()})
    assert not found.is_complete
    assert [(one.method, one.status) for one in found.methods] == [("jax_reverse", "exact")]


def test_interrupted_at_once_it_has_nothing() -> None:
    """Ctrl-C before any method is done ends the comparison."""
    with pytest.raises(KeyboardInterrupt):
        compared(planted={"jax_reverse": KeyboardInterrupt()})


def test_progress_counts_every_step() -> None:
    """As many steps are told as were announced."""
    told = Told()
    compared(observer=told, is_optimized=True)
    assert told.n == n_steps(tuple(COSTS), is_optimized=True)
    assert told.words[0] == "exact gradients"


def test_ways_to_the_mode_are_kept() -> None:
    """Each way has its evaluations and its end; one that ends early says why."""
    found = compared(
        is_optimized=True,
        planted={"Nelder-Mead, no gradient": Stopped("timeout", "not done after 60 s")},
    )
    assert [one.way for one in found.ascents] == list(WAYS)
    assert found.ascents[0].n_evaluations == 17
    assert (found.ascents[-1].said, found.ascents[-1].at) == ("not done after 60 s", None)


# -- what follows from it ---------------------------------------------------------------------


def test_costs_grow_as_they_must(sweep: GradientRun) -> None:
    """Reverse mode's cost doesn't depend on the dimension; that of differences is its multiple."""
    reverse, central = exponent(sweep, "jax_reverse"), exponent(sweep, "finite_central")
    assert reverse is not None
    assert central is not None
    assert reverse.estimate == pytest.approx(0, abs=0.01)
    assert central.estimate == pytest.approx(1, abs=0.1)


def test_two_dimensions_have_no_exponent() -> None:
    """Two points lie on every power law."""
    run = GradientRun("normal", {}, [compared(2), compared(10)])
    assert exponent(run, "jax_reverse") is None


def test_an_exponent_leaves_out_what_was_not_measured() -> None:
    """A timeout at the largest dimension, or an interrupt before it, leaves the others."""
    planted = {"finite_central": Stopped("timeout", "not done")}
    cut = {"finite_central": KeyboardInterrupt()}
    whole = [compared(n) for n in (2, 10, 100)]
    for last in (compared(1000, planted), compared(1000, cut)):
        found = exponent(GradientRun("normal", {}, [*whole, last]), "finite_central")
        assert found is not None


def test_a_run_survives_its_folder(sweep: GradientRun, tmp_path: Path) -> None:
    """What is kept is read again as it was, and is shown alike."""
    folder = kept.save(tmp_path, sweep)
    assert folder.parent == tmp_path / "gradients-normal"
    again = kept.load(folder)
    assert again is not None
    assert json.dumps(to_plain(again)) == json.dumps(to_plain(sweep))
    assert kept.load(tmp_path) is None


def test_two_runs_within_a_second_are_both_kept(sweep: GradientRun, tmp_path: Path) -> None:
    """A folder's name is the time to the second; the second run has another."""
    assert kept.save(tmp_path, sweep) != kept.save(tmp_path, sweep)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """A file that isn't what it was is named."""
    (tmp_path / kept.FILE).write_text("{")
    with pytest.raises(StoreError, match=r"gradients\.json: is damaged"):
        kept.load(tmp_path)


def test_csv_has_a_row_for_each_method_and_point(sweep: GradientRun) -> None:
    """Units stand in the columns' names, and what wasn't measured is empty."""
    rows = list(csv.DictReader(StringIO(kept.as_csv(sweep))))
    assert len(rows) == 12
    assert rows[0]["method"] == "jax_reverse"
    assert rows[0]["own_logdensities"] == "1.5"
    assert rows[0]["looped_logdensities"] == ""
    assert {"gradient_s", "memory_bytes", "largest_error", "ndim"} <= rows[0].keys()


def test_a_sweep_is_shown_with_its_growth(
    sweep: GradientRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each dimension's table, the growth of each method, and what follows in sentences."""
    shown.gradients(sweep)
    out = capsys.readouterr().out
    assert "1000 dimensions" in out
    assert "grows as dim^" in out
    assert "cheapest exact gradient: jax_reverse" in out
    assert "whatever the dimension" in " ".join(out.split())
    assert "central differences take 2001 log-densities and are right to 6 digits" in " ".join(
        out.split()
    )
    assert "against the graph in 60 digits" in " ".join(out.split())


def test_ways_to_the_mode_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The table tells evaluations, how much each is short by, and who arrived."""
    planted = {"Nelder-Mead, no gradient": Stopped("timeout", "not done after 60 s")}
    run = GradientRun("normal", {}, [compared(is_optimized=True, planted=planted)])
    shown.gradients(run)
    lines = capsys.readouterr().out.splitlines()
    exact, two = (next(x for x in lines if word in x) for word in ("exact gradient ", "2-point"))
    assert exact.split()[-1] == "yes"
    assert two.split()[-3:] == ["5e-01", "5e-01", "no"]
    assert any("not done after 60 s" in line for line in lines)


@pytest.mark.parametrize("ndim", [1, 3])
def test_one_dimension_is_singular(ndim: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A scalar model has one dimension."""
    shown.gradients(GradientRun("normal", {}, [compared(ndim)]))
    assert ("1 dimension\n" in capsys.readouterr().out) == (ndim == 1)


def test_a_flaw_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the density itself is said first below the tables."""
    one = compared()
    flawed = replace(one, points=replace(one.points, flaws={"jump": "it jumps by 0.5 near x"}))
    run = GradientRun("normal", {}, [flawed])
    shown.gradients(run)
    assert "• the density: it jumps by 0.5 near x" in capsys.readouterr().out
    assert run.is_failure


def test_where_nothing_could_be_measured_only_reasons_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without any cost there is no table, and no sentence about one."""
    planted = {name: {"unsuited": "it is no graph"} for name in COSTS}
    shown.gradients(GradientRun("normal", {}, [compared(planted=planted)]))
    out = capsys.readouterr().out
    assert "unsuited: it is no graph" in out
    assert "cost, in its" not in out


def test_a_record_of_nan_survives_json() -> None:
    """NaN is null in JSON and NaN again when it is read."""
    given = Given(np.array([np.nan, 1.0]), np.array([[np.nan], [1.0]]), np.array([0.0, 1.0]))
    again = from_plain(Given, json.loads(json.dumps(to_plain(given))))
    assert np.array_equal(again.gradients, given.gradients, equal_nan=True)
