"""Samplers of one's own: a file, a package's entry point, and what is said of bad ones."""

import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import plain, samplers
from gradbench.draws import Draws, Evaluations
from gradbench.errors import SamplerError
from gradbench.results import store
from gradbench.sampler import Options, Stopwatch, Target
from gradbench.samplers._asked import ask

Write = Callable[..., Path]
Gradbench = Callable[..., subprocess.CompletedProcess[str]]
Installed = Callable[..., dict[str, str]]

METROPOLIS = '''
"""Random-walk Metropolis, its scale adapted in warm-up."""
import numpy as np
from gradbench.sampler import Field, Options as Base

class Options(Base):
    chains: int = Field(2, ge=1, description="independent chains")
    step: float = Field(0.5, gt=0, description="scale of the first proposals")

def sample(density, start, options, rng, clock):
    kept = np.empty((options.chains, options.draws, density.ndim))
    for chain, x in enumerate(start):
        clock.warmup()
        scale, here = options.step, density(x)
        for i in range(-options.tune, options.draws):
            if i == 0:
                clock.sampling()
            proposal = x + scale * rng.standard_normal(len(x))
            there = density(proposal)
            is_accepted = np.log(rng.uniform()) < there - here
            if is_accepted:
                x, here = proposal, there
            if i < 0:
                scale *= np.exp((is_accepted - 0.4) / np.sqrt(i + options.tune + 1))
            else:
                kept[chain, i] = x
    return kept
'''
MINE = {"mine": {"use": "./mine.py", "tune": 500, "draws": 4000}}


@pytest.fixture
def sampler_file(tmp_path: Path) -> Write:
    """Write a sampler's file with this body."""

    def write(body: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(body))
        return path

    return write


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """Return the environment of a package that offers samplers, by name and module's body."""

    def install(package: str, **bodies: str) -> dict[str, str]:
        site = tmp_path / "site"
        about = site / f"{package.replace('-', '_')}-1.2.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        module = package.replace("-", "_")
        lines = [f"{name} = {module}_{name}" for name in bodies]
        entry_points = "\n".join(["[gradbench.samplers]", *lines, ""])
        (about / "entry_points.txt").write_text(entry_points)
        for name, body in bodies.items():
            (site / f"{module}_{name}.py").write_text(body)
        return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    return install


def normal(dim: int = 2) -> Target:
    from gradbench import models

    return Target(*models.load(models.find("gaussian", Path()), {"dim": dim}), mode="FAST_COMPILE")


def built(sample: plain.Sample, *, uses_gradient: bool = False, **options: Any) -> plain.Plain:
    """Return a plain sampler on a 2-d normal."""
    chosen = Options(tune=5, draws=4).model_copy(update=options)
    return plain.build(sample, normal(), chosen, uses_gradient=uses_gradient)


def run(sampler: plain.Plain) -> Draws:
    return sampler.sample(np.zeros((1, 2)), seed=1, stopwatch=Stopwatch())


