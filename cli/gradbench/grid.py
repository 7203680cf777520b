"""The plan: a benchmark's cells in the order they run, each with its seeds."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import product
from typing import Any

from gradbench.config import DEFAULT_INIT, Benchmark
from gradbench.target import Init

Key = tuple[str, str]  # the labels of a model and a sampler

SEED_BITS = 31  # what every library takes, NumPy's legacy generators among them


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: plain data, the whole of what a worker is told.

    Attributes:
        model, sampler: labels, a sweep's point included (``gaussian[dim=10]``).
        model_use, sampler_use: what to load.
        params, options: resolved; options with all defaults.
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

    @property
    def key(self) -> Key:
        """The labels of model and sampler: what replicates have in common."""
        return self.model, self.sampler

    @property
    def id(self) -> str:
        """A readable file name, unique to all of the cell."""
        digest = sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:8]
        return f"{slug(self.model)}-{slug(self.sampler)}-{self.replicate}-{digest}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for JSON.

        Without ``parameters`` where none were chosen: a cell then is what it was before there
        were any.
        """
        plain = asdict(self)
        return plain if self.parameters else {k: v for k, v in plain.items() if k != "parameters"}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Cell":
        """Return what ``to_json`` gave.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(**{**plain, "parameters": tuple(plain.get("parameters", ()))})


def cells(benchmark: Benchmark) -> list[Cell]:
    """Return all cells: model by model, the samplers taking turns in each replicate.

    Seeds come from labels, not positions: another sampler or model changes nobody's seed.
    """
    return [
        Cell(
            model=model,
            model_use=model_use,
            params=params,
            sampler=sampler,
            sampler_use=sampler_use,
            options=options,
            init=benchmark.models[split(model)[0]].init or benchmark.init or DEFAULT_INIT,
            threads=benchmark.threads,
            replicate=replicate,
            seed=_seed(benchmark.seed, model, sampler, replicate),
            start_seed=_seed(benchmark.seed, model, "", replicate),
            parameters=parameters,
        )
        for model, model_use, params, parameters in _models(benchmark)
        for replicate in range(benchmark.replicates)
        for sampler, sampler_use, options in _samplers(benchmark)
    ]


def slug(label: str) -> str:
    """Return a label as it can stand in a file name."""
    return "".join(c if c.isalnum() or c in "._+-=" else "_" for c in label)


def _models(benchmark: Benchmark) -> Iterator[tuple[str, str, dict[str, Any], tuple[str, ...]]]:
    for label, model in benchmark.models.items():
        for suffix, point in points(model.sweep):
            params = {**model.params, **point}
            yield label + suffix, model.use, params, tuple(model.parameters)


def _samplers(benchmark: Benchmark) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for label, sampler in benchmark.samplers.items():
        for suffix, point in points(sampler.sweep):
            yield label + suffix, sampler.use, sampler.resolved(point)


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


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _seed(*words: object) -> int:
    digest = sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8]) >> (64 - SEED_BITS)
