"""Python files of the user's own: imported by their path, what they raise told with its line."""

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType


def imported(path: Path, name: str) -> ModuleType:
    """Return a Python file as a module of this name; what lies beside it can be imported by it.

    Raises:
        ImportError: it is no Python file.
        Exception: whatever it raises.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: can't be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that a numpy.py beside it is not NumPy
    spec.loader.exec_module(module)
    return module


def line_in(path: Path, error: BaseException) -> str:
    """Return the place in a file that an exception came through last, as ``path:line``."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    return f"{path}:{lines[-1]}" if lines else str(path)
