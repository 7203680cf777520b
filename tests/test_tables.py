"""Tables that are kept beside a run's cells: the same numbers, made anew where cells changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from gradbench.errors import StoreError
from gradbench.gate import sides
from gradbench.measure.result import CellResult
from gradbench.results import export, store, tables
from gradbench.results.parameters import parameter_rows
from gradbench.results.rows import rows
from gradbench.results.summarize import summarize
from gradbench.results.summary import only
from gradbench.results.tables import UNKNOWN, Worst
from gradbench.results.times import GOAL
from gradbench.show.console import text
from gradbench.show.overview import overview, standings
from gradbench.show.results import MAX_TABLES
from gradbench.stats.interval import Interval
from tests.conftest import Said

MODELS = {name: {"use": "gaussian", "params": {"dim": 2}} for name in ("one", "two")}
SAMPLERS = {label: {"use": "pymc_nuts"} for label in ("ok", "unreliable", "biased", "timeout")}


@pytest.fixture
def folder(said: Said, tmp_path: Path) -> Path:
    """Return the folder of a run of two models, four samplers and three replicates."""
    plain = {"name": "kept", "models": MODELS, "samplers": SAMPLERS, "replicates": 3, "seed": 1}
    (tmp_path / "kept.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    said("run", "kept.yaml", "--quiet", code=1)
    (found,) = (tmp_path / "results" / "kept").iterdir()
    return found


def test_they_say_what_the_cells_say(folder: Path) -> None:
    """Summaries, CSV files and a comparison's side are those that all cells together give."""
    stored, run = store.read(folder), store.outline(folder)
    expected = summarize(stored.results, stored.checks, gates=stored.benchmark.gates)
    assert tables.summaries(run) == expected
    assert (folder / "results.csv").read_text() == export.to_csv(expected)
    parameters = parameter_rows(stored.results)
    kind = type(parameters[0])
    lines = "".join(export.csv_lines(parameters, kind=kind))
    assert (folder / "parameters.csv").read_text() == lines
    kept, made = sides.of_folder(str(folder)), sides.of_run(str(folder), stored)
    assert repr(kept) == repr(made)


def test_only_what_changed_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is another one has its model read again, and no other; then nothing is."""
    read: list[str] = []
    results = store.Outline.results

    def counted(run: store.Outline, model: str) -> list[CellResult]:
        read.append(model)
        return results(run, model)

    monkeypatch.setattr(store.Outline, "results", counted)
    tables.write(store.outline(folder))
    assert read == []
    cell = next((folder / "cells").glob("two-ok-1-*.json"))
    plain = json.loads(cell.read_text())
    plain["measured"]["timing"]["sampling"]["wall_s"] = 30.0
    cell.write_text(json.dumps(plain))
    found = tables.write(store.outline(folder))
    assert read == ["two"]
    (changed,) = (s for s in found if s.place == ("two", "ok", 1))
    assert changed.sampling_s == 30.0
    assert "two,ok,1" in (folder / "results.csv").read_text()
    tables.write(store.outline(folder))
    assert read == ["two"]


@pytest.mark.parametrize("damage", ["", "{", '{"made_of": 1}', "[]"])
def test_a_damaged_table_is_as_good_as_none(folder: Path, damage: str) -> None:
    """Whatever became of it, the numbers are the cells'."""
    expected = tables.summaries(store.outline(folder))
    for file in (folder / "tables").iterdir():
        file.write_text(damage)
    assert tables.summaries(store.outline(folder)) == expected
    assert sides.of_folder(str(folder)).series.keys() == {(s.model, s.sampler) for s in expected}


def test_a_table_with_another_number_is_damaged(folder: Path) -> None:
    """A file that was edited is not believed."""
    expected = tables.summaries(store.outline(folder))
    kept = folder / "tables" / "two.columns"
    before = kept.read_text()
    kept.write_text(before.replace('model ["two"]', 'model ["three"]'))
    assert "three" in kept.read_text()
    assert tables.summaries(store.outline(folder)) == expected
    tables.write(store.outline(folder))
    assert kept.read_text() == before


