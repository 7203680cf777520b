"""Faults of a cluster, for real: what is killed, paused or cut off costs nothing that was finished.

A run on two workers is disturbed at random moments and, where it ended early, resumed on the
cluster and disturbed again; what is then missing is resumed on this machine. Its folder must equal
that of an undisturbed run: every cell once, with the same status and the same draws.
``python benchmarks/cluster_faults.py`` prints a table; ``--moments N`` are those of each kind of
death, ``--only NAME`` is one fault. A full disk is a small file system, which only root can mount.
"""

import argparse
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from gradbench.config import planning
from gradbench.results import store

TTL_S = 8  # until a scheduler gives a silent worker up, 300 s where nobody sets it
WAIT_S = 240.0  # for a run, however it is disturbed
SAMPLER = '''"""Independent normal draws, after a rest."""

import time

from gradbench.sampler import Field
from gradbench.sampler import Options as Base


class Options(Base):
    rest: float = Field(0.2, description="seconds")


def sample(density, start, options, rng, clock):
    clock.warmup()
    density(start[0])
    clock.sampling()
    time.sleep(options.rest)
    for x in start:
        density(x)
    return rng.standard_normal((len(start), options.draws, density.ndim))
'''
MODEL = '''"""A normal that misbehaves where it is asked for the {n}th time."""

import os
import signal
import time

import numpy as np

import gradbench as gb

ASKED = 0


def logdensity(x):
    global ASKED
    ASKED += 1
    if ASKED == {n}:
        {does}
    return -0.5 * float(np.sum(x**2))


def model():
    return gb.LogDensity(logdensity, ndim=2)
'''
HOSTILE = {
    "segfault": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hang": "time.sleep(1000)",
    "hunger": "[np.ones(2**23) for _ in range(200)]",
}
CONFIG = """name: {name}
models:
  a: {{use: ./calm.py}}
  b: {{use: ./calm.py}}
samplers:
  one: {{use: ./rest.py, draws: 300}}
  two: {{use: ./rest.py, draws: 400}}
replicates: 12
"""
HOSTILE_CONFIG = """name: hostile
models:
{models}
  calm: {{use: ./calm.py}}
samplers:
  one: {{use: ./rest.py, draws: 300}}
replicates: 2
limits: {{timeout: 5s, memory: 900MB}}
"""
Found = dict[tuple[str, str, int], tuple[str, str]]


