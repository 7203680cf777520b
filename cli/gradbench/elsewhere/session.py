"""Chains that a session of Python holds: an object of ArviZ, an array, or arrays by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import compat
from gradbench.elsewhere.chains import Content, checked
from gradbench.elsewhere.readers import _arviz, numpy_arrays
from gradbench.errors import ChainsError, first_line

CHAINS = Path("chains")  # what messages call them, and their row where it has no label


def content(given: Any) -> Content:
    """Return the chains in an object of ArviZ, an array (chains, draws, parameters), or a mapping.

    A mapping has an array (chains, draws, ...) for each parameter.

    Raises:
        ChainsError: they can't be judged.
    """
    try:
        if (groups := compat.groups_of(given)) is not None:
            return checked(_arviz.content(CHAINS, "ArviZ", groups))
        if isinstance(given, Mapping):
            arrays = {str(name): np.asarray(values) for name, values in given.items()}
            return checked(numpy_arrays.content(CHAINS, arrays, is_lone=False))
        return checked(numpy_arrays.content(CHAINS, {"x": np.asarray(given)}, is_lone=True))
    except (KeyError, TypeError, ValueError) as error:
        raise ChainsError(f"{CHAINS}: can't be read: {first_line(error)}") from error
