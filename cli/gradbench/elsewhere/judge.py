"""Files of chains to results, as a run would have them."""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from gradbench.config.planning import ELSEWHERE, Cell
from gradbench.draws import Evaluations
from gradbench.elsewhere import asking, counts, names, notices, own, readers, scalars
from gradbench.elsewhere.asked import Asked
from gradbench.elsewhere.chains import Chains, Content, Spent, joined, listed
from gradbench.elsewhere.lp import Agreement
from gradbench.elsewhere.notices import Notice
from gradbench.elsewhere.scalars import Scalars
from gradbench.errors import ChainsError
from gradbench.measure import statuses, workers
from gradbench.measure.result import CellResult, Elsewhere, Measured, Status
from gradbench.stats import diagnostics
from gradbench.stats.running import running
from gradbench.timing import Duration, Timing

if TYPE_CHECKING:
    from gradbench.config.benchmark import Gates
    from gradbench.target.starts import Init

UNKNOWN = Duration(np.nan, np.nan)


def judge(paths: Sequence[Path], asked: Asked) -> list[CellResult]:
    """Return what a run would say of the chains in files, as ``judged`` does.

    Raises:
        ChainsError: a file can't be read, or what is in it can't be judged.
        ModelError: the model can't be loaded.
    """
    return judged(readers.read(paths), asked)


def judged(contents: Sequence[Content], asked: Asked) -> list[CellResult]:
    """Return what a run would say of chains.

    gradbench's own saved draws give a result for each file, all others one together.

    Raises:
        ChainsError: they can't be judged, or not with what is asked.
        ModelError: the model can't be loaded.
    """
    records = [content.record for content in contents]
    if None not in records:
        if asked.of_a_run:
            raise ChainsError(
                f"{contents[0].path}: a run's own saved draws say themselves what"
                f" {' and '.join(asked.of_a_run)} would; leave that out"
            )
        pairs = zip(contents, records, strict=True)
        return [own.judged(content, record, asked) for content, record in pairs if record]
    chains, seen = _together(contents, asked)
    found = (
        _of_columns(chains, asked) if asked.model is None else _of_model(contents, chains, asked)
    )
    scalars.require_few(found.which, contents[0].path)
    if asked.is_reference_only and found.which.reference is None:
        raise ChainsError("--reference-only needs a --model whose moments are known")
    return [_result(contents, scalars.taken(chains, found.which), found, seen, asked)]


@dataclass(frozen=True, slots=True)
class _Found:
    """Which scalars are judged, whether their target is the model, and notices of names."""

    which: Scalars
    agreement: Agreement
    notices: tuple[str, ...] = ()


def _together(contents: Sequence[Content], asked: Asked) -> tuple[Chains, list[Notice]]:
    """Return the chains of all files without those that repeat another, and what was noticed."""
    are_walkers = asked.are_walkers or any(content.is_ensemble for content in contents)
    chains, lengths = joined(contents, are_walkers=are_walkers)
    thin = {content.thin for content in contents} - {1}
    said = [text for content in contents for text in content.notices]
    said += [f"thinned: every {n}th step was kept" for n in sorted(thin)]
    said += lengths
    if not are_walkers:
        repeated = notices.duplicates(chains)
        said += [
            f"chain {later + 1} repeats chain {earlier + 1}, and is left out"
            for later, earlier in repeated.items()
        ]
        chains = chains.without([*repeated])
    return chains, [Notice(text, is_doubt=False) for text in said]


def _of_columns(chains: Chains, asked: Asked) -> _Found:
    if asked.names is not None:
        named = names.expanded(asked.names, len(chains.names), None)
        chains = replace(chains, names=named)
    which = scalars.of_columns(chains, asked.parameters)
    return _Found(which, Agreement("not compared: no model was named (--model)"))


def _of_model(contents: Sequence[Content], chains: Chains, asked: Asked) -> _Found:
    """Return which scalars of the model are judged; a worker holds it."""
    assert asked.model is not None
    first = contents[0]
    with closing(workers.lone()) as worker:
        known = asking.known(worker, asked.model, asked.parameters)
        index_from = first.index_from
        if asked.names is not None:
            named = names.expanded(asked.names, len(chains.names), known)
            chains, index_from = replace(chains, names=named), None
        matching = names.matched(
            chains.names, known, index_from=index_from, statistics=chains.stats
        )
        agreement = asking.agreement(worker, known, chains, matching, digits=first.digits)
    said = list(matching.notices)
    if matching.missing:
        said.append(f"of the model, not in the files: {listed(matching.missing)}")
    return _Found(scalars.of_model(known, matching), agreement, tuple(said))


