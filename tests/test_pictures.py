"""Pictures: each from a run's own numbers, left out where the run doesn't hold them."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from gradbench import compat
from gradbench.draws import Evaluations
from gradbench.errors import ReportError
from gradbench.gate.verdict import Compared, Comparison
from gradbench.report import files, pictures, render
from gradbench.report.lines import spread
from gradbench.report.material import Material
from gradbench.report.page import Report
from gradbench.report.picture import ONE_COLUMN, TWO_COLUMNS, Picture
from gradbench.report.pictures import parameters, ratios
from gradbench.report.sources import Source, letters, materials
from gradbench.report.ticks import log_domain, log_ticks, reaching
from gradbench.stats.interval import Interval
from tests.made_up import results, source

pytest.importorskip("vl_convert", reason="the extra report is not installed")

HOSTILE = (
    "<script>alert(1)</script>",
    '"onload="alert(1)',
    "</script><img src=x onerror=alert(1)>",
    "סמפלר עברי",
    "x" * 300,
    "a & b 'c' `d` ${e} {{f}} %s",
)


def material(*labels: str, **given: Any) -> Material:
    (made,) = materials([source(*(labels or ("nuts", "emcee")), **given)])
    return made


def drawn(*labels: str, **given: Any) -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures.of_model(material(*labels, **given))}


def numbers(plain: object) -> Iterator[float]:
    """Yield all numbers in the data of a specification."""
    if isinstance(plain, dict):
        for value in plain.values():
            yield from numbers(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from numbers(value)
    elif isinstance(plain, float):
        yield plain


def test_a_run_has_the_pictures_that_it_holds() -> None:
    """Costs, times, errors, claims and parameters; no growth without a sweep, no draws unsaved."""
    assert [*drawn()] == ["cost", "where", "times", "error", "honesty", "parameters"]


def test_a_table_alone_has_fewer_pictures() -> None:
    """Of a results.csv there are no parameters and no curves."""
    whole = source("nuts", "emcee")
    (made,) = materials([Source("results.csv", whole.found)])
    assert [p.name for p in pictures.of_model(made)] == ["cost", "where", "times", "honesty"]


@pytest.mark.parametrize("width", [ONE_COLUMN, TWO_COLUMNS])
@pytest.mark.parametrize("name", ["cost", "where", "times", "error", "honesty", "parameters"])
def test_every_picture_is_drawn_as_wide_as_asked(name: str, width: int) -> None:
    """Each becomes a well-formed SVG of the width asked for, within a millimetre or so."""
    root = ElementTree.fromstring(render.file(drawn()[name].draw(width), "svg"))
    assert float(root.attrib["width"]) == pytest.approx(width, abs=8)


def test_what_is_drawn_is_what_the_table_beside_it_has() -> None:
    """The data of a forest are the lines of its CSV, number for number."""
    picture = drawn()["cost"]
    lines = [*csv.DictReader(io.StringIO(files.to_csv(picture)))]
    told = {float(text) for line in lines for text in line.values() if _is_number(text)}
    assert told == {*numbers(picture.draw(TWO_COLUMNS)["data"]["values"])}
    assert {line["label"] for line in lines} == {"nuts", "emcee"}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_who_has_no_price_is_listed_with_the_reason() -> None:
    """It is in the picture by its status, and in the numbers with its reason."""
    broken = [*results("broken", rhat=np.array([1.5, 1.5]))]
    (made,) = materials([_with(source("nuts"), broken)])
    picture = pictures.OF_A_MODEL["cost"](made)
    assert picture is not None
    (line,) = (row for row in picture.rows if row["label"] == "broken")
    assert line["ms_per_ess"] is None
    assert line["status"] == "not_converged"
    assert "R-hat" in str(line["reason"])
    assert "1 without a price is listed below" in picture.reading
    assert "not_converged" in render.file(picture.draw(TWO_COLUMNS), "svg").decode()


def _with(other: Source, cells: list[Any]) -> Source:
    from gradbench.results.summarize import summarize

    assert other.stored is not None
    every = [*other.stored.results, *cells]
    found = summarize(every, other.stored.checks)
    return replace(other, found=found, stored=replace(other.stored, results=every))


def test_a_run_that_all_failed_has_no_pictures_of_cost() -> None:
    """Nothing is drawn of what isn't there."""
    found = drawn("a", "b", rhat=np.array([1.5, 1.5]))
    assert {"cost", "where", "times"}.isdisjoint(found)


def test_one_replicate_has_no_intervals() -> None:
    """Points without bars, and nothing of errors that one replicate can't show."""
    found = drawn("nuts", replicates=1)
    assert found["cost"].rows[0]["ms_per_ess"] is not None
    assert found["cost"].rows[0]["ms_per_ess_low"] is None
    assert "honesty" not in found


def test_costs_are_evaluations_times_density_times_the_rest() -> None:
    """The factors of the picture multiply to the price."""
    (line, *_) = drawn()["where"].rows
    product = 1.0
    for factor in ("density_equivalents_per_ess", "logdensity_ms", "times"):
        product *= float(line[factor] or 0)
    assert product == pytest.approx(line["ms_per_ess"])


