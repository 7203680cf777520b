"""Verdicts and baselines on the terminal."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench.gate.baseline import Baseline
from gradbench.gate.verdict import LOUD, QUIET, Compared, Comparison, Verdict
from gradbench.gate.words import over_models, percent, time_per_evaluation, times
from gradbench.show.console import console, fitted, item, significant, table

STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "failed": "bold red",
    "missing": "red",
    "not comparable": "red",
    "inconclusive": "yellow",
    "traded": "yellow",
    "improved": "green",
    "advisory": "dim",
    "fine": "green",
    "identical": "green",
    "new": "cyan",
}
EXPLAINED: tuple[Verdict, ...] = (*LOUD, "advisory")
MAX_QUIET = 40  # rows


def _change(row: Compared) -> str:
    both = f"{significant(row.base)} → {significant(row.head)}"
    return "–" if row.base is None and row.head is None else both


WORDS: dict[str, Callable[[Compared], str]] = {
    "model": lambda row: row.model,
    "sampler": lambda row: row.sampler,
}
# Where the terminal is narrow the last ones are hidden first.
NUMBERS: dict[str, Callable[[Compared], str]] = {
    "evals/ESS\nbase → head": _change,
    "evals/ESS\n[95 % CI]": lambda row: times(row.evaluations),
    "time per eval\n[95 % CI]": time_per_evaluation,
    "replicates\nbase, head": lambda row: f"{row.n_base}, {row.n_head}",
}


def comparisons(found: Sequence[Comparison], *, to: Console | None = None) -> None:
    """Print the verdict in a sentence, a table, and a line for each row that needs one."""
    to = to or console()
    for comparison in found:
        to.print(Text(comparison.sentence, style="bold"), soft_wrap=True)
        to.print(Text(f"{comparison.base} → {comparison.head}", style="dim"), soft_wrap=True)
    to.print()
    if len(found) == 1:
        numbers = [*NUMBERS]
        to.print(
            fitted(
                numbers,
                lambda some: one(found[0], some),
                to,
                expendable=numbers[:0:-1],
                head=str,
            )
        )
    else:
        to.print(_several(found))
    to.print()
    for comparison in found:
        # Of several heads each line says whose it is.
        against = "" if len(found) == 1 else f"{comparison.head}: "
        for sentence in sentences(comparison):
            to.print(item(f"{against}{sentence}"))
    for note in dict.fromkeys(note for comparison in found for note in comparison.notes):
        to.print(item(note))


def sentences(comparison: Comparison) -> list[str]:
    """Return a line for each sampler over its models, and for each row that needs one."""
    return [
        *(f"{pool.name}: {over_models(pool)}" for pool in comparison.pooled),
        *(f"{row.name}: {row.verdict}: {row.reason}" for row in comparison.having(*EXPLAINED)),
    ]


def one(comparison: Comparison, numbers: Sequence[str]) -> Table:
    """Return a comparison's table, with these of the ``NUMBERS``."""
    shown = table(("verdict", *WORDS), numbers)
    quiet = comparison.having(*QUIET)
    for row in [*comparison.having(*LOUD), *quiet[:MAX_QUIET]]:
        cells = [text(row) for text in (*WORDS.values(), *(NUMBERS[name] for name in numbers))]
        shown.add_row(Text(row.verdict, style=STYLES[row.verdict]), *cells)
    if len(quiet) > MAX_QUIET:
        rest = len(quiet) - MAX_QUIET
        shown.caption = f"and {rest} more that need no attention; --format csv has them all"
        shown.caption_justify = "left"
    return shown


def baseline(stored: Baseline) -> None:
    """Print what a baseline can do for each model and sampler."""
    to = console()
    to.print(Text(stored.name, style="bold") + Text(f"  {_circumstances(stored)}", style="dim"))
    shown = table(
        ("model", "sampler", "gate"), ("replicates", "evals/ESS", "noise (sd)", "catches")
    )
    for entry in stored.entries:
        shown.add_row(
            entry.model,
            entry.sampler,
            Text("advisory", style="yellow") if entry.advisory else Text("yes", style="green"),
            str(entry.n_replicates),
            significant(entry.evaluations_per_ess),
            "–" if entry.catches is None else f"{entry.noise:.1%}".replace("%", " %"),
            "–" if entry.catches is None else percent(entry.catches),
        )
    to.print(shown)
    to.print()
    for entry in stored.entries:
        if entry.advisory:
            to.print(item(f"{entry.sampler} on {entry.model}: advisory: {entry.advisory}"))


def baselines(stored: Sequence[Baseline]) -> None:
    """Print a line for each baseline."""
    to = console()
    if not stored:
        to.print("no baselines here; gradbench baseline save RUN NAME makes one")
        return
    shown = table(("name", "made", "Python", "PyMC"), ("cells", "advisory", "replicates"))
    for one in stored:
        n_advisory = sum(bool(entry.advisory) for entry in one.entries)
        replicates = sum(entry.n_replicates for entry in one.entries)
        machine = one.side.machine
        versions = machine.get("versions", {})
        shown.add_row(
            one.name,
            one.saved,
            machine.get("python", "?"),
            versions.get("pymc", "?"),
            str(len(one.entries)),
            str(n_advisory),
            str(replicates),
        )
    to.print(shown)


def _several(found: Sequence[Comparison]) -> Table:
    """Return one row for each model and sampler, and a column for each head."""
    shown = table(tuple(WORDS), [comparison.head for comparison in found])
    rows = [{row.key: row for row in comparison.rows} for comparison in found]
    for key in dict.fromkeys(key for of_head in rows for key in of_head):
        cells = [
            Text(f"{times(row.evaluations)}\n{row.verdict}", style=STYLES[row.verdict])
            if (row := of_head.get(key))
            else Text("–")
            for of_head in rows
        ]
        shown.add_row(*key, *cells)
    return shown


def _circumstances(stored: Baseline) -> str:
    machine = stored.side.machine
    versions = machine.get("versions", {})
    said = [
        stored.saved,
        f"config {stored.config_hash[:8]}",
        f"Python {machine.get('python', '?')}",
    ]
    said += [f"{name} {versions[name]}" for name in ("pymc", "emcee") if name in versions]
    return ", ".join(said)
