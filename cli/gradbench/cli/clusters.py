"""The flags of a cluster; apart, as what runs cells takes long to import."""

import functools
from functools import partial
from pathlib import Path
from typing import Any

import click

from gradbench.cli.flags import Command, limits_of
from gradbench.cluster.connection import Cluster, require
from gradbench.cluster.runner import ClusterRunner
from gradbench.measure.runner import Runner
from gradbench.results.execute import Make


def cluster_options(command: Command) -> Command:
    """Add the flags of a cluster, handed over as ``cluster``: None where this machine is to run."""

    @click.option(
        "--cluster",
        "address",
        metavar="ADDRESS",
        help="Run on a Dask cluster, tcp://HOST:8786, or on local:N workers of this machine.",
    )
    @click.option(
        "--scheduler-file",
        type=click.Path(path_type=Path),
        help="The cluster whose scheduler wrote this file.",
    )
    @click.option(
        "--timeout", metavar="TIME", help="Wait so long for scheduler and workers.  [default: 10s]"
    )
    @click.option(
        "--block",
        type=click.IntRange(min=1),
        metavar="N",
        help="Replicates that run in one place, one after another.",
    )
    @click.option(
        "--mixed-versions",
        is_flag=True,
        help="Let workers have other versions, and mark their cells.",
    )
    @functools.wraps(command)
    def wrapped(
        *,
        address: str | None,
        scheduler_file: Path | None,
        timeout: str | None,
        block: int | None,
        mixed_versions: bool,
        **others: Any,
    ) -> Any:
        if address is None and scheduler_file is None:
            if timeout or block or mixed_versions:
                raise click.UsageError(
                    "--timeout, --block and --mixed-versions are for --cluster or --scheduler-file"
                )
            return command(cluster=None, **others)
        if address is not None and scheduler_file is not None:
            raise click.UsageError("give --cluster or --scheduler-file: they name the same thing")
        cluster = Cluster(
            address or "",
            scheduler_file,
            limits_of("--timeout", timeout or "10s").timeout_s,
            block,
            is_mixed=mixed_versions,
        )
        require(cluster)
        return command(cluster=cluster, **others)

    return wrapped


def maker(cluster: Cluster | None) -> Make:
    """Return what makes a runner: of a cluster, or of this machine where none is given."""
    return Runner if cluster is None else partial(ClusterRunner, cluster=cluster)
