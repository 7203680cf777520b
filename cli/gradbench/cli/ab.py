"""``gradbench ab``."""

from collections.abc import Sequence
from pathlib import Path

import click

from gradbench.cli.verdict import (
    config_options,
    policy_options,
    replicates_option,
    report_options,
    tell_judged,
)
from gradbench.config.benchmark import Benchmark
from gradbench.gate import gate
from gradbench.gate.gate import Variant
from gradbench.gate.verdict import Policy
from gradbench.measure.workers import interpreter
from gradbench.show.progress import Display


@click.command("ab")
@click.option(
    "--base",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Baseline environment: an interpreter or a virtual environment.",
)
@click.option(
    "--head",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Environment under test: another one.",
)
@config_options
@replicates_option
@policy_options
@report_options
def command(
    benchmark: Benchmark,
    base: Path,
    head: Path,
    max_replicates: int,
    root: Path,
    quiet: bool,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Run CONFIG on two interpreters, interleaved, and judge evaluations and time.

    Both need gradbench, in the same version. The verdict is the exit code.
    """
    variants = Variant("base", interpreter(base)), Variant("head", interpreter(head))
    with Display(is_quiet=quiet) as display:
        judged = gate.ab(benchmark, root, variants, display, max_replicates=max_replicates)
    return tell_judged(judged, policy, formats, outputs)
