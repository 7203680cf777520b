"""What a user tells of chains beside their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradbench.config.benchmark import Gates
from gradbench.models import Source


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
