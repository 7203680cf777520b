"""YAML, or values of Python, to plain values, every key with the place it was written at."""

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Self, cast

import numpy as np
import yaml

from gradbench.errors import ConfigError

MAX_BYTES = 2**20
MAX_NODES = 10_000  # aliases counted as often as they are used
PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))

Key = tuple[str | int, ...]


class Document:
    """A parsed config: its plain value, and where each part of it was written."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._places: dict[Key, str] = {}
        self._n_nodes = 0
        self.value = self._read(text)

    @classmethod
    def of(cls, values: Mapping[str, Any], name: str) -> Self:
        """Return a config that is given as values of Python; its messages name keys, no lines.

        Raises:
            ConfigError: a value in it is none that YAML could hold.
        """
        document = cls("{}", name)
        document._places[()] = name
        document.value = document._plain(values, ())
        return document

    def error(self, key: Key, problem: str) -> ConfigError:
        """Return the error to raise for a key: file, line, column, the key's path, the problem."""
        place = next(p for p in _ancestors(key) if p in self._places)
        dotted = ".".join(map(str, key))
        return ConfigError(f"{self._places[place]}: {dotted + ': ' if dotted else ''}{problem}")

    def override(self, assignment: str) -> None:
        """Set one key from ``path.to.key=value``, the value read as YAML.

        Raises:
            ConfigError: there is no ``=``, the value is no YAML, or the path leads through a value.
        """
        path, equals, text = assignment.partition("=")
        if not (equals and path.strip()):
            raise ConfigError(f"--set {assignment}: write it as --set path.to.key=value")
        place = f"--set {path}"
        value = Document(text, place).value if _is_nested(text) else self._scalar(text, place)
        self._set(path, value, place)

    def set(self, path: str, value: object) -> None:
        """Set one key, written as ``path.to.key``, to a value of Python.

        Raises:
            ConfigError: YAML could not hold the value, or the path leads through one.
        """
        place = "override"
        self._set(path, Document.of({path: value}, place).value[path], place)

    def _set(self, path: str, value: Any, place: str) -> None:
        at, key = self.value, cast("Key", ())
        words = path.strip().split(".")
        while words:
            if not isinstance(at, dict):
                raise ConfigError(f"{place}: {'.'.join(map(str, key))} is no map of keys")
            n = next((n for n in range(len(words), 0, -1) if ".".join(words[:n]) in at), 1)
            word, words = ".".join(words[:n]), words[n:]
            key = (*key, word)
            if not words:
                at[word] = value
                self._places = {k: p for k, p in self._places.items() if k[: len(key)] != key}
                self._places[key] = place
            at = at.setdefault(word, {})
            self._places.setdefault(key, place)

    def _plain(self, value: object, key: Key) -> Any:
        """Return a value of Python as YAML would have given it."""
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        if isinstance(value, Mapping):
            return {str(name): self._plain(item, (*key, str(name))) for name, item in value.items()}
        if isinstance(value, list | tuple | range):
            return [self._plain(item, (*key, i)) for i, item in enumerate(value)]
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(key, f"must be a finite number, not {value}")
        if value is None or isinstance(value, str | int | float):
            return value
        raise self.error(key, f"a value of type {type(value).__name__!r} is not allowed")

    def _scalar(self, text: str, place: str) -> Any:
        wrapped = Document(f"value: {text}", place)
        return wrapped.value["value"]

    def _read(self, text: str) -> Any:
        self._places[()] = f"{self._name}:1:1"
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"{self._name}: can't be read as YAML: {error}") from error
        if node is None:
            raise ConfigError(f"{self._name}:1:1: the file is empty; a benchmark is a map of keys")
        value = self._build(node, (), ())
        if not isinstance(value, dict):
            raise self.error((), f"a benchmark is a map of keys, not {kind(value)}")
        return value

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        place = f"{self._name}:{mark.line + 1}:{mark.column + 1}" if mark else self._name
        problem = str(error.problem)
        if "'\\t'" in problem:
            problem = "a tab; YAML is indented with spaces"
        return ConfigError(f"{place}: {problem}")

    def _build(self, node: yaml.Node, key: Key, inside: tuple[int, ...]) -> Any:
        self._n_nodes += 1
        self._places[key] = f"{self._name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        if self._n_nodes > MAX_NODES or id(node) in inside:
            raise self.error(key[:1], f"its aliases (*) expand to more than {MAX_NODES:,} values")
        inside = (*inside, id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._build_map(node, key, inside)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._build(item, (*key, i), inside) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in PLAIN:
            return self._build_scalar(node, key)
        what = node.tag.removeprefix("tag:yaml.org,2002:")
        raise self.error(key, f"a YAML value of type {what!r} is not allowed; quote it for text")

    def _build_map(
        self, node: yaml.MappingNode, key: Key, inside: tuple[int, ...]
    ) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for name_node, value_node in node.value:
            mark = name_node.start_mark
            place = f"{self._name}:{mark.line + 1}:{mark.column + 1}"
            if not (isinstance(name_node, yaml.ScalarNode) and name_node.tag in PLAIN):
                raise ConfigError(f"{place}: a key must be a plain word")
            name = name_node.value
            if name in built:
                raise ConfigError(f"{place}: {'.'.join(map(str, (*key, name)))}: written twice")
            built[name] = self._build(value_node, (*key, name), inside)
            self._places[(*key, name)] = place
        return built

    def _build_scalar(self, node: yaml.ScalarNode, key: Key) -> Any:
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self.error(key, f"can't be read: {error}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(key, f"must be a finite number, not {node.value}")
        return value


def kind(value: object) -> str:
    """Return what a plain value is, in words."""
    names = {dict: "a map", list: "a list", str: "text", bool: "true/false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _ancestors(key: Key) -> Iterator[Key]:
    for n in range(len(key), -1, -1):
        yield key[:n]


def _is_nested(text: str) -> bool:
    return "\n" in text.strip()