class TestPlain:
    """What is done for a sampler that is one function."""

    def test_evaluations_are_counted_by_phase(self) -> None:
        """One by one, many at once and with gradients, in warm-up and in sampling."""

        def sample(density: Any, start: Any, _: Any, rng: Any, clock: Any) -> Any:
            density(start[0])
            density.with_gradient(start[0])
            clock.sampling()
            density.many(np.zeros((3, 2)))
            clock.warmup()
            density(start[0])
            clock.sampling()
            return rng.standard_normal((4, 2))

        drawn = run(built(sample, uses_gradient=True))
        assert drawn.evaluations == Evaluations(2, 3, 1, 0)
        assert drawn.values.shape == (1, 4, 2)

    def test_counts_of_its_own_are_replaced(self) -> None:
        """A function can't claim fewer evaluations than the density has seen."""

        def sample(density: Any, start: Any, _: Any, __: Any, clock: Any) -> Any:
            clock.sampling()
            density(start[0])
            return Draws(np.zeros((1, 4, 2)), np.zeros(1, dtype=int), Evaluations())

        assert run(built(sample)).evaluations.n_logp_sampling == 1

    def test_starts_are_a_copy(self) -> None:
        """What a function does to its starting points stays there."""
        start = np.zeros((1, 2))

        def sample(_: Any, start: Any, __: Any, ___: Any, clock: Any) -> Any:
            clock.sampling()
            start += 1
            return np.zeros((4, 2))

        built(sample).sample(start, seed=1, stopwatch=Stopwatch())
        assert not start.any()

    def test_warm_up_must_end(self) -> None:
        """Draws whose sampling took no time would cost nothing."""
        with pytest.raises(SamplerError, match=r"must call clock\.sampling\(\)"):
            run(built(lambda *_: np.zeros((4, 2))))
        drawn = run(built(lambda *_: np.zeros((4, 2)), tune=0))
        assert drawn.values.shape == (1, 4, 2)

    def test_gradients_are_asked_for(self) -> None:
        """A function that says it uses none gets none."""
        with pytest.raises(SamplerError, match="USES_GRADIENT = True"):
            run(built(lambda density, start, *_: density.with_gradient(start[0])))

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (np.zeros((4, 3)), r"of shape \(4, 3\); they must be of shape \(chains, draws, 2\)"),
            (None, "of shape"),
            ("draws", "returned a str"),
            ([[0.0], [0.0, 1.0]], "returned a list"),
        ],
    )
    def test_what_is_no_draws_is_told(self, found: Any, said: str) -> None:
        """The shape or the type, and what it should be."""

        def sample(*given: Any) -> Any:
            given[-1].sampling()
            return found

        with pytest.raises(SamplerError, match=said):
            run(built(sample))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": np.zeros((4, 2))}, r"shape \(4, 2\)"),
        ({"values": np.zeros((1, 3, 2))}, "4 are the fewest"),
        ({"values": np.zeros((1, 5, 2), dtype=np.float32)}, "float64"),
        ({"values": [[[0.0, 0.0]] * 5]}, "float64"),
        ({"groups": np.zeros(2)}, r"groups are of shape \(2,\), not \(1,\)"),
        ({"stats": {"diverging": np.zeros(5)}}, r"stats\['diverging'\] are of shape \(5,\)"),
        ({"weights": np.ones(3)}, "weights"),
        ({"evaluations": Evaluations(-1)}, "n_logp_warmup is -1"),
        ({"evaluations": Evaluations(n_grad_sampling=1.5)}, "n_grad_sampling is 1.5"),  # type: ignore[arg-type]
    ],
)
def test_draws_have_a_form(changed: dict[str, Any], said: str) -> None:
    """What breaks the promise of Draws is told before anything is computed from it."""
    whole = {"values": np.zeros((1, 5, 2)), "groups": np.zeros(1), "evaluations": Evaluations()}
    Draws(**whole).require(2)  # type: ignore[arg-type]
    with pytest.raises(SamplerError, match=said):
        Draws(**{**whole, **changed}).require(2)


BAD_FILES = {
    "import nothing_of_this_name": r"mine\.py:1: ModuleNotFoundError: No module named 'nothing",
    "x = 1\nraise ValueError('not today')": r"mine\.py:2: ValueError: not today",
    "x = (": r"mine\.py:1: SyntaxError",
    "import sys\nsys.exit(3)": r"mine\.py:2: SystemExit: 3",
    "import os\nos._exit(0)": "its process ended with 0, and told no options",
    "import os\nos.abort()": "its process ended with -6, and told no options",
    "SUMMARY = 'nothing else'": r"defines neither sample\(density, .* nor build\(target, options\)",
    "sample = 3": "sample must be a function, not a int",
    "def sample(): ...\nbuild = 3": "build must be a function",
    "def sample(): ...\nOptions = dict": "Options must be derived from gradbench.sampler.Options",
    "def sample(): ...\nLIBRARIES = 'emcee'": "LIBRARIES must be a tuple, not a str",
    "def sample(): ...\nUSES_GRADIENT = 'no'": "USES_GRADIENT must be a bool",
}


@pytest.mark.parametrize(("body", "said"), BAD_FILES.items())
def test_a_bad_file_is_one_message(sampler_file: Write, body: str, said: str) -> None:
    """Whatever a file does while it is loaded, here it is one error with the file's name."""
    with pytest.raises(SamplerError, match=said) as caught:
        ask(samplers.find(str(sampler_file(body)), Path()))
    assert "mine.py" in str(caught.value)


def test_what_a_file_prints_is_no_answer(sampler_file: Write) -> None:
    """Output of the user's code doesn't come between its options."""
    asked = ask(samplers.find(str(sampler_file("print('{}')\ndef sample(): ...")), Path()))
    assert asked.fields == ["tune", "draws", "backend"]


