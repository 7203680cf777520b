"""Which numbers may be divided by: the status of a finished cell, and why."""

import numpy as np

from gradbench import diagnostics
from gradbench.config import Gates
from gradbench.draws import FloatArray
from gradbench.result import Measured, Status, counted


def judge(measured: Measured, gates: Gates) -> tuple[Status, str]:
    """Return a finished cell's status and the reason, naming the worst of what counts.

    A chain is frozen where a free coordinate is: what is computed may have one value only.
    """
    (judged,) = counted([measured])
    found, names = judged.diagnostics, judged.parameters
    if measured.nonfinite is not None or not np.all(found.is_finite):
        worst = measured.nonfinite or names[int(np.argmin(found.is_finite))]
        return "nonfinite", f"NaN or infinity among the draws of {worst}"
    if measured.is_approximate:
        return "approximate", ""
    if measured.frozen is not None:
        return "frozen", f"a chain of {measured.frozen} never moved"
    if not names:
        return "too_few_draws", "all draws are the same in everything that counts"
    return (_judge_ensemble if measured.is_ensemble else _judge_chains)(judged, gates)


def _judge_chains(measured: Measured, gates: Gates) -> tuple[Status, str]:
    found, names = measured.diagnostics, measured.parameters
    limit = np.maximum(gates.rhat, _rhat_by_chance(measured, gates))
    excess, worst = _largest(found.rhat - limit, names)
    if excess > 0:
        rhat, allowed = (values[names.index(worst)] for values in (found.rhat, limit))
        n = 3 if f"{rhat:.3f}" != f"{allowed:.3f}" else 5
        return "not_converged", f"R-hat of {worst} is {rhat:.{n}f}, above {allowed:.{n}f}"
    ess, worst = _smallest(found.ess_bulk, names)
    if ess < gates.ess:
        return "too_few_draws", f"bulk ESS of {worst} is {ess:.0f}, below {gates.ess:g}"
    return "ok", ""


def _rhat_by_chance(measured: Measured, gates: Gates) -> FloatArray:
    """Return what R-hat may reach by chance, at an ESS of at least the gate's.

    Chains that disagree have a small ESS, which must not excuse their R-hat.
    """
    found = measured.diagnostics
    ess = np.maximum(np.fmin(found.ess_bulk, found.ess_square), gates.ess)
    return diagnostics.rhat_by_chance(ess, measured.n_chains)


def _judge_ensemble(measured: Measured, gates: Gates) -> tuple[Status, str]:
    tau, worst = _largest(measured.diagnostics.tau, measured.parameters)
    times = measured.n_draws / tau
    if times < gates.autocorrelation_times:
        return (
            "unreliable",
            f"{measured.n_draws} steps are {times:.1f} autocorrelation times of {worst};"
            f" {gates.autocorrelation_times:g} are needed",
        )
    return "ok", ""


def _largest(values: FloatArray, names: tuple[str, ...]) -> tuple[float, str]:
    worst = int(np.nanargmax(np.where(np.isnan(values), -np.inf, values)))
    return float(values[worst]), names[worst]


def _smallest(values: FloatArray, names: tuple[str, ...]) -> tuple[float, str]:
    negative, name = _largest(-values, names)
    return -negative, name