@dataclass(slots=True)
class Cluster:
    """A scheduler and two workers, each with a nanny, in processes of their own."""

    folder: Path
    port: int = 0
    scheduler: "subprocess.Popen[bytes] | None" = None
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    tmp: str | None = None  # of workers, for their files
    reached_at: int = 0  # another port that workers reach the scheduler at

    def start(self) -> None:
        """Start what isn't there, or not any more."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.stop()
            self.port = free_port()
            self.scheduler = self._dask("scheduler", "--port", str(self.port))
            wait_for(self.port)
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:
            at = f"tcp://127.0.0.1:{self.reached_at or self.port}"
            options = ("--nworkers", "1", "--nthreads", "1", "--memory-limit", "0")
            self.workers.append(self._dask("worker", at, *options, "--resources", "core=1"))

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End all of them."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            kill(process.pid, with_children=True)
            process.wait()
        self.workers, self.scheduler = [], None

    def _dask(self, *words: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{words[0]}.log").open("ab")
        environment = {
            **os.environ,
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_S}s",
            **({"TMPDIR": self.tmp} if self.tmp and words[0] == "worker" else {}),
        }
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True,
            cwd=self.tmp if words[0] == "worker" and self.tmp else self.folder,
        )  # fmt: skip


def main() -> None:
    """Try every fault, print a table, and end with 1 where a folder differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    deaths = dict.fromkeys(("worker", "nanny", "scheduler", "client"), asked.moments)
    others = {"local client": 3, "pause": 3, "network": 2, "full disk": 1, "hostile": 1}
    wrong = 0
    print("| fault | moments | runs | of them resumed | cells | missing | twice | other draws |")
    print(8 * "|---" + "|", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        write_files(folder)
        cluster = Cluster(folder)
        stack.callback(cluster.stop)
        known: dict[str, Found] = {}
        for fault, n in {**deaths, **others}.items():
            if asked.only in {None, fault}:
                name = "hostile" if fault == "hostile" else "small"
                known[name] = known.get(name) or undisturbed(folder, name)
                wrong += tried(fault, n, cluster, known[name], rng)
    sys.exit(wrong > 0)


def tried(fault: str, n: int, cluster: Cluster, truth: Found, rng: random.Random) -> int:
    """Try a fault at n moments; print its line, and return how many cells were wrong."""
    resumed = missing = twice = other = 0
    folders = [*FAULTS[fault](cluster, rng, n)]
    for folder in folders:
        if len(read(folder)) < len(truth) or is_broken(folder):
            resumed += 1
            finish(folder)
        n_files = len(list((folder / "cells").glob("*.json")))
        found = read(folder)
        missing += len(truth.keys() - found.keys())
        twice += n_files - len(found)
        other += sum(found[place] != truth[place] for place in found.keys() & truth.keys())
    n_cells = len(folders) * len(truth)
    print(
        f"| {fault} | {n} | {len(folders)} | {resumed} | {n_cells} | {missing} | {twice}"
        f" | {other} |",
        flush=True,
    )
    return missing + twice + other


# -- faults: each disturbs runs n times, and yields their folders ----------------------------


def worker(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Kill a worker; its nanny starts another."""

    def fault(_: int) -> None:
        nanny = rng.choice(cluster.workers)
        with suppress(psutil.Error):
            for child in psutil.Process(nanny.pid).children():
                if "multiprocessing.spawn" in " ".join(child.cmdline()):
                    kill(child.pid)

    yield from disturbed(cluster, fault, rng, n)


def nanny(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Kill a nanny, and what it watches ends; a new one comes."""

    def fault(_: int) -> None:
        gone = rng.choice(cluster.workers)
        kill(gone.pid)
        gone.wait()
        cluster.start()

    yield from disturbed(cluster, fault, rng, n)


def scheduler(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Kill the scheduler."""

    def fault(_: int) -> None:
        assert cluster.scheduler is not None
        kill(cluster.scheduler.pid)

    yield from disturbed(cluster, fault, rng, n, ends_run=True)


def client(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Kill the client."""
    yield from disturbed(cluster, kill, rng, n, ends_run=True)


def local_client(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Kill a client whose workers are its own."""
    yield from disturbed(cluster, kill, rng, n, ends_run=True, address="local:2")


def pause(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Stop a worker for longer than the scheduler waits; then let it go on."""

    def fault(_: int) -> None:
        nanny = rng.choice(cluster.workers)
        with suppress(psutil.Error):
            stopped = [psutil.Process(nanny.pid), *psutil.Process(nanny.pid).children()]
            for process in stopped:
                process.suspend()
            time.sleep(TTL_S + 6)
            for process in stopped:
                process.resume()

    yield from disturbed(cluster, fault, rng, n)


def network(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Let nothing more through between a worker and its scheduler, while the line stays open."""
    for _ in range(n):
        cluster.stop()
        cluster.start()
        with proxy(cluster.port) as (port, cut):
            kill(cluster.workers[1].pid, with_children=True)
            cluster.workers.pop().wait()
            cluster.reached_at = port
            cluster.start()
            cluster.reached_at = 0
            yield from disturbed(cluster, partial(_cut, cut), rng, 1)
            cluster.stop()


def _cut(cut: threading.Event, _: int) -> None:
    cut.set()


def full_disk(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:
    """Fill the disk that workers write to, and keep it full."""
    if os.getuid() != 0:
        raise SystemExit("full disk: only root can mount a small file system")
    place, over = cluster.folder / "small-disk", threading.Event()
    place.mkdir(exist_ok=True)

    def fill() -> None:
        with (place / "filling").open("wb") as file:
            while not over.wait(0.01):
                with suppress(OSError):
                    while True:
                        file.write(bytes(2**12))  # a page: nothing is to fit any more
                        file.flush()

    cluster.stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], check=True)
    cluster.tmp = str(place)
    try:
        start = threading.Thread(target=fill, daemon=True).start
        yield from disturbed(cluster, lambda _: start(), rng, n)
    finally:
        over.set()
        cluster.stop()
        cluster.tmp = None
        subprocess.run(["umount", "-l", str(place)], check=False)


def hostile(cluster: Cluster, rng: random.Random, n: int) -> Iterator[Path]:  # noqa: ARG001
    """Run models that crash, hang, and eat memory: at moments of their own."""
    for _ in range(n):
        cluster.start()
        run, folder = started(cluster.folder, "hostile", cluster.address)
        run.wait(WAIT_S)
        yield folder


FAULTS: dict[str, Callable[[Cluster, random.Random, int], Iterator[Path]]] = {
    "worker": worker, "nanny": nanny, "scheduler": scheduler, "client": client,
    "local client": local_client, "pause": pause, "network": network, "full disk": full_disk,
    "hostile": hostile,
}  # fmt: skip


# -- runs ------------------------------------------------------------------------------------


def disturbed(
    cluster: Cluster,
    fault: Callable[[int], None],
    rng: random.Random,
    n: int,
    *,
    ends_run: bool = False,
    address: str = "",
) -> Iterator[Path]:
    """Run on a cluster, and let something happen at n random moments; yield each run's folder.

    Args:
        cluster: of it.
        fault: what happens, given the run's process.
        rng: chooses the moments.
        n: of them.
        ends_run: whether it ends the run, so that the next moment is of its resumption.
        address: in place of the cluster's.
    """
    done = 0
    while done < n:
        folder: Path | None = None
        while done < n and (folder is None or not is_whole(folder)):
            cluster.start()
            run, folder = started(cluster.folder, "small", address or cluster.address, folder)
            while done < n and wait_at_most(run, rng.uniform(0.5, 15 if ends_run else 5)):
                fault(run.pid)
                done += 1
                if ends_run:
                    break
            run.wait(WAIT_S)
        if folder is not None:
            yield folder


def wait_at_most(run: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait for a moment; return whether the run still goes on then."""
    with suppress(subprocess.TimeoutExpired):
        run.wait(seconds)
    return run.poll() is None


def started(
    place: Path, name: str, address: str, folder: Path | None = None
) -> "tuple[subprocess.Popen[bytes], Path]":
    """Start a run, or resume the one in a folder; return once it has a folder and has begun."""
    before = set((place / "results" / name).glob("2*"))
    what = [f"{name}.yaml"] if folder is None else ["--resume", str(folder)]
    command = [
        sys.executable, "-m", "gradbench", "run", *what, "--quiet",
        "--cluster", address, "--timeout", "10s",
    ]  # fmt: skip
    log = (place / "client.log").open("ab")
    run = subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True)
    if folder is not None:
        return run, folder
    until = time.monotonic() + WAIT_S
    while not (new := set((place / "results" / name).glob("2*")) - before):
        if run.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"no run began: see {place}/client.log")
        time.sleep(0.05)
    return run, new.pop()


def is_whole(folder: Path) -> bool:
    """Return whether a run has all of its cells."""
    run = store.outline(folder)
    return len(run.places) == planning.size(run.benchmark)


def is_broken(folder: Path) -> bool:
    """Return whether a run that should be calm has cells that crashed with their workers."""
    return folder.parent.name != "hostile" and any(s == "crashed" for s, _ in read(folder).values())


def finish(folder: Path) -> None:
    """Resume a run on this machine, and run again what was lost too often."""
    command = [sys.executable, "-m", "gradbench", "run", "--resume", str(folder), "--quiet"]
    command += ["--retry", "crashed"] if folder.parent.name != "hostile" else []
    done = subprocess.run(
        command, cwd=folder.parents[2], capture_output=True, timeout=WAIT_S, check=False
    )
    if done.returncode not in {0, 1}:
        print(done.stderr.decode(), file=sys.stderr)


def undisturbed(place: Path, name: str) -> Found:
    """Return what a run of this machine finds."""
    command = [sys.executable, "-m", "gradbench", "run", f"{name}.yaml", "--quiet"]
    subprocess.run(command, cwd=place, capture_output=True, timeout=WAIT_S, check=False)
    return read(max((place / "results" / name).glob("2*")))


def read(folder: Path) -> Found:
    """Return each cell's status and the fingerprint of its draws."""
    return {
        result.cell.place: (result.status, result.measured.fingerprint if result.measured else "")
        for result in store.read(folder).results
    }


def write_files(folder: Path) -> None:
    """Write configs, models and a sampler."""
    (folder / "rest.py").write_text(SAMPLER)
    (folder / "calm.py").write_text(MODEL.format(n=0, does="pass"))
    (folder / "small.yaml").write_text(CONFIG.format(name="small"))
    for name, does in HOSTILE.items():
        (folder / f"{name}.py").write_text(MODEL.format(n=600, does=does))
    models = "\n".join(f"  {name}: {{use: ./{name}.py}}" for name in HOSTILE)
    (folder / "hostile.yaml").write_text(HOSTILE_CONFIG.format(models=models))


# -- processes and lines ---------------------------------------------------------------------


def kill(pid: int, *, with_children: bool = False) -> None:
    """Send SIGKILL."""
    with suppress(psutil.Error, ProcessLookupError):
        children = psutil.Process(pid).children(recursive=True) if with_children else []
        os.kill(pid, signal.SIGKILL)
        for child in children:
            with suppress(psutil.Error):
                child.kill()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when something listens on a port."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("no scheduler")


@contextmanager
def proxy(port: int) -> "Iterator[tuple[int, threading.Event]]":
    """Give a port that leads to another one until the event is set; then nothing passes."""
    cut, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    ours, _ = server.accept()
                    theirs = socket.create_connection(("127.0.0.1", port))
                    threading.Thread(target=pass_on, args=(ours, theirs), daemon=True).start()

        def pass_on(ours: socket.socket, theirs: socket.socket) -> None:
            other = {ours: theirs, theirs: ours}
            while not over.is_set():
                if cut.is_set():
                    time.sleep(0.1)
                    continue
                ready, _, _ = select.select([ours, theirs], [], [], 0.5)
                for one in ready:
                    data = one.recv(2**16)
                    if not data:
                        ours.close()
                        theirs.close()
                        return
                    other[one].sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1]), cut
        finally:
            over.set()
            thread.join()


if __name__ == "__main__":
    main()
