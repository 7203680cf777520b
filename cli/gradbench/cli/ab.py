"""``gradbench ab``."""

import sys
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
from gradbench.config import loading
from gradbench.config.benchmark import Benchmark
from gradbench.gate import gate
from gradbench.gate.gate import Variant
from gradbench.gate.verdict import Policy
from gradbench.measure.workers import interpreter
from gradbench.show.progress import Display


@click.command("ab")
@click.option(
    "--base",
    default=sys.executable,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Baseline environment: an interpreter or a virtual environment; this one by default.",
)
@click.option(
    "--head",
    default=sys.executable,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Environment under test: another one; this one by default.",
)
@click.option(
    "--base-sampler",
    "base_samplers",
    multiple=True,
    metavar="LABEL=USE",
    help="Baseline of a sampler of CONFIG: another file, or package:name.",
)
@config_options
@replicates_option
@policy_options
@report_options
def command(
    benchmark: Benchmark,
    base: Path,
    head: Path,
    base_samplers: Sequence[str],
    max_replicates: int,
    root: Path,
    quiet: bool,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Run CONFIG on two interpreters, interleaved, and judge evaluations and time.

    Both need gradbench, in the same version. Or on one, with another version of a sampler's file as
    the baseline. The verdict is the exit code.
    """
    uses = loading.samplers(base_samplers, benchmark, "--base-sampler")
    if base == head and not uses:
        raise click.UsageError("give --base and --head, or --base-sampler: what is compared?")
    variants = (
        Variant("base", interpreter(base), uses=uses),
        Variant("head", interpreter(head)),
    )
    with Display(is_quiet=quiet) as display:
        judged = gate.ab(benchmark, root, variants, display, max_replicates=max_replicates)
    return tell_judged(judged, policy, formats, outputs)
