"""The workers of a cluster: who is there, who may run blocks, and why others may not."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from gradbench.cluster.connection import POLL_S, RESOURCE, START, Cluster
from gradbench.cluster.versions import Answer, Asked
from gradbench.errors import ClusterError, LostError

LOOK_S = 1.0  # between two looks at who is there
FORSAKEN_S = 300.0  # without any worker, after which a run ends


class Workforce:
    """The workers of a cluster, as far as they may run blocks.

    Args:
        client: a Dask client.
        cluster: how it is used.
        n_cores: that a block takes.
        asked: what must be installed.

    Raises:
        ClusterError: no worker is there in time, or none can run a block.
    """

    def __init__(self, client: Any, cluster: Cluster, *, n_cores: int, asked: Asked) -> None:
        self._client = client
        self._cluster = cluster
        self._n_cores = n_cores
        self._asked = asked
        self._able: Mapping[str, Any] = {}  # as Dask describes them, by address
        self._refused: dict[str, str] = {}  # why, by address
        self._looked_at = self._seen_at = time.monotonic()
        until = time.monotonic() + cluster.timeout_s
        self._see()
        while not self._able and time.monotonic() < until:
            time.sleep(POLL_S)
            self._see()
        if not self._able:
            raise ClusterError(f"{cluster.name}: {self._complaint()}")

    def look(self) -> None:
        """See who is there, now and then.

        Raises:
            LostError: the scheduler is gone, or no worker has been there for long.
        """
        if self._client.status not in {"running", "connecting"}:
            raise LostError(f"{self._cluster.name}: the scheduler is gone")
        if (now := time.monotonic()) < self._looked_at + LOOK_S:
            return
        with suppress(OSError):  # a scheduler that is busy is asked again
            self._see()
        self._looked_at = now
        if self._able:
            self._seen_at = now
        elif now > self._seen_at + FORSAKEN_S:
            raise LostError(f"{self._cluster.name}: no worker for {FORSAKEN_S:g} s")

    def refuse(self, who: str, why: str) -> None:
        """Give a worker no more blocks.

        Raises:
            LostError: nobody else is there.
        """
        self._refused[who] = why
        self._able = {other: said for other, said in self._able.items() if other != who}
        if not self._able:
            raise LostError(f"{self._cluster.name}: no worker is left that can run blocks: {why}")

    def look_again(self) -> None:
        """See who is there now, and ask everyone anew what is installed."""
        self._able, self._looked_at = {}, 0.0
        self.look()

    @property
    def n_workers(self) -> int:
        """How many may run blocks."""
        return len(self._able)

    @property
    def n_slots(self) -> int:
        """How many blocks can run at a time."""
        return sum(map(self._slots, self._able.values()))

    @property
    def n_slots_of_machines(self) -> dict[str, int]:
        """How many can at a time on each machine, by its address."""
        found: dict[str, int] = {}
        for said in self._able.values():
            found[said["host"]] = found.get(said["host"], 0) + self._slots(said)
        return found

    @property
    def allowed(self) -> list[str]:
        """The addresses that blocks may go to; empty for all."""
        return list(self._able) if self._refused else []

    def has_any(self, addresses: Iterable[str]) -> bool:
        """Return whether any of these workers is there."""
        return not self._able.keys().isdisjoint(addresses)

    def _slots(self, said: Mapping[str, Any]) -> int:
        return int(min(said["nthreads"], said["resources"].get(RESOURCE, 0) // self._n_cores))

    def _see(self) -> None:
        """See who is there, and ask those who are new what they have."""
        said = self._client.scheduler_info(n_workers=-1)["workers"]
        able = {who for who, about in said.items() if self._slots(about)} - self._refused.keys()
        self._welcome(sorted(able - self._able.keys()))
        self._able = {who: said[who] for who in able - self._refused.keys()}

    def _welcome(self, new: list[str]) -> None:
        if not new:
            return
        from gradbench.cluster.dask_channel import answer

        answers = self._client.run(answer, self._asked, workers=new, on_error="return")
        for who in new:
            if why := self._refusal(answers.get(who)):
                self._refused[who] = why

    def _refusal(self, said: object) -> str:
        """Return why a worker gets no block, empty if it does."""
        if "No module named 'gradbench" in str(said):
            return "gradbench of this version is not installed there"
        if not isinstance(said, Answer):
            return f"can't be asked what it has: {said!r}"
        return said.lacking or ("" if self._cluster.is_mixed else said.other)

    def _complaint(self) -> str:
        """Return why no worker can run a block, and what to do."""
        n = len(self._client.scheduler_info(n_workers=-1)["workers"])
        if not n:
            after = f"after {self._cluster.timeout_s:g} s"
            return f"no worker is there {after}; start some with: {START}"
        if not self._refused:
            return (
                f"none of {n} workers has {self._n_cores} of the resource {RESOURCE!r}, one for"
                f" each thread of a cell; start them with: {START}"
            )
        said = "\n".join(f"  {who}: {why}" for who, why in self._refused.items())
        return (
            f"no worker has what is installed here:\n{said}\ninstall the same there; where only"
            " versions differ, --mixed-versions allows it, and marks the cells"
        )
