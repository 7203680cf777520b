"""The shape of the house: who may import whom, what is in the wheel, and how fast it starts."""

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cli" / "gradbench"

# A folder, or a module beside the folders, imports only what stands before it.
ORDER = [
    "errors",
    "folders",
    "draws",
    "timing",
    "own_files",
    "records",
    "compat",
    "reference",
    "logdensity",
    "implicit",
    "stan",
    "posteriordb",
    "target",
    "models",
    "sampler",
    "plain",
    "samplers",
    "exact",
    "gradients",
    "studies",
    "stats",
    "config",
    "measure",
    "results",
    "references",
    "testing",
    "choose",
    "gate",
    "elsewhere",
    "cluster",
    "show",
    "report",
    "api",
    "cli",
]


def layer(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield the layers of gradbench that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradbench"):
            parts = str(node.module).split(".")
            if len(parts) > 1:
                yield parts[1]
            else:
                yield from (name.name for name in node.names if name.name in ORDER)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_go_one_way(path: Path) -> None:
    """Every module imports only what stands before it in the way of the data."""
    own = layer(path)
    if own.startswith("__"):
        return
    for other in imports(path):
        if other != own:
            assert ORDER.index(other) < ORDER.index(own), f"{own} imports {other}"


@pytest.mark.parametrize(
    ("library", "homes"),
    [("rich", {"show"}), ("arviz", {"compat"}), ("emcee", {"samplers", "elsewhere"})],
)
def test_libraries_have_their_homes(library: str, homes: set[str]) -> None:
    """Each of these libraries is imported in its places only: emcee where it runs and is read."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == library for name in names):
                assert layer(path) in homes, path


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_starts_light(flag: str) -> None:
    """Help and version import none of the heavy libraries."""
    code = (
        "import sys\nfrom gradbench.cli import main\n"
        f"try:\n    main(['{flag}'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'pymc', 'arviz', 'pandas', 'numpy', 'rich', 'pydantic', 'emcee'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_options_are_read_without_their_libraries() -> None:
    """Every sampler's options and summary can be had before PyMC or its own library is imported."""
    code = (
        "import sys\nfrom gradbench import samplers\n"
        "found = [samplers.load(name) for name in samplers.names()]\n"
        "assert len(found) > 15\n"
        "heavy = {'pymc', 'pytensor', 'arviz', 'jax', 'emcee', 'dynesty', 'zeus', 'nutpie'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_wheel_holds_the_tree(tmp_path: Path) -> None:
    """The wheel holds the package, every model and every config, and nothing else."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    tree = {
        str(path.relative_to(ROOT / "cli"))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for folder in ("models", "configs"):
        tree |= {
            f"gradbench/{path.relative_to(ROOT)}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert held == tree
