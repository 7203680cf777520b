"""YAML to a frozen ``Benchmark``: every key checked, every error with its place."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from gradbench import models, posteriordb, samplers
from gradbench.config.yaml_source import MAX_BYTES, Document, Key, kind
from gradbench.errors import ConfigError, ModelError, SamplerError, did_you_mean
from gradbench.sampler import Options
from gradbench.target.target import Init

DEFAULT_INIT: Init = "uniform"
MAX_CELLS = 100_000
MAX_PROBLEMS = 10
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$")]
Sweep = dict[str, Annotated[list[JsonValue], Field(min_length=1)]]


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d|)\s*", value)
        if match is None:
            raise ValueError("must be a time such as 90s, 10min or 2h")
        return float(match[1]) * SECONDS[match[2]]
    return value


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(TypeAdapter(ByteSize).validate_python(value))
        except ValidationError:
            raise ValueError("must be a size such as 500MB or 4GiB") from None
    return value


class _Map(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelEntry(_Map):
    """A model: where it is, its parameters, and those that a sweep varies."""

    use: str = Field(
        description="name of a shipped model, path of a .py or .stan file, or posteriordb:NAME"
    )
    data: str | None = Field(None, description="path of a Stan program's data, a JSON file")
    posteriordb: str | None = Field(None, description="path of a copy of posteriordb")
    params: dict[str, JsonValue] = Field({}, description="arguments of its model() function")
    sweep: Sweep = Field({}, description="lists of values: one model for each combination")
    init: Init | None = Field(None, description="where this model's runs start, if not as others")
    parameters: list[str] = Field(
        [], description="which quantities count: names, with * and ?; ~NAME is left out"
    )

    def source(self, folder: Path) -> models.Source:
        """Return where it is; ``folder`` is where relative paths start.

        Raises:
            ModelError: there is no such model or file.
        """
        found = models.find(self.use, folder, database=self.posteriordb)
        return found if self.data is None else models.with_data(found, self.data, folder)

    def absolute(self, folder: Path) -> "ModelEntry":
        """Return it with absolute paths, those from the environment written out."""
        source = self.source(folder)
        update: dict[str, str] = {}
        if self.use.startswith(posteriordb.PREFIX):
            update["posteriordb"] = str(posteriordb.home(self.posteriordb, folder))
        elif self.use not in models.names():
            update["use"] = str(source.path)
        if source.data is not None:
            update["data"] = str(source.data)
        return self.model_copy(update=update)


class SamplerEntry(_Map):
    """A sampler: its name, its options beside it, and those that a sweep varies."""

    model_config = ConfigDict(extra="allow")

    use: str = Field(description="name of a sampler")
    sweep: Sweep = Field({}, description="lists of values: one sampler for each combination")

    @property
    def options(self) -> dict[str, Any]:
        """The options as given, the sweep's not among them."""
        return dict(self.model_extra or {})

    def resolved(self, point: dict[str, Any]) -> dict[str, Any]:
        """Return all options, defaults filled in, at one point of the sweep."""
        return self.parsed(point).model_dump()

    def parsed(self, point: dict[str, Any]) -> Options:
        """Return the options validated, at one point of the sweep."""
        return samplers.load(self.use).Options(**{**self.options, **point})


class Limits(_Map):
    """What one cell may take."""

    timeout: Annotated[float, BeforeValidator(_seconds), Field(gt=0)] = Field(
        600.0, description="wall time of one cell, as 90s, 10min or 2h"
    )
    memory: Annotated[int, BeforeValidator(_bytes), Field(gt=0)] = Field(
        4 * 2**30, description="resident memory of one worker, as 500MB or 4GiB"
    )
    total_memory: Annotated[int, BeforeValidator(_bytes), Field(gt=0)] | None = Field(
        None,
        description="memory of all warm workers together, as 2GiB; half of what is free by default",
    )

    @property
    def timeout_s(self) -> float:
        """The time limit in seconds."""
        return self.timeout

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return self.memory


class Gates(_Map):
    """When a result is not trusted."""

    rhat: float = Field(1.01, gt=1, description="largest R-hat (Vehtari et al. 2021)")
    ess: float = Field(400, gt=0, description="smallest bulk ESS (Vehtari et al. 2021)")
    autocorrelation_times: float = Field(
        10, gt=0, description="shortest run of an ensemble, in autocorrelation times"
    )


