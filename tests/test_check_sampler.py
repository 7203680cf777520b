"""The check of a sampler catches what is planted in one, and lets a right one pass."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gradbench import compat, models, samplers, testing
from gradbench.config import loading, planning
from gradbench.config.benchmark import Gates
from gradbench.config.planning import Cell
from gradbench.measure import statuses
from gradbench.measure.check_sampler import Line, promises
from gradbench.measure.result import CellResult, Measured
from gradbench.measure.worker import Session
from gradbench.results import check_sampler
from gradbench.results.check_sampler import LABEL, MODELS, Contract, Effort, Replicates, of_model
from gradbench.sampler import Sampler
from gradbench.target.target import Target

RIGHT = """
import numpy as np
from gradbench.sampler import Draws, Evaluations, Options as Base, Built

class Options(Base):
    chains: int = 2

def sample(density, start, options, rng, clock):
    kept = np.empty((options.chains, options.draws, density.ndim))
    for chain, x in enumerate(start):
        clock.warmup()
        scale, here = 1.0, density(x)
        for i in range(-options.tune, options.draws):
            if i == 0:
                clock.sampling()
            y = x + scale * rng.standard_normal(len(x))
            ratio = (there := density(y)) - here
            is_accepted = np.log(rng.uniform()) < ratio
            if is_accepted:
                x, here = y, there
            if i < 0:
                scale *= np.exp((is_accepted - 0.3) / np.sqrt(i + options.tune + 1))
            else:
                kept[chain, i] = x
    return kept
"""
COMPILED = (
    RIGHT.replace("def sample(", "def walk(")
    + """
def build(target, options):
    return Mine(target, options)

class Mine(Built):
    def __init__(self, target, options):
        self.target, self.options = target, options

    def value(self, x):
        return self.target.logdensity(x)

    def logdensity(self, points):
        return np.array([self.value(x) for x in points])

    def sample(self, start, *, seed, stopwatch):
        n = {"warmup": 0, "sampling": 0}
        class Clock:
            phase = "warmup"
            def warmup(self): self.phase = "warmup"; stopwatch.start("warmup")
            def sampling(self): self.phase = "sampling"; stopwatch.start("sampling")
        clock = Clock()
        def density(x):
            n[clock.phase] += 1
            return self.value(x)
        density.ndim = self.target.ndim
        kept = walk(density, start, self.options, np.random.default_rng(seed), clock)
        stopwatch.stop()
        return Draws(kept, np.arange(len(kept)), Evaluations(n["warmup"], n["sampling"]))
