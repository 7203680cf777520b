"""What the replicates of one model and sampler say together, and what it does to each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.config.benchmark import Gates
from gradbench.draws import FloatArray
from gradbench.measure import statuses
from gradbench.measure.result import COSTED, CellResult, Measured, counted
from gradbench.results.moments import heaviness, of_mean, of_square
from gradbench.results.summary import Summary, number
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Calibration

DECISIVE = 2.0  # times what chance allows: of one replicate, bias or an ESS claimed fourfold
PER_ESS = tuple(name for name in Summary.__slots__ if name.endswith("per_ess"))


@dataclass(frozen=True, slots=True)
class Shared:
    """What replicates say together: columns, and a status that contradicts their own, or None."""

    columns: Mapping[str, Any]
    status: str | None = None
    reason: str = ""

    def added_to(self, summary: Summary) -> Summary:
        """Return a replicate's summary with these columns, contradicted if it has costs.

        Under a status that has no costs they become None; under one that has, an ok summary is
        marked and any other stays as it is.
        """
        told = replace(summary, **self.columns)
        if self.status is None or told.status not in COSTED:
            return told
        if self.status in COSTED and told.status != "ok":
            return told
        uncosted: dict[str, Any] = {} if self.status in COSTED else dict.fromkeys(PER_ESS)
        return replace(told, status=self.status, reason=self.reason, **uncosted)


def agreement(group: Sequence[CellResult], gates: Gates) -> Shared:
    """Return whether replicates reached one distribution."""
    agreed = statuses.agreement(group, gates)
    return Shared({"rhat_across_replicates": agreed.rhat}, agreed.status, agreed.reason)


def against_reference(group: Sequence[CellResult]) -> Shared:
    """Return what errors of known moments say of the ESS that replicates claim."""
    runs = counted(statuses.believed(group))
    if not runs or not runs[0].parameters:
        return Shared({})
    if len(runs) < 2:
        return _alone(runs[0])
    claimed = list(claims(runs))
    columns = {name: value for claim in claimed for name, value in _columns(claim).items()}
    contradictions = (said for claim in claimed if (said := _contradiction(claim)) is not None)
    return Shared(columns, *next(contradictions, ()))


def _alone(run: Measured) -> Shared:
    """Return what one replicate says: an error far beyond chance contradicts its ESS."""
    mean = of_mean(run)
    error = diagnostics.bounded(mean.error, mean.spread, heaviness(run))
    is_far = np.abs(error) > diagnostics.BIASED_SD
    z = np.where(is_far, np.nan_to_num(np.abs(mean.z(error))), 0)
    worst = int(np.argmax(z))
    allowed = diagnostics.z_by_chance(len(z))
    if z[worst] <= DECISIVE * allowed:
        return Shared({})
    reason = (
        f"the mean of {run.parameters[worst]} is off by {z[worst]:.1f} standard errors"
        f" that its ESS claims, where chance allows {allowed:.1f}"
    )
    return Shared({}, "overstated", reason)


@dataclass(frozen=True, slots=True)
class Claim:
    """What replicates claim of one moment, of the parameters where it is known in all of them.

    Attributes:
        of: the moment in words.
        parameters: their names, shape (n,).
        ess, error, spread: as of a ``Moment``, shape (replicates, n).
        error_se, heaviness: shape (n,).
        n_independent: a mean over replicates.
    """

    of: str
    parameters: npt.NDArray[np.str_]
    ess: FloatArray
    error: FloatArray
    spread: FloatArray
    error_se: FloatArray
    heaviness: FloatArray
    n_independent: float

    @property
    def calibration(self) -> Calibration:
        """Claimed ESS over the ESS that the errors allow."""
        return diagnostics.calibration(
            self.ess, self.error, n_independent=self.n_independent, reference_se=self.error_se
        )


def claims(runs: Sequence[Measured]) -> Iterator[Claim]:
    """Yield what these runs claim of means and of second moments, where they are known."""
    for of, moment_of in (("mean", of_mean), ("second moment", of_square)):
        moments = [moment_of(run) for run in runs]
        error = np.array([moment.error for moment in moments])
        known = np.isfinite(error).all(axis=0)
        if known.any():
            yield Claim(
                of=of,
                parameters=np.array(runs[0].parameters)[known],
                ess=np.array([moment.ess for moment in moments])[:, known],
                error=error[:, known],
                spread=np.array([moment.spread for moment in moments])[:, known],
                error_se=moments[0].error_se[known],
                heaviness=heaviness(runs[0])[known],
                n_independent=float(np.mean([moment.n_independent for moment in moments])),
            )


def _columns(claim: Claim) -> dict[str, float | None]:
    judged = claim.calibration
    name = "calibration" if claim.of == "mean" else "square_calibration"
    columns = _with_bounds(name, *astuple(judged))
    if claim.of == "mean" and judged.ratio > 0:
        typical = 1 / np.mean(1 / claim.ess)
        bounds = typical / judged.ratio, typical / judged.high, typical / judged.low
        columns |= _with_bounds("error_based_ess", *bounds)
    return columns


def _with_bounds(name: str, *values: float | np.floating) -> dict[str, float | None]:
    """Return columns of an estimate, its lower and its upper bound."""
    names = (name, f"{name}_low", f"{name}_high")
    return dict(zip(names, map(number, values), strict=True))


def _contradiction(claim: Claim) -> tuple[str, str] | None:
    """Return a status and its reason where the errors don't fit the ESS."""
    sure = diagnostics.bounded(claim.error, claim.spread, claim.heaviness)
    biased = diagnostics.is_biased(sure, claim.ess, reference_se=claim.error_se)
    if biased.any():
        off = claim.error.mean(axis=0)
        worst = int(np.argmax(np.where(biased, np.abs(off), 0)))
        parameter = claim.parameters[worst]
        return "biased", f"the {claim.of} of {parameter} is off by {off[worst]:+.2f} sd"
    if diagnostics.is_overstated(
        claim.ess, sure, n_independent=claim.n_independent, reference_se=claim.error_se
    ):
        ratio, low, high = map(_times, astuple(claim.calibration))
        return "overstated", (
            f"the ESS claimed for the {claim.of} is {ratio} [{low}, {high}] times"
            " what its errors allow"
        )
    return None


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"
