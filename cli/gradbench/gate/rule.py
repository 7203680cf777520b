"""The rule of the gate: its constants, its looks, and what noise lets it see.

benchmarks/gate.md shows how often this rule is wrong, and what it catches.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.01  # of a false "regressed" in one run, all its tests together
TOLERANCE = float(np.log(1.025))  # of evaluations per effective sample: may be lost unnoticed
TIME_TOLERANCE = float(np.log(1.05))  # memory layout alone moves a process by 2 to 3 %
STORED_TIME_TOLERANCE = float(np.log(1.5))  # runs of another hour differ by 6 to 12 % (sd)
WORST_TOLERANCE = float(np.log(1.25))  # of a single parameter: its ESS is noisier
PASS = float(np.log(1.10))  # fine: a slowdown of this much is ruled out
GATED = float(np.log(1.25))  # a cell too noisy to show this much is advisory
CONFIDENCE = 0.95  # of the intervals shown
HALF_WIDTH = float(stats.norm.ppf((1 + CONFIDENCE) / 2))  # of such an interval, in its errors
POWER = 0.95  # with which a slowdown is said to be caught
N_WORST = 3  # parameters of the base, each tested by itself
SHARES = {"evaluations": 9, "time": 9, "worst": 3, "sampler": 2, "unconverged": 1}  # of the level
EFFICIENCY = 3 / np.pi  # of ranks on normal noise, against means (Hollander & Wolfe 1999, 4.5)

FIRST_LOOK = 8
LOOKS = 32  # replicates of a cell at most, unless the user allows more
FAILED = 0.001  # chance of so many replicates without a cost, below which a cell has failed
FALSE_PASSES = 0.02  # of a 10 % slowdown, at all the looks before the last together


@dataclass(frozen=True, slots=True)
class Look:
    """How the data are judged at one look.

    Attributes:
        n_replicates: of each cell that is not decided yet.
        level: of a false "regressed"; 0 where a cell may only pass.
        confidence: one-sided, of the bound that must lie below ``PASS``.
        is_last: what is not decided now is inconclusive.
    """

    n_replicates: int
    level: float
    confidence: float
    is_last: bool


ONCE = Look(0, LEVEL, CONFIDENCE, is_last=True)


def looks(max_replicates: int = LOOKS) -> list[Look]:
    """Return the looks at 8, 16, 32 … replicates, the last at ``max_replicates``.

    At the first a cell may only pass. The level is spent over the others in the proportion
    2 : 3 : 4 …, so that two share it as 0.4 and 0.6. A pass before the last is the surer, the
    more of them there are: each is a chance to let a slowdown through.
    """
    sizes = [min(FIRST_LOOK, max_replicates)]
    while sizes[-1] < max_replicates:
        sizes.append(min(2 * sizes[-1], max_replicates))
    n_early = len(sizes) - 1
    if n_early == 0:
        return [replace(ONCE, n_replicates=max_replicates)]
    shares = np.arange(2, n_early + 2)
    levels = [0.0, *(LEVEL * shares / shares.sum()).tolist()]
    early = 1 - FALSE_PASSES / n_early
    passes = [early] * n_early + [CONFIDENCE]
    return [
        Look(n, level, confidence, is_last=n == max_replicates)
        for n, level, confidence in zip(sizes, levels, passes, strict=True)
    ]


@cache
def deviates(n_cells: int) -> float:
    """Return how many standard errors from the tolerance a slowdown must be to be caught."""
    untimed = sum(share for what, share in SHARES.items() if what != "time")
    level = looks()[-1].level * SHARES["evaluations"] / untimed / max(n_cells, 1)
    return float(stats.norm.isf(level) + stats.norm.ppf(POWER))


def catches(se: float, n_cells: int) -> float:
    """Return the smallest log cost ratio that is caught at this standard error."""
    return TOLERANCE + deviates(n_cells) * se


def standard_error(sd: float, n_base: int, n_head: int) -> float:
    """Return the standard error of a shift, from the sd of both sides' normal noise."""
    return float(sd / np.sqrt(EFFICIENCY * n_base * n_head / (n_base + n_head)))


def n_needed(sd: float, slowdown: float, n_cells: int) -> int:
    """Return the replicates a side at which a log cost ratio of ``slowdown`` is caught."""
    se = (slowdown - TOLERANCE) / deviates(n_cells)
    return int(np.ceil(2 / EFFICIENCY * (sd / se) ** 2))
