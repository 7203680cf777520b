"""Copies of functions in which JAX or autograd stands where their author wrote NumPy.

The functions themselves stay as they are. A copy has the same code, but looks its names up where
those of NumPy, SciPy and math mean another library's, and those of other functions their copies.
"""

import builtins
import importlib
import sys
import sysconfig
from collections.abc import Mapping
from functools import partial
from numbers import Number
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from gradbench.logdensity import Library

REPLACED = ("numpy", "scipy")
# Where a function is looked for that was imported by its own name.
HOMES = ("numpy", "numpy.linalg", "scipy.special", "scipy.stats", "scipy.linalg", "math")
# What math and NumPy have under one name, from a float to a float.
MATH = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh",
    "tanh", "hypot", "fabs",
)  # fmt: skip
SPECIAL = {"lgamma": "gammaln", "erf": "erf", "erfc": "erfc"}  # math's names, and SciPy's
INSTALLED = {"site-packages", "dist-packages"}
STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
DATA = (Number, str, bytes, np.ndarray, type(None))


class Copies:
    """Makes copies for one library, each of them once.

    What is copied are functions, methods, classes and modules of the author's own: code beside the
    first function's, or in no installed package.

    Args:
        library: what stands for NumPy.
        folder: where the first function's file is.
    """

    def __init__(self, library: Library, folder: Path) -> None:
        self._library, self._folder = library, folder
        self._made: dict[int, tuple[Any, Any]] = {}  # each beside its original, so that ids stay
        self._names: dict[int, _Names] = {}

    def of(self, value: Any) -> Any:
        """Return what stands for a value that a function refers to: often the value itself."""
        if isinstance(value, DATA):
            return value
        if id(value) not in self._made:
            self.note(value, self._copied(value))
        return self._made[id(value)][1]

    def note(self, value: Any, copy: Any) -> None:
        """Keep what stands for a value, before what it refers to is copied: that may be itself."""
        self._made[id(value)] = (value, copy)

    def is_own(self, filename: str) -> bool:
        """Return whether a file is the author's own code."""
        path = Path(filename).resolve()
        is_installed = STANDARD in path.parents or INSTALLED & {*path.parts}
        return path.parent == self._folder or not is_installed

    def _copied(self, value: Any) -> Any:  # noqa: PLR0911 - a line for each kind of value
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, FunctionType):
            return self._function(value) if self._has_own(value) else self._imported(value)
        if isinstance(value, MethodType):
            return MethodType(self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, partial):
            return partial(self.of(value.func), *self.of(value.args), **self.of(value.keywords))
        if type(value) in {tuple, list}:
            is_plain = all(isinstance(item, DATA) for item in value)
            return value if is_plain else type(value)(map(self.of, value))
        if type(value) is dict:
            return {name: self.of(item) for name, item in value.items()}
        if isinstance(value, type):
            return self._class(value)
        if hasattr(value, "py_func"):  # compiled by Numba
            return self.of(value.py_func)
        if hasattr(value, "cache_info"):  # a traced number is no key
            return self.of(value.__wrapped__)
        if hasattr(value, "dist") and hasattr(value, "kwds"):
            return self._frozen(value)
        return self._imported(value) if callable(value) else self._instance(value)

    def _has_own(self, value: Any) -> bool:
        return isinstance(value, FunctionType) and self.is_own(value.__code__.co_filename)

    def _module(self, module: ModuleType) -> Any:
        """Return a library's module with what NumPy has beyond it, or own code with its copies."""
        first, _, rest = module.__name__.partition(".")
        if first == "math":
            return _Module(self, module, self._math())
        if first in REPLACED:
            name = ".".join(filter(None, (self._library, first, rest)))
            try:
                return _Module(self, module, importlib.import_module(name))
            except ImportError:
                return module
        file = getattr(module, "__file__", None)
        return _Module(self, module, None) if file and self.is_own(file) else module

    def _math(self) -> SimpleNamespace:
        numpy = importlib.import_module(f"{self._library}.numpy")
        special = importlib.import_module(f"{self._library}.scipy.special")
        return SimpleNamespace(
            **{name: getattr(numpy, name) for name in MATH},
            **{ours: getattr(special, theirs) for ours, theirs in SPECIAL.items()},
        )

    def _function(self, function: FunctionType) -> FunctionType:
        names = self._names.setdefault(id(function.__globals__), _Names(self, function.__globals__))
        cells = tuple(CellType() for _ in function.__closure__ or ())
        copy = FunctionType(
            function.__code__, names, function.__name__, self.of(function.__defaults__), cells
        )
        copy.__kwdefaults__ = self.of(function.__kwdefaults__)
        self.note(function, copy)
        for new, old in zip(cells, function.__closure__ or (), strict=True):
            new.cell_contents = self.of(old.cell_contents)
        return copy

    def _class(self, kind: type) -> type:
        """Return a class of own code with copies of its methods, or the class itself."""
        own = [base for base in kind.__mro__ if any(map(self._has_own, vars(base).values()))]
        if not own:
            return kind
        try:
            copy = type(kind)(kind.__name__, (kind,), {"__slots__": ()})
        except TypeError:  # one that can't be derived from
            return kind
        self.note(kind, copy)
        for base in reversed(own):
            for name, member in vars(base).items():
                if isinstance(member, staticmethod | classmethod):
                    setattr(copy, name, type(member)(self.of(member.__func__)))
                elif isinstance(member, property):
                    setattr(copy, name, property(self.of(member.fget), member.fset))
                elif isinstance(member, FunctionType):
                    setattr(copy, name, self.of(member))
        return copy

    def _instance(self, value: Any) -> Any:
        """Return an object with copies of its methods and attributes, or the object itself."""
        kind = self.of(type(value))
        if kind is type(value) or not hasattr(value, "__dict__"):
            return value
        try:
            copy = object.__new__(kind)
        except TypeError:  # of a built-in type
            return value
        self.note(value, copy)
        vars(copy).update({name: self.of(item) for name, item in vars(value).items()})
        return copy

    def _imported(self, value: Any) -> Any:
        """Return what stands for a function that was imported by its own name."""
        for home in HOMES:
            module = sys.modules.get(home)
            for name, item in list(vars(module).items()) if module else ():
                if item is value:
                    return getattr(self.of(module), name)
        return self._instance(value)

    def _frozen(self, value: Any) -> Any:
        """Return what stands for one of SciPy's distributions whose parameters are fixed."""
        family = getattr(self.of(sys.modules["scipy.stats"]), value.dist.name)
        return family(*value.args, **value.kwds)


