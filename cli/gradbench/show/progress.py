"""What is under way, on stderr."""

import sys
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gradbench.config.planning import Cell
from gradbench.show.console import console


class Display:
    """Progress on stderr while cells run; silent where stderr is no terminal, or when quiet."""

    def __init__(self, *, is_quiet: bool) -> None:
        stderr = console(sys.stderr)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=is_quiet or not stderr.is_terminal,
            # A redraw takes the time of the one other core: be seldom.
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("starting", total=0)
        self._n_planned = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def planned(self, n: int) -> None:
        """Show that n more cells will be run."""
        self._n_planned += n
        self._progress.update(self._task, total=self._n_planned)

    def compiling(self, model: str, sampler: str) -> None:
        """Show that a model is compiled for a sampler."""
        self.doing(f"compiling {model} {sampler}".rstrip())

    def sampling(self, cell: Cell) -> None:
        """Show that a cell runs."""
        self.doing(f"{cell.model} {cell.sampler} #{cell.replicate + 1}")

    def finished(self, n: int = 1) -> None:
        """Count n more cells as done."""
        self._progress.advance(self._task, n)

    def doing(self, words: str) -> None:
        """Show what is under way, in words."""
        self._progress.update(self._task, description=words)
