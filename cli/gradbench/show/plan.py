"""The cells that would run."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from gradbench.config.planning import Cell
from gradbench.show.console import console


def plan(cells: Sequence[Cell], *, to: Console | None = None) -> int:
    """Print the cells in the order they would run, and return exit code 0."""
    to = to or console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("#", "model", "sampler", "replicate", "seed"):
        table.add_column(head, justify="right" if head in {"#", "replicate", "seed"} else "left")
    for number, cell in enumerate(cells, start=1):
        table.add_row(str(number), cell.model, cell.sampler, str(cell.replicate), str(cell.seed))
    to.print(table)
    to.print(f"{len(cells)} cells; nothing was run")
    return 0
