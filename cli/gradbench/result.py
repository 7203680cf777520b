"""What became of a cell: its status, why, and what was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from gradbench.diagnostics import Diagnostics
from gradbench.draws import Evaluations, FloatArray
from gradbench.grid import Cell
from gradbench.target import ReferenceMoments
from gradbench.timing import Duration, Timing

# 2: density signatures, the host; 3: approximations, evidence; 4: square_sd;
# 5: n_independent_square
SCHEMA_VERSION = 5

Status = Literal[
    "ok",  # nothing speaks against the number
    "approximate",  # draws from something fitted: judged by its errors, never costed
    "unreliable",  # an ensemble shorter than ten autocorrelation times: costed, and marked
    "too_few_draws",  # an effective sample size too small to be estimated
    "not_converged",  # R-hat over the limit
    "frozen",  # a chain that never moved
    "nonfinite",  # NaN or infinity among the draws
    "timeout",  # over the time limit
    "out_of_memory",  # over the memory limit
    "crashed",  # the worker died
    "failed",  # the library raised
    "refused",  # the density check failed
    "unsuited",  # this sampler can't run on this model, as others of the run can
]

COSTED: frozenset[Status] = frozenset({"ok", "unreliable"})
NEVER_COSTED: frozenset[Status] = frozenset({"approximate", "unsuited"})
UNFINISHED: frozenset[Status] = frozenset(
    {"timeout", "out_of_memory", "crashed", "failed", "refused"}
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one finished run of a sampler gave.

    Attributes:
        timing: warm-up and sampling; ``compile`` is what this cell paid, zero in a warm worker.
        evaluations: exact counts.
        parameters: names of the scalars that ``diagnostics`` and ``reference`` are in order of.
        diagnostics: per parameter.
        reference: moments in the same order, or None.
        reference_source: where they come from, or None.
        n_chains: chains, or walkers of the ensemble.
        n_draws: kept draws of each.
        is_ensemble: whether the chains are walkers of one ensemble.
        n_divergences: divergent kept transitions; None where that has no meaning.
        acceptance_rate: mean over kept draws, or None.
        peak_memory_bytes: of the worker, while this cell ran.
        fingerprint: SHA-256 of the draws' bytes, 16 digits: same code, same seed, same draws.
        backend: what the model was compiled to.
        thread_pools: sizes of the thread pools in the worker, by library.
        load: one-minute load average when the cell began.
        is_approximate: whether the draws are independent ones from a fitted approximation.
        log_evidence: log of the marginal likelihood, where the sampler gives it.
        log_evidence_se: the sampler's own standard error of that.
    """

    timing: Timing
    evaluations: Evaluations
    parameters: tuple[str, ...]
    diagnostics: Diagnostics
    reference: ReferenceMoments | None
    reference_source: str | None
    n_chains: int
    n_draws: int
    is_ensemble: bool
    n_divergences: int | None
    acceptance_rate: float | None
    peak_memory_bytes: int
    fingerprint: str
    backend: str
    thread_pools: Mapping[str, int]
    load: float
    is_approximate: bool = False
    log_evidence: float | None = None
    log_evidence_se: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not finite becomes None."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        reference, rate = self.reference, self.acceptance_rate
        return plain | {
            "timing": asdict(self.timing),
            "acceptance_rate": None if rate is None or np.isnan(rate) else rate,
            "evaluations": asdict(self.evaluations),
            "diagnostics": self.diagnostics.to_json(),
            "reference": reference
            and {name: _plain(getattr(reference, name)) for name in ReferenceMoments.__slots__},
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Measured":
        """Return what ``to_json`` gave.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another shape.
        """
        timing = {phase: Duration(**spent) for phase, spent in plain["timing"].items()}
        reference = plain["reference"]
        return cls(
            **{
                **plain,
                "timing": Timing(**timing),
                "evaluations": Evaluations(**plain["evaluations"]),
                "parameters": tuple(plain["parameters"]),
                "diagnostics": Diagnostics.from_json(plain["diagnostics"]),
                "reference": reference
                and ReferenceMoments(
                    **{name: np.array(values, float) for name, values in reference.items()}
                ),
            }
        )


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell, what became of it, why, and what was measured if it finished."""

    cell: Cell
    status: Status
    reason: str = ""
    measured: Measured | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "cell": self.cell.to_json(),
            "status": self.status,
            "reason": self.reason,
            "measured": self.measured and self.measured.to_json(),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "CellResult":
        """Return what ``to_json`` gave, of any schema version up to this one.

        Raises:
            KeyError, TypeError, ValueError: it is not a cell's result, or from a newer gradbench.
        """
        if plain["schema_version"] > SCHEMA_VERSION:
            raise ValueError(
                f"schema version {plain['schema_version']} is newer than this gradbench"
            )
        return cls(
            cell=Cell.from_json(plain["cell"]),
            status=plain["status"],
            reason=plain["reason"],
            measured=plain["measured"] and Measured.from_json(plain["measured"]),
        )


def _plain(array: FloatArray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in array.tolist()]
