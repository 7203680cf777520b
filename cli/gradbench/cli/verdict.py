"""What the commands that judge have in common: their flags, and how verdicts are told."""

import functools
import io
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from gradbench.cli import INTERRUPTED, finish_on_signals
from gradbench.cli.flags import results_option
from gradbench.config import loading
from gradbench.gate import forms, rule
from gradbench.gate.gate import Judged
from gradbench.gate.verdict import Comparison, Policy
from gradbench.results import store
from gradbench.show import comparison as table
from gradbench.show.console import console

Command = Callable[..., int]


def policy_options(command: Command) -> Command:
    """Add the flags that say what fails a build, handed over as ``policy``."""

    @click.option("--strict", is_flag=True, help="Exit code 5 where a verdict is inconclusive.")
    @click.option("--allow-missing", is_flag=True, help="Forgive what is missing.")
    @functools.wraps(command)
    def wrapped(*, strict: bool, allow_missing: bool, **others: Any) -> int:
        return command(policy=Policy(strict=strict, allow_missing=allow_missing), **others)

    return wrapped


def config_options(command: Command) -> Command:
    """Add CONFIG and the flags of what of it is run, handed over as ``benchmark``."""

    @click.argument("source", metavar="CONFIG")
    @click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
    @click.option("--only", multiple=True, metavar="LABEL", help="Only this model or sampler.")
    @results_option("The runs are kept here, in NAME/TIME/.")
    @click.option("--quiet", is_flag=True, help="No progress display.")
    @functools.wraps(command)
    def wrapped(
        *, source: str, overrides: Sequence[str], only: Sequence[str], **others: Any
    ) -> int:
        finish_on_signals()
        benchmark = loading.only(loading.load(source, overrides), only)
        return command(benchmark=benchmark, **others)

    return wrapped


replicates_option = click.option(
    "--max-replicates",
    type=click.IntRange(1, 10_000),
    default=rule.LOOKS,
    show_default=True,
    help="Maximum replicates per undecided cell.",
)


def report_options(command: Command) -> Command:
    """Add the flags that say in what form verdicts are told, and where."""
    formats = click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(["table", *forms.FORMATS]),
        help="What to print; may be given several times.  [default: table]",
    )
    outputs = click.option(
        "--output",
        "outputs",
        multiple=True,
        metavar="FILE",
        help="Where the first --format goes, the second, and so on; - is stdout.",
    )
    return formats(outputs(command))


def tell(
    found: Sequence[Comparison], policy: Policy, formats: Sequence[str], outputs: Sequence[str]
) -> int:
    """Write and print verdicts in every form asked for; return the policy's exit code.

    Files come first, so that they are there whoever stops reading stdout. Where stdout carries none
    of it, or data, people read the table on stderr.
    """
    if len(outputs) > len(formats):
        raise click.UsageError("each --output needs a --format before it")
    printed = []
    for form, output in zip_longest(formats, outputs):
        if output in {None, "-"}:
            printed.append(form)
        else:
            text = _table(found) if form == "table" else forms.FORMATS[form](found, policy)
            store.write(Path(output), text)
    if "table" not in formats:
        table.comparisons(found, to=console(sys.stderr) if formats else None)
    for form in printed:
        if form == "table":
            table.comparisons(found)
        else:
            click.echo(forms.FORMATS[form](found, policy), nl=False)
    return policy.exit_code(found)


def tell_judged(
    judged: Judged, policy: Policy, formats: Sequence[str], outputs: Sequence[str]
) -> int:
    """Tell a verdict, and on stderr where the runs are that it rests on."""
    folders = " and ".join(map(str, judged.folders))
    if judged.comparison is None:
        click.echo(f"interrupted before a verdict; what was run is in {folders}", err=True)
        return INTERRUPTED
    code = tell([judged.comparison], policy, formats, outputs)
    click.echo(f"results: {folders}", err=True)
    return code


def _table(found: Sequence[Comparison]) -> str:
    text = io.StringIO()
    table.comparisons(found, to=console(text))
    return text.getvalue()