def test_the_worst_parameters_are_drawn_and_it_is_said() -> None:
    """Of many parameters only the worst fifty, which the sentence says."""
    n = 70
    ones = np.ones(n)
    wide = {
        name: value * ones
        for name, value in {
            "mean": 0.0, "sd": 1.0, "square_sd": 1.4, "second_moment": 1.0, "mcse_mean": 0.03,
            "ess_tail": 900.0, "ess_square": 800.0, "rhat": 1.001, "tau": np.nan,
            "ess_bulk_as_chains": np.nan, "ess_autocorr_time": np.nan, "rhat_halves": np.nan,
            "t_halves": np.nan, "spread_halves": np.nan, "pareto_k": 0.0, "n_tail": 100.0,
            "n_distinct": 2000.0,
        }.items()
    }  # fmt: skip
    sizes = np.linspace(500, 700, n)
    found = material(
        "nuts", **wide, ess_bulk=sizes, ess_mean=sizes, is_finite=ones > 0, is_counted=ones > 0,
        parameters=tuple(f"x[{i}]" for i in range(n)), reference=None, running=None,
    )  # fmt: skip
    picture = parameters.picture(found)
    assert picture is not None
    assert len(picture.rows) == parameters.MOST
    assert picture.rows[0]["parameter"] == "x[0]"
    assert f"the worst {parameters.MOST} of {n} parameters" in picture.reading


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_are_text(label: str) -> None:
    """Whatever a label holds, the SVG is well-formed and has no element that does anything."""
    for name, picture in drawn(label, "emcee").items():
        spec = picture.draw(TWO_COLUMNS)
        for svg in (render.svg_for_page(spec), render.file(spec, "svg").decode()):
            tags = {node.tag.rpartition("}")[2] for node in ElementTree.fromstring(svg).iter()}
            assert tags <= {"svg", "g", "path", "text", "line", "rect"}, name


def test_a_sweep_shows_its_growth() -> None:
    """Points and the fitted law of each cost, by the parameter that is swept."""
    cells = [
        replace(result, cell=replace(result.cell, params={"dim": dim}))
        for dim in (2, 4, 8)
        for result in results(
            "nuts", model=f"normal[dim={dim}]",
            evaluations=Evaluations(n_grad_warmup=0, n_grad_sampling=1050 * dim),
        )
    ]  # fmt: skip
    (made,) = materials([_with(source("nuts", replicates=0), cells)])
    picture = pictures.OF_A_MODEL["growth"](made)
    assert picture is not None
    assert picture.title == "How costs grow with dim"
    assert {row["is"] for row in picture.rows} == {"measured", "fitted"}
    for row in picture.rows:
        if row["cost"] == "evaluations_per_ess":
            assert row["paid"] == pytest.approx(row["value"])
    assert "nuts as dim^1.00 [1.00, 1.00] in evaluations" in picture.reading
    assert {row["label"] for row in drawn_lines(made, "cost")} == {
        "nuts at dim=2", "nuts at dim=4", "nuts at dim=8"
    }  # fmt: skip


def drawn_lines(made: Material, name: str) -> Any:
    picture = pictures.OF_A_MODEL[name](made)
    assert picture is not None
    return picture.rows


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], dict[str, Picture]]:
    """Return the pictures of a run whose draws were saved, of x of shape (2, 1000, 2)."""

    def pictured(values: Any) -> dict[str, Picture]:
        diverging = np.zeros((2, 1000), dtype=bool)
        diverging[0, 7] = True
        compat.save_draws(tmp_path / "x.nc", {"x": values}, {"diverging": diverging}, {})
        run = replace(source("nuts"), draws={("normal", "nuts"): tmp_path / "x.nc"})
        (made,) = materials([run])
        return {picture.name: picture for picture in pictures.of_model(made)}

    return pictured


def test_saved_draws_have_pictures(saved: Callable[[Any], dict[str, Picture]]) -> None:
    """Ranks, traces and pairs of the parameters with the smallest ESS, the worst first."""
    values = np.random.default_rng(1).standard_normal((2, 1000, 2))
    values[1] += 3
    found = saved(values)
    assert [row["panel"] for row in found["traces"].rows[:1]] == ["nuts: x[1]"]
    shown = [row for row in found["traces"].rows if row["chain"] == 0]
    assert shown[0]["value"] == values[0, 0, 1]
    # Chains that are apart are not flat: the lowest ranks are all of one, twice its share.
    highest = max(float(row["relative_frequency"] or 0) for row in found["ranks"].rows)
    assert highest == pytest.approx(2, abs=0.05)
    assert "1 of nuts" in found["pairs"].reading
    assert sum(row["diverged"] == 1 for row in found["pairs"].rows) == 1
    for name in ("ranks", "traces", "pairs"):
        ElementTree.fromstring(render.svg_for_page(found[name].draw(ONE_COLUMN)))


