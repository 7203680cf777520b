"""What is wrong with a config, in words, and where."""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gradbench import models, posteriordb
from gradbench.config.benchmark import (
    Benchmark,
    Gates,
    Limits,
    ModelEntry,
    Published,
    SamplerEntry,
    Sweep,
)
from gradbench.config.patterns import label_of
from gradbench.config.yaml_source import Document, Key, kind
from gradbench.errors import ConfigError, ModelError, SamplerError, did_you_mean
from gradbench.samplers._asked import ask

MAX_CELLS = 100_000
MAX_PROBLEMS = 10

SECTIONS: Mapping[str | int, type[BaseModel]] = {
    "limits": Limits,
    "gates": Gates,
    "published": Published,
    "models": ModelEntry,
}
SENTENCES = {  # by pydantic's type of error
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge}, not {value}",
    "greater_than": "must be above {gt}, not {value}",
    "less_than_equal": "must be at most {le}, not {value}",
    "less_than": "must be below {lt}, not {value}",
    "int_type": "must be a whole number, not {kind}",
    "int_from_float": "must be a whole number, not {value}",
    "float_type": "must be a number, not {kind}",
    "string_type": "must be text, not {kind}",
    "dict_type": "must be a map of keys, not {kind}",
    "model_type": "must be a map of keys, not {kind}",
    "list_type": "must be a list, not {kind}",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "a label is letters, digits and _ . + -, at most 64 of them",
}


def refuse(problems: Iterable[ConfigError]) -> None:
    """Raise the problems, if there are any, as one error with a line for each.

    Raises:
        ConfigError: there are some.
    """
    lines = [str(problem) for problem in problems]
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"... and {len(lines) - MAX_PROBLEMS} more"]
    if lines:
        raise ConfigError("\n".join(lines))


def invalid(
    errors: Iterable[Mapping[str, Any]],
    document: Document,
    at: Key = (),
    *,
    known: Sequence[str] = (),
    swept: Mapping[str, Any] | None = None,
) -> Iterator[ConfigError]:
    """Yield what pydantic finds wrong.

    Args:
        errors: pydantic's, of one validation.
        document: what was validated is of it.
        at: the key of what was validated.
        known: the keys allowed there; by default those of the section that a key is in.
        swept: the point of a sweep that was validated.
    """
    for found in errors:
        key = (*at, *(part for part in found["loc"] if part != "[key]"))
        if swept and len(key) > len(at) and key[len(at)] in swept:
            key = (*at, "sweep", *key[len(at) :])
        yield document.error(key, _words(dict(found), known or _known_keys(key)))


def unfit(benchmark: Benchmark, document: Document, folder: Path) -> Iterator[ConfigError]:
    """Yield what is wrong with a valid benchmark, as models and samplers themselves tell."""
    for label, model in benchmark.models.items():
        yield from _of_model(label, model, document, folder)
    for label, sampler in benchmark.samplers.items():
        yield from _of_sampler(label, sampler, document, folder)
    yield from _of_published(benchmark, document)
    n_cells = _n_points(benchmark.models) * _n_points(benchmark.samplers) * benchmark.replicates
    if n_cells > MAX_CELLS:
        yield document.error((), f"makes {n_cells:,} cells; at most {MAX_CELLS:,} are allowed")


def not_a_config(model: str) -> str:
    """Return what to type where a model stands in a config's place."""
    label = label_of(model)
    use = json.dumps(model, ensure_ascii=False)  # which YAML reads as it is meant
    return (
        f"{model}: this is a model, and a config is wanted: a file that names models and samplers."
        f"\nTo have a sampler chosen for it: gradbench choose {shlex.quote(model)}"
        f"\nTo check the model: gradbench check-model {shlex.quote(model)}"
        f"\nTo run samplers on it, write these lines to {label}.yaml, then: gradbench run"
        f" {label}.yaml\n\n"
        f"name: {label}\n"
        f"models: {{{label}: {{use: {use}}}}}\n"
        "samplers: {nuts: {use: pymc_nuts, tune: 1000, draws: 1000},"
        " emcee: {use: emcee, walkers: 40, tune: 1000, draws: 2000}}\n"
        "replicates: 3"
    )


def _of_model(
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


def _of_sampler(
    label: str, entry: SamplerEntry, document: Document, folder: Path
) -> Iterator[ConfigError]:
    at: Key = ("samplers", label)
    points = _points(entry.sweep)
    try:
        asked = ask(entry.source(folder), [{**entry.options, **point} for point in points])
    except SamplerError as error:
        yield document.error((*at, "use"), str(error))
        return
    yield from _sweep_problems(entry.sweep, set(entry.options), at, document)
    known = [*asked.fields, "use", "sweep"]
    found: dict[str, ConfigError] = {}  # once, though a sweep has it at many points
    for point, chosen in zip(points, asked.chosen, strict=True):
        problems = invalid(chosen.errors, document, at, known=known, swept=point)
        found |= {str(problem): problem for problem in problems}
    yield from found.values()


def _of_published(benchmark: Benchmark, document: Document) -> Iterator[ConfigError]:
    for label in benchmark.published.ms_per_ess if benchmark.published else ():
        if label not in benchmark.samplers:
            hint = did_you_mean(label, list(benchmark.samplers))
            yield document.error(("published", "ms_per_ess", label), f"no such sampler{hint}")


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


def _points(sweep: Sweep) -> list[dict[str, Any]]:
    """Return points of a sweep that have each value once, the other keys' first values with it."""
    first = {name: values[0] for name, values in sweep.items()}
    return [{**first, name: value} for name, values in sweep.items() for value in values] or [{}]


def _n_points(entries: Mapping[str, ModelEntry | SamplerEntry]) -> int:
    """Return how many points all sweeps have, without making any."""
    return sum(math.prod(map(len, entry.sweep.values())) for entry in entries.values())


def _known_keys(key: Key) -> list[str]:
    """Return the keys allowed beside this one."""
    if len(key) < 2:
        return list(Benchmark.model_fields)
    section = SECTIONS.get(key[0])
    return list(section.model_fields) if section else []


def _words(found: Mapping[str, Any], known: Sequence[str]) -> str:
    """Return one of pydantic's findings in plain words."""
    value, context = found["input"], found.get("ctx", {})
    if found["type"] == "extra_forbidden":
        hint = did_you_mean(str(found["loc"][-1]), list(known))
        return f"unknown key{hint} (known: {', '.join(known)})"
    if found["type"] == "literal_error":
        allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be one of {', '.join(allowed)}{did_you_mean(str(value), allowed)}"
    if found["type"] == "value_error":
        return str(context["error"])
    if found["type"] not in SENTENCES:
        return str(found["msg"])
    limits = {key: f"{limit:,}" for key, limit in context.items() if isinstance(limit, int | float)}
    sentence = SENTENCES[found["type"]].format(value=value, kind=kind(value), **limits)
    if found["type"] in {"int_type", "float_type"} and isinstance(value, str) and _is_number(value):
        sentence += f"; YAML reads {value} as text: write it with a point and a sign, as 1.0e-3"
    return sentence


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
