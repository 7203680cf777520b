"""Flags that several commands have."""

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from gradbench.cluster.connection import Cluster, require
from gradbench.cluster.runner import ClusterRunner
from gradbench.config.benchmark import Limits
from gradbench.errors import ConfigError
from gradbench.measure.runner import Runner
from gradbench.results.execute import Make
from gradbench.results.times import GOAL

Command = Callable[..., Any]


def results_option(kept: str) -> Callable[[Command], Command]:
    """Return the flag of the folder that results go to, handed over as ``root``.

    Args:
        kept: what of it help says, as ``The run is kept here, in NAME/TIME/.``
    """
    return click.option(
        "--results",
        "root",
        type=click.Path(path_type=Path),
        default="results",
        show_default=True,
        help=kept,
    )


def source_options(command: Command) -> Command:
    """Add the flags of what belongs to a model beside its file."""
    data = click.option("--data", metavar="FILE", help="A Stan program's data, as JSON.")
    database = click.option("--posteriordb", metavar="PATH", help="A copy of posteriordb.")
    return data(database(command))


parquet_option = click.option(
    "--parquet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the columns of results.csv there as Parquet.",
)


def ess_option(command: Command) -> Command:
    """Add the flag of how many effective draws the time is told to."""
    return click.option(
        "--ess",
        type=click.IntRange(min=1),
        default=GOAL,
        show_default=True,
        metavar="N",
        help="Tell the time to N effective draws of the worst parameter.",
    )(command)


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


def limits_of(flag: str, time: str) -> Limits:
    """Return limits with the time that a flag gives.

    Raises:
        ConfigError: it isn't written as 90s or 10min.
    """
    try:
        return Limits.model_validate({"timeout": time})
    except ValidationError as error:
        raise ConfigError(f"{flag} {time}: must be a time such as 90s or 10min") from error
