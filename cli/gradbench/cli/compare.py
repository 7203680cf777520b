"""``gradbench compare``."""

from collections.abc import Sequence

import click

from gradbench.cli.verdict import policy_options, report_options, tell
from gradbench.gate import baseline
from gradbench.gate.compare import compare, require_common
from gradbench.gate.verdict import Policy


@click.command("compare")
@click.argument("sources", metavar="BASE HEAD [HEAD]...", nargs=-1, required=True)
@click.option(
    "--fail-on",
    type=click.Choice(["never", "regression"]),
    default="never",
    show_default=True,
    help="Whether the verdict is the exit code.",
)
@policy_options
@report_options
def command(
    sources: Sequence[str],
    fail_on: str,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Set results side by side: runs' folders, results.csv files, or baseline:NAME.

    The first is what the others are compared with.
    """
    if len(sources) < 2:
        raise click.UsageError("give two or more to compare: BASE HEAD")
    base, *heads = (baseline.side(source) for source in sources)
    for head in heads:
        require_common(base, head)
    code = tell([compare(base, head) for head in heads], policy, formats, outputs)
    return 0 if fail_on == "never" else code
