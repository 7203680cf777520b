"""``gradbench check``."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click

from gradbench.cli.clusters import cluster_options, maker
from gradbench.cli.verdict import (
    config_options,
    policy_options,
    replicates_option,
    report_options,
    tell_judged,
)
from gradbench.cluster.connection import Cluster
from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.gate import baseline, gate
from gradbench.gate.verdict import Policy
from gradbench.show.progress import Display


@click.command("check")
@click.option("--baseline", "name", required=True, metavar="NAME", help="What to hold it against.")
@config_options
@replicates_option
@cluster_options
@policy_options
@report_options
def command(
    benchmark: Benchmark,
    name: str,
    max_replicates: int,
    cluster: Cluster | None,
    root: Path,
    quiet: bool,
    policy: Policy,
    formats: Sequence[str],
    outputs: Sequence[str],
) -> int:
    """Run CONFIG until each sampler is judged against a baseline: 8, 16, 32 … replicates.

    The verdict is the exit code. What is judged are evaluations per effective sample, the same on
    every machine. A baseline's times are from another day: only more than +50 % counts, on the
    machine that it was made on, with the same draws. gradbench ab judges time. With --cluster no
    time is judged.
    """
    stored = baseline.load(name.removeprefix(baseline.PREFIX)).side
    if click.get_current_context().params["only"]:
        stored = stored.only(product(*planning.places(benchmark)))
    with Display(is_quiet=quiet) as display:
        judged = gate.check(
            benchmark, root, stored, display, max_replicates=max_replicates, make=maker(cluster)
        )
    return tell_judged(judged, policy, formats, outputs)
