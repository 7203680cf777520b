"""Names and loading of models: one density per file, in the project's ``models/`` or your own."""

import ast
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradbench.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    import pymc as pm

    from gradbench.reference import Reference
    from gradbench.stan import StanProgram

_CHECKOUT = Path(__file__).parents[3] / "models"
if _CHECKOUT.is_dir() and (_CHECKOUT.parent / "cli").is_dir():
    __path__.append(str(_CHECKOUT))


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model file accepts, read without running it."""

    parameters: tuple[str, ...]
    takes_any: bool


def names() -> list[str]:
    """Return the names of the zoo's models, sorted: what ``use:`` accepts beside a path."""
    return sorted(
        path.stem
        for folder in __path__
        for path in Path(folder).glob("*.py")
        if path.stem[0] != "_"
    )


def find(use: str, folder: Path) -> Path:
    """Return the file of a model: a zoo name, or a path to a .py file relative to ``folder``.

    Raises:
        ModelError: there is no such model or file.
    """
    if not (use.endswith(".py") or "/" in use):
        for place in __path__:
            path = Path(place) / f"{use}.py"
            if use.isidentifier() and not use.startswith("_") and path.is_file():
                return path.resolve()
        raise ModelError(
            f"no model {use!r}{did_you_mean(use, names())} (there are: {', '.join(names())};"
            " a file of your own is written with its path, as ./my_model.py)"
        )
    path = (folder / Path(use).expanduser()).resolve()
    if path.suffix != ".py":
        raise ModelError(f"{path}: a model is a .py file")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    return path


def signature(path: Path) -> Signature:
    """Return the parameters of a file's ``model`` function, without running the file.

    Raises:
        ModelError: the file can't be read or parsed, or has no function ``model``.
    """
    _, arguments = _parsed(path)
    known = [a.arg for a in (*arguments.args, *arguments.kwonlyargs)]
    return Signature(tuple(known), arguments.kwarg is not None)


def resolved(path: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a file's ``model`` function, its defaults where none are given.

    Raises:
        ModelError: a default is no plain value, or a parameter has neither default nor value.
    """
    _, arguments = _parsed(path)
    positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    defaults = [
        *zip(positional, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    values = {argument.arg: default for argument, default in defaults if default is not None}
    found = {}
    for name in signature(path).parameters:
        if name in params:
            found[name] = params[name]
        elif name in values:
            found[name] = _literal(path, name, values[name])
        else:
            raise ModelError(f"{path}: model() has no default for {name}; give it a value")
    return {**found, **params}


@dataclass(frozen=True, slots=True)
class About:
    """A shipped model in words: the first line of its file, and its parameters' defaults."""

    summary: str
    parameters: Mapping[str, str]


def about(name: str) -> About:
    """Return what a shipped model's file says of it, without running the file.

    Raises:
        ModelError: there is no such model.
    """
    tree, arguments = _parsed(find(name, Path()))
    names = [argument.arg for argument in arguments.args]
    defaults = [ast.unparse(default) for default in arguments.defaults]
    summary = (ast.get_docstring(tree) or "").splitlines()[0].rstrip(".").replace("``", "")
    return About(summary, dict(zip(names, defaults, strict=True)))


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the file, in hexadecimal: a resumed run must find the same model."""
    return sha256(path.read_bytes()).hexdigest()


def load(
    path: Path, params: Mapping[str, Any]
) -> tuple["pm.Model", "Reference | None", "StanProgram | None"]:
    """Run the model file and return its model and, where it has them, reference and Stan program.

    Raises:
        ModelError: the file raises, lacks ``model``, or returns something else.
    """
    import pymc as pm

    from gradbench.reference import Reference
    from gradbench.stan import StanProgram

    spec = importlib.util.spec_from_file_location(f"gradbench.models._loaded_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: can't be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        model = module.model(**params)
        reference = module.reference(**params) if hasattr(module, "reference") else None
        program = module.stan(**params) if hasattr(module, "stan") else None
    except Exception as error:
        where = _line_in(path, error)
        raise ModelError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(model, pm.Model):
        raise ModelError(f"{path}: model() returned {_kind(model)}; it must return a pymc.Model")
    if not isinstance(reference, Reference | None):
        raise ModelError(
            f"{path}: reference() returned {_kind(reference)};"
            " it must return a gradbench.reference.Reference"
        )
    if not isinstance(program, StanProgram | None):
        raise ModelError(
            f"{path}: stan() returned {_kind(program)}; it must return a gradbench.stan.StanProgram"
        )
    return model, reference, program


def _parsed(path: Path) -> tuple[ast.Module, ast.arguments]:
    """Return a model file's syntax tree, and the arguments of its ``model`` function."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelError(f"{path}: can't be read as Python: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "model":
            return tree, node.args
    raise ModelError(
        f"{path}: has no function 'model'; a model file defines model(...) -> pm.Model"
    )


def _literal(path: Path, name: str, default: ast.expr) -> Any:
    try:
        return ast.literal_eval(default)
    except ValueError as error:
        raise ModelError(
            f"{path}:{default.lineno}: the default of {name} is no plain value; write it as one,"
            " or give the parameter"
        ) from error


def _line_in(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