"""
)

FAULTS: dict[str, tuple[str, str, str, str, str]] = {
    "a missing Jacobian": (
        COMPILED,
        "return self.target.logdensity(x)",
        "return self.target.logdensity(x) - x.sum()",
        "log-density",
        "differs from the model's by more than a constant",
    ),
    "a count that forgets rejected proposals": (
        COMPILED,
        "return Draws(kept, np.arange(len(kept)), Evaluations(n[\"warmup\"], n[\"sampling\"]))",
        "moves = int((np.diff(kept[..., 0]) != 0).sum())\n"
        "        return Draws(kept, np.arange(len(kept)), Evaluations(n['warmup'], moves))",
        "counts",
        "the density was called",
    ),
    "evaluations that are not counted": (
        RIGHT, "ratio = (there := density(y))", "ratio = (there := density.target.logdensity(y))",
        "counts", "the density was called",
    ),
    "a seed ignored": (
        RIGHT, "scale, here = 1.0", "rng = np.random.default_rng(1); scale, here = 1.0",
        "seed", "the seed is ignored",
    ),
    "a seed that isn't all": (
        RIGHT, "rng.standard_normal(len(x))", "np.random.default_rng().standard_normal(len(x))",
        "seed", "the same seed gave other draws",
    ),
    "a global generator": (
        RIGHT, "rng.uniform()", "np.random.uniform()",
        "random state", "NumPy's global generator",
    ),
    "draws that share memory with each other": (
        RIGHT.replace("kept = np.empty(", "kept = [[0] * options.draws for _ in start]; np.empty(")
        .replace("kept[chain, i] = x", "kept[chain][i] = x"),
        "x, here = y, there", "here = there; x[:] = y",
        "draws", "each kept draw must be a copy",
    ),
    "draws that share memory with the state": (
        COMPILED.replace("import numpy as np", "import numpy as np\nstate = {}"),
        "kept = np.empty((options.chains, options.draws, density.ndim))",
        "shape = (options.chains, options.draws, density.ndim)\n"
        "    kept = state.setdefault(shape, np.empty(shape))",
        "memory", "share memory with its state",
    ),
    "starting points changed in place": (
        COMPILED, "x, here = y, there", "here = there; x[:] = y",
        "starts", "begin with a copy",
    ),
    "all draws, warm-up and kept": (
        RIGHT.replace("options.draws, density.ndim", "options.tune + options.draws, density.ndim"),
        "            else:\n                kept[chain, i] = x",
        "            kept[chain, i + options.tune] = x",
        "draws", "it kept 300 draws of a chain; draws is 100",
    ),
    "warm-up draws left in": (
        RIGHT.replace("options.draws, density.ndim", "options.tune + options.draws, density.ndim"),
        "            else:\n                kept[chain, i] = x\n    return kept",
        "            kept[chain, i + options.tune] = x\n    return kept[:, :options.draws]",
        "warm-up", "warm-up draws are among those kept",
    ),
    "half of the work outside the phases": (
        COMPILED, "n = {", "sum(range(3 * 10**7)); n = {",
        "phases", "lie outside the phases",
    ),
    "sampling called warm-up": (
        COMPILED, "stopwatch.start(\"sampling\")", "pass",
        "phases", "never starts the phase 'sampling'",
    ),
    **{
        f"a step adapted all through sampling, by {gain}": (
            RIGHT.replace("if i < 0:", "if True:", 1).replace("else:", "if i >= 0:"),
            "/ np.sqrt(i + options.tune + 1)", gain,
            "adaptation", "it adapts in sampling",
        )
        for gain in ("* 1.0", "* 0.03", "/ np.sqrt(i + options.tune + 1) ")
    },
    "gradients not said": (
        RIGHT, "ratio = (there := density(y))",
        "density.target.logdensity_and_gradient(y); ratio = (there := density(y))",
        "counts", "the density was called",
    ),
}  # fmt: skip

WRONG_MOMENTS = {
    "a Metropolis rule without its Hastings term": (
        "y = x + scale * rng.standard_normal(len(x))",
        "y = x + scale * np.exp(0.3 * x[0]) * rng.standard_normal(len(x))",
    ),
    "a proposal that never rejects": (
        "is_accepted = np.log(rng.uniform()) < ratio", "rng.uniform(); is_accepted = True",
    ),
    "a Jacobian of the sampler's own left out": (
        "y = x + scale * rng.standard_normal(len(x))",
        "y = np.sinh(np.arcsinh(x) + scale * rng.standard_normal(len(x)))",
    ),
    "a temperature": ("< ratio", "< 0.8 * ratio"),
}  # fmt: skip

GATES = Gates(ess=check_sampler.ESS)


@cache
def target(use: str = "constrained") -> Target:
    return Target(*models.load(models.find(use, Path()), {}), mode=compat.mode("c"))


def loaded(body: str, folder: Path) -> Sampler:
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(body))
    return samplers.load(str(path))


def lines(body: str, folder: Path) -> dict[str, Line]:
    """Return what becomes of each promise of a sampler on the constrained model."""
    sampler = loaded(body, folder)
    return {line.name: line for line in promises(sampler, target(), sampler.options(tune=200))}


@pytest.mark.slow
@pytest.mark.parametrize("body", [RIGHT, COMPILED], ids=["plain", "compiled"])
def test_a_right_sampler_keeps_every_promise(body: str, tmp_path: Path) -> None:
    """In both shapes no line fails, and only the gradient, which it has not, is left out."""
    found = lines(body, tmp_path)
    assert {name: line.reason for name, line in found.items() if line.outcome == "failed"} == {}
    assert [name for name, line in found.items() if line.outcome == "skipped"] == ["gradient"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, tmp_path: Path) -> None:
    """It is told in the line of the promise that it breaks, with its reason."""
    body, place, planted, name, reason = FAULTS[fault]
    assert place in body, "there is something to replace"
    found = lines(body.replace(place, planted), tmp_path)
    assert found[name].outcome == "failed", found
    assert reason in found[name].reason


def test_what_cant_run_is_one_line(tmp_path: Path) -> None:
    """A sampler that raises has one line, and nothing else is asked of it."""
    found = lines(RIGHT.replace("kept = np", "raise KeyError('gone'); kept = np"), tmp_path)
    assert list(found.values()) == [Line("runs", "failed", "KeyError: 'gone'")]


class Here:
    """Runs a sampler's cells in this process."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(self, cells: Sequence[Cell], *, stays_warm: bool = False) -> Iterator[CellResult]:
        assert stays_warm
        for cell in cells:
            if self._session is None:
                self._session = Session()
                self._session.build(cell.to_json())
            measured = Measured.from_json(self._session.sample(cell.to_json(), None))
            yield CellResult(cell, *statuses.status_of(measured, GATES), measured)


