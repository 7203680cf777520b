"""What one bare evaluation of a model costs: the unit that samplers' evaluations are weighed in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradbench import timing
from gradbench.draws import FloatArray
from gradbench.target.target import Target

N_BATCH = 64  # points in one call: as many as an ensemble of 128 walkers moves at once
SLOW_S = 0.02  # of one evaluation: then each is timed once, and many take as many times as long
N_ROUNDS = 5  # batches of each, interleaved; the fastest counts


@dataclass(frozen=True, slots=True)
class Bare:
    """CPU seconds of one evaluation, in the backend of the sampler that was compiled first.

    Attributes:
        logdensity_s: of the log-density of one point.
        batched_s: the same, of one of ``N_BATCH`` points in one call.
        gradient_s: of the log-density with its gradient; None where it has none.
    """

    logdensity_s: float
    batched_s: float
    gradient_s: float | None = None

    @property
    def ratio(self) -> float | None:
        """What a gradient, with the log-density, costs in log-densities."""
        return None if self.gradient_s is None else self.gradient_s / self.logdensity_s

    def seconds(self, *, n_logp: int, n_grad: int, is_batched: bool) -> float | None:
        """Return what so many evaluations take with nothing around them; None where unknown."""
        if n_grad and self.gradient_s is None:
            return None
        one_s = self.batched_s if is_batched else self.logdensity_s
        return n_logp * one_s + n_grad * (self.gradient_s or 0.0)


def bare(target: Target, x: FloatArray) -> Bare:
    """Return what evaluations take at a point x (ndim,) of the support."""
    many = np.tile(x, (N_BATCH, 1))
    calls: dict[str, Callable[[], object]] = {
        "logdensity": lambda: target.logdensity(x),
    }
    (first_s,) = timing.interleaved(calls, n_rounds=1)["logdensity"]
    is_slow = first_s > SLOW_S
    if not is_slow:
        calls["batched"] = lambda: target.logdensity_batch(many)
    if target.why_no_gradient is None:
        calls["gradient"] = lambda: target.logdensity_and_gradient(x)
    found = timing.interleaved(calls, n_rounds=1 if is_slow else N_ROUNDS)
    spent = {name: min(each) for name, each in found.items()}
    one_s = spent["logdensity"]
    return Bare(one_s, spent.get("batched", N_BATCH * one_s) / N_BATCH, spent.get("gradient"))
