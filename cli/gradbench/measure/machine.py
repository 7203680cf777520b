"""What a run ran on: processor, memory, threads, versions and load."""

import hashlib
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gradbench import __version__

PACKAGES = (
    "numpy",
    "scipy",
    "pymc",
    "pytensor",
    "arviz",
    "emcee",
    "numba",
    "nutpie",
    "jax",
    "jaxlib",
    "numpyro",
    "blackjax",
    "zeus-mcmc",
    "pystan",
    "httpstan",
    "dynesty",
)

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "NPROC",  # XLA's pools on the CPU: the flags often named for this change nothing
)


def describe() -> dict[str, Any]:
    """Return the machine and the versions a run is stored with."""
    import psutil

    return {
        "host": _host(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {
            "gradbench": __version__,
            **{name: version for name in PACKAGES if (version := _version(name))},
        },
    }


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Return the versions of the distributions that these libraries are from, by name.

    Most have their library's name; to look for the others takes half a second.
    """
    found = {name: version for name in libraries if (version := _version(name))}
    if missing := [library for library in libraries if library not in found]:
        installed = metadata.packages_distributions()
        names = [name for library in missing for name in installed.get(library, ())]
        found |= {name: metadata.version(name) for name in names}
    return found


def load() -> float:
    """Return the one-minute load average: how busy the machine was with other things, too."""
    return os.getloadavg()[0]


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker, its thread pools fixed before anything is imported."""
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONHASHSEED": "0",
    }


def thread_pools() -> dict[str, int]:
    """Return the thread pools this process has loaded, by library, with their sizes."""
    from threadpoolctl import threadpool_info

    return {pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}


def start_peak_memory() -> None:
    """Forget this process's peak memory so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Return this process's peak resident memory since ``start_peak_memory``, or since birth."""
    import resource

    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_bytes(pid: int | None = None) -> int:
    """Return a process's memory, what it shares with others by its share; 0 once it has ended.

    Args:
        pid: the process; None for this one.
    """
    import psutil

    try:
        info = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(info, "pss", info.rss))


def resident_bytes(pid: int | None = None) -> int:
    """Return a process's memory, all of it that it shares included: more, but quickly had."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def free_memory_bytes() -> int:
    """Return the memory that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def total_memory_bytes() -> int:
    """Return the memory that the machine has."""
    import psutil

    return int(psutil.virtual_memory().total)


def _host() -> str:
    """Return eight digits that tell this machine from others, and say nothing else of it."""
    try:
        known = Path("/etc/machine-id").read_text()
    except OSError:
        known = ""
    return hashlib.sha256(f"{platform.node()} {known}".encode()).hexdigest()[:8]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
