"""Stan programs: compiled with the compiler, headers and libraries that httpstan's wheel carries.

httpstan's own extension makes the model anew at every evaluation, and tells neither how many
evaluations a run took nor when warm-up ended; ``bridge.cpp`` calls the same algorithms and does.
"""

import importlib.util
import json
import os
import re
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

import numpy as np

from gradbench.draws import IntArray
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
INCLUDE = re.compile(r"""#include\s+["'<]?([^\s"'<>]+)""")
COMPLEX = {"real": 0, "imag": 1}
LIBRARIES = ("sundials_cvodes", "sundials_idas", "sundials_nvecserial", "tbb")


@dataclass(frozen=True, slots=True)
class StanProgram:
    """What a model's ``stan(**params)`` returns.

    Attributes:
        code: the program; its parameters have the names and shapes of the PyMC model's.
        data: by name: numbers, or (nested) sequences or arrays of them.
        folder: where ``#include`` finds files; that of the model's file if None.
    """

    code: str
    data: Mapping[str, Any]
    folder: Path | None = None


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
    parts = [path.read_bytes() for path in included(program.code, program.folder)]
    folder = _cache() / sha256(b"".join([code, *parts])).hexdigest()[:16]
    library = folder / "bridge.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(_cache() / "lock"):
            if not library.exists():
                _build(code, program.folder, library)
    spec = importlib.util.spec_from_file_location("bridge", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.Program(to_json(program.data))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the Stan program doesn't take its data: {error}") from error


def included(code: str, folder: Path | None) -> list[Path]:
    """Return the files that ``#include`` names in a program or in what it includes, once each.

    One that isn't there is left out: it may be in a comment, and the compiler says what it misses.
    """
    found: list[Path] = []
    texts = [code] if folder else []
    while texts:
        for name in INCLUDE.findall(texts.pop(0)):
            path = Path(folder or "", name)
            if path not in found and path.is_file():
                found.append(path)
                texts.append(path.read_text(errors="replace"))
    return found


def places(compiled: Any) -> dict[str, IntArray]:
    """Return where every value of a program's parameters stands in what it constrains, by name.

    Transformed parameters are among them. A tuple's parts are variables of their own (``t.1``), and
    a complex number's last axis has its real and its imaginary part.
    """
    found = {
        name: np.zeros(tuple(shape), dtype=np.int64)
        for name, shape in zip(compiled.names(True), compiled.dims(True), strict=True)
    }
    for at, scalar in enumerate(compiled.scalars(True)):
        parts = re.findall(r"([.:]?)([^.:]+)", scalar)  # ta.1:2.3 is element 3 of part 2 of ta[1]
        name = ".".join(word for mark, word in parts if mark != ".")
        index = [
            COMPLEX[word] if word in COMPLEX else int(word) - 1
            for mark, word in parts
            if mark == "."
        ]
        found[name][tuple(index)] = at
    return found


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


def _build(code: bytes, folder: Path | None, library: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise ModelError("a Stan program needs a C++ compiler (g++), and there is none")
    home = _home()
    with tempfile.TemporaryDirectory() as scratch:
        stan, cpp = Path(scratch, "program.stan"), Path(scratch, "program.cpp")
        stan.write_bytes(code)
        paths = ["--include-paths=."] if folder else []  # a comma in its name would split it
        command: list[str | Path] = [
            home / "stanc",
            "--name",
            "program",
            "--print-cpp",
            *paths,
            stan,
        ]
        translated = _run(command, cwd=folder)
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


def _run(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Return what a command prints.

    Raises:
        ModelError: it fails; with the first lines of what it complains of.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip("- ")]
        raise ModelError(f"the Stan program can't be compiled: {' '.join(lines[:6])}")
    return done.stdout
