"""Which numbers may be divided by: the status of a finished cell, and of its replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.config.benchmark import Gates
from gradbench.draws import FloatArray
from gradbench.measure.result import COSTED, CellResult, Measured, Status, counted
from gradbench.stats import diagnostics
from gradbench.target.parameters import ReferenceMoments

BoolArray = npt.NDArray[np.bool_]
Verdict = tuple[Status, str]

# Shares of kept transitions. They are ours: Stan and PyMC warn of a single one, whatever the share.
DIVERGENT = 0.01  # from here on the row is marked
MOSTLY_DIVERGENT = 0.25  # and from here on it has no price
SATURATED = 0.01  # trajectories at the maximum tree depth that are worth a word

NO_VARIANCE, NO_MEAN = 0.5, 1.0  # Pareto k from which on a moment doesn't exist
GREW = 2.0  # times: a spread that grew more within a run is named

UNCONVERGED: frozenset[Status] = frozenset({"not_converged", "diverged", "frozen"})


def status_of(measured: Measured, gates: Gates) -> Verdict:
    """Return a finished cell's status and the reason, naming the worst of what counts."""
    (judged,) = counted([measured])
    for rule in (_broken, _unconverged, _imprecise):
        if (verdict := rule(judged, gates)) is not None:
            return verdict
    return "ok", ""


def _broken(measured: Measured, gates: Gates) -> Verdict | None:  # noqa: ARG001 - as the others
    """A chain is frozen where a free coordinate is: what is computed may have one value only."""
    found, names = measured.diagnostics, measured.parameters
    if measured.nonfinite is not None or not np.all(found.is_finite):
        worst = measured.nonfinite or names[int(np.argmin(found.is_finite))]
        return "nonfinite", f"NaN or infinity among the draws of {worst}"
    if measured.is_approximate:
        return "approximate", ""
    if measured.frozen is not None:
        return "frozen", f"a chain of {measured.frozen} never moved"
    if not names:
        return "too_few_draws", "all draws are the same in everything that counts"
    return None


def _unconverged(measured: Measured, gates: Gates) -> Verdict | None:
    different = (_drift if measured.is_ensemble else _disagreement)(measured, gates)
    if different:
        return "not_converged", different
    if _diverged(measured) > MOSTLY_DIVERGENT:
        return "diverged", f"{_divergences(measured)}, more than a quarter"
    return None


def _imprecise(measured: Measured, gates: Gates) -> Verdict | None:
    found, names = measured.diagnostics, measured.parameters
    ess, worst = _smallest(found.ess_bulk, names)
    if not measured.is_ensemble and ess < gates.ess:
        return "too_few_draws", f"bulk ESS of {worst} is {ess:.0f}, below {gates.ess:g}"
    if _diverged(measured) > DIVERGENT:
        return "unreliable", f"{_divergences(measured)}: what they turned back from may be missing"
    tau, worst = _largest(found.tau, names)
    times = measured.n_draws / tau
    if measured.is_ensemble and times < gates.autocorrelation_times:
        return (
            "unreliable",
            f"{measured.n_draws} steps are {times:.1f} autocorrelation times of {worst};"
            f" {gates.autocorrelation_times:g} are needed",
        )
    return None


def _diverged(measured: Measured) -> float:
    return (measured.n_divergences or 0) / measured.n_transitions


def _divergences(measured: Measured) -> str:
    return f"{measured.n_divergences:,} of {measured.n_transitions:,} kept transitions diverged"


def _disagreement(measured: Measured, gates: Gates) -> str:
    """Return how chains differ, or the halves of a lone one, beyond what chance allows."""
    found, names = measured.diagnostics, measured.parameters
    is_alone = measured.n_chains == 1
    limit = np.maximum(gates.rhat, _rhat_by_chance(measured, gates))
    of = "the chain's halves in " if is_alone else ""
    return _above(found.rhat_halves if is_alone else found.rhat, limit, names, of)


