"""What is asked of the model: it is the user's code, so a worker runs it, not this process."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from gradbench.draws import FloatArray, IntArray
from gradbench.elsewhere import lp
from gradbench.elsewhere.asked import Model
from gradbench.elsewhere.chains import Chains, listed
from gradbench.elsewhere.lp import Agreement
from gradbench.elsewhere.names import Matching
from gradbench.errors import ModelError
from gradbench.measure.known import Known, LogDensities
from gradbench.measure.workers import Stopped, Worker
from gradbench.target.quantities import scalars


def known(worker: Worker, model: Model, parameters: Sequence[str]) -> Known:
    """Return what a model says of its parameters, from a worker that then holds it.

    Raises:
        ModelError: it can't be loaded.
    """
    try:
        answer = worker.call(
            "know",
            source=model.source.to_json(),
            params=dict(model.params),
            counted=list(parameters),
        )
    except Stopped as stopped:
        raise ModelError(f"--model {model.use}: {stopped.said}") from stopped
    return Known.from_json(answer)


def agreement(
    worker: Worker, known: Known, chains: Chains, matching: Matching, *, digits: int
) -> Agreement:
    """Return whether the log-density saved with draws is that of the model the worker holds.

    Some draws go to the worker in a file.

    Args:
        worker: as ``known`` left it.
        known: what the model says of its parameters.
        chains: with the columns of the files.
        matching: of these columns.
        digits: significant ones that numbers were written with.
    """
    if reason := _why_not(known, chains, matching):
        return Agreement(f"not compared: {reason}")
    at = lp.picked(chains)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "draws.npz")
        np.savez(path, **cast("dict[str, Any]", _free(chains, known, matching, at)))
        try:
            answer = worker.call("log_densities", path=str(path), digits=digits)
        except Stopped as stopped:
            return Agreement(f"not compared: {stopped.said}")
    theirs = np.asarray(chains.stats["lp"], dtype=np.float64)[at]
    return lp.compared(theirs, LogDensities.from_json(answer), at, digits)


def _why_not(known: Known, chains: Chains, matching: Matching) -> str:
    if "lp" not in chains.stats:
        return "none was saved with the draws (lp)"
    every = [scalar for name in known.free for scalar in scalars(name, known.shapes[name])]
    if lacking := [scalar for scalar in every if scalar not in matching.columns]:
        return f"the files lack {listed(lacking)}"
    if not np.isfinite(np.asarray(chains.stats["lp"], dtype=np.float64)).all():
        return "those saved with the draws are not all finite"
    return ""


def _free(
    chains: Chains,
    known: Known,
    matching: Matching,
    at: tuple[IntArray, IntArray],
) -> dict[str, FloatArray]:
    """Return some draws of the free parameters by name, (n, *shape) each."""
    picked = chains.values[at]
    found = {}
    for name in known.free:
        shape = known.shapes[name]
        places = [matching.columns[scalar] for scalar in scalars(name, shape)]
        found[name] = picked[:, places].reshape(len(picked), *shape)
    return found
