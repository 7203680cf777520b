"""From YAML to CSV, table and verdict with made-up samplers and clocks, compared to the byte."""

import csv
import io
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from gradbench.measure.result import Status
from tests.conftest import Said
from tests.made_up import ENDED, MEASURED, measured

GOLDEN = Path(__file__).parent / "golden"
N = 3  # replicates


def written(path: Path, *labels: str, **keys: Any) -> str:
    """Write a config with these samplers; return its name."""
    plain = {
        "name": "whole",
        "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
        "samplers": {label: {"use": "pymc_nuts"} for label in labels},
        "replicates": N,
        "seed": 1,
        **keys,
    }
    (path / "whole.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    return "whole.yaml"


EVERY = (*MEASURED, *ENDED, "refused", "unsuited")


def test_every_status_from_yaml_to_csv_and_table(said: Said, tmp_path: Path) -> None:
    """One sampler for each status: the table, and results.csv but for the rounding of its numbers.

    Every status that there is occurs, each in the row of its name.
    """
    assert {*EVERY} == {*get_args(Status), "biased", "overstated", "disagrees"}
    table = said("run", written(tmp_path, *EVERY), "--quiet", code=1)
    assert table == (GOLDEN / "whole.txt").read_text()
    (folder,) = (tmp_path / "results" / "whole").iterdir()
    assert said("show", str(folder)) == table
    assert said("show", str(folder / "results.csv")) == table
    with (folder / "results.csv").open(newline="") as ours, (GOLDEN / "whole.csv").open() as theirs:
        found, known = list(csv.DictReader(ours)), list(csv.DictReader(theirs))
    assert len(found) == N * len(EVERY)
    for line, expected in zip(found, known, strict=True):
        assert list(line) == list(expected)
        for name, value in expected.items():
            assert line[name] == value or float(line[name]) == pytest.approx(float(value)), name
    statuses = {(line["sampler"], line["status"]) for line in found}
    partial = {("not_converged", "ok")}
    assert statuses == {(label, label) for label in EVERY} | partial


def test_a_verdict_from_yaml_to_json(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sampler that needs a third more evaluations regresses; another is as it was."""
    config = written(tmp_path, "ok", "unreliable", replicates=64)
    monkeypatch.setitem(
        MEASURED,
        "ok",
        lambda i: measured(1, fingerprint=f"a{i}", ess_mean=np.full(2, 1000 + 10.0 * (i % 7))),
    )
    said("run", config, "--quiet")
    (folder,) = (tmp_path / "results" / "whole").iterdir()
    said("baseline", "save", str(folder), "main")
    table = said("check", config, "--baseline", "main", "--quiet")
    assert table.startswith("No regression (2 identical).")
    monkeypatch.setitem(
        MEASURED,
        "ok",
        lambda i: measured(1, fingerprint=f"b{i}", ess_mean=np.full(2, 750 + 10.0 * (i % 7))),
    )
    found = json.loads(
        said("check", config, "--baseline", "main", "--quiet", "--format", "json", code=3)
    )
    rows = {row["sampler"]: row["verdict"] for row in found["comparisons"][0]["rows"]}
    assert rows == {"ok": "regressed", "unreliable": "identical"}
    printed = said("compare", "baseline:main", "baseline:main", "--format", "csv")
    assert next(csv.DictReader(io.StringIO(printed)))["verdict"] == "identical"
