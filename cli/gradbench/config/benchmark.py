"""A benchmark as a config describes it: every key, its type, its default and its range."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

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
from gradbench.errors import ModelError
from gradbench.samplers._asked import Chosen, ask
from gradbench.target.starts import Init

DEFAULT_INIT: Init = "uniform"
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
        description="name of a shipped model, path of a .py or .stan file, or posteriordb:NAME,"
        " where * stands for every posterior"
    )
    data: str | None = Field(None, description="path of a Stan program's data, a JSON file")
    posteriordb: str | None = Field(None, description="path of a copy of posteriordb")
    params: dict[str, JsonValue] = Field({}, description="arguments of its model() function")
    sweep: Sweep = Field({}, description="lists of values: one model for each combination")
    init: Init | None = Field(None, description="where this model's runs start, if not as others")
    parameters: list[str] = Field(
        [], description="which quantities count: names, with * and ?; ~NAME is left out"
    )
    exclude: list[str] = Field(
        [], description="posteriors that a pattern leaves out: names, with * and ?"
    )
    may_fail: bool = Field(
        False, description="where it can't be built, that is the status of its cells, no more"
    )

    def source(self, folder: Path) -> models.Source:
        """Return where it is; ``folder`` is where relative paths start.

        Raises:
            ModelError: there is no such model or file.
        """
        found = models.find(self.use, folder, database=self.posteriordb)
        return found if self.data is None else models.with_data(found, self.data, folder)

    def pinned(self) -> models.Source:
        """Return where it is, held to what its files are now.

        One that may fail is not, where its files can't all be read: its cells will say so.

        Raises:
            ModelError: there is no such model, or a file of it can't be read.
        """
        source = self.source(Path())
        try:
            return source.pinned
        except ModelError:
            if not self.may_fail:
                raise
            return source

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

    use: str = Field(description="name of a shipped sampler, path of a .py file, or package:name")
    sweep: Sweep = Field({}, description="lists of values: one sampler for each combination")

    @property
    def options(self) -> dict[str, Any]:
        """The options as given, the sweep's not among them."""
        return dict(self.model_extra or {})

    def source(self, folder: Path) -> samplers.Source:
        """Return where it is; ``folder`` is where relative paths start.

        Raises:
            SamplerError: there is no such sampler or file.
        """
        return samplers.find(self.use, folder)

    def chosen(self, folder: Path, points: Sequence[Mapping[str, Any]]) -> tuple[Chosen, ...]:
        """Return the options at each of these points of the sweep, validated.

        Raises:
            SamplerError: there is no such sampler, or it can't be loaded.
        """
        return ask(self.source(folder), [{**self.options, **point} for point in points]).chosen


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


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, with the options of every sampler."""
    whole = Benchmark.model_json_schema()
    definitions = whole["$defs"]
    common = definitions["SamplerEntry"]["properties"]
    choices: list[dict[str, Any]] = []
    for name in samplers.names():
        options = samplers.load(name).options.model_json_schema()
        definitions[name] = {
            "type": "object",
            "title": samplers.load(name).summary,
            "properties": {**common, **options["properties"], "use": {"const": name}},
            # An option may stand in the sweep instead, so only ``use`` is demanded here.
            "required": ["use"],
            "additionalProperties": False,
        }
        choices.append({"$ref": f"#/$defs/{name}"})
    # Of a file or a package nobody knows the options before they are asked.
    elsewhere = {"type": "string", "not": {"enum": samplers.names()}}
    choices.append(
        {"type": "object", "properties": {**common, "use": elsewhere}, "required": ["use"]}
    )
    definitions["SamplerEntry"] = {"oneOf": choices}
    for field in definitions["Limits"]["properties"].values():
        field["type"] = ["string", "number"]
        for name in ("exclusiveMinimum", "anyOf"):
            field.pop(name, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}
