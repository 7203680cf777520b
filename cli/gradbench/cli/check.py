"""``gradbench check``."""

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from gradbench import baseline, config, gate, grid
from gradbench.cli.verdict import policy_options, report_options, run_options, tell_judged
from gradbench.compare.verdict import Policy
from gradbench.show.progress import Display


@click.command("check")
@click.argument("source", metavar="CONFIG")
@click.option("--baseline", "name", required=True, metavar="NAME", help="What to hold it against.")
@run_options
@policy_options
@report_options
def command(
    source: str,
    name: str,
    overrides: Sequence[str],
    only: Sequence[str],
    max_replicates: int,
    root: Path,
    quiet: bool,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Run CONFIG until each sampler is judged against a baseline: 8, 16, 32 … replicates.

    The verdict is the exit code. What is judged are evaluations per effective sample, the same on
    every machine. A baseline's times are from another day: only more than +50 % counts, on the
    machine that it was made on, with the same draws. gradbench ab judges time.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stored = baseline.load(name.removeprefix(baseline.PREFIX)).side
    path = config.find(source)
    benchmark = config.only(config.load(source, overrides), only)
    if only:
        stored = stored.only(dict.fromkeys(cell.key for cell in grid.cells(benchmark)))
    with Display(is_quiet=quiet) as display:
        judged = gate.check(
            benchmark, path.parent, root, stored, display, max_replicates=max_replicates
        )
    return tell_judged(judged, policy, formats, outputs)
