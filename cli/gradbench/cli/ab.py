"""``gradbench ab``."""

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from gradbench import config, gate
from gradbench.cli.verdict import policy_options, report_options, run_options, tell_judged
from gradbench.compare.verdict import Policy
from gradbench.gate import Variant
from gradbench.runner import interpreter
from gradbench.show.progress import Display


@click.command("ab")
@click.argument("source", metavar="CONFIG")
@click.option(
    "--base",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="An interpreter or virtual environment: what was.",
)
@click.option(
    "--head",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Another: what is.",
)
@run_options
@policy_options
@report_options
def command(
    source: str,
    base: Path,
    head: Path,
    overrides: Sequence[str],
    only: Sequence[str],
    max_replicates: int,
    root: Path,
    quiet: bool,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Run CONFIG on two interpreters by turns, and judge evaluations and time.

    Both need gradbench, in the same version. The verdict is the exit code.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    path = config.find(source)
    benchmark = config.only(config.load(source, overrides), only)
    variants = Variant("base", interpreter(base)), Variant("head", interpreter(head))
    with Display(is_quiet=quiet) as display:
        judged = gate.ab(
            benchmark, path.parent, root, variants, display, max_replicates=max_replicates
        )
    return tell_judged(judged, policy, formats, outputs)
