"""The plan: a benchmark's cells in the order they run, each with its seeds."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from gradbench import samplers
from gradbench.config.benchmark import DEFAULT_INIT, Benchmark, ModelEntry, SamplerEntry
from gradbench.errors import SamplerError
from gradbench.models import Source
from gradbench.records import from_plain
from gradbench.target.starts import Init

Key = tuple[str, str]  # the labels of a model and a sampler
Place = tuple[str, str, int]  # those and the replicate: one cell of a run, whatever its options

ELSEWHERE = "elsewhere"  # what made the chains of a cell that was judged, not run
SEED_BITS = 31  # what every library takes, NumPy's legacy generators among them


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: plain data, the whole of what a worker is told.

    Attributes:
        model, sampler: labels, a sweep's point included (``gaussian[dim=10]``).
        model_use, sampler_use: what to load, as a config names it.
        source: the model's files; None in results of older versions.
        params, options: resolved; options with all defaults.
        defaults: the options that have their default.
        sampler_source: where the sampler is from; None in results of older versions.
        init: the kind of starting points.
        threads: of every thread pool in the worker.
        replicate: counts from 0.
        seed: of the sampler.
        start_seed: of the starting points, the same for all samplers of a replicate.
        parameters: which quantities count, as ``Target`` takes them; empty for the default.
    """

    model: str
    model_use: str
    params: Mapping[str, Any]
    sampler: str
    sampler_use: str
    options: Mapping[str, Any]
    init: Init
    threads: int
    replicate: int
    seed: int
    start_seed: int
    parameters: tuple[str, ...] = ()
    source: Source | None = None
    defaults: tuple[str, ...] = ()
    sampler_source: samplers.Source | None = None

    @property
    def key(self) -> Key:
        """The labels of model and sampler: what replicates have in common."""
        return self.model, self.sampler

    @property
    def place(self) -> Place:
        """What tells it from the other cells of its run."""
        return self.model, self.sampler, self.replicate

    @property
    def is_elsewhere(self) -> bool:
        """Whether its chains were made elsewhere: it was judged, and can't be run."""
        return self.sampler_use == ELSEWHERE

    @property
    def id(self) -> str:
        """A readable file name, unique to all that was asked.

        It is the same in every version of the schema, so that any run can be resumed: what came
        later is left out, or left out where it is empty.
        """
        plain = asdict(self)
        later = {"source", "defaults", "sampler_source"}
        later |= set() if self.parameters else {"parameters"}
        asked = {name: value for name, value in plain.items() if name not in later}
        digest = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        return f"{slug(self.model)}-{slug(self.sampler)}-{self.replicate}-{digest}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for JSON that has infinities, as a worker's has."""
        origin = self.sampler_source
        return {
            **asdict(self),
            "source": self.source and self.source.to_json(),
            "sampler_source": origin and origin.to_json(),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Cell":
        """Return what ``to_json`` gave, in any version of the schema.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return from_plain(cls, plain)


def cells(benchmark: Benchmark) -> list[Cell]:
    """Return all cells: model by model, the samplers taking turns in each replicate.

    Seeds come from labels, not positions: another sampler or model changes nobody's seed.

    Raises:
        ModelError, SamplerError: a model's or a sampler's files are not there any more.
    """
    chosen = list(_samplers(benchmark))
    return [
        Cell(
            model=model,
            model_use=entry.use,
            params=params,
            sampler=sampler,
            sampler_use=origin.use,
            options=options,
            init=entry.init or benchmark.init or DEFAULT_INIT,
            threads=benchmark.threads,
            replicate=replicate,
            seed=_seed(benchmark.seed, model, sampler, replicate),
            start_seed=_seed(benchmark.seed, model, "", replicate),
            parameters=tuple(entry.parameters),
            source=source,
            defaults=defaults,
            sampler_source=origin,
        )
        for model, entry, params, source in _models(benchmark)
        for replicate in range(benchmark.replicates)
        for sampler, origin, options, defaults in chosen
    ]


def places(benchmark: Benchmark) -> tuple[dict[str, int], dict[str, int]]:
    """Return the places of models and of samplers in the plan, by label; nothing is loaded."""

    def numbered(entries: Mapping[str, ModelEntry | SamplerEntry]) -> dict[str, int]:
        labels = (label + suffix for label, e in entries.items() for suffix, _ in points(e.sweep))
        return {label: i for i, label in enumerate(labels)}

    return numbered(benchmark.models), numbered(benchmark.samplers)


def names(benchmark: Benchmark) -> dict[str, Place]:
    """Return the place of each cell of a plan by its id without the hash; nothing is loaded.

    A name that two of them would have is left out.
    """
    models, samplers = places(benchmark)
    found: dict[str, Place] = {}
    twice = set()
    for model, sampler in product(models, samplers):
        name = f"{slug(model)}-{slug(sampler)}"
        for replicate in range(benchmark.replicates):
            if (whole := f"{name}-{replicate}") in found:
                twice.add(whole)
            found[whole] = (model, sampler, replicate)
    return {name: place for name, place in found.items() if name not in twice}


def size(benchmark: Benchmark) -> int:
    """Return how many cells a benchmark has."""
    models, samplers = places(benchmark)
    return len(models) * len(samplers) * benchmark.replicates


def slug(label: str) -> str:
    """Return a label as it can stand in a file name."""
    return "".join(c if c.isalnum() or c in "._+-=" else "_" for c in label)


def _models(
    benchmark: Benchmark,
) -> Iterator[tuple[str, ModelEntry, dict[str, Any], Source]]:
    for label, entry in benchmark.models.items():
        source = entry.pinned()
        for suffix, point in points(entry.sweep):
            yield label + suffix, entry, {**entry.params, **point}, source


def _samplers(
    benchmark: Benchmark,
) -> Iterator[tuple[str, samplers.Source, Mapping[str, Any], tuple[str, ...]]]:
    for label, entry in benchmark.samplers.items():
        source, swept = entry.source(Path()), list(points(entry.sweep))
        chosen = entry.chosen(Path(), [point for _, point in swept])
        for (suffix, _), one in zip(swept, chosen, strict=True):
            if one.errors:
                (place, *_), said = one.errors[0]["loc"] or ("options",), one.errors[0]["msg"]
                raise SamplerError(f"samplers.{label}.{place}: {source.use}: {said}")
            yield label + suffix, source, one.options, one.defaults


def points(sweep: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point of a sweep with its label's suffix; one empty point without a sweep."""
    for values in product(*sweep.values()):
        point = dict(zip(sweep, values, strict=True))
        words = ",".join(f"{key}={_word(value)}" for key, value in point.items())
        yield f"[{words}]" if words else "", point


def split(label: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a label without its sweep's point, and that point's names and values in words."""
    plain, _, point = label.removesuffix("]").partition("[")
    pairs = (pair.partition("=") for pair in re.split(r",(?=\w+=)", point)) if point else ()
    return plain, [(name, value) for name, _, value in pairs]


def point(label: str) -> str:
    """Return the sweep's point that a label ends with, in words: ``dim=10, rho=0.5``."""
    return ", ".join(f"{name}={value}" for name, value in split(label)[1])


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _seed(*words: object) -> int:
    digest = sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - SEED_BITS)
