"""Planted slowdowns: time grows, the density does not change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytensor.compile.mode import Mode

from gradbench import models, samplers
from gradbench.measure import slowdown
from gradbench.measure.slowdown import Planted
from gradbench.target.target import Target

FILE = Path(__file__).parents[1] / "models" / "logistic_regression.py"


def target(planted: Planted | None = None) -> Target:
    model, *_ = models.load(models.Source(FILE), {"n": 50, "k": 3})
    if planted is not None:
        slowdown.plant(model, planted)
    return Target(model, mode="FAST_COMPILE")


@pytest.mark.parametrize("planted", [Planted(copies=2), Planted(work=500)], ids=str)
def test_the_density_stays_what_it_is(planted: Planted) -> None:
    """Values and gradients of a planted model are the model's own, to the last digits."""
    plain, slowed = target(), target(planted)
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert slowed.logdensity_batch(points) == pytest.approx(plain.logdensity_batch(points))
    for x in points:
        value, gradient = slowed.logdensity_and_gradient(x)
        assert value == pytest.approx(plain.logdensity(x), rel=1e-14)
        assert gradient == pytest.approx(plain.logdensity_and_gradient(x)[1], rel=1e-12)


def test_no_compiler_sees_through_it() -> None:
    """The work is in the compiled function: a copy doubles its operations, a vector adds one."""

    def n_operations(planted: Planted | None) -> int:
        compiled = target(planted).model.compile_logp(mode=Mode("py", "fast_run"))
        return len(compiled.f.maker.fgraph.apply_nodes)

    plain = n_operations(None)
    assert n_operations(Planted(copies=1)) > 1.5 * plain
    assert n_operations(Planted(work=500)) > plain


def test_work_is_measured_out() -> None:
    """A unit of work is what the trial's difference says; more work for more of a share."""
    assert slowdown.work_for(0.5, 1e-3, 1e-3 + slowdown.TRIAL * 1e-8) == pytest.approx(50_000)
    assert slowdown.work_for(1.0, 1e-3, 1e-3) >= 1, "a trial that seems to cost nothing"


@pytest.mark.parametrize("name", samplers.names())
def test_detuned_options_are_options(name: str) -> None:
    """What a sampler calls a worse tuning are options that it has, and takes."""
    sampler = samplers.load(name)
    required: dict[str, Any] = {"walkers": 8} if name in {"emcee", "zeus"} else {}
    detuned = sampler.options(**required, **sampler.detuned)
    assert detuned != sampler.options(**required)
