"""What ``gradbench check-sampler`` found."""

from rich.text import Text

from gradbench.results.check_sampler import Contract
from gradbench.show.console import console, table

STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def contract(found: Contract) -> None:
    """Print a sampler's contract, a line for each promise."""
    to = console()
    options = ", ".join(f"{name}={value}" for name, value in found.options.items())
    to.print(Text(found.use, style="bold") + Text(f"  {options}", style="dim"))
    to.print()
    shown = table(("promise", "kept", "reason"), ())
    shown.columns[0].no_wrap = True
    for line in found.lines:
        shown.add_row(line.name, Text(line.outcome, style=STYLES[line.outcome]), line.reason)
    to.print(shown)
