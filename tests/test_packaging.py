"""What is installed is this project: its name on PyPI is not that of its command."""

import re
import tomllib
from pathlib import Path

import yaml

from gradbench import __version__
from gradbench.errors import DISTRIBUTION, pip_install

ROOT = Path(__file__).parents[1]
SOURCES = ("cli/**/*.py", "docs/**/*.md", "*.md", "action.yml", ".github/**/*")
OWN = re.compile(r"""pip install (?:-\S+ )*["']?gradbench(?!-mcmc)\b""")


def test_every_command_that_installs_it_says_its_name() -> None:
    """No message, page or workflow installs the package that is called gradbench on PyPI."""
    files = [path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()]
    assert len(files) > 50
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files
        for found in OWN.finditer(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_a_wrong_command_would_be_found() -> None:
    """The search finds each of the forms that such a command takes."""
    for command in ("gradbench", '"gradbench[jax]"', "gradbench==0.1.0", 'gradbench "pymc==6"'):
        assert OWN.search(f"pip install {command}"), command
    assert not OWN.search(pip_install("jax"))


def test_the_project_has_the_name_that_messages_say() -> None:
    """pyproject.toml's name is that of the messages, and each extra in them exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    extras = set(project["optional-dependencies"])
    named = re.compile(re.escape(DISTRIBUTION) + r"\[([\w,]+)\]")
    texts = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    texts += [(ROOT / "README.md").read_text(), *project["optional-dependencies"]["all"]]
    used = {extra for text in texts for found in named.findall(text) for extra in found.split(",")}
    assert used
    assert used <= extras


def test_the_citation_is_of_this_version() -> None:
    """CITATION.cff names the version that is installed."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == __version__
