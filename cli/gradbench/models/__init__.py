"""Names and loading of models: one density per file, in the project's ``models/`` or your own.

A model of your own is a Python file, a Stan program with its data, or a posterior of posteriordb.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gradbench import own_files, posteriordb
from gradbench.errors import ModelError, did_you_mean
from gradbench.records import to_plain
from gradbench.reference import kept_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pymc as pm

    from gradbench.logdensity import LogDensity
    from gradbench.reference import Reference
    from gradbench.stan import StanProgram

SUFFIXES = (".py", ".stan")

_CHECKOUT = Path(__file__).parents[3] / "models"
if _CHECKOUT.is_dir() and (_CHECKOUT.parent / "cli").is_dir():
    __path__.append(str(_CHECKOUT))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is. The file's suffix tells its kind.

    Attributes:
        path: a Python file, a Stan program, or a posterior's JSON file in a copy of posteriordb.
        data: a Stan program's data as JSON, or None.
        digest: the ``fingerprint`` that its files must have; empty where any will do.
    """

    path: Path
    data: Path | None = None
    digest: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Return plain data, ready for JSON; ``records.from_plain`` reads it."""
        return dict(to_plain(self))

    @property
    def pinned(self) -> "Source":
        """The same source, held to what its files are now."""
        return replace(self, digest=fingerprint(self))


class Loaded(NamedTuple):
    """What a source gives, in the order that ``Target`` takes it.

    Attributes:
        model: the density as a PyMC model.
        reference: what is known of its posterior, or None.
        stan_program: the same density for Stan's own samplers, or None.
        initial: ``initial(rng, n)`` returns starting points, (n, ndim) on the unconstrained space
            or constrained values by name, (n, *shape) each; None where the model gives none.
        function: the plain function that the model was made from, or None.
    """

    model: "pm.Model"
    reference: "Reference | None" = None
    stan_program: "StanProgram | None" = None
    initial: "Callable[..., Any] | None" = None
    function: "LogDensity | None" = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model file accepts, read without running it."""

    parameters: tuple[str, ...]
    takes_any: bool

    def refusal(self, name: str) -> str | None:
        """Return what is wrong with this parameter, or None."""
        if self.takes_any or name in self.parameters:
            return None
        known = ", ".join(self.parameters) or "none"
        hint = did_you_mean(name, list(self.parameters))
        return f"the model has no such parameter{hint} (it has: {known})"


def names() -> list[str]:
    """Return the names of the zoo's models, sorted: what ``use:`` accepts beside a path."""
    return sorted(
        path.stem
        for folder in __path__
        for path in Path(folder).glob("*.py")
        if path.stem[0] != "_"
    )


def find(use: str, folder: Path, *, database: str | None = None) -> Source:
    """Return where a model is: a zoo name, ``posteriordb:NAME``, or a path relative to ``folder``.

    Args:
        use: as in a config.
        folder: where relative paths start.
        database: a copy of posteriordb; None for the one that its environment variable names.

    Raises:
        ModelError: there is no such model or file.
    """
    if use.startswith(posteriordb.PREFIX):
        home = posteriordb.home(database, folder)
        return Source(posteriordb.find(use.removeprefix(posteriordb.PREFIX), home))
    if not (Path(use).suffix in SUFFIXES or "/" in use):
        for place in __path__:
            path = Path(place) / f"{use}.py"
            if use.isidentifier() and not use.startswith("_") and path.is_file():
                return Source(path.resolve())
        raise ModelError(
            f"no model {use!r}{did_you_mean(use, names())} (there are: {', '.join(names())};"
            " a file of your own is written with its path, as ./my_model.py)"
        )
    path = (folder / Path(use).expanduser()).resolve()
    if path.suffix not in SUFFIXES:
        hint = "; gradbench run takes a config" if path.suffix in {".yaml", ".yml"} else ""
        raise ModelError(f"{path}: a model is a .py or a .stan file{hint}")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    return Source(path)


def with_data(source: Source, data: str, folder: Path) -> Source:
    """Return a Stan program's source with its data, a path relative to ``folder``.

    Raises:
        ModelError: it takes no data, or the file isn't there, or is no JSON object.
    """
    if source.path.suffix != ".stan":
        raise ModelError("only a Stan program (use: ./model.stan) takes data")
    path = (folder / Path(data).expanduser()).resolve()
    _data(path)
    return Source(source.path, path)


def signature(source: Source) -> Signature:
    """Return the parameters of a file's ``model`` function, without running the file.

    Raises:
        ModelError: the file can't be read or parsed, or has no function ``model``.
    """
    if source.path.suffix != ".py":
        return Signature((), False)
    _, arguments = _parsed(source.path)
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
    for name in signature(Source(path)).parameters:
        if name in params:
            found[name] = params[name]
        elif name in values:
            found[name] = _literal(path, name, values[name])
        else:
            raise ModelError(f"{path}: model() has no default for {name}; give it a value")
    return {**found, **params}


def gives_starts(source: Source) -> bool:
    """Return whether a file says where its runs start, read without running it.

    It defines ``initial``, or gives a ``LogDensity`` that argument. One that has its LogDensity
    from another file doesn't say so here.

    Raises:
        ModelError: the file can't be read or parsed, or has no function ``model``.
    """
    if source.path.suffix != ".py":
        return False
    tree, _ = _parsed(source.path)
    if "initial" in {name for node in tree.body for name in _bound(node)}:
        return True
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(
        keyword.arg == "initial" and ast.unparse(keyword.value) != "None"
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] == "LogDensity"
        for keyword in call.keywords
    )


