"""Reference moments: what is known of a model's posterior, and how well."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray

FOLDER = "references"  # beside a model's file; one file for each model in it


@dataclass(frozen=True, slots=True)
class Moments:
    """The first moments of one (array-valued) parameter on its constrained space.

    Attributes:
        mean: E[x], the parameter's shape.
        sd: standard deviation of x.
        square_sd: standard deviation of (x - mean)², or None where it is not known.
        mean_se: standard error of ``mean``; 0 where it is exact.
        variance_se: standard error of ``sd**2``; 0 where it is exact.
    """

    mean: npt.ArrayLike
    sd: npt.ArrayLike
    square_sd: npt.ArrayLike | None = None
    mean_se: npt.ArrayLike = 0.0
    variance_se: npt.ArrayLike = 0.0


@dataclass(frozen=True, slots=True)
class Reference:
    """What a model's ``reference(**params)`` returns.

    Attributes:
        source: where the moments come from, in a few words ("exact", a paper, a long run).
        moments: by parameter name; parameters that are not named have no reference.
        draw: ``draw(rng, n)`` returns n independent exact draws by parameter name, each of shape
            (n, *shape), on the constrained space; None where the model can't be drawn from.
    """

    source: str
    moments: Mapping[str, Moments]
    draw: Callable[[np.random.Generator, int], Mapping[str, FloatArray]] | None = None


def stored(
    model_file: str | Path, params: Mapping[str, Any], *, without: Collection[str] = ()
) -> Reference | None:
    """Return the moments that a long run left beside a model's file, or None.

    ``references/<model>.json`` holds a list, an entry for each set of parameters, made by
    ``gradbench reference``. A model's ``reference(**params)`` returns
    ``stored(__file__, {"n": n, "seed": seed})``, with all its parameters.

    Args:
        model_file: the model's ``__file__``.
        params: of the run.
        without: parameters to leave out. One posterior in two parameterizations needs one run:
            what both have has one law, and what only the run had is left out for the other.
    """
    path = kept_in(model_file)
    wanted = json.loads(json.dumps(dict(params)))
    entries = json.loads(path.read_text()) if path.is_file() else []
    for entry in entries:
        if entry["params"] == wanted:
            moments = {
                name: Moments(**found)
                for name, found in entry["moments"].items()
                if name not in without
            }
            return Reference(source=entry["source"], moments=moments)
    return None


def kept_in(model_file: str | Path) -> Path:
    """Return the file that holds the stored moments of a model's file."""
    path = Path(model_file)
    return path.parent / FOLDER / f"{path.stem}.json"
