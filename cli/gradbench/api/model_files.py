"""Models that are given as functions: a worker can have one only from the file that it is in."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from gradbench.errors import ModelError

PLAIN = (str, PurePath, Mapping, list, tuple, int, float, type(None))


def with_paths(values: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Return a config's values; a function under ``use`` is replaced by the path of its file.

    Raises:
        ModelError: workers could not load it from there.
    """
    return {name: _with_path(value, f"{at}.{name}".lstrip(".")) for name, value in values.items()}


def _with_path(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return with_paths(value, key)
    is_use = key.rpartition(".")[2] == "use"
    return str(path_of(value, key)) if is_use and not isinstance(value, PLAIN) else value


def use_of(model: Any, key: str) -> str:
    """Return what ``use`` of a config says of a model given by name, by path or as a function.

    Raises:
        ModelError: workers could not load it.
    """
    return os.fspath(model if isinstance(model, str | os.PathLike) else path_of(model, key))


def path_of(function: Any, key: str) -> Path:
    """Return the file whose ``model`` function this is.

    Args:
        function: what was given.
        key: where it was given, for messages.

    Raises:
        ModelError: it is no function, or one that no other process could import.
    """
    name = getattr(function, "__qualname__", None)
    home = sys.modules.get(str(getattr(function, "__module__", "")))
    if not callable(function) or name is None:
        raise _refusal(key, f"is {_article(type(function).__name__)}, which only this process has")
    if home is None or home.__name__ == "__main__" or not _is_file(home):
        raise _refusal(key, f"{name} was defined in this session, which workers can't see into")
    if getattr(home, "model", None) is not function:
        raise _refusal(
            key, f"workers call a file's function model, and this is {name} of {home.__file__}"
        )
    return Path(str(home.__file__)).resolve()


def _is_file(module: Any) -> bool:
    path = getattr(module, "__file__", None)
    return path is not None and path.endswith(".py") and Path(path).is_file()


def _refusal(key: str, problem: str) -> ModelError:
    return ModelError(
        f"{key}: {problem}; put it into a file as its function model (in a notebook: a cell that"
        f" begins with %%writefile my_model.py) and give the path: './my_model.py'"
    )


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOUaeiou' else 'a'} {noun}"
