"""Exact moments against those others found: posteriordb's reference draws, and known formulas.

They lie beside the project, not in it; where that folder is missing the tests are skipped.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import models
from gradbench.reference import Reference

FOLDER = Path(__file__).parents[3] / "shared" / "reference"
ANALYTIC = "analytic_targets.json"
WIDEST_Z = 4.5  # of twenty numbers


def found(name: str) -> Any:
    """Return what one file says; skip the test without it."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"needs {name} in shared/reference beside the project")
    return json.loads(path.read_text())


def reference(name: str, **params: Any) -> Reference:
    """Return what a shipped model says of its moments."""
    _, known, *_ = models.load(models.find(name, Path()), params)
    assert known is not None
    return known


@pytest.mark.parametrize("centered", [True, False])
def test_eight_schools_agree_with_posteriordb(centered: bool) -> None:
    """Means and squares lie within Monte Carlo errors of the reference draws of posteriordb."""
    way = "centered" if centered else "noncentered"
    theirs = found(f"eight_schools-eight_schools_{way}.json")["parameters"]
    ours = reference("eight_schools", centered=centered).moments
    errors = []
    for scalar, of in theirs.items():
        name, at = re.fullmatch(r"(\w+?)(?:\[(\d+)\])?", scalar).groups()  # type: ignore[union-attr]
        place = () if at is None else (int(at) - 1,)
        mean, sd = np.asarray(ours[name].mean)[place], np.asarray(ours[name].sd)[place]
        errors.append((of["mean"] - mean) / of["mcse_mean"])
        errors.append((of["m2"] - mean**2 - sd**2) / of["mcse_m2"])
    assert len(errors) >= 20
    assert np.abs(errors).max() < WIDEST_Z


@pytest.mark.parametrize(
    ("target", "coordinate", "model", "params", "parameter", "at"),
    [
        ("std_normal_d", "x[i]", "gaussian", {"dim": 3}, "x", 0),
        ("ar1_normal", "x[i]", "correlated_gaussian", {"dim": 3}, "x", 2),
        ("ill_conditioned_normal", "eigen 0.01", "ill_conditioned_gaussian", {"dim": 3}, "x", 0),
        ("ill_conditioned_normal", "eigen 1", "ill_conditioned_gaussian", {"dim": 3}, "x", 1),
        ("ill_conditioned_normal", "eigen 100", "ill_conditioned_gaussian", {"dim": 3}, "x", 2),
        ("neal_funnel", "v", "funnel", {"dim": 10}, "v", ()),
        ("mixture_2", "x1", "bimodal", {"dim": 1, "separation": 8.0, "weight": 0.7}, "x", 0),
        ("student_t5", "x[i]", "student_t", {"dim": 3, "nu": 5.0}, "x", 1),
        ("rosenbrock_gw", "x1", "rosenbrock", {}, "x1", ()),
        ("rosenbrock_gw", "x2", "rosenbrock", {}, "x2", ()),
        ("hybrid_rosenbrock", "x1", "hybrid_rosenbrock", {}, "x1", ()),
        ("hybrid_rosenbrock", "x[j,2]", "hybrid_rosenbrock", {}, "x2", 0),
        ("hybrid_rosenbrock", "x[j,3]", "hybrid_rosenbrock", {}, "x3", 1),
    ],
)  # fmt: skip
def test_exact_moments_are_the_known_ones(
    target: str, coordinate: str, model: str, params: dict[str, Any], parameter: str, at: Any
) -> None:
    """Mean and variance are those of the published formulas."""
    theirs = found(ANALYTIC)[target]["coords"][coordinate]
    ours = reference(model, **params).moments[parameter]
    assert np.asarray(ours.mean)[at] == pytest.approx(theirs["mean"])
    assert np.asarray(ours.sd)[at] ** 2 == pytest.approx(theirs["var"])
