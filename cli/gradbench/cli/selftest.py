"""``gradbench selftest``."""

from pathlib import Path

import click

from gradbench.cli import INTERRUPTED
from gradbench.cli.verdict import config_options
from gradbench.config.benchmark import Benchmark
from gradbench.gate import selftest
from gradbench.show import selftest as table
from gradbench.show.progress import Display


@click.command("selftest")
@click.option(
    "--pairs",
    "n_pairs",
    type=click.IntRange(8, 1000),
    default=16,
    show_default=True,
    help="Runs of each cell on both sides that the noise is taken from.",
)
@click.option(
    "--gates",
    "n_gates",
    type=click.IntRange(10, 1_000_000),
    default=400,
    show_default=True,
    help="Simulated with that noise, for each rate.",
)
@config_options
def command(
    benchmark: Benchmark,
    n_pairs: int,
    n_gates: int,
    root: Path,
    quiet: bool,
) -> int:
    """Try the gate on this machine: the same code against itself, then against slower versions.

    Prints how often the gate is wrong here, and what it catches. Exit code 1 if the same code is
    found slower than itself, or a planted slowdown is caught nowhere.
    """
    with Display(is_quiet=quiet) as display:
        found = selftest.run(benchmark, root, display, n_pairs=n_pairs, n_gates=n_gates)
    if found is None:
        return INTERRUPTED
    table.findings(found)
    return int(not found.is_passed)
