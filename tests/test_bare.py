"""What a bare evaluation costs, and what is made of it."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradbench import models
from gradbench.config.planning import Cell
from gradbench.draws import Evaluations, FloatArray
from gradbench.measure.bare import Bare, bare
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult, Measured
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary
from gradbench.target.target import Target
from tests.made_up import measured

COSTS = Bare(logdensity_s=1e-4, batched_s=5e-5, gradient_s=3e-4)


def summary(run: Measured, costs: Bare | None = COSTS) -> Summary:
    cell = Cell(
        model="m", model_use="m", params={}, sampler="s", sampler_use="s", options={},
        init="uniform", threads=1, replicate=0, seed=1, start_seed=1,
    )  # fmt: skip
    check = DensityCheck("m", ("s",), 16, 0.0, None, bare=costs)
    (found,) = summarize([CellResult(cell, "ok", "", run)], [check])
    return found


def test_a_gradient_counts_what_it_costs() -> None:
    """Three log-densities here; log-densities themselves count one each."""
    counts = Evaluations(
        n_logp_warmup=100, n_logp_sampling=900, n_grad_warmup=2000, n_grad_sampling=3000
    )
    found = summary(measured(0, evaluations=counts))
    assert found.density_equivalents_per_ess == pytest.approx((1000 + 3 * 5000) / 1050)
    cpu_s = measured(0).timing.sampling.cpu_s
    assert found.overhead == pytest.approx(cpu_s / (900 * 1e-4 + 3000 * 3e-4))


def test_an_ensembles_evaluations_are_made_together() -> None:
    """They are held against those of many points in one call."""
    counts = Evaluations(n_logp_sampling=10_000)
    run = measured(0, evaluations=counts, is_ensemble=True, tau=np.ones(2))
    found = summary(run)
    assert found.overhead == pytest.approx(run.timing.sampling.cpu_s / (10_000 * 5e-5))


@pytest.mark.parametrize("costs", [None, replace(COSTS, gradient_s=None)])
def test_what_was_not_measured_gives_no_number(costs: Bare | None) -> None:
    """A run of before, and gradients of a sampler's own on a model that has none."""
    found = summary(measured(0), costs)
    assert found.overhead is None
    assert found.density_equivalents_per_ess is None
    assert found.evaluations_per_ess is not None


def test_costs_are_those_of_evaluations() -> None:
    """All cost something, and the ratio is of the two that it is named for."""
    target = Target(*models.load(models.find("gaussian", Path()), {"dim": 3}))
    found = bare(target, np.zeros(3))
    assert found.gradient_s is not None
    assert min(found.batched_s, found.logdensity_s, found.gradient_s) > 0
    assert math.isclose(found.ratio or 0, found.gradient_s / found.logdensity_s)


def test_a_slow_density_is_not_asked_often() -> None:
    """One that takes long is timed once, and never with many points."""
    asked = []

    class Slow:
        why_no_gradient = "it has none"

        @staticmethod
        def logdensity(x: FloatArray) -> float:
            asked.append(x)
            end = time.process_time() + 0.03
            while time.process_time() < end:
                pass
            return 0.0

    found = bare(Slow(), np.zeros(2))  # type: ignore[arg-type]
    assert len(asked) <= 6
    assert found.batched_s == found.logdensity_s
