"""What a user tells of chains beside their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradbench import models, posteriordb
from gradbench.config import loading
from gradbench.config.benchmark import Gates
from gradbench.models import Source

OF_A_RUN: Mapping[str, str] = {
    "names": "--names",
    "are_walkers": "--walkers",
    "is_reference_only": "--reference-only",
    "compile_s": "--compile-s",
    "warmup_s": "--warmup-s",
    "sampling_s": "--sampling-s",
    "n_logp": "--evaluations",
    "n_grad": "--gradients",
}  # what a run's own saved draws say themselves, and the flags that say it of others


@dataclass(frozen=True, slots=True)
class Model:
    """The model that chains are of.

    Attributes:
        label: what it is called in the table.
        use: as a config names it.
        source: its files.
        params: its parameters, all of them.
    """

    label: str
    use: str
    source: Source
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is told of the chains beside their files.

    Attributes:
        label: what they are called in the table.
        model: that they are of, or None.
        parameters: which quantities count, as ``Target`` takes them.
        names: of the columns, where the files have none.
        are_walkers: whether each file's chains are walkers of one ensemble.
        is_reference_only: whether the draws are no chain, and judged by their errors alone.
        compile_s, warmup_s, sampling_s: seconds, or None.
        n_logp, n_grad: evaluations, or None.
        gates: when a result is not trusted.
    """

    label: str | None = None
    model: Model | None = None
    parameters: tuple[str, ...] = ()
    names: str | None = None
    are_walkers: bool = False
    is_reference_only: bool = False
    compile_s: float | None = None
    warmup_s: float | None = None
    sampling_s: float | None = None
    n_logp: int | None = None
    n_grad: int | None = None
    gates: Gates = field(default_factory=Gates)

    @property
    def of_a_run(self) -> list[str]:
        """The flags that were given of what a run's own saved draws say themselves."""
        given = {name: getattr(self, name) for name in OF_A_RUN}
        return [
            OF_A_RUN[n] for n, value in given.items() if value is not None and value is not False
        ]


def model_of(
    use: str,
    *,
    params: Sequence[str] | Mapping[str, Any],
    data: str | None = None,
    database: str | None = None,
) -> Model:
    """Return the model that a user names, with a label for the table.

    Args:
        use: as a config has it.
        params: its parameters, as ``loading.model`` takes them.
        data: the file of a Stan program's data.
        database: the folder of a posterior's database.

    Raises:
        ModelError, ConfigError: there is no such model, or it has no such parameter.
    """
    entry = loading.model(use, data=data, posteriordb=database, params=params)
    name = use if use in models.names() else Path(use.removeprefix(posteriordb.PREFIX)).stem
    point = ",".join(f"{key}={value}" for key, value in entry.params.items())
    label = f"{name}[{point}]" if point else name
    return Model(label, use, entry.pinned(), dict(entry.params))
