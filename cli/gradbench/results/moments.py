"""One run's moments beside known ones: what each parameter's mean and square are off by."""

import math
from dataclasses import dataclass

import numpy as np

from gradbench.draws import FloatArray
from gradbench.measure.result import Measured
from gradbench.target.parameters import ReferenceMoments


@dataclass(frozen=True, slots=True)
class Moment:
    """A run's mean of x, or of (x - mean)², and the reference's; NaN where that is unknown.

    Attributes:
        value, sd: the run's own mean, and the sd of what it is the mean of; shape (n,).
        ess: of the mean, as the run claims.
        n_independent: how many of the parameters are worth an independent one.
        known, known_sd: what the reference says of ``value`` and ``sd``.
        known_se: the standard error of ``known``.
    """

    value: FloatArray
    sd: FloatArray
    ess: FloatArray
    n_independent: float
    known: FloatArray
    known_sd: FloatArray
    known_se: FloatArray

    @property
    def error(self) -> FloatArray:
        """What the mean is off by, in the reference's sds."""
        return (self.value - self.known) / self.known_sd

    @property
    def error_se(self) -> FloatArray:
        """The reference's own standard error, in its sds."""
        return self.known_se / self.known_sd

    @property
    def spread(self) -> FloatArray:
        """The run's own sd over the reference's."""
        return self.sd / self.known_sd

    def z(self, error: FloatArray) -> FloatArray:
        """Return errors in standard errors, the run's as its ESS claims and the reference's own."""
        z: FloatArray = error * np.sqrt(self.ess / (1 + self.ess * self.error_se**2))
        return z


def of_mean(measured: Measured) -> Moment:
    """Return the mean of each parameter."""
    found, known = measured.diagnostics, known_moments(measured)
    return Moment(
        value=found.mean,
        sd=found.sd,
        ess=found.ess_mean,
        n_independent=found.n_independent,
        known=known.mean,
        known_sd=known.sd,
        known_se=known.mean_se,
    )


def of_square(measured: Measured) -> Moment:
    """Return the second moment of each parameter, around the reference's mean."""
    found, known = measured.diagnostics, known_moments(measured)
    return Moment(
        value=found.second_moment,
        sd=found.square_sd,
        ess=found.ess_square,
        n_independent=found.n_independent_square,
        known=known.sd**2,
        known_sd=known.square_sd,
        known_se=known.variance_se,
    )


def heaviness(measured: Measured) -> FloatArray:
    """Return the reference's sd of (x - mean)² over a normal law's: 1 there, 2 of t5; or NaN."""
    known = known_moments(measured)
    times: FloatArray = known.square_sd / (math.sqrt(2) * known.sd**2)
    return times


def known_moments(measured: Measured) -> ReferenceMoments:
    """Return the reference's moments, NaN throughout where there is no reference."""
    if measured.reference is not None:
        return measured.reference
    unknown = np.full(len(measured.parameters), np.nan)
    return ReferenceMoments(*(unknown for _ in ReferenceMoments.__slots__))
