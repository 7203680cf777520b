"""Chains made elsewhere, judged from Python."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gradbench.api.frames import frame
from gradbench.api.model_files import use_of
from gradbench.elsewhere import judge as elsewhere
from gradbench.elsewhere import readers, session
from gradbench.elsewhere.asked import Asked, Model, model_of
from gradbench.elsewhere.chains import Content
from gradbench.errors import ConfigError
from gradbench.measure.result import CellResult
from gradbench.results.parameters import ParameterRow, parameter_rows
from gradbench.results.rows import Row, rows
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary, is_failure
from gradbench.show import html
from gradbench.show.console import PIPE_WIDTH, text
from gradbench.show.results import results as show_results

if TYPE_CHECKING:
    import pandas as pd

Chains = Any
"""A path or several; an ArviZ object; an array (chains, draws, parameters), or arrays by name."""
File = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Judgement:
    """What a run would say of chains. A notebook shows the table.

    What is NaN or None has no number, and the ``status`` and ``reason`` beside it say why.
    """

    _results: Sequence[CellResult]
    _found: Sequence[Summary]

    @property
    def is_believed(self) -> bool:
        """Whether the numbers may be believed: the exit code of the command is 0."""
        return not is_failure(self._found)

    def to_frame(self) -> "pd.DataFrame":
        """Return the table: one row, or one for each sampler of a run's saved draws.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Row, rows(self._found))

    def cells(self) -> "pd.DataFrame":
        """Return the columns that ``--csv`` and ``--json`` of the command write.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Summary, self._found)

    def parameters(self) -> "pd.DataFrame":
        """Return one row for each parameter, as in a run's ``parameters.csv``.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(ParameterRow, parameter_rows(self._results))

    def table(self, *, width: int = PIPE_WIDTH) -> str:
        """Return what ``gradbench judge`` prints, in so many columns of text."""
        return text(lambda to: show_results(self._found, to=to), width=width).strip("\n")

    def __repr__(self) -> str:
        said = (f"{one.sampler} on {one.model}: {one.status}" for one in self._found)
        return f"<Judgement {'; '.join(said)}>"

    def _repr_html_(self) -> str:
        return html.results(self._found)


def judge(
    chains: Chains,
    *,
    model: Any = None,
    params: Mapping[str, Any] = MappingProxyType({}),
    data: File = None,
    posteriordb: File = None,
    parameters: str | Iterable[str] = (),
    names: str | Iterable[str] | None = None,
    walkers: bool = False,
    compile_s: float | None = None,
    warmup_s: float | None = None,
    sampling_s: float | None = None,
    evaluations: int | None = None,
    gradients: int | None = None,
    reference_only: bool = False,
    label: str | None = None,
) -> Judgement:
    """Judge chains made elsewhere, as ``gradbench judge`` does.

    Example:
        >>> gb.judge(idata, model="./my_model.py", params={"n": 100})
        >>> gb.judge({"mu": mu, "theta": theta})  # (chains, draws) and (chains, draws, 8)

    Args:
        chains: the path of a file or several, each in any format that the command reads; an
            ``InferenceData`` or ``DataTree`` of ArviZ; an array (chains, draws, parameters); or a
            mapping with an array (chains, draws, ...) for each parameter. Draws that
            ``Run.draws`` gave have the run's own numbers.
        model: what they are draws of, as ``use`` of a config has it, or the function ``model`` of
            an imported file.
        params: the model's parameters.
        data: the file of a Stan program's data.
        posteriordb: the folder of a posterior's database.
        parameters: what counts: names, with ``*`` and ``?``; ``~NAME`` is left out.
        names: of columns that have none, in order.
        walkers: whether the chains are walkers of one ensemble.
        compile_s: seconds of compiling.
        warmup_s: seconds of warm-up, of all chains.
        sampling_s: seconds of sampling, of all chains.
        evaluations: how often the log-density alone was evaluated, warm-up included.
        gradients: how often it was evaluated with its gradient, likewise.
        reference_only: whether the draws are no chain, and judged by errors of known moments alone.
        label: what the row is called.

    Raises:
        ChainsError: they can't be read or judged.
        ConfigError, ModelError: there is no such model or parameter of it.
    """
    for name, number in {
        "compile_s": compile_s,
        "warmup_s": warmup_s,
        "sampling_s": sampling_s,
        "evaluations": evaluations,
        "gradients": gradients,
    }.items():
        if number is not None and not number >= 0:
            raise ConfigError(f"{name}: must be at least 0, not {number}")
    if model is None and (params or data or posteriordb):
        raise ConfigError("params, data and posteriordb are of a model: name it")
    asked = Asked(
        label=label,
        model=None if model is None else _model(model, params, data, posteriordb),
        parameters=_words(parameters),
        names=None if names is None else ",".join(_words(names)),
        are_walkers=walkers,
        is_reference_only=reference_only,
        compile_s=compile_s,
        warmup_s=warmup_s,
        sampling_s=sampling_s,
        n_logp=evaluations,
        n_grad=gradients,
    )
    found = elsewhere.judged(_contents(chains), asked)
    return Judgement(found, summarize(found, gates=asked.gates))


def _model(model: Any, params: Mapping[str, Any], data: File, database: File) -> Model:
    return model_of(
        use_of(model, "model"),
        params=params,
        data=None if data is None else os.fspath(data),
        database=None if database is None else os.fspath(database),
    )


def _contents(chains: Chains) -> Sequence[Content]:
    several = chains if isinstance(chains, list | tuple) else [chains]
    if several and all(isinstance(one, str | os.PathLike) for one in several):
        return readers.read([Path(one) for one in several])
    return [session.content(chains)]


def _words(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
