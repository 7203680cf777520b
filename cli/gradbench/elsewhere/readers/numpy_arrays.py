"""NumPy's .npy and .npz: arrays of shape (chains, draws, parameters)."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.elsewhere.chains import Chain, Content
from gradbench.elsewhere.readers import _shared
from gradbench.errors import ChainsError
from gradbench.target.quantities import scalars

SUMMARY = "NumPy's .npy and .npz of shape (chains, draws, parameters)"
MAGIC = b"\x93NUMPY"
NAMES = "names"  # of parameters, in an .npz with one array beside it


def reads(path: Path, head: bytes) -> bool:
    """Return whether it begins as NumPy's files do."""
    is_archive = head.startswith(b"PK") and path.suffix.lower() == ".npz"
    return head.startswith(MAGIC) or is_archive


def read(path: Path) -> Content:
    """Return the chains in an array, or in several by the names of their parameters."""
    arrays = _arrays(path)
    names = arrays.pop(NAMES, None)
    is_lone = len(arrays) == 1 and (names is not None or path.suffix == ".npy")
    return content(path, arrays, is_lone=is_lone, names=names)


def content(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], *, is_lone: bool, names: Any = None
) -> Content:
    """Return the chains in one array (chains, draws, parameters), or in one for each parameter.

    Args:
        path: what messages call them.
        arrays: by name; those of a parameter have the shape (chains, draws, ...).
        is_lone: whether there is one, of all parameters.
        names: of the parameters of such a one, in order.

    Raises:
        ChainsError: they have other shapes, or hold no numbers.
    """
    stats = {} if is_lone else {n: a for n, a in arrays.items() if _shared.is_statistic(n)}
    held = {name: array for name, array in arrays.items() if name not in stats}
    if not held:
        raise ChainsError(f"{path}: there are no draws in it")
    for name, array in held.items():
        if array.ndim < (3 if is_lone else 2):
            wanted = "(chains, draws, parameters)" if is_lone else "(chains, draws, ...)"
            raise ChainsError(f"{path}: {name} has the shape {array.shape}; it must be {wanted}")
    if len({array.shape[:2] for array in (*held.values(), *stats.values())}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ChainsError(f"{path}: arrays differ in chains or draws: {shapes}")
    parts = {name: _shared.numeric(path, name, array) for name, array in held.items()}
    if is_lone:
        ((name, values),) = parts.items()
        values = values.reshape(*values.shape[:2], -1)
        named = tuple(map(str, names)) if names is not None else _numbered(values.shape[2])
        if len(named) != values.shape[2]:
            raise ChainsError(
                f"{path}: {len(named)} names for {values.shape[2]} parameters of {name}"
            )
    else:
        named = tuple(s for name, part in parts.items() for s in scalars(name, part.shape[2:]))
        flat = [part.reshape(*part.shape[:2], -1) for part in parts.values()]
        values = np.concatenate(flat, axis=2)
    known = {
        _shared.STATS.get(n, n): _shared.numeric(path, n, a)
        for n, a in stats.items()
        if a.ndim == 2
    }
    return Content(
        path=path,
        format="NumPy",
        names=named,
        chains=[
            Chain(chain, {name: array[i] for name, array in known.items()})
            for i, chain in enumerate(values)
        ],
        index_from=0 if names is None else None,
        digits=_shared.digits_of(list(held.values())),
    )


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(scalars("x", (n,)))


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            is_one = isinstance(held, np.ndarray)
            return {"x": held} if is_one else {name: held[name] for name in held.files}
    except ValueError as error:
        if "pickle" in str(error):
            raise ChainsError(
                f"{path}: holds Python objects, which are pickled and could run any code when"
                " read; save plain arrays of numbers"
            ) from error
        raise ChainsError(f"{path}: can't be read as NumPy's: {error}") from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ChainsError(f"{path}: can't be read as NumPy's: {error}") from error
