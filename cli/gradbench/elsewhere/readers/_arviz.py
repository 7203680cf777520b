"""What ArviZ keeps, netCDF or zarr, of 0.x or 1.x: groups with dimensions chain and draw."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import compat
from gradbench.elsewhere.chains import Chain, Content, Spent
from gradbench.elsewhere.readers import _shared
from gradbench.errors import ChainsError, headline
from gradbench.measure import saved
from gradbench.target.quantities import scalars

ENSEMBLES = frozenset({"emcee", "zeus"})
FROM = ("chain", "draw")


def read(path: Path, kind: str, engine: str) -> Content:
    """Return the chains of the posterior that ArviZ kept.

    Raises:
        ChainsError: there is none, or it is damaged.
    """
    try:
        return content(path, kind, compat.open_groups(path, engine=engine))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ChainsError(f"{path}: can't be read as {kind}: {headline(str(error))}") from error


def content(path: Path, kind: str, groups: Mapping[str, Any]) -> Content:
    """Return the chains of the posterior among ArviZ's groups, as ``compat`` gives them.

    Args:
        path: what messages call them.
        kind: of what they are.
        groups: datasets, the root under ``/``.

    Raises:
        ChainsError: there is no posterior, or it holds no numbers.
        KeyError, TypeError, ValueError: what gradbench wrote beside it is damaged.
    """
    posterior = groups.get("posterior", groups["/"])
    held = {n: v for n, v in posterior.data_vars.items() if set(FROM) <= set(v.dims)}
    if not held:
        raise ChainsError(
            f"{path}: has no posterior with the dimensions chain and draw"
            f" (its groups: {', '.join(sorted(groups.keys() - {'/'})) or 'none'})"
        )
    names, parts, stats = [], [], _stats(groups.get("sample_stats"))
    for name, variable in held.items():
        values = _shared.numeric(path, str(name), variable.transpose(*FROM, ...).values)
        if str(name).endswith("__") and values.ndim == 2:
            stats[_shared.STATS.get(str(name), str(name))] = values
            continue
        names += scalars(str(name), values.shape[2:])
        parts.append(values.reshape(*values.shape[:2], -1))
    if not parts:
        raise ChainsError(f"{path}: there are no draws in it")
    values, warmup = np.concatenate(parts, axis=2), _stats(groups.get("warmup_sample_stats"))
    attributes = _attributes(groups)
    library = str(attributes.get("inference_library", ""))
    return Content(
        path=path,
        format=kind,
        names=tuple(names),
        chains=[
            Chain(
                chain,
                {name: array[i] for name, array in stats.items()},
                {name: array[i] for name, array in warmup.items()},
            )
            for i, chain in enumerate(values)
        ],
        library=f"{library} {attributes.get('inference_library_version', '')}".strip(),
        is_ensemble=library in ENSEMBLES,
        index_from=0,
        digits=_shared.digits_of([variable.values for variable in held.values()]),
        thin=_thin(posterior),
        spent=_spent(attributes),
        record=saved.record(posterior.attrs),
    )


def _stats(group: Any) -> dict[str, Any]:
    """Return the statistics in a group, one number for each draw."""
    if group is None:
        return {}
    flat = {str(n): v for n, v in group.data_vars.items() if set(v.dims) == set(FROM)}
    arrays = {_shared.STATS.get(n, n): v.transpose(*FROM).values for n, v in flat.items()}
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}


def _attributes(groups: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("/", "sample_stats", "posterior"):
        if name in groups:
            found |= groups[name].attrs
    return found


def _thin(posterior: Any) -> int:
    if "draw" not in posterior.coords or posterior.sizes["draw"] < 2:
        return 1
    labels = posterior.coords["draw"].values
    if labels.dtype.kind not in "iu":
        return 1
    steps = np.unique(np.diff(labels))
    return int(steps[0]) if len(steps) == 1 and steps[0] > 1 else 1


def _spent(attributes: Mapping[str, Any]) -> Spent | None:
    try:
        spent_s = float(attributes["sampling_time"])
    except (KeyError, TypeError, ValueError):
        return None
    if not math.isfinite(spent_s):
        return None
    said = "sampling_time in the file, wall seconds of warm-up and sampling together"
    return Spent(said, warmup_s=0.0, sampling_s=spent_s)
