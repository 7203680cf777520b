"""Who may run blocks: workers that come, go, and lack things, as a client tells of them."""

from types import SimpleNamespace
from typing import Any

import pytest

from gradbench.cluster import workforce
from gradbench.cluster.connection import Cluster
from gradbench.cluster.versions import Answer, Asked
from gradbench.cluster.workforce import Workforce
from gradbench.errors import ClusterError, LostError

pytest.importorskip("distributed")

ABLE = {"nthreads": 1, "resources": {"core": 1}, "host": "10.0.0.1"}
FINE = Answer("", "")
NONE_THERE = Exception("ModuleNotFoundError(\"No module named 'gradbench'\")")


class Client:
    """A client of a cluster that isn't there."""

    def __init__(self, **workers: Any) -> None:
        self.status = "running"
        self.answers: dict[str, Any] = workers
        self.about: dict[str, dict[str, Any]] = dict.fromkeys(workers, ABLE)

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": self.about}

    def run(self, *_: Any, workers: list[str], **__: Any) -> dict[str, Any]:
        return {who: self.answers[who] for who in workers}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that is set by hand."""
    now = [0.0]
    made_up = SimpleNamespace(
        monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s)
    )
    monkeypatch.setattr("gradbench.cluster.workforce.time", made_up)
    return now


def force(client: Client, **given: Any) -> Workforce:
    return Workforce(client, Cluster("tcp://host:1", **given), n_cores=1, asked=Asked({}, ()))


def test_who_has_what_is_asked_may_run_blocks(clock: list[float]) -> None:
    """Those who don't are left out, and blocks are then sent to the others by name."""
    found = force(Client(a=FINE, b=FINE))
    assert (found.n_workers, found.n_slots, found.allowed) == (2, 2, [])
    found = force(Client(a=FINE, b=NONE_THERE))
    assert (found.n_workers, found.allowed) == (1, ["a"])
    assert clock == [0.0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NONE_THERE, "a: gradbench of this version is not installed there"),
        (Answer("nutpie is not installed", ""), "a: nutpie is not installed"),
        (Answer("", "numpy 1, not 2"), "a: numpy 1, not 2"),
        (OSError("timed out"), "a: can't be asked what it has: OSError('timed out')"),
    ],
)
@pytest.mark.usefixtures("clock")
def test_a_refusal_says_why(answer: object, said: str) -> None:
    """Where nobody is left each worker stands in the message, with its reason."""
    with pytest.raises(ClusterError) as error:
        force(Client(a=answer))
    assert said in str(error.value)


@pytest.mark.usefixtures("clock")
def test_no_worker_at_all_is_told() -> None:
    """Who starts workers later than the client waits is told how to start them."""
    with pytest.raises(ClusterError, match=r"no worker is there after 10 s; start some with: dask"):
        force(Client())


def test_cores_are_counted_by_threads_and_resource(clock: list[float]) -> None:
    """A worker runs as many blocks as it has threads for, and says it has cores for."""
    client = Client(a=FINE, b=FINE)
    client.about = {
        "a": {**ABLE, "nthreads": 4, "resources": {"core": 3}},
        "b": {**ABLE, "host": "10.0.0.2"},
    }
    found = force(client)
    assert found.n_slots == 4
    assert found.n_slots_of_machines == {"10.0.0.1": 3, "10.0.0.2": 1}
    assert clock == [0.0]


def test_workers_come_and_go(clock: list[float]) -> None:
    """New ones are asked first; without any a run waits for minutes, and then is lost."""
    client = Client(a=FINE)
    found = force(client)
    client.answers["b"], client.about = FINE, {"b": ABLE}
    clock[0] += 2
    found.look()
    assert found.has_any(["b"])
    assert not found.has_any(["a"])
    client.about = {}
    clock[0] += workforce.FORSAKEN_S / 2
    found.look()
    clock[0] += workforce.FORSAKEN_S
    with pytest.raises(LostError, match="no worker for 300 s"):
        found.look()


def test_without_a_scheduler_all_is_lost(clock: list[float]) -> None:
    """A client that gave its scheduler up says so at once."""
    client = Client(a=FINE)
    found = force(client)
    client.status = "closed"
    with pytest.raises(LostError, match="the scheduler is gone"):
        found.look()
    assert clock == [0.0]
