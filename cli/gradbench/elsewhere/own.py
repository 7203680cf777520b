"""gradbench's own saved draws: judging them gives the run's own numbers."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from gradbench import models
from gradbench.config.planning import ELSEWHERE
from gradbench.draws import FloatArray
from gradbench.elsewhere import asking, names, scalars
from gradbench.elsewhere.asked import Asked, Model
from gradbench.elsewhere.chains import Chains, Content, joined
from gradbench.errors import ChainsError
from gradbench.measure import saved, statuses, workers
from gradbench.measure.result import CellResult, Elsewhere
from gradbench.measure.saved import Record
from gradbench.stats.running import running


def judged(content: Content, record: Record, asked: Asked) -> CellResult:
    """Return what the run itself said of its draws, computed from the draws.

    A shipped model is loaded by the name that the file gives. One of the user's own is loaded only
    where it is named: no code is run because a file of draws names it.

    Raises:
        ChainsError: what the file says of its run is damaged.
        ModelError: the model can't be loaded.
    """
    cell, model = record.cell, asked.model
    if model is None and cell.model_use in models.names():
        model = Model(cell.model, cell.model_use, models.find(cell.model_use, Path()), cell.params)
    chains, _ = joined([content], are_walkers=False)
    chains = replace(chains, groups=record.groups)
    parameters = asked.parameters or cell.parameters
    said: tuple[str, ...] = ()
    if model is None:
        which = scalars.of_columns(chains, parameters)
        said = (f"judged without its model, {cell.model_use}: --model names it",)
    else:
        with closing(workers.lone()) as worker:
            known = asking.known(worker, model, parameters)
        which = scalars.of_model(known, names.matched(chains.names, known, index_from=0))
    weights, families = (_of_a_sample(chains, name) for name in (saved.WEIGHT, saved.FAMILY))
    judged = scalars.taken(chains, which)
    found = scalars.diagnosed(
        judged,
        which,
        weights=weights,
        families=None if families is None else families.astype(np.int64),
    )
    is_chain = weights is None and not record.facts["is_approximate"]
    followed = running(judged.values, found) if is_chain else None
    try:
        measured = record.measured(
            which.names,
            found,
            reference=which.reference,
            reference_source=which.reference_source,
            uncounted=which.uncounted,
            running=followed,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ChainsError(f"{content.path}: what it says of its run is damaged: {error}") from error
    about = Elsewhere(
        origin=f"saved draws of {cell.sampler_use}",
        time_source="the run's own",
        evaluations_source="the run's own",
        evaluations_of="all",
        notices=said,
    )
    measured = replace(measured, elsewhere=about)
    named = replace(cell, sampler=asked.label or cell.sampler, sampler_use=ELSEWHERE)
    return CellResult(named, *statuses.status_of(measured, asked.gates), measured)


def _of_a_sample(chains: Chains, name: str) -> FloatArray | None:
    """Return what a weighted sample has beside its draws, shape (draws,), or None."""
    return np.asarray(chains.stats[name][0], dtype=np.float64) if name in chains.stats else None