class _Names(dict[str, Any]):
    """A function's global names, each looked up and copied at its first use."""

    def __init__(self, copies: Copies, names: Mapping[str, Any]) -> None:
        super().__init__(
            __builtins__={**vars(builtins), "__import__": self._import}, __name__=names["__name__"]
        )
        self._copies, self._originals = copies, names

    def __missing__(self, name: str) -> Any:
        self[name] = copy = self._copies.of(self._originals[name])
        return copy

    def _import(self, name: str, *arguments: Any) -> Any:
        """Return what an import within a function gives."""
        return self._copies.of(builtins.__import__(name, self._originals, *arguments[1:]))


class _Module(ModuleType):
    """A module whose names mean another's, where that has them."""

    def __init__(self, copies: Copies, ours: ModuleType, theirs: Any) -> None:
        super().__init__(ours.__name__)
        self._copies, self._ours, self._theirs = copies, ours, theirs

    def __getattr__(self, name: str) -> Any:
        ours = getattr(self._ours, name)
        if self._theirs is None or isinstance(ours, ModuleType):
            return self._copies.of(ours)
        theirs = getattr(self._theirs, name, ours)
        return _Distribution(theirs) if isinstance(theirs, ModuleType) else theirs


class _Distribution:
    """One of SciPy's distributions: a module in other libraries, with or without parameters."""

    def __init__(self, functions: ModuleType, *given: Any, **named: Any) -> None:
        self._functions, self._given, self._named = functions, given, named

    def __call__(self, *given: Any, **named: Any) -> "_Distribution":
        return _Distribution(self._functions, *given, **named)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._functions, name)
        return lambda x, *given, **named: function(x, *self._given, *given, **self._named, **named)
