"""The scalars that are diagnosed: a model's, or all columns where no model is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from gradbench.draws import FloatArray, IntArray
from gradbench.elsewhere import names
from gradbench.elsewhere.chains import MAX_PARAMETERS, Chains, listed
from gradbench.elsewhere.names import Matching
from gradbench.errors import ChainsError
from gradbench.measure.known import Known
from gradbench.stats import diagnostics
from gradbench.stats.diagnostics import Diagnostics, Roles
from gradbench.target.parameters import ReferenceMoments


@dataclass(frozen=True, slots=True)
class Scalars:
    """The scalars that are diagnosed, in order, and what a model says of them.

    Attributes:
        names: their names.
        columns: where they are among the chains' columns.
        roles, reference: in the order of ``names``.
        reference_source: as ``Parameters`` has it.
        uncounted: likewise.
    """

    names: tuple[str, ...]
    columns: Sequence[int]
    roles: Roles
    reference: ReferenceMoments | None = None
    reference_source: str | None = None
    uncounted: Mapping[str, str] = field(default_factory=dict)


def of_columns(chains: Chains, patterns: Sequence[str]) -> Scalars:
    """Return all columns as scalars of which nothing is known but their draws.

    Raises:
        ChainsError: ``patterns`` name none of them.
    """
    kept = _chosen(chains.names, patterns)
    named = tuple(np.array(chains.names, dtype=object)[kept].tolist())
    values = chains.values[..., kept]
    is_constant = np.ptp(values, axis=(0, 1)) == 0
    is_whole = (values == np.floor(values)).all(axis=(0, 1)) & ~is_constant
    asked = np.full(len(kept), any(not pattern.startswith("~") for pattern in patterns))
    counted = asked | ~is_whole
    why = {
        **{named[i]: "the same in all draws" for i in np.flatnonzero(is_constant)},
        **{named[i]: "whole numbers" for i in np.flatnonzero(is_whole & ~asked)},
    }
    roles = Roles(is_free=~is_constant & counted, is_candidate=counted, may_tie=asked)
    return Scalars(named, kept, roles, uncounted=why)


def _chosen(every: Sequence[str], patterns: Sequence[str]) -> list[int]:
    """Return the places of the columns that patterns name, by name or by quantity."""

    def are_named(plain: str) -> set[int]:
        escaped = plain.replace("[", "[[]")
        found = {
            i
            for i, name in enumerate(every)
            if fnmatchcase(name, escaped) or fnmatchcase(names.parsed(name)[0], escaped)
        }
        if not found:
            raise ChainsError(f"--parameters {plain}: no such column (there are: {listed(every)})")
        return found

    wanted = [pattern for pattern in patterns if not pattern.startswith("~")]
    kept = set().union(*map(are_named, wanted)) if wanted else set(range(len(every)))
    for pattern in patterns:
        if pattern.startswith("~"):
            kept -= are_named(pattern[1:])
    if not kept:
        raise ChainsError(f"--parameters: {', '.join(patterns)} leaves nothing")
    return sorted(kept)


def of_model(known: Known, matching: Matching) -> Scalars:
    """Return those scalars of a model that the files have.

    Raises:
        ChainsError: none of them is diagnosed in a run.
    """
    there = np.array([name in matching.columns for name in known.names], dtype=bool)
    if not there.any():
        raise ChainsError(
            f"nothing that counts in the model is in the files: it has {listed(known.names)}"
        )
    named = tuple(name for name in known.names if name in matching.columns)
    roles = Roles(*(getattr(known.roles, name)[there] for name in Roles.__slots__))
    return Scalars(
        named,
        [matching.columns[name] for name in named],
        roles,
        known.reference and known.reference.only(there),
        known.reference_source,
        known.uncounted,
    )


def require_few(scalars: Scalars, path: Path) -> None:
    """Raise ``ChainsError`` where there are too many."""
    if len(scalars.names) > MAX_PARAMETERS:
        raise ChainsError(
            f"{path}: {len(scalars.names):,} parameters are more than can be judged"
            f" ({MAX_PARAMETERS:,}); choose some with --parameters"
        )


def diagnosed(
    chains: Chains,
    scalars: Scalars,
    *,
    weights: FloatArray | None = None,
    families: IntArray | None = None,
) -> Diagnostics:
    """Return the diagnostics of chains whose columns are these scalars, as a run's.

    ``weights`` and ``families`` are those of a weighted sample, as ``Draws`` has them.
    """
    mean = None if scalars.reference is None else scalars.reference.mean
    if weights is None:
        return diagnostics.compute(
            chains.values, chains.groups, reference_mean=mean, roles=scalars.roles
        )
    return diagnostics.compute_weighted(
        chains.values, weights, families, reference_mean=mean, roles=scalars.roles
    )


def taken(chains: Chains, scalars: Scalars) -> Chains:
    """Return chains whose columns are these scalars."""
    values = np.ascontiguousarray(chains.values[..., scalars.columns])
    return replace(chains, names=scalars.names, values=values)
