"""``gradbench list``: what there is, as a user reads it."""

import subprocess
from collections.abc import Callable

import pytest
import yaml

from gradbench import models, samplers
from gradbench.config import loading

Gradbench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("what", "names"),
    [("samplers", samplers.names()), ("models", models.names()), ("configs", loading.names())],
)
def test_everything_is_listed(what: str, names: list[str], gradbench: Gradbench) -> None:
    """Each sampler, model and config has its line, within the width of a pipe."""
    shown = gradbench("list", what)
    assert shown.returncode == 0, shown.stderr
    first_words = [line.split(" ")[0] for line in shown.stdout.splitlines()]
    assert set(names) <= set(first_words)
    assert max(map(len, shown.stdout.splitlines())) <= 100


@pytest.mark.parametrize("name", samplers.names())
def test_a_samplers_example_is_a_config(name: str, gradbench: Gradbench) -> None:
    """Every option is explained, and the example stands in a config as it is printed."""
    shown = gradbench("list", "samplers", name).stdout
    options = samplers.load(name).options
    for option in options.model_fields:
        assert f"\n{option} " in shown
    example = yaml.safe_load(shown[shown.index("samplers:") :])["samplers"]["mine"]
    assert example.pop("use") == name
    options(**example)


def test_an_unknown_sampler_is_told(gradbench: Gradbench) -> None:
    """A misspelt name is one message with what was meant, and exit code 2."""
    done = gradbench("list", "samplers", "emce")
    assert done.returncode == 2
    assert "did you mean 'emcee'?" in done.stderr