def judged(body: str, label: str, folder: Path) -> tuple[Line, bool | None]:
    """Return a model's line, and whether a wrong reference would be found."""
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(body))
    text = {
        "name": "check",
        "models": {label: dict(MODELS[label])},
        "samplers": {LABEL: {"use": str(path), "tune": 500, "draws": 3000}},
        "replicates": 100,
    }
    benchmark = loading.read(yaml.safe_dump(text), "check", folder)
    cells = planning.cells(benchmark)
    effort = Effort(n_pilot=1, n_first=6, n_most=12, n_lengths=2)
    return of_model(label, Replicates(Here(), cells), GATES, effort)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["funnel", "heavy-tailed"])
def test_right_moments_pass(label: str, tmp_path: Path) -> None:
    """A correct sampler's moments are right, where a wrong reference would be found."""
    line, is_seen = judged(RIGHT, label, tmp_path)
    assert line.outcome == "passed", line
    assert is_seen


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG_MOMENTS)
def test_wrong_moments_are_caught(fault: str, tmp_path: Path) -> None:
    """What only the distribution of draws can show is told on one of the models at least."""
    place, planted = WRONG_MOMENTS[fault]
    assert place in RIGHT, "there is something to replace"
    body = RIGHT.replace(place, planted)
    found = (judged(body, label, tmp_path)[0] for label in ("heavy-tailed", "funnel"))
    assert any(line.outcome == "failed" for line in found)


class TestTesting:
    """``gradbench.testing``, with the check itself replaced."""

    @pytest.fixture(autouse=True)
    def contract(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every sampler keep one promise and break another."""
        found = Contract("mine", {}, (Line("seed", "passed"), Line("counts", "failed", "by 3")))
        monkeypatch.setattr(testing, "check", lambda *_, **__: found)

    def test_a_broken_promise_fails(self) -> None:
        """The message has the promise and the reason."""
        with pytest.raises(AssertionError, match="counts: by 3"):
            testing.check_sampler("mine")

    def test_what_is_expected_may_fail(self) -> None:
        """With a reason, and only while it does fail."""
        testing.check_sampler("mine", expected_failures={"counts": "the library hides some"})
        expected = {"counts": "the library hides some", "seed": "none"}
        with pytest.raises(AssertionError, match="seed: is kept, and was expected not to be"):
            testing.check_sampler("mine", expected_failures=expected)

    @pytest.mark.parametrize("expected", [{"sed": "a reason"}, {"counts": " "}])
    def test_an_expectation_is_a_promise_and_a_reason(self, expected: dict[str, str]) -> None:
        """A misspelt promise, or one without a reason, is no expectation."""
        with pytest.raises(ValueError, match="expected_failures: "):
            testing.check_sampler("mine", expected_failures=expected)


def test_what_the_dimension_decides_is_filled_in() -> None:
    """An ensemble at its defaults, whose number of walkers no user gave, keeps every promise."""
    emcee = samplers.load("emcee")
    found = promises(emcee, target(), emcee.options())
    assert {line.name: line.reason for line in found if line.outcome == "failed"} == {}


@pytest.mark.slow
def test_the_command_tells_all(
    gradbench: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    """A wrong sampler is a table with the reason, and exit code 1; an option of it can be set."""
    wrong = RIGHT.replace("rng.uniform()", "np.random.uniform()")
    (tmp_path / "mine.py").write_text(textwrap.dedent(wrong))
    model_file("def model():\n    with pm.Model() as m:\n        pm.Normal('x')\n    return m")
    options = ("--model", "./my_model.py", "--quick", "--option", "tune=300")
    done = gradbench("check-sampler", "./mine.py", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NumPy's global generator" in done.stdout
    assert "tune=300" in done.stdout
    done = gradbench("check-sampler", "./mine.py", "--option", "tun=300")
    assert done.returncode == 2
    assert "tun: unknown key" in done.stderr


def test_the_control_is_of_all_parameters() -> None:
    """Every model that is looked at by default knows all its moments, squares too."""
    for entry in MODELS.values():
        source = models.find(entry["use"], Path())
        known = Target(*models.load(source, entry.get("params", {})), mode="FAST_COMPILE").reference
        assert known is not None
        assert np.isfinite(known.mean).all()
        assert np.isfinite(known.square_sd).all()
    assert check_sampler.QUICK.n_first < check_sampler.FULL.n_first
