"""What a gate's self-test found, on the terminal."""

from rich.text import Text

from gradbench.gate.selftest import Findings, Rate
from gradbench.gate.words import times
from gradbench.show.console import console, item, table


def findings(found: Findings) -> None:
    """Print how often the gate is wrong on this machine, and what it catches."""
    to = console()
    n = len(found.same.rows)
    to.print(Text(f"The same code on both sides, {n} cells: {found.same.sentence}", style="bold"))
    to.print()
    n_gates = found.false_alarms.n
    rates = table(
        (f"{n_gates:,} gates with this machine's noise".replace(",", " "),), ("how often",)
    )
    rates.add_row("false alarms", _rate(found.false_alarms))
    for rate in found.caught:
        rates.add_row(f"one cell {rate.what}: caught", _rate(rate))
    to.print(rates)
    to.print()
    planted = table(
        ("planted here", "model", "sampler", "verdict"),
        ("evals/ESS\n[95 % CI]", "time per eval\n[95 % CI]"),
    )
    for trial in found.trials:
        for row in trial.comparison.rows:
            style = "green" if trial.is_caught(row) else "yellow"
            factors = [lost for lost in row.lost if lost in {"evaluations", "time"}]
            lost = f" ({', '.join(factors)})" if factors else ""
            planted.add_row(
                trial.what,
                row.model,
                row.sampler,
                Text(row.verdict + lost, style=style),
                times(row.evaluations),
                times(row.time),
            )
    to.print(planted)
    to.print()
    for trial in found.trials:
        to.print(
            item(
                f"{trial.what}: caught, and attributed to {trial.factor} only, in {trial.n_caught}"
                f" of {len(trial.comparison.rows)} cells"
            )
        )
    to.print(item("a cell where the sampler's own work outweighs the density hardly slows down"))


def _rate(rate: Rate) -> str:
    shown = (f"{value:.1%}".replace("%", " %") for value in
             (rate.share.estimate, rate.share.low, rate.share.high))  # fmt: skip
    estimate, low, high = shown
    return f"{estimate} [{low}, {high}]"