@pytest.mark.parametrize("gone", ["two.columns", "two.parameters.csv", "two.ess.json", "written"])
def test_what_a_killed_process_left_is_enough(folder: Path, gone: str) -> None:
    """Whichever file it did not come to write, the next one writes, and the CSV files are whole."""
    kept = folder / "tables" / gone
    before = {
        file: file.read_text() for file in (folder / "results.csv", folder / "parameters.csv")
    }
    side = repr(sides.of_folder(str(folder)))
    kept.unlink()
    for file in before:
        file.unlink()
    assert repr(sides.of_folder(str(folder))) == side
    tables.write(store.outline(folder))
    assert {file: file.read_text() for file in before} == before
    assert kept.exists()


def test_csv_files_are_written_where_something_changed(folder: Path) -> None:
    """They are left alone where they say what they should; one that is gone or edited is not."""

    def written(ess_goal: int = GOAL) -> list[bool]:
        before = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
        tables.write(store.outline(folder), ess_goal)
        return [file.stat().st_mtime_ns != at for file, at in zip(files, before, strict=True)]

    files = [folder / "results.csv", folder / "parameters.csv"]
    text = [file.read_text() for file in files]
    assert written() == [False, False]
    files[0].unlink()
    assert written() == [True, True]
    files[1].write_text("edited")
    assert written() == [True, True]
    assert [file.read_text() for file in files] == text
    assert written(ess_goal=400) == [True, True]
    assert ",400," in files[0].read_text()
    assert written() == [True, True]
    assert [file.read_text() for file in files] == text


def test_replicates_without_a_parameter_have_none() -> None:
    """What is kept of some replicates is told of those that are asked for, in their order."""
    kept = Worst([0, 2], {"x": np.array([1.0, 3.0])})
    assert kept.of([0, 2])["x"].tolist() == [1.0, 3.0]
    assert repr(kept.of([2, 1, 0])["x"].tolist()) == "[3.0, nan, 1.0]"
    assert UNKNOWN.of([0]) == {}


def test_reading_writes_nothing(said: Said, folder: Path) -> None:
    """``show`` and ``compare`` leave a folder as it is, tables or none."""
    for file in [*(folder / "tables").iterdir()]:
        file.unlink()
    before = sorted(folder.rglob("*"))
    table = said("show", str(folder))
    assert "two" in table
    said("compare", str(folder), str(folder))
    assert sorted(folder.rglob("*")) == before


def test_resuming_reads_no_cell(said: Said, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is told by its file's name; statuses that are run again by the tables."""
    monkeypatch.setattr(store, "_read_result", lambda file: pytest.fail(f"{file} was read"))
    assert "one" in said("run", "--resume", str(folder), "--quiet", code=1)


def test_statuses_that_are_run_again(said: Said, folder: Path) -> None:
    """``--retry`` runs the cells of a status, which the tables tell, in their own files."""
    before = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    said("run", "--resume", str(folder), "--retry", "timeout", "--quiet", code=1)
    after = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert before.keys() == after.keys()
    assert {f.name.split("-")[1] for f in after if after[f] != before[f]} == {"timeout"}


def test_some_of_the_labels(folder: Path) -> None:
    """A model or a sampler by its label; another word is a mistake."""
    found = tables.summaries(store.outline(folder))
    assert {s.model for s in only(found, ["two"])} == {"two"}
    assert len(only(found, ["two", "ok"])) == 3
    assert only(found, []) == found
    with pytest.raises(StoreError, match="did you mean 'two'"):
        only(found, ["twoo"])


OVERVIEW = """
41 models
                                    times the
sampler     priced on  cheapest on   cheapest  without a price
──────────────────────────────────────────────────────────────
ok                 41           40       1.00
unreliable         41            1       2.00
biased              0            0          –  biased 41
timeout             0            0          –  timeout 41

• the price is milliseconds per effective sample; times the cheapest: the median over the models on
  which a sampler has a price
• one model's table: gradbench show RESULTS --only MODEL; all: results.csv
"""


def test_many_models_are_one_table(folder: Path) -> None:
    """How each sampler did on all of them; more tables than that nobody reads."""
    of_one = rows(only(tables.summaries(store.outline(folder)), ["one"]))
    found = []
    for i in range(MAX_TABLES + 1):
        for row in of_one:
            dear = (row.sampler == "unreliable") != (i == 0)
            price = row.ms_per_ess and Interval(2.0 if dear else 1.0, 0.5, 3.0)
            found.append(replace(row, model=f"m{i}", ms_per_ess=price))
    assert [one.sampler for one in standings(found)][:2] == ["ok", "unreliable"]
    assert text(lambda to: overview(found, to), width=100) == OVERVIEW
