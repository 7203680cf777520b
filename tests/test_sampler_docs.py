"""What docs/samplers-own.md promises: names that stay, examples that run, a package to install."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import models, samplers, testing
from gradbench import sampler as public
from gradbench.measure.check_sampler import promises
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = DOCS / "examples" / "sampler-package"
ADAPTERS = sorted((DOCS / "examples" / "samplers").glob("*.py"))
PAGE = (DOCS / "samplers-own.md").read_text()
BLOCKS = [
    text
    for text in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    if "class Options" in text
]

# What a sampler's file may rely on: changing it breaks files that are not here.
SIGNATURES = {
    "Built.gradient": "(self, points)",
    "Built.logdensity": "(self, points)",
    "Built.reaches": "(self, points)",
    "Built.rehearse": "(self, start)",
    "Built.sample": "(self, start, *, seed, stopwatch)",
    "Draws": "(values, groups, evaluations, stats, acceptance_rate, is_approximate, weights,"
    " families, log_evidence)",
    "Evaluations": "(n_logp_warmup, n_logp_sampling, n_grad_warmup, n_grad_sampling)",
    "OfAnyLength.run": "(self, start, *, tune, draws, seed, stopwatch)",
    "Sampler": "(use, summary, options, build, unsuited, uses_gradient, libraries, install, extra,"
    " detuned, call)",
    "Stopwatch.start": "(self, phase)",
    "Stopwatch.stop": "(self)",
    "Target.logdensity": "(self, x)",
    "Target.logdensity_and_gradient": "(self, x)",
    "Target.logdensity_batch": "(self, points)",
}


def test_the_public_names_stay() -> None:
    """The module has the names that the page lists, and no others."""
    listed = PAGE[PAGE.index("is in `gradbench.sampler`:") : PAGE.index("These names and what")]
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(public.__all__)
    assert testing.__all__ == ["Contract", "check_sampler"]


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_stay(name: str) -> None:
    """Whoever wrote a sampler's file against them finds them as they were."""
    found: Any = public
    for part in name.split("."):
        found = getattr(found, part)
    bare = [
        parameter.replace(annotation=parameter.empty, default=parameter.empty)
        for parameter in inspect.signature(found).parameters.values()
    ]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_the_options_stay() -> None:
    """Every sampler has these, with these defaults."""
    assert public.Options().model_dump() == {"tune": 1000, "draws": 1000, "backend": "default"}


def test_the_pages_sampler_is_the_templates() -> None:
    """The template package has the very file that the page shows."""
    assert BLOCKS[0] == (PACKAGE / "src" / "walkers" / "random_walk.py").read_text()
    assert len(BLOCKS[0].splitlines()) < 40


def small() -> Target:
    source = models.find("correlated_gaussian", Path())
    return Target(*models.load(source, {"dim": 3, "rho": 0.5}), mode="FAST_COMPILE")


@pytest.mark.slow
@pytest.mark.parametrize("i", range(len(BLOCKS)))
def test_the_pages_samplers_keep_their_promises(i: int, tmp_path: Path) -> None:
    """Each sampler that the page shows is complete, and keeps every promise."""
    path = tmp_path / "my_sampler.py"
    path.write_text(BLOCKS[i])
    if (remedy := samplers.remedy(str(path))) is not None:
        pytest.skip(remedy)
    sampler = samplers.load(str(path))
    found = promises(sampler, small(), sampler.options())
    assert {line.name: line.reason for line in found if line.outcome == "failed"} == {}


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_adapters_are_short(path: Path) -> None:
    """A sampler of another library takes at most 60 lines, and says how to install it."""
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert "pip install" in text


@pytest.mark.slow
@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_adapters_work(path: Path) -> None:
    """Where the library is installed, its promises are kept and its moments right."""
    if (remedy := samplers.remedy(str(path))) is not None:
        pytest.skip(remedy)
    target, sampler = small(), samplers.load(str(path))
    options = sampler.options()
    found = promises(sampler, target, options)
    assert {line.name: line.reason for line in found if line.outcome == "failed"} == {}
    start = target.initial(np.random.default_rng(0), options.n_starts)
    drawn = sampler.build(target, options).sample(start, seed=1, stopwatch=Stopwatch())
    values = drawn.values.reshape(-1, 3)
    assert np.average(values, axis=0, weights=drawn.weights) == pytest.approx([0, 0, 0], abs=0.2)
    covariance = np.cov(values.T, aweights=drawn.weights)
    assert covariance[0] == pytest.approx([1, 0.5, 0.25], abs=0.2)


@pytest.mark.slow
def test_the_template_installs_and_is_offered(
    tmp_path: Path, gradbench: Callable[..., Any]
) -> None:
    """Its entry point is listed with its version, its config is read, and its own test passes."""
    site = tmp_path / "site"
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", *offline]
    subprocess.run([*pip, "--target", site, PACKAGE], check=True, capture_output=True)
    env = {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    listed = gradbench("list", "samplers", env=env).stdout
    assert re.search(r"walkers:random_walk +0\.1\.0", listed)
    planned = gradbench("run", PACKAGE / "configs" / "gate.yaml", "--dry-run", env=env)
    assert planned.returncode == 0, planned.stderr
    assert "10 cells; nothing was run" in planned.stdout
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "tests"],
        cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
