"""What became of a cell: its status, why, and what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradbench.config.planning import Cell, Key
from gradbench.draws import Evaluations
from gradbench.measure.bare import Bare
from gradbench.records import as_text, from_plain, to_plain
from gradbench.stats.diagnostics import Diagnostics
from gradbench.stats.running import Running
from gradbench.target.batch import Form
from gradbench.target.parameters import ReferenceMoments
from gradbench.timing import Timing

# 2: density signatures, the host; 3: approximations, evidence; 4: square_sd; 5: details, starts,
# counted parameters, frozen coordinates, halves, tails, saturated trees, null for every number that
# is not finite.
SCHEMA_VERSION = 5

Status = Literal[
    "ok",  # nothing speaks against the number
    "approximate",  # draws from something fitted: judged by its errors, never costed
    "unreliable",  # a short ensemble, a lone chain, divergences: costed, and marked
    "too_few_draws",  # an effective sample size too small to be estimated
    "not_converged",  # R-hat over the limit: of chains, of replicates, of a run's halves
    "diverged",  # more than a quarter of the kept transitions did
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
class Elsewhere:
    """What is known of chains that gradbench did not make.

    Attributes:
        origin: their format and library, in words.
        time_source: where their seconds come from; None where there are none.
        evaluations_source: where the counts come from; None where there are none.
        evaluations_of: what is counted.
        lp_agreement: whether the log-densities saved with them are the model's; None where that
            was not compared.
        notices: what to know before their numbers are believed; none contains a semicolon.
    """

    origin: str
    time_source: str | None = None
    evaluations_source: str | None = None
    evaluations_of: Literal["all", "sampling", "nothing"] = "nothing"
    lp_agreement: str | None = None
    notices: tuple[str, ...] = ()


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
        batch_form: how the target goes through many points at once; None in older results.
        start: ``init`` as it was carried out: ``bounds`` where uniform was in the model's bounds.
        start_span: how far apart the starting points were, in sds of the draws on the unconstrained
            space, in the coordinate where that is most; None for a lone one.
        is_weighted: whether it is one weighted sample, which is no chain.
        n_saturated: kept trajectories at the maximum tree depth; None where there is none.
        frozen: the free coordinate that never moved in a chain, or in all walkers of an ensemble;
            None where all did, and in results of older versions.
        nonfinite: the free coordinate that was NaN or infinite in a draw, likewise.
        recompile_s: what it took to compile once more, the worker that had it having been closed to
            save memory; not part of ``timing``. None where it wasn't so.
        versions: of the distributions that the sampler is from, by name; empty in older results.
        uncounted: why a quantity of the model doesn't count, by name; see ``Parameters.uncounted``.
        elsewhere: what is known of chains that were made elsewhere, whose unknown seconds are NaN
            and whose unknown counts are 0; None for a run's own.
        running: moments of its first draws; None of approximations, weighted samples, chains that
            were made elsewhere, and in older results.
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
    batch_form: Form | None = None
    frozen: str | None = None
    nonfinite: str | None = None
    uncounted: Mapping[str, str] = field(default_factory=dict)
    start: str | None = None
    start_span: float | None = None
    is_weighted: bool = False
    n_saturated: int | None = None
    recompile_s: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    running: Running | None = None

    @property
    def n_transitions(self) -> int:
        """Kept draws of all chains together."""
        return self.n_chains * self.n_draws

    @property
    def is_lone_chain(self) -> bool:
        """Whether it is a single Markov chain."""
        return self.n_chains == 1 and not (self.is_weighted or self.is_approximate)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what is not finite becomes None."""
        return dict(to_plain(self))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Measured":
        """Return what ``to_json`` gave.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another shape.
        """
        # Before version 5 only weighted samples had an evidence.
        is_weighted = plain.get("log_evidence") is not None
        return from_plain(cls, {"is_weighted": is_weighted, **plain})


def counted(runs: Sequence[Measured]) -> list[Measured]:
    """Return runs of one model with only those parameters that count in all of them.

    Whatever is said of a run as a whole is said of these.
    """
    names = [np.array(run.parameters)[run.diagnostics.is_counted].tolist() for run in runs]
    kept = set(names[0]).intersection(*names[1:]) if names else set()
    return [_only(run, np.array([name in kept for name in run.parameters])) for run in runs]


def _only(run: Measured, those: npt.NDArray[np.bool_]) -> Measured:
    if those.all():
        return run
    return replace(
        run,
        parameters=tuple(np.array(run.parameters)[those].tolist()),
        diagnostics=run.diagnostics.only(those),
        reference=run.reference and run.reference.only(those),
        running=run.running and run.running.only(those),
    )


@dataclass(frozen=True, slots=True)
class Node:
    """Where a cell of a cluster ran.

    Attributes:
        host: digits that tell the machine from others, as ``machine.describe`` has them.
        processor: its processor's name.
        cores: those that the cell was held to; empty where it could have any.
        n_busy: how many cores ran cells of this user there at most, its own among them; None where
            nobody could count.
        block: digits that those cells share which ran one after another in one place.
        other_versions: what was installed there in another version than on the client; empty if
            nothing was.
        bare: what a bare evaluation cost there; None where that wasn't measured.
    """

    host: str
    processor: str
    cores: tuple[int, ...]
    n_busy: int | None
    block: str
    other_versions: str = ""
    bare: Bare | None = None


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell and what became of it.

    Attributes:
        cell: what was to be measured.
        status: what became of it.
        reason: why, in one line.
        measured: what was measured if it finished.
        details: all that the library or the dying worker said, of which the reason is a line.
        node: where it ran, of a cluster; None on the run's own machine.
    """

    cell: Cell
    status: Status
    reason: str = ""
    measured: Measured | None = None
    details: str = ""
    node: Node | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for JSON.

        Raises:
            TypeError: there is something in it that is no data.
        """
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    def to_text(self) -> str:
        """Return it as JSON text; a result that can't be put as JSON is ``failed``."""
        try:
            return as_text(self.to_json())
        except (TypeError, ValueError) as error:
            failed = CellResult(self.cell, "failed", f"its result can't be written: {error}")
            return as_text(failed.to_json())

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
        return from_plain(cls, {k: v for k, v in plain.items() if k != "schema_version"})


def by_sampler(results: Iterable[CellResult]) -> dict[Key, list[CellResult]]:
    """Return the replicates of each model and sampler."""
    groups: dict[Key, list[CellResult]] = {}
    for result in results:
        groups.setdefault(result.cell.key, []).append(result)
    return groups