def _bound(node: ast.stmt) -> "Iterator[str]":
    """Yield the names that a statement binds, as far as a model file uses such."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


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
    tree, arguments = _parsed(find(name, Path()).path)
    names = [argument.arg for argument in arguments.args]
    defaults = [ast.unparse(default) for default in arguments.defaults]
    summary = (ast.get_docstring(tree) or "").splitlines()[0].rstrip(".").replace("``", "")
    return About(summary, dict(zip(names, defaults, strict=True)))


def fingerprint(source: Source) -> str:
    """Return the SHA-256 of its files, in hexadecimal: a resumed run must find the same model.

    What a Stan program includes is among them, also where its text is in a Python file.

    Raises:
        ModelError: a file can't be read.
    """
    try:
        return sha256(b"".join(path.read_bytes() for path in files(source))).hexdigest()
    except OSError as error:
        raise ModelError(f"{error.filename}: can't be read: {error.strerror}") from error


def files(source: Source) -> list[Path]:
    """Return the files that a source is made of, its own first.

    Raises:
        ModelError: a copy of posteriordb lacks one.
        OSError: one can't be read.
    """
    from gradbench.stan import included

    if source.path.suffix == ".json":
        return posteriordb.files(source.path)
    parts = included(source.path.read_text(errors="replace"), source.path.parent)
    return [source.path, *([source.data] if source.data else []), *parts]


def carried(source: Source) -> list[Path]:
    """Return the files that a source needs on another machine: its own, and what is known of it.

    That is a reference kept beside it, or what a copy of posteriordb says of its parts. Of one that
    is broken, whatever there is of it.
    """
    try:
        found = files(source)
    except (ModelError, OSError):
        found = [source.path]
    if source.path.suffix == ".json":
        found += posteriordb.descriptions(source.path)
    else:
        found.append(kept_in(source.path))
    return [path for path in found if path.is_file()]


def load(source: Source, params: Mapping[str, Any]) -> Loaded:
    """Return a source's model and, where it has them, reference and Stan program.

    Raises:
        ModelError: a file raises, lacks ``model``, or returns something else; a Stan program can't
            be compiled; or the files are not any more what they were when the run began.
    """
    if source.digest and fingerprint(source) != source.digest:
        raise ModelError(f"{source.path}: has changed since this run began; start a new run")
    if source.path.suffix == ".py":
        return _from_python(source.path, params)
    from gradbench.stan import StanProgram
    from gradbench.target import from_function

    try:
        if source.path.suffix == ".json":
            program, reference = posteriordb.load(source.path)
        else:
            data = {} if source.data is None else _data(source.data)
            code, folder = source.path.read_text(), source.path.parent
            program, reference = StanProgram(code, data, folder), None
        return Loaded(from_function.of_program(program), reference, program)
    except ModelError as error:
        raise ModelError(f"{source.path}: {error}") from error


def _from_python(path: Path, params: Mapping[str, Any]) -> Loaded:
    import pymc as pm

    from gradbench.logdensity import LogDensity
    from gradbench.reference import Reference
    from gradbench.stan import StanProgram
    from gradbench.target import from_function

    try:
        module = own_files.imported(path, f"gradbench.models._loaded_{path.stem}")
        model = _with_folder(module.model(**params), path.parent)
        reference = module.reference(**params) if hasattr(module, "reference") else None
        program = (
            _with_folder(module.stan(**params), path.parent) if hasattr(module, "stan") else None
        )
        initial = getattr(module, "initial", None) and partial(module.initial, **params)
        function = None
        if isinstance(model, LogDensity):
            function = model if initial is None else replace(model, initial=initial)
            model, initial = from_function.of_function(function), _starts(function)
        elif isinstance(model, StanProgram):
            model, program = from_function.of_program(model), model
    except Exception as error:
        what = "" if isinstance(error, ModelError) else f"{type(error).__name__}: "
        raise ModelError(f"{own_files.line_in(path, error)}: {what}{error}") from error
    if not isinstance(model, pm.Model):
        raise ModelError(
            f"{path}: model() returned {_kind(model)}; it must return a pymc.Model, a"
            " gradbench.LogDensity or a gradbench.StanProgram"
        )
    if not isinstance(reference, Reference | None):
        raise ModelError(
            f"{path}: reference() returned {_kind(reference)};"
            " it must return a gradbench.reference.Reference"
        )
    if not isinstance(program, StanProgram | None):
        raise ModelError(
            f"{path}: stan() returned {_kind(program)}; it must return a gradbench.stan.StanProgram"
        )
    return Loaded(model, reference, program, initial and _told(path, initial), function)


def _starts(function: "LogDensity") -> "Callable[..., Any] | None":
    """Return what makes a plain function's starting points, on the unconstrained space."""
    if function.initial is None:
        return None
    if not function.transform:
        return function.starts
    return lambda rng, n: function.named(function.starts(rng, n))


def _told(path: Path, initial: "Callable[..., Any]") -> "Callable[..., Any]":
    """Return the same function; what it raises is told with the file's line."""

    def told(rng: Any, n: int) -> Any:
        try:
            return initial(rng, n)
        except Exception as error:
            what = type(error).__name__
            raise ModelError(
                f"{own_files.line_in(path, error)}: initial: {what}: {error}"
            ) from error

    return told


def _with_folder(made: Any, folder: Path) -> Any:
    """Return what a file made; a Stan program, unless it knows better, includes files beside it."""
    from gradbench.stan import StanProgram

    is_lost = isinstance(made, StanProgram) and made.folder is None
    return replace(made, folder=folder) if is_lost else made


def _data(path: Path) -> Mapping[str, Any]:
    """Return a Stan program's data.

    Raises:
        ModelError: the file can't be read, or holds no JSON object.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path}: must hold a JSON object, the data by name")
    return data


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


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