def _result(
    contents: Sequence[Content],
    chains: Chains,
    found: _Found,
    seen: Sequence[Notice],
    asked: Asked,
) -> CellResult:
    every = [*seen, *(Notice(text, is_doubt=False) for text in found.notices)]
    if not asked.is_reference_only and np.isfinite(chains.values).all():
        every += notices.of(chains, contents[0].digits)
    counted = counts.given(asked.n_logp, asked.n_grad) or counts.found(contents)
    timing, time_source = _timing(asked, contents)
    measured = replace(
        _measured(chains, found.which, timing),
        evaluations=counted.evaluations,
        is_approximate=asked.is_reference_only,
        elsewhere=Elsewhere(
            origin=_origin(contents, chains),
            time_source=time_source,
            evaluations_source=counted.source,
            evaluations_of=counted.of,
            lp_agreement=found.agreement.said,
            notices=tuple(notice.said.replace(";", ",") for notice in every),
        ),
    )
    status, reason = _status(measured, asked.gates, found.agreement, every)
    return CellResult(_cell(contents, asked), status, reason, measured)


def _measured(chains: Chains, which: Scalars, timing: Timing) -> Measured:
    """Return what chains give by themselves; a run's facts that nobody knows are empty."""
    n_chains, n_draws, _ = chains.values.shape
    is_free = which.roles.is_free
    frozen = is_free & diagnostics.is_frozen(chains.values, chains.groups)
    nonfinite = is_free & ~np.isfinite(chains.values).all(axis=(0, 1))
    acceptance = chains.stats.get("acceptance_rate")
    found = scalars.diagnosed(chains, which)
    return Measured(
        timing=timing,
        evaluations=Evaluations(),
        parameters=which.names,
        diagnostics=found,
        running=running(chains.values, found),
        reference=which.reference,
        reference_source=which.reference_source,
        n_chains=n_chains,
        n_draws=n_draws,
        is_ensemble=chains.is_ensemble,
        n_divergences=_count(chains, "diverging"),
        acceptance_rate=None
        if acceptance is None
        else float(np.mean(np.asarray(acceptance, dtype=np.float64))),
        peak_memory_bytes=0,
        fingerprint=hashlib.sha256(chains.values.tobytes()).hexdigest()[:16],
        backend="",
        thread_pools={},
        load=np.nan,
        frozen=_first(frozen, which.names),
        nonfinite=_first(nonfinite, which.names),
        uncounted=which.uncounted,
        start=ELSEWHERE,
        n_saturated=_count(chains, "reached_max_treedepth"),
    )


def _status(
    measured: Measured, gates: "Gates", agreement: Agreement, seen: Sequence[Notice]
) -> tuple[Status, str]:
    """Return the status as of a run; another target is refused, doubts make it unreliable."""
    status, reason = statuses.status_of(measured, gates)
    if agreement.is_other:
        return "refused", agreement.said
    doubts = [notice.said for notice in seen if notice.is_doubt]
    if status == "ok" and doubts:
        return "unreliable", doubts[0]
    return status, reason


def _timing(asked: Asked, contents: Sequence[Content]) -> tuple[Timing, str | None]:
    """Return seconds that were given, or else those in the files, and where they come from."""
    compiled = UNKNOWN if asked.compile_s is None else Duration(asked.compile_s, np.nan)
    if asked.warmup_s is not None or asked.sampling_s is not None:
        warmup, sampling = (
            UNKNOWN if spent is None else Duration(spent, np.nan)
            for spent in (asked.warmup_s, asked.sampling_s)
        )
        return Timing(compiled, warmup, sampling), "given"
    found = [content.spent for content in contents]
    if not found or None in found:
        return Timing(compiled, UNKNOWN, UNKNOWN), None
    spent = cast("list[Spent]", found)
    said = spent[0].source + (", chains added up" if len(spent) > 1 else "")
    warmup_s, sampling_s = (
        float(sum(getattr(s, name) for s in spent)) for name in ("warmup_s", "sampling_s")
    )
    return Timing(compiled, Duration(warmup_s, np.nan), Duration(sampling_s, np.nan)), said


def _origin(contents: Sequence[Content], chains: Chains) -> str:
    first = contents[0]
    n_chains, n_draws, _ = chains.values.shape
    what = "walkers" if chains.is_ensemble else "chain" if n_chains == 1 else "chains"
    by = f" of {first.library}" if first.library and first.library not in first.format else ""
    return f"{first.format}{by}, {n_chains} {what} of {n_draws:,} draws"


def _cell(contents: Sequence[Content], asked: Asked) -> Cell:
    model = asked.model
    paths = [str(content.path) for content in contents]
    return Cell(
        model=model.label if model else "elsewhere",
        model_use=model.use if model else "",
        params=model.params if model else {},
        sampler=asked.label or contents[0].path.name.split(".")[0] or "elsewhere",
        sampler_use=ELSEWHERE,
        options={"files": paths},
        init=cast("Init", ELSEWHERE),  # where they started is not known
        threads=1,
        replicate=0,
        seed=0,
        start_seed=0,
        parameters=asked.parameters,
        source=model.source if model else None,
    )


def _count(chains: Chains, stat: str) -> int | None:
    values = chains.stats.get(stat)
    return None if values is None else int(np.count_nonzero(values))


def _first(those: npt.NDArray[np.bool_], every: Sequence[str]) -> str | None:
    return every[int(np.argmax(those))] if those.any() else None
