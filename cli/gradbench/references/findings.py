"""Whether the runs of several samplers, as one, may serve as a reference.

Sources: Vehtari et al. (2021), Bayesian Analysis 16(2); Margossian et al. (2022), arXiv:2110.13017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from gradbench.draws import FloatArray
from gradbench.measure.result import Measured
from gradbench.results.pooled import Pooled, of_all, of_sampler
from gradbench.stats import diagnostics
from gradbench.target.parameters import ReferenceMoments

CONFIRMED = 4.0  # standard errors between a reference and a fresh run


@dataclass(frozen=True, slots=True)
class Demand:
    """What draws must meet before their moments are kept.

    Attributes:
        rhat: largest R-hat; half of what Vehtari et al. (2021) allow a run's excess over 1.
        ess: smallest effective sample size, more than a hundred times the 400 from which Vehtari
            et al. trust a run: to the squared error of such a run the reference adds under 1 %.
        divergences: largest share of kept transitions that diverge.
    """

    rhat: float = 1.005
    ess: float = 50_000
    divergences: float = 1e-4


def apart(pools: Sequence[Pooled]) -> FloatArray:
    """Return by how many standard errors samplers differ, shape (2, n): means, and variances.

    The largest over all pairs of samplers.
    """
    with np.errstate(invalid="ignore"):
        differences = [off(one, other) for one, other in combinations(pools, 2)]
    found: FloatArray = np.max(differences, axis=0)
    return found


def off(found: Pooled, other: Pooled | ReferenceMoments) -> FloatArray:
    """Return by how many standard errors a pool is off another, shape (2, n), NaN unknown."""
    return np.array(
        [
            np.abs(found.mean - other.mean) / np.hypot(found.mean_se, other.mean_se),
            np.abs(found.sd**2 - other.sd**2) / np.hypot(found.variance_se, other.variance_se),
        ]
    )


@dataclass(frozen=True, slots=True)
class Findings:
    """What runs of several samplers say together.

    Attributes:
        parameters: names of the scalars that all arrays are in order of.
        pools: each sampler's runs.
        whole: all of them.
        demand: what they are held against.
        apart: see ``apart``.
        allowed: the largest that chance explains.
        unmet: a sentence for each demand that is not met: what, by how much, what to do.
    """

    parameters: tuple[str, ...]
    pools: Mapping[str, Pooled]
    whole: Pooled
    demand: Demand
    apart: FloatArray
    allowed: float
    unmet: tuple[str, ...]


def pooled_findings(runs: Mapping[str, Sequence[Measured]], demand: Demand) -> Findings:
    """Return what the runs of two samplers or more say, held against a demand.

    All of them must have the same parameters, those that count: see ``result.counted``.
    """
    parameters = next(iter(runs.values()))[0].parameters
    pools = {sampler: of_sampler(of_one) for sampler, of_one in runs.items()}
    whole = of_all(runs)
    differences = apart(list(pools.values()))
    n_pairs = len(pools) * (len(pools) - 1) // 2
    allowed = diagnostics.z_by_chance(n_pairs * differences.size)
    complaints = (
        _rhat(whole, parameters, demand),
        _ess(whole, parameters, demand),
        _agreement(differences, allowed, parameters),
        _divergences(pools, demand),
    )
    return Findings(
        parameters=parameters,
        pools=pools,
        whole=whole,
        demand=demand,
        apart=differences,
        allowed=allowed,
        unmet=tuple(complaint for complaint in complaints if complaint),
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A reference held against a fresh run: how far it is off, what may be, and what is wrong."""

    off: FloatArray
    allowed: float
    unmet: tuple[str, ...]


def confirm(found: Findings, reference: ReferenceMoments) -> Confirmation:
    """Return whether a run confirms a reference: four standard errors, more where chance allows.

    Chance allows more from 158 known moments on.
    """
    differences = off(found.whole, reference)
    allowed = max(CONFIRMED, diagnostics.z_by_chance(max(1, int(np.isfinite(differences).sum()))))
    of_variance, worst = divmod(int(np.nanargmax(differences)), len(found.parameters))
    largest = float(np.nanmax(differences))
    contradicted = (
        f"the {'variance' if of_variance else 'mean'} of {found.parameters[worst]} is"
        f" {largest:.1f} standard errors off the reference, where {allowed:.1f} are allowed:"
        " make it again, without --check"
    )
    unmet = found.unmet if largest <= allowed else (*found.unmet, contradicted)
    return Confirmation(differences, allowed, unmet)


# NaN is no number to trust: each comparison below is false for it, and argmax finds it first.


def _rhat(whole: Pooled, parameters: tuple[str, ...], demand: Demand) -> str:
    worst = int(np.argmax(whole.rhat))
    if whole.rhat[worst] <= demand.rhat:
        return ""
    return (
        f"R-hat of {parameters[worst]} is {whole.rhat[worst]:.4f}, above {demand.rhat:g}:"
        " chains are in different places; give them longer (--draws), or write the model with"
        " another parameterization"
    )


def _ess(whole: Pooled, parameters: tuple[str, ...], demand: Demand) -> str:
    worst = int(np.argmin(whole.ess))
    if whole.ess[worst] >= demand.ess:
        return ""
    return (
        f"the ESS of {parameters[worst]} is {whole.ess[worst]:,.0f} of {demand.ess:,.0f} after"
        f" {whole.n_draws:,} draws: allow more (--max-draws), or write the model with another"
        " parameterization"
    )


def _agreement(differences: FloatArray, allowed: float, parameters: tuple[str, ...]) -> str:
    of_variance, worst = divmod(int(np.argmax(differences)), len(parameters))
    largest = float(differences.max())
    if largest <= allowed:
        return ""
    return (
        f"samplers disagree in the {'variance' if of_variance else 'mean'} of {parameters[worst]}"
        f" by {largest:.1f} standard errors, where chance allows {allowed:.1f}: at least one of"
        " them is wrong; smaller steps (a higher target_accept) or another parameterization"
        " may mend it"
    )


def _divergences(pools: Mapping[str, Pooled], demand: Demand) -> str:
    said = [
        f"{sampler} {found.n_divergences:,} of {found.n_draws:,}"
        for sampler, found in pools.items()
        if not found.n_divergences <= demand.divergences * found.n_draws
    ]
    if not said:
        return ""
    return (
        f"transitions diverge: {', '.join(said)}, more than {demand.divergences:g} of them:"
        " give smaller steps (a higher target_accept), or write the model with another"
        " parameterization"
    )
