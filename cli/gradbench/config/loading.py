"""Text to a frozen ``Benchmark`` and back: configs are found, read, and cut down to what is run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gradbench import models, posteriordb
from gradbench.config.benchmark import DEFAULT_INIT, Benchmark, ModelEntry, SamplerEntry
from gradbench.config.patterns import LONGEST, expanded, label_of
from gradbench.config.problems import invalid, not_a_config, refuse, unfit
from gradbench.config.yaml_source import MAX_BYTES, Document
from gradbench.errors import ConfigError, SamplerError, did_you_mean
from gradbench.samplers import find as find_sampler
from gradbench.samplers._asked import ask

Overrides = Sequence[str] | Mapping[str, Any]
"""``path.to.key=value`` each, the value as YAML; or values of Python by ``path.to.key``."""


def find(source: str) -> Path:
    """Return a config's file: a path, or the name of a shipped one.

    Raises:
        ConfigError: there is no such file; the shipped names are listed. Or it is a model, or a
            run's folder; what to type instead is told.
    """
    path = Path(source)
    if path.suffix in models.SUFFIXES or source.startswith(posteriordb.PREFIX):
        raise ConfigError(not_a_config(source))
    if (path / "run.json").is_file():
        raise ConfigError(
            f"{source}: is a run's folder: gradbench run --resume {source} finishes it,"
            f" gradbench run {path / 'config.yaml'} runs it anew"
        )
    if path.exists():
        return path
    shipped = _shipped()
    known = sorted(shipped)
    if (name := source.removesuffix(".yaml")) in shipped:
        return shipped[name]
    if source in models.names():
        raise ConfigError(not_a_config(source))
    raise ConfigError(
        f"{source}: no such file, and no shipped config of this name"
        f"{did_you_mean(name, known)} (shipped: {', '.join(known)})"
    )


def names() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    return sorted(_shipped())


def load(source: str, overrides: Overrides = ()) -> Benchmark:
    """Return the benchmark of a file or shipped name, with overrides.

    Paths of models and their data are made absolute and defaults filled in. They start in the
    config's folder; for a shipped one, which has none, in the current folder.

    Raises:
        ConfigError: it can't be used; the message names file, line, column and key.
    """
    path = find(source)
    folder = path.parent if Path(source).exists() else Path()
    return read(_text(path), str(path), folder, overrides)


def read(text: str, name: str, folder: Path, overrides: Overrides = ()) -> Benchmark:
    """Return the benchmark of a YAML text, as ``load`` does.

    Args:
        text: the YAML.
        name: what messages call it.
        folder: where its paths start.
        overrides: what replaces its keys.

    Raises:
        ConfigError: it can't be used.
    """
    return _read(Document(text, name), folder, overrides)


def of_values(
    values: Mapping[str, Any], overrides: Overrides = (), *, name: str = "config"
) -> Benchmark:
    """Return the benchmark of a config's keys given in Python, its paths from the current folder.

    Raises:
        ConfigError: it can't be used; the message has ``name`` and the key.
    """
    return _read(Document.of(values, name), Path(), overrides)


def of_names(
    models: str, samplers: str, overrides: Overrides = (), *, copy: str | None = None
) -> Benchmark:
    """Return the benchmark of models and samplers at their defaults, paths from the current folder.

    Args:
        models: as ``use`` names them, with commas between them.
        samplers: likewise.
        overrides: of the config that they make.
        copy: the path of a copy of posteriordb, for posteriors.

    Raises:
        ConfigError: there is no such model or sampler, or two would have one label.
    """
    of_posterior = {} if copy is None else {"posteriordb": copy}
    values: dict[str, Any] = {
        "name": "posteriordb",
        "models": {
            label: {"use": use, **(of_posterior if use.startswith(posteriordb.PREFIX) else {})}
            for label, use in _named(models, "--models").items()
        },
        "samplers": {label: {"use": use} for label, use in _named(samplers, "--samplers").items()},
    }
    if not any(map(posteriordb.is_pattern, models.split(","))):
        values["name"] = "-".join(values["models"])[:LONGEST]
    return of_values(values, overrides, name="command line")


def _named(uses: str, flag: str) -> dict[str, str]:
    """Return what a flag names with commas between them, by label."""
    found: dict[str, str] = {}
    for use in filter(None, map(str.strip, uses.split(","))):
        if (label := label_of(use)) in found:
            raise ConfigError(f"{flag} {uses}: two of them would be called {label}")
        found[label] = use
    return found


def model(
    use: str,
    *,
    params: Sequence[str] | Mapping[str, Any],
    data: str | None = None,
    posteriordb: str | None = None,
) -> ModelEntry:
    """Return the entry of a model that is named, paths relative to the current folder.

    Its parameters are ``key=value`` each, as in a command's flags, or values of Python by name.

    Raises:
        ModelError, ConfigError: there is no such model, or it has no such parameter.
    """
    if isinstance(params, Mapping):
        given = Document.of(params, "params").value
    else:
        given = values(params, "--param")
    entry = ModelEntry(use=use, data=data, posteriordb=posteriordb, params=given)
    signature = models.signature(entry.source(Path()))
    refuse(
        ConfigError(f"--param {name}: {refusal}")
        for name in given
        if (refusal := signature.refusal(name)) is not None
    )
    return entry


def values(assignments: Sequence[str], flag: str) -> dict[str, Any]:
    """Return what ``key=value`` assignments of a command's flag set, each value read as YAML.

    Raises:
        ConfigError: one is written otherwise.
    """
    found = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not (equals and key):
            raise ConfigError(f"{flag} {assignment}: write it as {flag} key=value")
        found[key] = Document(f"value: {text}", f"{flag} {key}").value["value"]
    return found


def samplers(assignments: Sequence[str], benchmark: Benchmark, flag: str) -> dict[str, str]:
    """Return what ``label=use`` assignments of a command's flag load, paths made absolute.

    Raises:
        ConfigError: one is written otherwise, or names no sampler of the benchmark.
        SamplerError: there is no such sampler.
    """
    found = {}
    for assignment in assignments:
        label, equals, use = assignment.partition("=")
        if not equals or label not in benchmark.samplers:
            known = ", ".join(benchmark.samplers)
            raise ConfigError(f"{flag} {assignment}: write it as LABEL=USE, LABEL one of {known}")
        found[label] = find_sampler(use, Path()).use
    return found


def only(benchmark: Benchmark, labels: Sequence[str]) -> Benchmark:
    """Return a benchmark with only the models and the samplers that are named.

    Naming none of one kind keeps all of that kind. Seeds stay what they were.

    Raises:
        ConfigError: a label is neither a model's nor a sampler's.
    """
    known = [*benchmark.models, *benchmark.samplers]
    for label in labels:
        if label not in known:
            hint = did_you_mean(label, known)
            raise ConfigError(
                f"--only {label}: no such model or sampler{hint} (there are: {', '.join(known)})"
            )
    kept = {}
    for section, entries in (("models", benchmark.models), ("samplers", benchmark.samplers)):
        named = {label: entry for label, entry in entries.items() if label in labels}
        kept[section] = named or entries
    return benchmark.model_copy(update=kept)


def installed(benchmark: Benchmark) -> tuple[Benchmark, dict[str, str]]:
    """Return a benchmark without the samplers that aren't installed, and what installs those.

    Raises:
        SamplerError: none is left.
    """
    remedies = {
        label: remedy
        for label, entry in benchmark.samplers.items()
        if (remedy := ask(entry.source(Path())).remedy) is not None
    }
    kept = {label: e for label, e in benchmark.samplers.items() if label not in remedies}
    if not kept:
        raise SamplerError(
            f"none of the samplers is installed: {'; '.join(dict.fromkeys(remedies.values()))}"
        )
    return benchmark.model_copy(update={"samplers": kept}), remedies


def restore(path: Path) -> Benchmark:
    """Return the benchmark of a run's folder; its model files need not exist any more.

    Raises:
        ConfigError: it can't be read.
    """
    return _validate(Document(_text(path), str(path)))


def dump(benchmark: Benchmark) -> str:
    """Return a benchmark as YAML that ``restore`` reads back."""
    plain = benchmark.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _shipped() -> dict[str, Path]:
    package = Path(__file__).parents[1]
    folders = [package / "configs", package.parents[1] / "configs"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def _text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; a config is a .yaml file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than 1 MiB; this is no config")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error


def _read(document: Document, folder: Path, overrides: Overrides) -> Benchmark:
    if isinstance(overrides, Mapping):
        for path, value in overrides.items():
            document.set(str(path), value)
    else:
        for assignment in overrides:
            document.override(assignment)
    benchmark = expanded(_validate(document), document, folder)
    refuse(unfit(benchmark, document, folder))
    return _resolve(benchmark, folder)


def _validate(document: Document) -> Benchmark:
    try:
        return Benchmark.model_validate(document.value)
    except ValidationError as error:
        refuse(invalid(map(dict, error.errors(include_url=False)), document))
        raise AssertionError("a validation error without a problem") from error


def _resolve(benchmark: Benchmark, folder: Path) -> Benchmark:
    """Return it with model files absolute, and all defaults written out."""
    entries = {
        label: _started(entry.absolute(folder), folder)
        if benchmark.init is None
        else entry.absolute(folder)
        for label, entry in benchmark.models.items()
    }
    filled = {}
    for label, entry in benchmark.samplers.items():
        first = {name: values[0] for name, values in entry.sweep.items()}
        (chosen,) = entry.chosen(folder, [first])
        options = {k: v for k, v in chosen.options.items() if k not in entry.sweep}
        use = entry.source(folder).use
        filled[label] = SamplerEntry(use=use, sweep=entry.sweep, **options)
    init = benchmark.init or DEFAULT_INIT
    return benchmark.model_copy(update={"models": entries, "samplers": filled, "init": init})


def _started(entry: ModelEntry, folder: Path) -> ModelEntry:
    """Return a model's entry that starts from the model's own points, if its file gives any."""
    if entry.init is None and models.gives_starts(entry.source(folder)):
        return entry.model_copy(update={"init": "own"})
    return entry
