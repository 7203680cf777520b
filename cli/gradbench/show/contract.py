"""What ``gradbench check-sampler`` found."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench.results.check_sampler import Contract
from gradbench.show.console import console, table

STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}
HEAD = "promise"  # above the names of the lines


def contract(found: Contract, *, to: Console | None = None) -> None:
    """Print a sampler's contract, a line for each promise."""
    to = to or console()
    to.print(Text(found.use, style="bold") + Text(f"  {options(found)}", style="dim"))
    to.print()
    to.print(lines(found))


def options(found: Contract) -> str:
    """Return the options that a sampler was checked with."""
    return ", ".join(f"{name}={value}" for name, value in found.options.items())


def lines(found: Contract) -> Table:
    """Return a sampler's contract as a table."""
    shown = table((HEAD, "kept", "reason"), ())
    shown.columns[0].no_wrap = True
    for line in found.lines:
        shown.add_row(line.name, Text(line.outcome, style=STYLES[line.outcome]), line.reason)
    return shown
