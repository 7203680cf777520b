"""A NumPy function run with another library's arrays: what gives it a gradient.

The function stays as its author wrote it. A copy of it, and of the functions of its own files that
it calls, finds ``jax.numpy`` or ``autograd.numpy`` under the name that NumPy had.
"""

import importlib
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, Literal

from gradbench.errors import ModelError, pip_install

Library = Literal["jax", "autograd"]

REPLACED = ("numpy", "scipy")


class _Copies:
    """Copies of functions in which another library stands for NumPy and SciPy."""

    def __init__(self, library: Library, folder: Path) -> None:
        self._library, self._folder = library, folder
        self._functions: dict[int, FunctionType] = {}

    def of(self, value: Any) -> Any:
        """Return what stands for a value that a function refers to: often the value itself."""
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, partial):
            return partial(self.of(value.func), *value.args, **value.keywords)
        if isinstance(value, MethodType):
            return MethodType(self.of(value.__func__), value.__self__)
        if isinstance(value, FunctionType) and self._is_own(value):
            return self._function(value)
        return self._imported(value) if callable(value) else value

    def _imported(self, value: Any) -> Any:
        """Return what stands for a function that was imported by its own name."""
        home = getattr(value, "__module__", None) or ""
        if hasattr(value, "nin") and not home:  # a ufunc didn't say where it is from before NumPy 2
            home = "numpy"
        if isinstance(value, type) or home.split(".")[0] not in REPLACED:
            return value
        return getattr(self._module(sys.modules[home]), value.__name__, value)

    def _module(self, module: ModuleType) -> Any:
        first, _, rest = module.__name__.partition(".")
        if first not in REPLACED:
            return module
        base = f"{self._library}.{first}"
        try:
            return importlib.import_module(f"{base}.{rest}" if rest else base)
        except ImportError:
            return module

    def _is_own(self, function: FunctionType) -> bool:
        """Return whether its file lies beside the first one's."""
        return self._folder in Path(function.__code__.co_filename).resolve().parents

    def _function(self, function: FunctionType) -> FunctionType:
        if id(function) not in self._functions:
            names = function.__globals__
            copied: dict[str, Any] = {**names}
            cells = tuple(CellType() for _ in function.__closure__ or ())
            copy = FunctionType(
                function.__code__, copied, function.__name__, function.__defaults__, cells
            )
            copy.__kwdefaults__ = function.__kwdefaults__
            self._functions[id(function)] = copy  # before what it calls: it may call itself
            for name in _names(function.__code__):
                if name in names:
                    copied[name] = self.of(names[name])
            for new, old in zip(cells, function.__closure__ or (), strict=True):
                new.cell_contents = self.of(old.cell_contents)
        return self._functions[id(function)]


def retraced(function: Callable[..., Any], library: Library) -> Callable[..., Any]:
    """Return the function with another library in the place of NumPy and SciPy.

    Args:
        function: a Python function; what it calls is replaced too if it lies in the same folder.
        library: ``jax`` or ``autograd``.

    Raises:
        ModelError: the library isn't installed.
    """
    try:
        importlib.import_module(library)
    except ImportError as error:
        extra = "jax" if library == "jax" else "gradients"
        raise ModelError(
            f"LogDensity: gradient={library!r} needs {library}: {pip_install(extra)}"
        ) from error
    if not isinstance(function, FunctionType | MethodType | partial | BuiltinFunctionType):
        function = type(function).__call__.__get__(function)
    root: Any = function
    while isinstance(root, partial):
        root = root.func
    code = getattr(root, "__code__", None)
    folder = Path(code.co_filename).resolve().parent if code else Path()
    copy: Callable[..., Any] = _Copies(library, folder).of(function)
    return copy


def why_not(error: BaseException, library: Library) -> str:
    """Return why a library can't differentiate a function, from what it raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if library not in frame.filename.split("/")]
    last = own[-1] if own else frames[-1]
    line = f"line {last.lineno}, {last.line!r}" if last.line else f"line {last.lineno}"
    said = str(error).strip().splitlines() or [type(error).__name__]
    hints = {
        "float": "float(), int() and math's functions take no traced number: use np's",
        "assignment": "it writes into an array: build a new one instead",
        "immutable": "it writes into an array: build a new one instead",
        "bool": "it branches on a value: use np.where",
        "setting an array element": "it writes into an array: build a new one instead",
    }
    text = f"{type(error).__name__} {said[0]}".lower()
    hint = next((hint for word, hint in hints.items() if word in text), said[0][:200])
    return f"{library} can't follow it at {line}: {hint}"


def _names(code: Any) -> set[str]:
    """Return the global names that code refers to, that of its inner functions too."""
    inner = (constant for constant in code.co_consts if hasattr(constant, "co_names"))
    return set(code.co_names).union(*map(_names, inner))