@pytest.mark.parametrize(
    ("samplers_", "said"),
    [
        ({"mine": {"use": "./mine.py", "stp": 1.0}}, "samplers.mine.stp: unknown key"),
        (
            {"mine": {"use": "./mine.py", "step": -1.0}},
            "samplers.mine.step: must be above 0.0, not -1.0",
        ),
        ({"mine": {"use": "./none.py"}}, "none.py: no such file"),
        ({"mine": {"use": "./small.yaml"}}, "a sampler of your own is a .py file"),
        ({"mine": {"use": "nobodys:nuts"}}, "no sampler 'nobodys:nuts'"),
    ],
)
def test_a_config_says_where(
    config: Write,
    sampler_file: Write,
    gradbench: Gradbench,
    samplers_: dict[str, Any],
    said: str,
) -> None:
    """What is wrong with a sampler of one's own is told with line and key, and exit code 2."""
    sampler_file(METROPOLIS)
    done = gradbench("run", config(samplers=samplers_), "--quiet")
    assert done.returncode == 2
    assert said in done.stderr
    assert "small.yaml:" in done.stderr


@pytest.mark.parametrize("sweep", [{}, {"sweep": {"step": [0.2, 0.4]}}])
def test_its_process_is_started_once(
    config: Write, sampler_file: Write, gradbench: Gradbench, tmp_path: Path, sweep: dict[str, Any]
) -> None:
    """To check a config, to fill in defaults and to plan cells a sampler is asked once."""
    note = f"open({str(tmp_path / 'asked')!r}, 'a').write('once ')\n"
    sampler_file(note + METROPOLIS)
    done = gradbench("run", config(samplers={"mine": {**MINE["mine"], **sweep}}), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == "once "


@pytest.mark.slow
def test_a_question_that_raises_is_the_samplers_fault(
    config: Write, sampler_file: Write, gradbench: Gradbench
) -> None:
    """An unsuited() that raises is told under the sampler's label, before anything is run."""
    sampler_file(METROPOLIS + "\ndef unsuited(target, options):\n    raise KeyError('gone')\n")
    done = gradbench("run", config(samplers=MINE), "--quiet")
    assert done.returncode == 2
    assert "samplers.mine: unsuited(): KeyError: 'gone'" in done.stderr
    assert "models." not in done.stderr


@pytest.mark.slow
def test_a_file_is_run_in_workers_only(
    config: Write, sampler_file: Write, gradbench: Gradbench, tmp_path: Path
) -> None:
    """It runs beside a shipped sampler; its process is never the command's own."""
    note = f"import os\nopen({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getppid()}} ')\n"
    sampler_file(note + METROPOLIS)
    path = config(samplers=MINE, replicates=2)
    done = gradbench("run", path, "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "results" / "small").iterdir()
    stored = store.read(folder)
    assert [result.status for result in stored.results] == ["ok", "ok"]
    origin = stored.results[0].cell.sampler_source
    assert origin is not None
    assert origin.use == str(tmp_path / "mine.py")
    assert len(origin.digest) == 64
    assert str(os.getpid()) not in (tmp_path / "pids").read_text().split(), "the command itself"


BAD_RUNS = {
    "wrong shape": ("return kept[:, :, :1]", "must be of shape (chains, draws, 2)"),
    "raises": ("raise KeyError('gone')", "KeyError: 'gone'"),
    "dies": ("import os; os._exit(7)", "the worker died of exit code 7"),
    "not a number": ("kept[0, 0, 0] = np.nan; return kept", "NaN or infinity"),
    "frozen": ("kept[:] = kept[:, :1]; return kept", "never moved"),
}


@pytest.mark.slow
def test_a_bad_run_costs_its_own_cells(
    config: Write, sampler_file: Write, gradbench: Gradbench, tmp_path: Path
) -> None:
    """Each is one line with its reason, exit code 1, and the others are measured."""
    given: dict[str, Any] = dict(MINE)
    sampler_file(METROPOLIS)
    for i, (end, _) in enumerate(BAD_RUNS.values()):
        sampler_file(METROPOLIS.replace("return kept", end), f"bad{i}.py")
        given[f"bad{i}"] = {"use": f"./bad{i}.py", "tune": 100, "draws": 100}
    done = gradbench("run", config(samplers=given), "--quiet")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (folder,) = (tmp_path / "results" / "small").iterdir()
    found = {result.cell.sampler: result for result in store.read(folder).results}
    assert found["mine"].status == "ok"
    for i, (_, said) in enumerate(BAD_RUNS.values()):
        assert said in found[f"bad{i}"].reason


def test_a_changed_file_is_told(sampler_file: Write) -> None:
    """A worker runs the file that the run was planned with, or none."""
    path = sampler_file(METROPOLIS)
    planned = samplers.find(str(path), Path())
    sampler_file(METROPOLIS.replace("0.4", "0.3"))
    with pytest.raises(SamplerError, match="has changed since this run began"):
        samplers.load(planned.use, planned.digest)


class TestEntryPoints:
    """Samplers that installed packages offer."""

    def test_they_are_listed_and_not_imported(
        self, installed: Installed, gradbench: Gradbench
    ) -> None:
        """With package and version; one that would break on loading is a line as any other."""
        env = installed("their-package", walk=METROPOLIS, broken="raise ImportError('gone')")
        shown = gradbench("list", "samplers", env=env)
        assert shown.returncode == 0, shown.stderr
        for name in ("walk", "broken"):
            line = next(x for x in shown.stdout.splitlines() if f"their-package:{name}" in x)
            assert "1.2" in line

    def test_each_explains_itself(self, installed: Installed, gradbench: Gradbench) -> None:
        """By bare name, or package:name however the package is spelt; a broken one is told."""
        env = installed("their-package", walk=METROPOLIS, broken="raise ImportError('gone')")
        for use in ("walk", "their-package:walk", "their_package:walk"):
            page = gradbench("list", "samplers", use, env=env).stdout
            assert "scale of the first proposals" in page
            assert "use: their-package:walk" in page
        done = gradbench("list", "samplers", "broken", env=env)
        assert done.returncode == 2
        assert "their-package:broken: can't be loaded: ImportError: gone" in done.stderr

    def test_a_name_that_two_have_is_told(self, installed: Installed, gradbench: Gradbench) -> None:
        """Of two packages, or of one and gradbench itself: what to write instead is said."""
        installed("one", walk=METROPOLIS)
        env = installed("two", walk=METROPOLIS, emcee=METROPOLIS)
        done = gradbench("list", "samplers", "walk", env=env)
        assert done.returncode == 2
        assert "write 'one:walk' or 'two:walk'" in done.stderr
        done = gradbench("list", "samplers", "emcee", env=env)
        assert "write 'two:emcee' for that; the shipped one is gradbench-mcmc:emcee" in done.stderr
        assert gradbench("list", "samplers", "gradbench-mcmc:emcee", env=env).returncode == 0

    def test_one_that_is_gone_is_told(self, config: Write, gradbench: Gradbench) -> None:
        """A package that was uninstalled is a mistake in the config's line."""
        done = gradbench("run", config(samplers={"walk": {"use": "their-package:walk"}}))
        assert done.returncode == 2
        assert "samplers.walk.use: no sampler 'their-package:walk'" in done.stderr


def test_a_file_explains_itself(sampler_file: Write, gradbench: Gradbench) -> None:
    """Its options with their meanings, and how it stands in a config."""
    sampler_file(METROPOLIS)
    shown = gradbench("list", "samplers", "./mine.py")
    assert shown.returncode == 0, shown.stderr
    assert "Random-walk Metropolis, its scale adapted in warm-up." in shown.stdout
    assert "scale of the first proposals" in shown.stdout
    assert "use: ./mine.py" in shown.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "what is compared?"),
        (["--base-sampler", "other=./mine.py"], "LABEL one of mine"),
        (["--base-sampler", "mine=./none.py"], "none.py: no such file"),
    ],
)
def test_ab_needs_two_sides(
    config: Write, sampler_file: Write, gradbench: Gradbench, given: list[str], said: str
) -> None:
    """One interpreter alone, a label that isn't there or a missing file are mistakes."""
    sampler_file(METROPOLIS)
    done = gradbench("ab", config(samplers=MINE), *given, "--quiet")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.slow
def test_two_versions_of_a_file_are_compared(
    config: Write, sampler_file: Write, gradbench: Gradbench
) -> None:
    """A file whose steps are aimed worse than its baseline's is a regression."""
    sampler_file(METROPOLIS, "before.py")
    sampler_file(METROPOLIS.replace("0.4)", "0.7)"))  # two and a half times the evaluations an ESS
    long = {"mine": {"use": "./mine.py", "tune": 300, "draws": 8000}}
    given = ("--base-sampler", "mine=./before.py", "--max-replicates", 8, "--quiet")
    done = gradbench("ab", config(samplers=long), *given)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Regressed: mine on normal" in done.stdout
