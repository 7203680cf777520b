"""A sampler checked from Python."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gradbench.api.frames import frame
from gradbench.api.model_files import use_of
from gradbench.measure.check_sampler import Line
from gradbench.results import check_sampler as results
from gradbench.show import contract as shown
from gradbench.show import html
from gradbench.show.console import PIPE_WIDTH, text
from gradbench.show.progress import display

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Contract:
    """Which of its promises a sampler keeps. A notebook shows the table.

    Attributes:
        found: a line for each promise.
    """

    found: results.Contract

    @property
    def is_passed(self) -> bool:
        """Whether no promise is broken."""
        return self.found.is_passed

    @property
    def failed(self) -> dict[str, str]:
        """Why promises are broken, by their names."""
        return self.found.failed

    def to_frame(self) -> "pd.DataFrame":
        """Return one row for each promise: its name, its outcome, the reason.

        Raises:
            LibraryError: pandas isn't installed.
        """
        return frame(Line, self.found.lines)

    def table(self, *, width: int = PIPE_WIDTH) -> str:
        """Return what ``gradbench check-sampler`` prints, in so many columns of text."""
        return text(lambda to: shown.contract(self.found, to=to), width=width).strip("\n")

    def __repr__(self) -> str:
        n_kept = sum(line.outcome == "passed" for line in self.found.lines)
        return f"<Contract {self.found.use}: {n_kept} kept, {len(self.failed)} broken>"

    def _repr_html_(self) -> str:
        return html.contract(self.found)


def check_sampler(
    sampler: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    models: Any = (),
    seed: int = 0,
    quick: bool = False,
    progress: bool = True,
) -> Contract:
    """Check a sampler, as ``gradbench check-sampler`` does, and return its contract.

    Example:
        >>> gb.check_sampler("./my_sampler.py", options={"step": 0.3}, quick=True)

    Args:
        sampler: the path of a file, ``package:name`` or a shipped name.
        options: those that are not to have their defaults.
        models: what it is run on, one or several, as ``use`` of a config has it or the function
            ``model`` of an imported file; by default four with exact moments.
        seed: all other seeds come from it.
        quick: whether to run fewer replicates, for a first look.
        progress: whether to show on stderr what is under way.

    Raises:
        ConfigError, ModelError, SamplerError: there is no such sampler, option or model, or it
            can't be run on them.
    """
    several = models if isinstance(models, list | tuple) else [models]
    with display(is_quiet=not progress) as to:
        found = results.check(
            os.fspath(sampler),
            to,
            options=options,
            models=[use_of(model, "models") for model in several],
            seed=seed,
            effort=results.QUICK if quick else results.FULL,
        )
    return Contract(found)