def _rhat_by_chance(measured: Measured, gates: Gates) -> FloatArray:
    """Return what R-hat may reach by chance, at an ESS of at least the gate's.

    Chains that disagree have a small ESS, which must not excuse their R-hat.
    """
    found = measured.diagnostics
    ess = np.maximum(np.fmin(found.ess_bulk, found.ess_square), gates.ess)
    return diagnostics.rhat_by_chance(ess, measured.n_chains)


def _drift(measured: Measured, gates: Gates) -> str:
    """Return how an ensemble's halves differ, by more than R-hat's limit and more than chance."""
    found, names = measured.diagnostics, measured.parameters
    by_chance = diagnostics.t_by_chance(len(names), measured.n_chains)
    drifted = np.where(found.t_halves > by_chance, found.rhat_halves, np.nan)
    different = _above(drifted, np.full(len(names), gates.rhat), names, "the run's halves in ")
    growth, worst = _largest(np.where(np.isnan(drifted), np.nan, found.spread_halves), names)
    if different and growth > GREW:
        times = f"{growth:,.0f}" if growth < 1e7 else f"{growth:.0e}"
        return (
            f"the walkers' spread in {worst} grew {times} times from the first half of the run to"
            " the second: is the posterior proper?"
        )
    return different


def _above(rhat: FloatArray, limit: FloatArray, names: tuple[str, ...], of: str) -> str:
    """Return the R-hat that is furthest above its limit, in words; empty where none is."""
    excess, worst = _largest(rhat - limit, names)
    if not excess > 0:
        return ""
    at = names.index(worst)
    n = 3 if f"{rhat[at]:.3f}" != f"{limit[at]:.3f}" else 5
    return f"R-hat of {of}{worst} is {rhat[at]:.{n}f}, above {limit[at]:.{n}f}"


def _largest(values: FloatArray, names: tuple[str, ...]) -> tuple[float, str]:
    worst = int(np.nanargmax(np.where(np.isnan(values), -np.inf, values)))
    return float(values[worst]), names[worst]


def _smallest(values: FloatArray, names: tuple[str, ...]) -> tuple[float, str]:
    negative, name = _largest(-values, names)
    return -negative, name


