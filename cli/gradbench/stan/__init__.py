"""Stan programs: compiled with the compiler, headers and libraries that httpstan's wheel carries.

httpstan's own extension makes the model anew at every evaluation, and tells neither how many
evaluations a run took nor when warm-up ended; ``bridge.cpp`` calls the same algorithms and does.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from gradbench.errors import ModelError, pip_install

BRIDGE = Path(__file__).with_name("bridge.cpp")
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-w",
    "-DBOOST_DISABLE_ASSERTS",
    "-DBOOST_PHOENIX_NO_VARIADIC_EXPRESSION",
    "-DSTAN_THREADS",
    "-D_REENTRANT",
    "-D_GLIBCXX_USE_CXX11_ABI=0",
)  # httpstan's, for what it links with
UNCONSTRAINED = "unconstrained_vector__"  # PyMC shows no variable whose name ends like this
LIBRARIES = ("sundials_cvodes", "sundials_idas", "sundials_nvecserial", "tbb")


@dataclass(frozen=True, slots=True)
class StanProgram:
    """What a model's ``stan(**params)`` returns.

    Attributes:
        code: the program; its parameters have the names and shapes of the PyMC model's.
        data: by name: numbers, or (nested) sequences or arrays of them.
    """

    code: str
    data: Mapping[str, Any]


def load(program: StanProgram) -> Any:
    """Return the program with its data, compiled: ``bridge.cpp``'s ``Program``.

    The bridge takes most of a minute to compile, once for each httpstan; a program takes half a
    minute, once for its text.

    Raises:
        ModelError: it can't be compiled, or doesn't take its data.
    """
    from filelock import FileLock

    if importlib.util.find_spec("httpstan") is None:
        raise ModelError(f"a Stan program needs httpstan: {pip_install('stan')}")
    code = program.code.encode()
    folder = _cache() / sha256(code).hexdigest()[:16]
    library = folder / "bridge.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(_cache() / "lock"):
            if not library.exists():
                _build(code, library)
    spec = importlib.util.spec_from_file_location("bridge", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.Program(to_json(program.data))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the Stan program doesn't take its data: {error}") from error


def to_json(values: Mapping[str, Any]) -> str:
    """Return data or parameters as Stan reads them; arrays become nested lists."""
    return json.dumps(values, default=lambda value: value.tolist())


def _home() -> Path:
    spec = importlib.util.find_spec("httpstan")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def _cache() -> Path:
    """Return the folder of what this Python, this httpstan and this bridge compile."""
    from platformdirs import user_cache_path

    versions = f"httpstan-{metadata.version('httpstan')}-{sys.implementation.cache_tag}"
    told = f"{sys.executable}{_home()}".encode() + BRIDGE.read_bytes()
    return user_cache_path("gradbench") / "stan" / f"{versions}-{sha256(told).hexdigest()[:8]}"


def _build(code: bytes, library: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise ModelError("a Stan program needs a C++ compiler (g++), and there is none")
    home = _home()
    with tempfile.TemporaryDirectory() as scratch:
        stan, cpp = Path(scratch, "program.stan"), Path(scratch, "program.cpp")
        stan.write_bytes(code)
        translated = _run([home / "stanc", "--name", "program", "--print-cpp", stan])
        cpp.write_text(translated)
        bridge = _cache() / "bridge.o"
        if not bridge.exists():
            _compile(compiler, BRIDGE, Path(scratch, "bridge.o"))
            shutil.move(Path(scratch, "bridge.o"), bridge)
        program = Path(scratch, "program.o")
        _compile(compiler, cpp, program)
        linked = Path(scratch, "bridge.so")
        libraries = [f"-l{name}" for name in LIBRARIES]
        where = [f"-L{home / 'lib'}", *libraries, f"-Wl,-rpath,{home / 'lib'}"]
        _run([compiler, "-shared", bridge, program, "-o", linked, *where])
        shutil.move(linked, library)


def _compile(compiler: str, source: Path, output: Path) -> None:
    include = [_home() / "include", sysconfig.get_paths()["include"]]
    _run([compiler, *FLAGS, *(f"-I{at}" for at in include), "-c", source, "-o", output])


def _run(command: Sequence[str | Path]) -> str:
    """Return what a command prints.

    Raises:
        ModelError: it fails; with the first lines of what it complains of.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip("- ")]
        raise ModelError(f"the Stan program can't be compiled: {' '.join(lines[:6])}")
    return done.stdout