class Published(_Map):
    """Figures printed elsewhere, to be set beside ours."""

    source: str = Field(description="where they were printed")
    ms_per_ess: dict[str, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="milliseconds per effective sample, by sampler label"
    )


class Benchmark(_Map):
    """A benchmark: models, samplers, and how often and how they are run."""

    name: Label = Field(description="name of the results folder")
    description: str = Field("", description="the question it asks")
    models: dict[Label, ModelEntry] = Field(min_length=1, description="models by label")
    samplers: dict[Label, SamplerEntry] = Field(min_length=1, description="samplers by label")
    replicates: int = Field(5, ge=1, le=10_000, description="runs of each cell, seeds apart")
    seed: int = Field(20230829, ge=0, lt=2**63, description="all other seeds come from it")
    init: Init | None = Field(
        None, description="where runs start; own where the model's file says where, else uniform"
    )
    threads: int = Field(1, ge=1, le=1024, description="of every thread pool in a worker")
    limits: Limits = Field(Limits(), description="what one cell may take")
    gates: Gates = Field(Gates(), description="when a result is not trusted")
    published: Published | None = Field(None, description="figures printed elsewhere")


def find(source: str) -> Path:
    """Return a config's file: a path, or the name of a shipped one.

    Raises:
        ConfigError: there is no such file; the shipped names are listed. Or it is a model, or a
            run's folder; what to type instead is told.
    """
    path = Path(source)
    if path.suffix in models.SUFFIXES or source.startswith(posteriordb.PREFIX):
        raise ConfigError(_instead(source))
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
        raise ConfigError(_instead(source))
    raise ConfigError(
        f"{source}: no such file, and no shipped config of this name"
        f"{did_you_mean(name, known)} (shipped: {', '.join(known)})"
    )


def names() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    return sorted(_shipped())


def load(source: str, overrides: Sequence[str] = ()) -> Benchmark:
    """Return the benchmark of a file or shipped name, with ``key=value`` overrides.

    Paths of models and their data are made absolute and defaults filled in.

    Raises:
        ConfigError: it can't be used; the message names file, line, column and key.
    """
    path = find(source)
    return read(_text(path), str(path), path.parent, overrides)


def read(text: str, name: str, folder: Path, overrides: Sequence[str] = ()) -> Benchmark:
    """Return the benchmark of a YAML text, as ``load`` does.

    Args:
        text: the YAML.
        name: what messages call it.
        folder: where its paths start.
        overrides: ``key=value`` each.

    Raises:
        ConfigError: it can't be used.
    """
    document = Document(text, name)
    for assignment in overrides:
        document.override(assignment)
    benchmark = _validate(document)
    problems = list(_second_look(benchmark, document, folder))
    _refuse(problems)
    return _resolve(benchmark, folder)


def model(
    use: str, *, params: Sequence[str], data: str | None = None, posteriordb: str | None = None
) -> ModelEntry:
    """Return the entry of a model that is given in words, paths relative to the current folder.

    Raises:
        ModelError, ConfigError: there is no such model, or it has no such parameter.
    """
    values = {}
    for assignment in params:
        key, equals, text = assignment.partition("=")
        if not (equals and key):
            raise ConfigError(f"--param {assignment}: write it as --param key=value")
        values[key] = Document(f"value: {text}", f"--param {key}").value["value"]
    entry = ModelEntry(use=use, data=data, posteriordb=posteriordb, params=values)
    signature = models.signature(entry.source(Path()))
    _refuse(
        [
            ConfigError(f"--param {name}: {refusal}")
            for name in values
            if (refusal := signature.refusal(name)) is not None
        ]
    )
    return entry


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
        if (remedy := samplers.remedy(entry.use)) is not None
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


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, with the options of every sampler."""
    whole = Benchmark.model_json_schema()
    definitions = whole["$defs"]
    common = definitions["SamplerEntry"]["properties"]
    choices = []
    for name in samplers.names():
        options = samplers.load(name).Options.model_json_schema()
        definitions[name] = {
            "type": "object",
            "title": samplers.load(name).SUMMARY,
            "properties": {**common, **options["properties"], "use": {"const": name}},
            # An option may stand in the sweep instead, so only ``use`` is demanded here.
            "required": ["use"],
            "additionalProperties": False,
        }
        choices.append({"$ref": f"#/$defs/{name}"})
    definitions["SamplerEntry"] = {"oneOf": choices}
    for field in definitions["Limits"]["properties"].values():
        field["type"] = ["string", "number"]
        for name in ("exclusiveMinimum", "anyOf"):
            field.pop(name, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _instead(model: str) -> str:
    """Return what to type where a model stands in a config's place."""
    stem = Path(model.removeprefix(posteriordb.PREFIX)).stem
    label = re.sub(r"[^A-Za-z0-9_.+-]", "_", stem).lstrip("_.+-")[:64] or "mine"
    use = json.dumps(model, ensure_ascii=False)  # which YAML reads as it is meant
    return (
        f"{model}: this is a model, and a config is wanted: a file that names models and samplers."
        f"\nTo check the model: gradbench check-model {shlex.quote(model)}"
        f"\nTo run samplers on it, write these lines to {label}.yaml, then: gradbench run"
        f" {label}.yaml\n\n"
        f"name: {label}\n"
        f"models: {{{label}: {{use: {use}}}}}\n"
        "samplers: {nuts: {use: pymc_nuts, tune: 1000, draws: 1000},"
        " emcee: {use: emcee, walkers: 40, tune: 1000, draws: 2000}}\n"
        "replicates: 3"
    )


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


