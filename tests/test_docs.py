"""What README and docs tell a reader to type is what the command line and the configs take."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from gradbench.cli import gradbench
from gradbench.config import loading
from gradbench.errors import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(*kinds: str) -> Iterator[tuple[str, str]]:
    """Yield every fenced block of these kinds, with a name for it."""
    for page in PAGES:
        found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for i, (kind, text) in enumerate(found):
            if kind in kinds:
                yield f"{page.name}-{i}", text


def commands() -> Iterator[tuple[str, str]]:
    """Yield the words after ``gradbench`` of each command in a block, a name before them."""
    for name, text in blocks("sh", "bash", "text", "yaml"):
        for line in text.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:\$ |\s*- run: )?gradbench (.*)", line):
                yield name, match[1]


COMMANDS = [*commands()]
CONFIGS = [(name, text) for name, text in blocks("yaml") if re.search(r"^samplers:", text, re.M)]


def test_there_is_something_to_check() -> None:
    """The pages have commands and configs, and each page is looked at."""
    assert len(COMMANDS) > 20
    assert len(CONFIGS) >= 1


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{n}-{c}"[:70] for n, c in COMMANDS])
def test_commands_are_real(page: str, line: str) -> None:
    """Every command that a page shows exists, and has the options that it is given."""
    words = shlex.split(line, comments=True)
    command: click.Command = gradbench
    context = click.Context(gradbench)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{page}: there is no gradbench {name}"
        command = found
        context = click.Context(command, parent=context)
    known = {option for p in command.get_params(context) for option in p.opts}
    given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{page}: {line}"


@pytest.mark.parametrize(("page", "text"), CONFIGS, ids=[name for name, _ in CONFIGS])
def test_configs_are_read(page: str, text: str, tmp_path: Path) -> None:
    """Every config that a page shows is one, but for files that a reader is to have."""
    plain = yaml.safe_load(text)
    for section in ("models", "samplers"):
        if section not in plain:
            pytest.skip("a part of a config")
    bodies = {"models": "def model(**params): ...\n", "samplers": "def sample(*_): ...\n"}
    for section, body in bodies.items():
        for entry in plain[section].values():
            if isinstance(entry, dict) and str(entry.get("use", "")).startswith("./"):
                (tmp_path / entry["use"]).write_text(body)
    try:
        loading.read(text, page, tmp_path)
    except ConfigError as error:
        pytest.fail(f"{page}: {error}")
