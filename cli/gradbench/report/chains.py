"""Saved draws of the parameters that a sampler finds hardest, as few of them as pictures show."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench import compat
from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.measure.result import CellResult, counted
from gradbench.results.parameters import smallest_ess
from gradbench.results.rows import Row

WORST = 3  # parameters
MOST_SAMPLERS = 6  # of a model; more make no picture
MOST_CHAINS = 4  # of an ensemble or a run; more lie on each other


@dataclass(frozen=True, slots=True)
class Chains:
    """Some chains of one replicate.

    Attributes:
        label: of the sampler.
        parameters: those with the smallest ESS, the worst first.
        values: shape (chains, draws, parameters).
        diverging: which draws follow a transition that diverged, (chains, draws); None where that
            has no meaning.
    """

    label: str
    parameters: tuple[str, ...]
    values: FloatArray
    diverging: npt.NDArray[np.bool_] | None


def saved(
    rows: Sequence[Row], results: Sequence[CellResult], draws: Mapping[Key, Path]
) -> list[Chains]:
    """Return the saved draws of a model's samplers: of a sweep, of its last point.

    Files that can't be read are passed over, and so is what is no chain, or not finite.

    Args:
        rows: of the model's table.
        results: of its cells.
        draws: those of a replicate, by model and sampler.
    """
    measured = {result.cell.key: result for result in reversed(results) if result.measured}
    keys = [(row.model, row.sampler) for row in rows if row.model == rows[-1].model]
    read = (_read(draws[key], measured[key]) for key in keys if key in draws and key in measured)
    return list(islice((chains for chains in read if chains is not None), MOST_SAMPLERS))


def _read(path: Path, result: CellResult) -> Chains | None:
    measured = result.measured
    if measured is None or measured.is_weighted or measured.is_approximate:
        return None
    (judged,) = counted([measured])
    order = np.argsort(smallest_ess(judged.diagnostics))[:WORST]
    worst = tuple(judged.parameters[i] for i in order)
    try:
        groups = compat.open_groups(path, engine="h5netcdf")
        values = np.stack([_scalar(groups["posterior"], name) for name in worst], axis=-1)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    if not np.isfinite(values).all():
        return None
    stats = groups.get("sample_stats", {})
    diverging = np.asarray(stats["diverging"], dtype=bool) if "diverging" in stats else None
    return Chains(
        result.cell.sampler,
        worst,
        values[:MOST_CHAINS],
        None if diverging is None else diverging[:MOST_CHAINS],
    )


def _scalar(posterior: Any, name: str) -> FloatArray:
    """Return the draws of a scalar, shape (chains, draws), by a name such as ``x[0, 1]``."""
    found = re.fullmatch(r"(.*?)(?:\[([\d, ]+)\])?", name)
    assert found is not None
    array = np.asarray(posterior[found[1]], dtype=np.float64)
    for i in (found[2] or "").split(",")[: array.ndim - 2]:
        array = array[:, :, int(i)]
    return array