def _validate(document: Document) -> Benchmark:
    try:
        return Benchmark.model_validate(document.value)
    except ValidationError as error:
        _refuse(list(_problems(error, document, ())))
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
        options = {k: v for k, v in entry.resolved(first).items() if k not in entry.sweep}
        filled[label] = SamplerEntry(use=entry.use, sweep=entry.sweep, **options)
    init = benchmark.init or DEFAULT_INIT
    return benchmark.model_copy(update={"models": entries, "samplers": filled, "init": init})


def _started(entry: ModelEntry, folder: Path) -> ModelEntry:
    """Return a model's entry that starts from the model's own points, if its file gives any."""
    if entry.init is None and models.gives_starts(entry.source(folder)):
        return entry.model_copy(update={"init": "own"})
    return entry


def _second_look(benchmark: Benchmark, document: Document, folder: Path) -> Iterator[ConfigError]:
    """Yield what only models and samplers themselves can tell."""
    for label, model in benchmark.models.items():
        yield from _look_at_model(label, model, document, folder)
    for label, sampler in benchmark.samplers.items():
        yield from _look_at_sampler(label, sampler, document)
    for label in benchmark.published.ms_per_ess if benchmark.published else ():
        if label not in benchmark.samplers:
            hint = did_you_mean(label, list(benchmark.samplers))
            yield document.error(("published", "ms_per_ess", label), f"no such sampler{hint}")
    n_cells = benchmark.replicates
    for entry in (benchmark.models, benchmark.samplers):
        n_cells *= sum(_n_points(one.sweep) for one in entry.values())
    if n_cells > MAX_CELLS:
        yield document.error((), f"makes {n_cells:,} cells; at most {MAX_CELLS:,} are allowed")


def _look_at_model(
    label: str, entry: ModelEntry, document: Document, folder: Path
) -> Iterator[ConfigError]:
    at: Key = ("models", label)
    try:
        source = models.find(entry.use, folder, database=entry.posteriordb)
        signature = models.signature(source)
    except ModelError as error:
        yield document.error((*at, "use"), str(error))
        return
    if entry.posteriordb is not None and not entry.use.startswith(posteriordb.PREFIX):
        problem = f"belongs to a model with use: {posteriordb.PREFIX}NAME"
        yield document.error((*at, "posteriordb"), problem)
    if entry.data is not None:
        try:
            models.with_data(source, entry.data, folder)
        except ModelError as error:
            yield document.error((*at, "data"), str(error))
    yield from _sweep_problems(entry.sweep, set(entry.params), at, document)
    for section, names in (("params", entry.params), ("sweep", entry.sweep)):
        for name in names:
            if (refusal := signature.refusal(name)) is not None:
                yield document.error((*at, section, name), refusal)