def test_draws_that_arent_finite_have_no_pictures(
    saved: Callable[[Any], dict[str, Picture]],
) -> None:
    """They are left out, and the others are drawn."""
    found = saved(np.full((2, 1000, 2), np.nan))
    assert "cost" in found
    assert "traces" not in found


def test_ratios_have_their_verdicts() -> None:
    """Each by its word, what was not comparable only counted."""
    rows = [
        Compared(model="m", sampler="a", verdict="regressed", reason="",
                 evaluations=Interval(1.3, 1.2, 1.4)),
        Compared(model="m", sampler="b", verdict="fine", reason="",
                 evaluations=Interval(1.0, 0.97, 1.03), time=Interval(1.0, 0.9, 1.1)),
        Compared(model="m", sampler="c", verdict="missing", reason=""),
    ]  # fmt: skip
    picture = ratios.picture(Comparison("before", "after", rows))
    assert picture is not None
    assert [row["verdict"] for row in picture.rows] == ["regressed", "fine"]
    assert picture.rows[1]["time"] is None  # it isn't judged
    assert "1 without a ratio" in picture.reading
    assert "regressed" in render.file(picture.draw(TWO_COLUMNS), "svg").decode()


def test_runs_side_by_side_have_letters() -> None:
    """Samplers of one model are in one picture, each with the letter of its run."""
    (made,) = materials([source("nuts", name="one"), source("nuts", name="two")])
    labels = [row["label"] for row in drawn_lines(made, "cost")]
    assert sorted(map(str, labels)) == ["nuts (A)", "nuts (B)"]
    with pytest.raises(Exception, match="too many"):
        letters([source("nuts")] * 27)


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_pictures_are_written_with_their_numbers(form: Any, tmp_path: Path) -> None:
    """A file for each, of its kind, and a CSV beside it."""
    report = Report([source("nuts", "emcee")], only=("cost", "times"))
    assert files.write_pictures(tmp_path / "new", report, form, ONE_COLUMN) == 2
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {f"normal-{name}.{end}" for name in ("cost", "times") for end in (form, "csv")}
    start = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[form]
    assert (tmp_path / "new" / f"normal-cost.{form}").read_bytes().startswith(start)


def test_labels_that_are_alike_as_files_have_files_of_their_own(tmp_path: Path) -> None:
    """No picture overwrites another."""
    one, two = source("nuts", model="a b"), source("nuts", model="a/b")
    report = Report([one, two], only=("cost",))
    assert files.write_pictures(tmp_path, report, "svg", ONE_COLUMN) == 2
    assert len([*tmp_path.glob("*.svg")]) == 2


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    """A run without a sweep holds no growth."""
    with pytest.raises(ReportError, match="growth"):
        files.write_pictures(tmp_path, Report([source("a")], only=("growth",)), "svg", 336)


def test_a_picture_that_isnt_there_is_named() -> None:
    """With the nearest one, and all there are."""
    with pytest.raises(ReportError, match=r"--only cots: .*did you mean 'cost'"):
        pictures.require(["cots"])


@pytest.mark.parametrize(
    ("domain", "ticks"),
    [
        ((0.1, 3.0), [0.1, 0.2, 0.5, 1.0, 2.0]),
        ((0.95, 1.2), [0.95, 1.0, 1.05, 1.1, 1.15]),
        ((2.0, 50.0), [2.0, 5.0, 10.0, 20.0, 50.0]),
        ((1e-8, 1e9), [1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9]),
    ],
)
def test_ticks_are_round(domain: tuple[float, float], ticks: list[float]) -> None:
    """As many as fit, at round numbers."""
    assert log_ticks(domain) == pytest.approx(ticks)


@pytest.mark.parametrize("seed", range(20))
def test_every_axis_has_ticks(seed: int) -> None:
    """Two at least, however narrow or wide it is, and however few fit."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(0, 8) + rng.normal(0, 10 ** rng.uniform(-3, 1), 5))
    domain = log_domain(values.tolist())
    for most in (2, 3, 6):
        ticks = log_ticks(domain, most)
        assert 2 <= len(ticks) <= 2 * most
        assert all(domain[0] <= tick <= domain[1] for tick in ticks)


def test_an_endless_interval_leaves_room_for_others() -> None:
    """An axis goes as far as ten times beyond the estimates, and bars are cut off there."""
    assert log_domain(reaching([1.0, 2.0], [1e-9, 1e9, 1.5])) == pytest.approx(
        (0.1 / 200**0.06, 20 * 200**0.06)
    )


def test_names_are_moved_apart_as_little_as_needed() -> None:
    """Those that are near form a group around their mean; others stay."""
    assert spread([100.0, 0.0, 1.0], 10.0) == pytest.approx([100.0, -4.5, 5.5])
    assert spread([], 10.0) == []


def test_the_numbers_are_those_of_the_run() -> None:
    """Every cost in the picture is a cost of the run's rows, to the last digit."""
    made = material("nuts", "emcee")
    rows = {row.sampler: row for row in made.rows}
    for line in drawn_lines(made, "cost"):
        price = rows[line["label"]].ms_per_ess
        assert price is not None
        assert json.dumps(line["ms_per_ess"]) == json.dumps(price.estimate)
