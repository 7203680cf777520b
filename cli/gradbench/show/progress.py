"""What is under way, on stderr."""

import sys
from typing import IO, Self

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

NOTEBOOK = "ipykernel"  # whose streams lead to the cell of a notebook, which is no terminal


class Display:
    """Progress on stderr while cells run; silent where stderr is no terminal, or when quiet."""

    def __init__(self, *, is_quiet: bool) -> None:
        stderr = console(sys.stderr)
        self._is_shown = stderr.is_terminal and not is_quiet
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
            disable=not self._is_shown,
            # A redraw takes the time of the one other core: be seldom.
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("starting", total=0)
        self._n_planned = 0

    def __enter__(self) -> Self:
        if self._is_shown:  # older versions of rich print an empty line for one that is disabled
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
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


class Line:
    """Progress as one line that is written over and over, and is gone in the end."""

    def __init__(self, to: IO[str]) -> None:
        self._to = to
        self._n_planned = 0
        self._n_finished = 0
        self._width = 0
        self._words = "starting"

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")  # blanks over what stood there
        self._to.write("\r")
        self._to.flush()

    def planned(self, n: int) -> None:
        """Show that n more cells will be run."""
        self._n_planned += n
        self._show()

    def compiling(self, model: str, sampler: str) -> None:
        """Show that a model is compiled for a sampler."""
        self.doing(f"compiling {model} {sampler}".rstrip())

    def sampling(self, cell: Cell) -> None:
        """Show that a cell runs."""
        self.doing(f"{cell.model} {cell.sampler} #{cell.replicate + 1}")

    def finished(self, n: int = 1) -> None:
        """Count n more cells as done."""
        self._n_finished += n
        self._show()

    def doing(self, words: str) -> None:
        """Show what is under way, in words."""
        self._words = words
        self._show()

    def _show(self) -> None:
        self._write(f"{self._n_finished}/{self._n_planned} {self._words}")

    def _write(self, line: str) -> None:
        self._to.write(f"\r{line:<{self._width}}")
        self._to.flush()
        self._width = len(line)


def display(*, is_quiet: bool) -> Display | Line:
    """Return what shows progress on stderr: a bar on a terminal, a line in a notebook."""
    is_notebook = type(sys.stderr).__module__.partition(".")[0] == NOTEBOOK
    return Line(sys.stderr) if is_notebook and not is_quiet else Display(is_quiet=is_quiet)