def _look_at_sampler(label: str, entry: SamplerEntry, document: Document) -> Iterator[ConfigError]:
    at: Key = ("samplers", label)
    try:
        options: type[Options] = samplers.load(entry.use).Options
        known = options.model_fields
    except SamplerError as error:
        yield document.error((*at, "use"), str(error))
        return
    yield from _sweep_problems(entry.sweep, set(entry.options), at, document)
    seen = set()
    for name, values in entry.sweep.items() or [("", [None])]:
        for value in values:
            first = {other: options[0] for other, options in entry.sweep.items()}
            point = {**first, name: value} if name else {}
            try:
                entry.parsed(point)
            except ValidationError as error:
                names = [*known, "use", "sweep"]
                for problem in _problems(error, document, at, known=names, swept=point):
                    if str(problem) not in seen:
                        seen.add(str(problem))
                        yield problem


def _sweep_problems(
    sweep: Sweep, fixed: set[str], at: Key, document: Document
) -> Iterator[ConfigError]:
    for name, values in sweep.items():
        if name in fixed:
            yield document.error(
                (*at, "sweep", name), "is set both directly and under sweep; give it once"
            )
        if len({repr(value) for value in values}) < len(values):
            yield document.error((*at, "sweep", name), "has a value twice")


def _problems(
    error: ValidationError,
    document: Document,
    at: Key,
    *,
    known: Sequence[str] = (),
    swept: dict[str, Any] | None = None,
) -> Iterator[ConfigError]:
    for found in error.errors(include_url=False):
        key = (*at, *(part for part in found["loc"] if part != "[key]"))
        if swept and len(key) > len(at) and key[len(at)] in swept:
            key = (*at, "sweep", *key[len(at) :])
        yield document.error(key, _words(dict(found), known or _known_keys(key)))


def _known_keys(key: Key) -> list[str]:
    """Return the keys allowed beside this one."""
    if len(key) < 2:
        return list(Benchmark.model_fields)
    sections: dict[str | int, type[BaseModel]] = {
        "limits": Limits,
        "gates": Gates,
        "published": Published,
        "models": ModelEntry,
    }
    section = sections.get(key[0])
    return list(section.model_fields) if section else []


def _words(found: dict[str, Any], known: Sequence[str]) -> str:
    """Return one of pydantic's findings in plain words."""
    limits = {
        key: f"{value:,}"
        for key, value in found.get("ctx", {}).items()
        if isinstance(value, int | float)
    }
    value = found["input"]
    if found["type"] == "extra_forbidden":
        hint = did_you_mean(str(found["loc"][-1]), list(known))
        return f"unknown key{hint} (known: {', '.join(known)})"
    if found["type"] == "literal_error":
        allowed = found["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be one of {', '.join(allowed)}{did_you_mean(str(value), allowed)}"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    sentence: str = {
        "missing": "is missing",
        "greater_than_equal": f"must be at least {limits.get('ge')}, not {value}",
        "greater_than": f"must be above {limits.get('gt')}, not {value}",
        "less_than_equal": f"must be at most {limits.get('le')}, not {value}",
        "less_than": f"must be below {limits.get('lt')}, not {value}",
        "int_type": f"must be a whole number, not {kind(value)}",
        "int_from_float": f"must be a whole number, not {value}",
        "float_type": f"must be a number, not {kind(value)}",
        "string_type": f"must be text, not {kind(value)}",
        "dict_type": f"must be a map of keys, not {kind(value)}",
        "model_type": f"must be a map of keys, not {kind(value)}",
        "list_type": f"must be a list, not {kind(value)}",
        "too_short": "must not be empty",
        "string_pattern_mismatch": "a label is letters, digits and _ . + -, at most 64 of them",
    }.get(found["type"], found["msg"])
    if found["type"] in {"int_type", "float_type"} and isinstance(value, str) and _is_number(value):
        sentence += f"; YAML reads {value} as text: write it with a point and a sign, as 1.0e-3"
    return sentence


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _n_points(sweep: Sweep) -> int:
    n = 1
    for values in sweep.values():
        n *= len(values)
    return n


def _refuse(problems: Sequence[ConfigError]) -> None:
    """Raise the problems, if there are any, as one error with a line for each."""
    if problems:
        lines = [str(problem) for problem in problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            lines.append(f"... and {len(problems) - MAX_PROBLEMS} more")
        raise ConfigError("\n".join(lines))
