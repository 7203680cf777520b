"""Posteriors of a local copy of posteriordb: a Stan program, its data, its reference draws."""

import json
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import compat
from gradbench.errors import ModelError, did_you_mean, pip_install
from gradbench.reference import Moments, Reference
from gradbench.stan import StanProgram, included

PREFIX = "posteriordb:"
VARIABLE = "POSTERIOR_DB_PATH"  # what the posteriordb package itself reads
CLONE = "git clone https://github.com/stan-dev/posteriordb"


def home(database: str | None, folder: Path) -> Path:
    """Return the ``posterior_database`` folder of a copy; ``folder`` is where its path starts.

    Raises:
        ModelError: there is no copy, or no posteriordb package to read it.
    """
    given = database or os.environ.get(VARIABLE)
    if given is None:
        raise ModelError(
            f"no copy of posteriordb: get one with '{CLONE}' and give its path as"
            f" posteriordb: PATH, or in the environment variable {VARIABLE}"
        )
    place = (folder / Path(given).expanduser()).resolve()
    for path in (place, place / "posterior_database"):
        if (path / "posteriors").is_dir():
            if find_spec("posteriordb") is None:
                raise ModelError(f"posteriordb is not installed: {pip_install('posteriordb')}")
            return path
    raise ModelError(f"{place}: is no copy of posteriordb; get one with '{CLONE}'")


def find(name: str, home: Path) -> Path:
    """Return the JSON file of a posterior.

    Raises:
        ModelError: there is none of this name.
    """
    path = home / "posteriors" / f"{name}.json"
    if not path.is_file():
        hint = did_you_mean(name, [path.stem for path in (home / "posteriors").glob("*.json")])
        raise ModelError(
            f"no posterior {name!r} in {home}{hint}"
            f" ('gradbench list models --posteriordb {home}' shows those with reference draws)"
        )
    return path


def is_pattern(use: str) -> bool:
    """Return whether a model's ``use`` names posteriors by ``*``, ``?`` or ``[``."""
    return use.startswith(PREFIX) and any(sign in use for sign in "*?[")


def matching(pattern: str, home: Path, *, exclude: Sequence[str] = ()) -> list[str]:
    """Return the names of a copy's posteriors that match, sorted, without those left out.

    Args:
        pattern: of names, with ``*``, ``?`` and ``[``.
        home: the copy's ``posterior_database`` folder.
        exclude: patterns of those that are left out.
    """
    names = sorted(path.stem for path in (home / "posteriors").glob("*.json"))
    return [
        name
        for name in names
        if fnmatchcase(name, pattern) and not any(fnmatchcase(name, out) for out in exclude)
    ]


def about(home: Path) -> dict[str, tuple[int, str]]:
    """Return each posterior that has reference draws: its dimension, and its model's title."""
    found = {}
    for posterior in _database(home).posteriors():
        information = posterior.posterior_info
        if information.get("reference_posterior_name"):
            n = sum(int(np.prod(shape)) for shape in (information.get("dimensions") or {}).values())
            found[posterior.name] = n, posterior.model.information.get("title", "")
    return dict(sorted(found.items()))


def files(path: Path) -> list[Path]:
    """Return all files that a posterior is made of, itself first."""
    posterior = _posterior(path)
    parts = [
        posterior.model.stan_code_file_path(),
        posterior.posterior_db.get_dataset_path(posterior.data.name),
    ]
    if posterior.posterior_info.get("reference_posterior_name"):
        parts.append(posterior.reference_draws_file_path() + ".zip")
    code = Path(parts[0])
    return [path, *map(Path, parts), *included(code.read_text(), code.parent)]


def descriptions(path: Path) -> list[Path]:
    """Return the files in which a copy says where a posterior's parts are, if it has them."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        named = {
            "models": said["model_name"],
            "data": said["data_name"],
            "reference_posteriors/draws": said.get("reference_posterior_name"),
        }
    except (OSError, ValueError, KeyError, AttributeError):
        return []
    home = path.parents[1]
    return [home / part / "info" / f"{name}.info.json" for part, name in named.items() if name]


def load(path: Path) -> tuple[StanProgram, Reference | None]:
    """Return a posterior's Stan program with its data, and the moments of its reference draws.

    Raises:
        ModelError: the copy lacks a part of it.
    """
    posterior = _posterior(path)
    try:
        folder = Path(posterior.model.stan_code_file_path()).parent
        program = StanProgram(posterior.model.stan_code(), posterior.data.values(), folder)
        if not posterior.posterior_info.get("reference_posterior_name"):
            return program, None
        return program, _reference(posterior.reference_draws())
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"the copy of posteriordb lacks a part of it: {error}") from error


def _database(home: Path) -> Any:
    from posteriordb import PosteriorDatabase

    return PosteriorDatabase(str(home))


def _posterior(path: Path) -> Any:
    return _database(path.parents[1]).posterior(path.stem)


def _reference(chains: list[dict[str, list[float]]]) -> Reference:
    """Return moments of draws by scalar (``theta[1]``), each with its Monte Carlo standard error.

    The variance's error is that of the mean of (x - mean)².
    """
    scalars: dict[str, dict[Any, tuple[float, ...]]] = {}
    for scalar in chains[0]:
        name, _, index = scalar.rstrip("]").partition("[")
        at = tuple(int(i) - 1 for i in index.split(",")) if index else ()
        scalars.setdefault(name, {})[at] = _moments([chain[scalar] for chain in chains])
    moments = {}
    for name, found in scalars.items():
        shape = np.max(list(found), axis=0).astype(int) + 1
        arrays = np.full((5, *shape), np.nan)
        for at, five in found.items():
            arrays[(slice(None), *at)] = five
        moments[name] = Moments(*arrays)
    n_draws = sum(len(next(iter(chain.values()))) for chain in chains)
    return Reference(source=f"posteriordb, {n_draws} draws", moments=moments)


def _moments(draws: list[list[float]]) -> tuple[float, ...]:
    """Return mean, sd, sd of squares, and errors of mean and variance, of (chains, draws)."""
    values = np.array(draws)
    squares = (values - values.mean()) ** 2
    errors = compat.mcse_mean(values), compat.mcse_mean(squares)
    return (values.mean(), values.std(), squares.std(), *errors)