# -- replicates of one model and sampler -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether replicates agree: the largest R-hat across them, and a status for the costed ones.

    None where nothing could be compared, and where nothing speaks against them.
    """

    rhat: float | None = None
    status: Status | None = None
    reason: str = ""


def agreement(group: Sequence[CellResult], gates: Gates) -> Agreement:
    """Return whether the replicates of one model and sampler reached one distribution.

    Each is a superchain of nested R-hat (Margossian et al. 2022), of x and of (x - mean)². Those
    that did not converge by themselves are left out while they are few: a chain in twenty that got
    stuck says nothing of the others. Where they are as many as the rest, which got it right can't
    be known.
    """
    costed = believed(group)
    doubted = [r.measured for r in group if r.measured is not None and r.status in UNCONVERGED]
    compared = counted([*costed, *doubted] if len(doubted) >= len(costed) else costed)
    if not costed or not compared[0].parameters:
        return Agreement()
    if len(compared) < 2:
        return Agreement(*((None, "unreliable", ALONE) if costed[0].is_lone_chain else ()))
    names = compared[0].parameters
    rhat, limit = _across(compared, len(costed), gates)
    known = rhat[np.isfinite(rhat)]
    different = _above(rhat, limit, names, "the replicates in ")
    return Agreement(
        float(known.max()) if known.size else None,
        "not_converged" if different else None,
        different,
    )


ALONE = "one chain, and no second to compare it with: give it chains, or replicates"


def believed(group: Sequence[CellResult]) -> list[Measured]:
    """Return what was measured in those cells whose costs may be believed."""
    return [r.measured for r in group if r.measured is not None and r.status in COSTED]


def _across(
    compared: Sequence[Measured], n_believed: int, gates: Gates
) -> tuple[FloatArray, FloatArray]:
    """Return each parameter's R-hat across replicates and its limit, of x or of its square.

    What each replicate claims of itself says what chance allows. That of one that did not converge
    excuses nothing: it has the gate's ESS.
    """

    def stacked(name: str) -> FloatArray:
        return np.array([getattr(measured.diagnostics, name) for measured in compared])

    n = len(compared[0].parameters)
    with np.errstate(all="ignore"):
        mean, sd, square_sd = stacked("mean"), stacked("sd"), stacked("square_sd")
        unit = sd.max(axis=0)  # squares of it may be beyond what a float holds
        mean, sd, square_sd = (mean - mean[0]) / unit, sd / unit, square_sd / unit / unit
        squares = sd**2 + (mean - mean.mean(axis=0)) ** 2
        rhats, limits = [], []
        for name, means, sds in (("ess_mean", mean, sd), ("ess_square", squares, square_sd)):
            ess = stacked(name)
            ess[n_believed:] = gates.ess
            ess = np.where(ess > 0, ess, gates.ess)
            rhats.append(diagnostics.rhat_across(means, sds**2))
            limits.append(diagnostics.rhat_across_by_chance(ess, 2 * n))
        rhat, limit = np.array(rhats), np.fmax(limits, gates.rhat)
    which = np.argmax(np.nan_to_num(rhat - limit, nan=-np.inf), axis=0)[None]
    return (
        np.take_along_axis(rhat, which, axis=0)[0],
        np.take_along_axis(limit, which, axis=0)[0],
    )


# -- moments that don't exist ----------------------------------------------------------------


def existing(group: Sequence[CellResult]) -> list[CellResult]:
    """Return the results of one model and sampler without the moments that don't exist.

    Where the tails of all replicates together are too heavy for a variance, beyond what chance
    explains, there is none for a mean's error either: sd, ESS and errors of mean and square become
    NaN, and without a mean that too. Bulk and tail ESS stay. A variance that a reference knows
    exists, whatever the draws look like: walkers that are stuck far out look like a heavy tail.
    """
    costed = believed(group)
    if not costed:
        return list(group)
    k = np.array([measured.diagnostics.pareto_k for measured in costed])
    n_tail = np.array([measured.diagnostics.n_tail for measured in costed])
    is_known = np.isfinite(k).all(axis=0)
    if (reference := costed[0].reference) is not None:
        is_known &= ~np.isfinite(reference.sd)
    if not is_known.any():
        return list(group)
    shape = np.where(is_known, k, 0).mean(axis=0)
    sampled = np.where(is_known, n_tail, 1).sum(axis=0)
    has_none = {
        limit: is_known & (shape - limit > _k_by_chance(limit, sampled))
        for limit in (NO_VARIANCE, NO_MEAN)
    }
    if not has_none[NO_VARIANCE].any():
        return list(group)
    return [
        result
        if result.measured is None
        else replace(result, measured=_without(result.measured, shape, has_none))
        for result in group
    ]


def _k_by_chance(limit: float, n_tail: FloatArray) -> FloatArray:
    """Return how far above its value k may be estimated: its error is (1 + k) / sqrt(n)."""
    z: FloatArray = diagnostics.z_by_chance(len(n_tail)) * (1 + limit) / np.sqrt(n_tail)
    return z


def _without(measured: Measured, k: FloatArray, has_none: Mapping[float, BoolArray]) -> Measured:
    """Return a run without these moments, its reference's among them; ``pareto_k`` is all runs'."""
    found, reference = measured.diagnostics, measured.reference

    def only(limit: float, array: FloatArray) -> FloatArray:
        return np.where(has_none[limit], np.nan, array)

    squared = ("sd", "square_sd", "second_moment", "mcse_mean", "ess_mean", "ess_square")
    gone: dict[str, Any] = {name: only(NO_VARIANCE, getattr(found, name)) for name in squared}
    return replace(
        measured,
        diagnostics=replace(found, pareto_k=k, mean=only(NO_MEAN, found.mean), **gone),
        reference=reference
        and ReferenceMoments(
            **{
                name: only(NO_VARIANCE, getattr(reference, name))
                for name in ReferenceMoments.__slots__
            }
        ),
    )
