"""Slowdowns planted on purpose: a gate is believed when it has caught what it was to catch.

Added work leaves the log-density's values as they are, so that draws and evaluations stay the same
and only time grows; a worse tuning is the opposite.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradbench import timing
from gradbench.draws import FloatArray
from gradbench.sampler import Evaluator

if TYPE_CHECKING:
    import pymc as pm

TRIAL = 20_000  # work of the trial that tells what a unit of work costs


@dataclass(frozen=True, slots=True)
class Planted:
    """What is added to every evaluation of a log-density.

    Attributes:
        copies: further evaluations of the density itself.
        work: sines that are summed, and thrown away.
        is_detuned: whether samplers get the worse tuning that each of them names.
    """

    copies: int = 0
    work: int = 0
    is_detuned: bool = False


def plant(model: "pm.Model", planted: Planted) -> None:
    """Add the work to a model, as a potential of zero that no compiler can see to be zero."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace

    variables = list(model.value_vars)
    with model:
        logp = model.logp() if planted.copies else None
        for i in range(planted.copies):
            zero = pytensor.shared(0.0, name=f"planted_zero_{i}")
            # Moved by zero, so that the copy isn't merged with the original.
            moved = {variable: variable + zero for variable in variables}
            copy = clone_replace(logp, moved)
            harmless = pt.switch(pt.isinf(copy) | pt.isnan(copy), 0.0, copy)
            pm.Potential(f"planted_copy_{i}", zero * harmless)
        if planted.work:
            zero = pytensor.shared(0.0, name="planted_zero")
            angles = pt.constant(np.linspace(0.0, 1.0, planted.work))
            pm.Potential("planted_work", zero * pt.sum(pt.sin(angles + variables[0].sum())))


def call_s(built: Evaluator, points: FloatArray) -> float:
    """Return the CPU seconds of one call of the density or gradient that a sampler uses.

    Args:
        built: whose own code path is called.
        points: shape (n, ndim); all of them are one call.
    """

    def call() -> Any:
        gradients = built.gradient(points)
        return built.logdensity(points) if gradients is None else gradients

    return timing.seconds(call)


def work_for(share: float, plain_s: float, trial_s: float) -> int:
    """Return the work that makes a call longer by ``share``, from the times without and with."""
    unit_s = max(trial_s - plain_s, 1e-9) / TRIAL
    return max(1, round(share * plain_s / unit_s))
