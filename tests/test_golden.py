"""Runs that older versions wrote are read for ever, whatever became of samplers and models.

``golden/schema-N`` was written by the last version with schema N, all with one config and one
environment; from schema 3 on it has an approximation, too.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gradbench.config import planning
from gradbench.config.planning import Cell
from gradbench.gate import compare, sides
from gradbench.measure.result import COSTED, SCHEMA_VERSION, CellResult
from gradbench.results import execute, store
from gradbench.results.execute import Silent
from gradbench.results.summarize import summarize

FOLDERS = sorted((Path(__file__).parent / "golden").glob("schema-*"))
GOLDEN = {int(path.name[-1]): path for path in FOLDERS}
versions = pytest.mark.parametrize("version", GOLDEN)
COUNTS = ("n_logp_warmup", "n_logp_sampling", "n_grad_warmup", "n_grad_sampling")


class Planned:
    """Stands in for a runner: it notes what it is to run, and runs nothing."""

    cells: ClassVar[list[Cell]] = []

    def __init__(self, *_: object) -> None:
        Planned.cells.clear()

    def __enter__(self) -> "Planned":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def preflight(self, cells: Sequence[Cell], **_: object) -> None:
        Planned.cells.extend(cells)

    def machine(self) -> dict[str, Any]:
        return {}

    def run(self, *_: object) -> Iterator[CellResult]:
        return iter(())


@pytest.fixture
def gone(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Copy a golden run of samplers and a model that no installation has."""
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN[request.param], folder)
    for file in (folder / "config.yaml", *(folder / "cells").iterdir()):
        text = file.read_text()
        for name in ("pymc_nuts", "emcee", "pymc_advi"):
            text = text.replace(f"use: {name}\n", f"use: old_{name}\n")
            text = text.replace(f'"sampler_use":"{name}"', f'"sampler_use":"old_{name}"')
        file.write_text(text.replace("use: gaussian\n", "use: gone\n"))
    assert "use: old_emcee" in (folder / "config.yaml").read_text()
    assert "use: gone" in (folder / "config.yaml").read_text()
    return folder


def test_every_schema_is_there() -> None:
    """There is a golden run for each version that was ever written, this one's too."""
    assert list(GOLDEN) == list(range(1, SCHEMA_VERSION + 1))
    for version, path in GOLDEN.items():
        assert json.loads((path / "run.json").read_text())["schema_version"] == version


@versions
def test_numbers_are_what_they_were(version: int) -> None:
    """Fingerprints, counts and costs are those that the run's own results.csv holds."""
    stored = store.read(GOLDEN[version])
    found = summarize(stored.results, stored.checks, gates=stored.benchmark.gates)
    with (GOLDEN[version] / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(found) == len(lines) == (12 if version < 3 else 16)
    for summary, line in zip(found, lines, strict=True):
        assert [summary.model, summary.sampler] == [line["model"], line["sampler"]]
        assert summary.fingerprint == line["fingerprint"]
        assert [str(getattr(summary, name)) for name in COUNTS] == [line[name] for name in COUNTS]
        assert summary.status == line["status"]
        if summary.status in COSTED:
            assert summary.ms_per_ess == pytest.approx(float(line["ms_per_ess"]), rel=1e-9)
    assert {summary.status for summary in found} >= {"unreliable", "too_few_draws"}


@versions
def test_draws_are_the_same_in_all(version: int) -> None:
    """The same seeds gave the same draws in every version."""
    first, latest = (sides.of_run(str(v), store.read(GOLDEN[v])) for v in (version, SCHEMA_VERSION))
    for key, series in first.series.items():
        assert series.fingerprint == latest.series[key].fingerprint
        assert not list(compare.differences(series, latest.series[key]))


@pytest.mark.parametrize("gone", GOLDEN, indirect=True)
def test_a_run_outlives_its_samplers(gone: Path) -> None:
    """It is shown, compared and kept, and finished where nothing is left to do, without them."""
    code = (
        "import sys\nfrom gradbench.cli import main\n"
        f"for words in (['show', {str(gone)!r}], ['baseline', 'save', {str(gone)!r}, 'b'],\n"
        f"              ['compare', {str(gone)!r}, 'baseline:b'],\n"
        f"              ['run', '--quiet', '--resume', {str(gone)!r}]):\n"
        "    try:\n        main(words)\n"
        "    except SystemExit as end:\n        assert end.code == 0, words\n"
        "heavy = {'pymc', 'arviz', 'emcee', 'gradbench.samplers.emcee'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "unreliable" in done.stdout
    assert "No regression" in done.stdout


@versions
def test_what_is_left_of_an_older_run_is_run(version: int, tmp_path: Path) -> None:
    """A cell that is missing is planned again, and takes its old name, whatever options are new."""
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN[version], folder)
    before = store.read(folder)
    plan = planning.cells(before.benchmark)
    # The model's file may have changed since: what is held to it is not what is tried here.
    about = json.loads((folder / "run.json").read_text())
    about["models"] = execute.fingerprints(plan)
    (folder / "run.json").write_text(json.dumps(about))
    lost = next(r.cell for r in before.results if r.cell.sampler == "emcee[draws=40]")
    (folder / "cells" / f"{lost.id}.json").unlink()
    execute.resume(folder, Silent(), save_draws=False, make=Planned)
    assert [cell.place for cell in Planned.cells] == [lost.place]

    (again,) = Planned.cells
    held = store.RunFolder(folder, {lost.place: lost.id})
    held.add(CellResult(again, "failed", "once more"))
    (found,) = (r for r in store.read(folder).results if r.cell.place == lost.place)
    assert found.reason == "once more"
    assert len(store.read(folder).results) == len(before.results)
