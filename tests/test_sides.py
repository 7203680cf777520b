"""What a results.csv says, and what is no results.csv."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench.errors import StoreError
from gradbench.gate import baseline, sides
from gradbench.gate.compare import compare
from gradbench.results.export import to_csv
from gradbench.results.summary import Summary

Write = Callable[..., Path]


def summary(**given: Any) -> Summary:
    whole: dict[str, Any] = {
        "model": "normal",
        "sampler": "nuts",
        "replicate": 0,
        "status": "ok",
        "reason": "",
        "ess_geometric_mean": 500.0,
        "warmup_cpu_s": 0.25,
        "sampling_cpu_s": 0.75,
        "n_logp_warmup": 0,
        "n_logp_sampling": 0,
        "n_grad_warmup": 400,
        "n_grad_sampling": 600,
        "n_parameters": 3,
        "density_signature": 1.25,
        "fingerprint": "abc",
        "init": "uniform",
        "threads": 1,
        "seed": 5,
        "start_seed": 6,
        "params": '{"dim": 3}',
        "options": '{"tune": 100}',
    }
    return Summary(**{**whole, **given})


@pytest.fixture
def csv(tmp_path: Path) -> Write:
    """Write a results.csv of these summaries."""

    def write(*found: Summary, name: str = "results.csv") -> Path:
        path = tmp_path / name
        path.write_text(to_csv(found))
        return path

    return write


def test_a_csv_becomes_series(csv: Write) -> None:
    """Replicates are sorted, counts and phases added up, and what failed has no numbers."""
    nothing = dict.fromkeys(
        ["ess_geometric_mean", "n_grad_warmup", "sampling_cpu_s", "fingerprint", "n_parameters",
         "density_signature"]
    )  # fmt: skip
    path = csv(
        summary(replicate=2, status="crashed", reason='said "no", twice\nand died', **nothing),
        summary(replicate=1, seed=7),
        summary(sampler="emcee"),
    )
    found = sides.of_csv(path)
    assert list(found.series) == [("normal", "nuts"), ("normal", "emcee")]
    series = found.series["normal", "nuts"]
    assert series.replicate.tolist() == [1, 2]
    assert series.seed.tolist() == [7, 5]
    assert series.n_evaluations[0] == 1000
    assert series.cpu_s[0] == 1.0
    assert series.fingerprint == ("abc", "")
    assert series.reason[1] == 'said "no", twice\nand died'
    assert np.isnan([series.ess[1], series.n_evaluations[1], series.cpu_s[1]]).all()
    assert series.setup == {
        "params": {"dim": 3},
        "options": {"tune": 100},
        "init": "uniform",
        "n_parameters": 3,
        "density_signature": 1.25,
        "parameters": "",
        "defaults": [],
    }
    assert series.first(1).replicate.tolist() == [1]


def test_older_csvs_are_read(csv: Write) -> None:
    """A results.csv from before there were density signatures compares with one of today."""
    new = csv(*(summary(replicate=i, seed=i) for i in range(8)))
    lines = [line.split(",") for line in new.read_text().splitlines()]
    old = new.with_name("old.csv")
    drop = lines[0].index("density_signature")
    rows = [",".join(x for i, x in enumerate(line) if i != drop) for line in lines]
    # The options hold commas: only the header's column and its empty field may go.
    old.write_text("\n".join(rows) + "\n")
    found = sides.of_csv(old)
    assert found.series["normal", "nuts"].setup["density_signature"] is None
    (row,) = compare(found, sides.of_csv(new)).rows
    assert row.verdict == "identical"


BAD_CSVS = {
    "foreign": ("a,b\n1,2\n", "not a results.csv: it has no column 'model'"),
    "empty": ("", "not a results.csv"),
    "binary": ("\x00\x01\x02", "not a results.csv"),
}


@pytest.mark.parametrize("case", BAD_CSVS)
def test_foreign_files_are_told(case: str, tmp_path: Path) -> None:
    """A file that is no results.csv is refused with its name and what is missing."""
    text, said = BAD_CSVS[case]
    path = tmp_path / "some.csv"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"some\.csv") as error:
        sides.of_csv(path)
    assert said in str(error.value)


def test_damaged_lines_are_told(csv: Write) -> None:
    """A cut line, no number, a replicate twice, two runs mixed: each with its place."""
    path = csv(summary(), summary(replicate=1))
    whole = path.read_text()
    for text, said in (
        (whole[: whole.rindex("uniform")], ":3: cut short"),
        (whole.replace(",600,", ",many,", 1), ":2: not a line"),
        (whole + whole.splitlines()[1] + "\n", "replicate 0 of nuts on normal appears twice"),
        (whole.replace('{""tune"": 100}', '{""tune"": 9}', 1), ":3: nuts on normal has other"),
        (whole.splitlines()[0] + "\n", "no results in it"),
    ):
        path.write_text(text)
        with pytest.raises(StoreError) as error:
            sides.of_csv(path)
        assert said in str(error.value), said


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    """A missing path, a folder without results, an unknown baseline, a name with a slash."""
    (tmp_path / "empty").mkdir()
    root = tmp_path / "baselines"
    for source, said in (
        (str(tmp_path / "nope"), "no such file or folder"),
        (str(tmp_path / "empty"), "not a results folder"),
        ("baseline:main", "no baseline 'main'"),
        ("baseline:../main", "can't be a baseline's name"),
        ("baseline:", "can't be a baseline's name"),
    ):
        with pytest.raises(StoreError) as error:
            baseline.side(source, root)
        assert said in str(error.value)


def test_damaged_baselines_are_told(tmp_path: Path) -> None:
    """A baseline cut short, from a newer gradbench, or with other columns is one message."""
    folder = tmp_path / "main"
    folder.mkdir()
    for text, said in (
        ('{"schema_version": 2', "not a baseline, or a damaged one"),
        ('{"schema_version": 999}', "not written by this or an older gradbench"),
        ("[]", "not a baseline, or a damaged one"),
        ('{"schema_version": 2, "cells": [], "machine": {}}', "replicates.csv"),
    ):
        (folder / "baseline.json").write_text(text)
        with pytest.raises(StoreError) as error:
            baseline.load("main", tmp_path)
        assert said in str(error.value)
    (folder / "replicates.csv").write_text("x,y\n")
    with pytest.raises(StoreError, match="not the replicates of a baseline"):
        baseline.load("main", tmp_path)
