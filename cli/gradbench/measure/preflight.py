"""Before anything runs: every model is built once, and every sampler asked whether it can run."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Literal

from gradbench.config.planning import Cell, Key
from gradbench.errors import ModelError, SamplerError
from gradbench.measure.workers import Observer, Stopped, Workers

MustSuit = Literal["all", "any", "none"]


def unsuited(
    workers: Workers,
    cells: Sequence[Cell],
    observer: Observer,
    *,
    may_fail: Collection[str] = (),
) -> dict[Key, Stopped]:
    """Return why samplers can't run on models, by their labels.

    Args:
        workers: one of them builds the models.
        cells: those that will be run.
        observer: is told what is under way.
        may_fail: labels of models of which none can run, where they can't be built.

    Raises:
        ModelError: a model file raises, or returns something that can't be sampled.
        SamplerError: a sampler isn't installed, or raises when it is asked.
    """
    with suppress(Stopped):  # told where it is asked
        workers.start(len({cell.sampler for cell in cells}))
    _require_libraries(workers, {cell.sampler: cell.sampler_use for cell in cells})
    found: dict[Key, Stopped] = {}
    for label, group in groupby(cells, key=lambda cell: cell.model):
        one_of_each = first_of_each(list(group)).values()
        observer.compiling(label, "")
        try:
            answer = workers.ask("describe", cells=[cell.to_json() for cell in one_of_each])
        except Stopped as stopped:
            if label in may_fail:
                found |= {cell.key: stopped for cell in one_of_each}
            elif stopped.status == "failed":
                raise ModelError(f"models.{label}: {stopped.said}") from stopped
            continue
        if faults := answer.get("faults"):
            raise SamplerError(
                "\n".join(f"samplers.{name}: {said}" for name, said in faults.items())
            )
        for cell, complaint in zip(one_of_each, answer["complaints"], strict=True):
            if complaint is not None:
                found[cell.key] = Stopped("unsuited", complaint)
    return found


def require_suited(
    cells: Sequence[Cell], unsuited: Mapping[Key, Stopped], must_suit: MustSuit
) -> None:
    """Raise ``SamplerError``, a line for each, where too few samplers suit their model."""
    keys = {cell.key for cell in cells}
    allowed = {"all": 0, "any": len(keys) - 1, "none": len(keys)}
    if len(keys & unsuited.keys()) > allowed[must_suit]:
        lines = [
            f"samplers.{sampler}: on model {model}: {stopped.said}"
            for (model, sampler), stopped in unsuited.items()
        ]
        raise SamplerError("\n".join(lines))


def first_of_each(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return each sampler's first cell, in the cells' order."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.sampler, cell)
    return first


def _require_libraries(workers: Workers, uses: Mapping[str, str]) -> None:
    """Raise ``SamplerError``, a line for each sampler, by label, whose library workers lack."""
    try:
        remedies = workers.ask("remedies", uses=sorted(set(uses.values())))
    except Stopped as stopped:
        raise SamplerError(f"no worker could be asked: {stopped.said}") from stopped
    if missing := {label: use for label, use in uses.items() if use in remedies}:
        lines = [
            f"samplers.{label}: {use} is not installed: {remedies[use]}"
            for label, use in missing.items()
        ]
        hint = "gradbench run --skip-missing leaves out what is not installed"
        raise SamplerError("\n".join([*lines, hint]))
