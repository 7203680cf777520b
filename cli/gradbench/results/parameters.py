"""Each parameter's numbers: one row per cell and parameter, a line of ``parameters.csv``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradbench.config.planning import Cell
from gradbench.draws import FloatArray
from gradbench.measure import statuses
from gradbench.measure.result import CellResult, Measured, by_sampler
from gradbench.results.moments import known_moments, of_mean, of_square
from gradbench.results.summary import number
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One cell and parameter: a line of ``parameters.csv``. Errors are in reference sds.

    The error-based ESS is that of all replicates' errors together, for one replicate.
    """

    model: str
    sampler: str
    replicate: int
    parameter: str
    mean: float | None
    sd: float | None
    mcse_mean: float | None
    ess_bulk: float | None
    ess_tail: float | None
    ess_mean: float | None
    ess_square: float | None
    rhat: float | None
    autocorrelation_times: float | None
    ess_bulk_as_chains: float | None
    ess_autocorr_time: float | None
    reference_mean: float | None
    reference_sd: float | None
    error_sd: float | None
    z: float | None
    square_error_sd: float | None
    square_z: float | None
    error_based_ess: float | None
    error_based_ess_low: float | None
    error_based_ess_high: float | None
    is_counted: bool


def parameter_rows(results: Iterable[CellResult]) -> list[ParameterRow]:
    """Return one row per finished cell and parameter."""
    groups = map(statuses.existing, by_sampler(results).values())
    return [row for group in groups for row in _rows_of(group)]


def parameter_columns(measured: Measured) -> dict[str, FloatArray]:
    """Return what one run says of each parameter, by column of a ``ParameterRow``."""
    found, known = measured.diagnostics, known_moments(measured)
    mean, square = of_mean(measured), of_square(measured)
    return {
        "mean": found.mean,
        "sd": found.sd,
        "mcse_mean": found.mcse_mean,
        "ess_bulk": found.ess_bulk,
        "ess_tail": found.ess_tail,
        "ess_mean": found.ess_mean,
        "ess_square": found.ess_square,
        "rhat": found.rhat,
        "autocorrelation_times": measured.n_draws / found.tau,
        "ess_bulk_as_chains": found.ess_bulk_as_chains,
        "ess_autocorr_time": found.ess_autocorr_time,
        "reference_mean": known.mean,
        "reference_sd": known.sd,
        "error_sd": mean.error,
        "z": mean.z(mean.error),
        "square_error_sd": square.error,
        "square_z": square.z(square.error),
    }


def smallest_ess(found: Diagnostics) -> FloatArray:
    """Return the smaller ESS of mean and square, shape (n,); of ranks where neither exists."""
    smaller: FloatArray = np.fmin(found.ess_mean, found.ess_square)
    return or_ranks(smaller, found)


def or_ranks(ess: FloatArray, found: Diagnostics) -> FloatArray:
    """Return these ESS, the smaller of bulk and tail where they don't exist."""
    return np.where(np.isnan(ess), np.fmin(found.ess_bulk, found.ess_tail), ess)


def _rows_of(group: Sequence[CellResult]) -> Iterator[ParameterRow]:
    error_based = _error_based(group)
    for result in group:
        if result.measured is not None:
            yield from _rows_of_cell(result.cell, result.measured, error_based)


def _rows_of_cell(
    cell: Cell, measured: Measured, error_based: Mapping[str, FloatArray]
) -> Iterator[ParameterRow]:
    columns = {**parameter_columns(measured), **error_based}
    for i, name in enumerate(measured.parameters):
        yield ParameterRow(
            model=cell.model,
            sampler=cell.sampler,
            replicate=cell.replicate,
            parameter=name,
            **{column: number(values[i]) for column, values in columns.items()},
            is_counted=bool(measured.diagnostics.is_counted[i]),
        )


def _error_based(group: Sequence[CellResult]) -> dict[str, FloatArray]:
    """Return each parameter's error-based ESS and its interval, NaN where nothing is known."""
    names = ("error_based_ess", "error_based_ess_low", "error_based_ess_high")
    means = [of_mean(measured) for measured in statuses.believed(group)]
    if not means:
        n = max((len(r.measured.parameters) for r in group if r.measured is not None), default=0)
        return dict.fromkeys(names, np.full(n, np.nan))
    errors = np.array([mean.error for mean in means])
    found = diagnostics.error_based_ess(errors, reference_se=means[0].error_se)
    return dict(zip(names, found, strict=True))
