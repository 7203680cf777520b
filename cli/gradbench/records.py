"""Records to plain data and back: JSON has no NaN, so that no number is written as null."""

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence, Set
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Record = TypeVar("Record")


def to_plain(value: object) -> Any:
    """Return what JSON can hold; what is not a finite number becomes None, wherever it is.

    Raises:
        TypeError: there is something in it that is no data.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes):
        return [to_plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def to_json(value: object, *, indent: int | None = None) -> str:
    """Return ``to_plain`` as JSON text, compact without ``indent``, ending with a new line.

    Raises:
        TypeError: as in ``to_plain``.
    """
    return as_text(to_plain(value), indent=indent)


def as_text(plain: object, *, indent: int | None = None) -> str:
    """Return what ``to_plain`` gave as JSON text, as ``to_json`` has it."""
    separators = (",", ":") if indent is None else None
    return json.dumps(plain, allow_nan=False, indent=indent, separators=separators) + "\n"


def from_plain(kind: type[Record], plain: Mapping[str, Any]) -> Record:
    """Return the dataclass that ``to_plain`` gave; None is NaN where a number must be.

    A dataclass within it that has a ``from_json`` of its own is read by that.

    Raises:
        TypeError: a field is missing or unknown.
        ValueError: an array is not one.
    """
    known: Any = kind  # mypy: a type is hashable
    hints = _hints(known)
    return kind(**{name: _restored(hints.get(name), value) for name, value in plain.items()})


def _restored(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union} and value is not None:
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        value = _restored(kinds[0], value) if len(kinds) == 1 else value
    elif hint is float and value is None:
        value = math.nan
    elif origin is npt.NDArray:  # a type alias since NumPy 2.5
        value = np.array(value, dtype=arguments[0])
    elif origin is np.ndarray:
        value = np.array(value, dtype=typing.get_args(arguments[1])[0])
    elif hint is Path:
        value = Path(value)
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        value = hint.from_json(value) if hasattr(hint, "from_json") else from_plain(hint, value)
    elif origin is tuple:
        is_alike = arguments[-1] is ...
        value = tuple(
            _restored(arguments[0 if is_alike else i], item) for i, item in enumerate(value)
        )
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        value = {key: _restored(arguments[1], item) for key, item in value.items()}
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        value = [_restored(arguments[0], item) for item in value]
    return value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
