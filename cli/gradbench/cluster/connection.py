"""The way to a cluster: its address, its workers, and what is wrong with them."""

import asyncio
import json
import logging
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradbench.errors import ClusterError, first_line, pip_install

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local:"
POLL_S = 0.2  # between two looks for a scheduler or workers that may still come
RESOURCE = "core"  # of which each block takes as many as the config has threads
START = f"dask worker ADDRESS --nthreads 1 --memory-limit 0 --resources {RESOURCE}=1"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and how it is used.

    Attributes:
        address: of its scheduler, as ``tcp://HOST:8786``, or ``local:N`` for N workers here.
        scheduler_file: what the scheduler wrote, instead of an address.
        timeout_s: how long to wait for scheduler and workers.
        replicates: of every block; None to choose.
        is_mixed: whether workers may have other versions than the client.
    """

    address: str = ""
    scheduler_file: Path | None = None
    timeout_s: float = 10.0
    replicates: int | None = None
    is_mixed: bool = False

    @property
    def name(self) -> str:
        """What messages call it: never with a password."""
        if self.scheduler_file is not None:
            return str(self.scheduler_file)
        return re.sub(r"//.*@", "//", self.address)


def require(cluster: Cluster) -> None:
    """Raise where a cluster can't be used as it is given, before anything else is done.

    Raises:
        ClusterError: Dask isn't installed, or the address is none, or has a password in it.
    """
    if "@" in cluster.address:
        raise ClusterError(
            f"--cluster {cluster.name}: an address has no user and no password; TLS is set in"
            " Dask's own configuration (distributed.comm.tls)"
        )
    if find_spec("distributed") is None:
        raise ClusterError(f"--cluster needs Dask: {pip_install('cluster')}")
    if cluster.address.startswith(LOCAL):
        n = cluster.address.removeprefix(LOCAL)
        if not n.isdecimal() or int(n) == 0:
            raise ClusterError(
                f"--cluster {cluster.name}: write {LOCAL}N, N workers on this machine"
            )
    elif cluster.scheduler_file is None and "://" not in cluster.address:
        raise ClusterError(
            f"--cluster {cluster.name}: no address of a scheduler, as tcp://HOST:8786,"
            f" nor {LOCAL}N, N workers on this machine"
        )


@contextmanager
def connected(cluster: Cluster, n_cores: int) -> "Iterator[Client]":
    """Give a client of a cluster; one of ``local:N`` begins and ends with it.

    TLS and all else that Dask can be told is in its own configuration.

    Args:
        cluster: as ``require`` has let pass.
        n_cores: that each local worker says it has.

    Raises:
        ClusterError: there is no scheduler.
    """
    from distributed import Client, LocalCluster

    _silence()
    if cluster.address.startswith(LOCAL):
        with (
            LocalCluster(
                n_workers=int(cluster.address.removeprefix(LOCAL)),
                threads_per_worker=1,
                memory_limit=0,  # the limit is gradbench's, of its own processes
                resources={RESOURCE: n_cores},
                dashboard_address=":0",  # its usual port may be another cluster's
                silence_logs=logging.CRITICAL,
            ) as local,
            Client(local) as client,
        ):
            client.register_plugin(_deaf())
            yield client
        return
    try:
        address = _address(cluster)
        # A client that can't connect says so again, with a traceback, when it is deleted.
        asyncio.run(_reach(address, cluster.timeout_s))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions gradbench says more
            client = Client(address, timeout=cluster.timeout_s, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterError(
            f"{cluster.name}: no scheduler answers there within {cluster.timeout_s:g} s:"
            f" {first_line(error)}"
        ) from error
    with client:
        yield client


async def _reach(address: str, timeout_s: float) -> None:
    """Connect to an address once; raise what Dask raises where that can't be done."""
    from distributed.comm import connect
    from distributed.security import Security

    security = Security().get_connection_args("client")
    await (await connect(address, timeout=timeout_s, **security)).close()


def _address(cluster: Cluster) -> str:
    """Return the address of a cluster's scheduler, from its file once that is there.

    Dask waits for such a file for ever.

    Raises:
        OSError: it is not there in time, or can't be read.
        ValueError: it names no address.
    """
    if cluster.scheduler_file is None:
        return cluster.address
    until = time.monotonic() + cluster.timeout_s
    while not cluster.scheduler_file.is_file() and time.monotonic() < until:
        time.sleep(POLL_S)
    said = json.loads(cluster.scheduler_file.read_text(encoding="utf-8"))
    if not isinstance(said, dict) or "address" not in said:
        raise ValueError("the file names no address")
    return str(said["address"])


def _deaf() -> Any:
    """Return what lets workers of this terminal ignore its Ctrl-C, which is for the client."""
    import signal

    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:  # noqa: ARG002 - a plugin is told which
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def _silence() -> None:
    """Keep Dask's log from stderr, where the progress is: what matters of it is told."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"distributed", "tornado"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)
