"""How long a reference is run, and what is kept of it: exactly, with fakes, and once for real."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from gradbench import models, samplers
from gradbench.cli import main
from gradbench.config.planning import Cell
from gradbench.draws import Evaluations
from gradbench.errors import ConfigError, LongRunError, ModelError, SamplerError, StoreError
from gradbench.measure.result import CellResult, Measured
from gradbench.reference import kept_in, stored
from gradbench.references import findings, long_run
from gradbench.references.findings import Demand, Findings
from gradbench.references.long_run import Established, Order
from gradbench.results import pooled
from gradbench.show import reference as table
from gradbench.show.progress import Display
from gradbench.stats import diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.timing import Timing

Write = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]

NAMES = ("mu", "x[0, 1]", "x[1, 0]", "x[1, 1]")
SHAPES = {"mu": (), "x": (2, 2), "fixed": (3,)}


def run_of(n_draws: int, ess: float, **given: Any) -> Measured:
    """Return a run of four chains, each parameter a standard normal of this ESS."""
    one = np.ones(len(NAMES))
    found = diagnostics.Diagnostics(
        mean=0 * one, sd=one, square_sd=np.sqrt(2) * one, second_moment=one, mcse_mean=one,
        ess_bulk=ess * one, ess_tail=ess * one, ess_mean=ess * one, ess_square=ess * one,
        rhat=1.0001 * one, tau=one, ess_bulk_as_chains=one, ess_autocorr_time=one,
        rhat_halves=one, t_halves=one, spread_halves=one, pareto_k=0 * one, n_tail=one,
        n_distinct=1e3 * one, is_finite=one > 0, is_counted=one > 0, n_independent=4.0,
        n_independent_square=4.0,
    )  # fmt: skip
    return Measured(
        timing=Timing(), evaluations=Evaluations(), parameters=NAMES,
        diagnostics=replace(found, **given),
        reference=None, reference_source=None, n_chains=4, n_draws=n_draws, is_ensemble=False,
        n_divergences=0, acceptance_rate=None, peak_memory_bytes=0, fingerprint="", backend="c",
        thread_pools={}, load=0.0,
    )  # fmt: skip


class FakeRunner:
    """Gives a hundredth of the draws as effective ones, or what it is told of a sampler."""

    def __init__(self, **statuses: str) -> None:
        self.ran: list[tuple[str, int, int]] = []
        self._statuses = statuses

    def run(self, cells: Sequence[Cell]) -> Iterator[CellResult]:
        for cell in cells:
            draws = cell.options["draws"]
            self.ran.append((cell.sampler, cell.replicate, draws))
            status = self._statuses.get(cell.sampler, "ok")
            found = None if status == "crashed" else run_of(draws, 4 * draws / 100)
            yield CellResult(cell, cast("Any", status), "it did", found)


def long_runs(runner: FakeRunner, order: Order, **lengths: tuple[int, int]) -> dict[str, Any]:
    return long_run.long_runs(
        cast("Any", runner),
        long_run.benchmark(order),
        lengths,
        order,
        Display(is_quiet=True),
    )


TWO = Order("gaussian", samplers=("pymc_nuts", "pymc_slice"), demand=Demand(ess=400))


def test_runs_go_on_until_the_share_is_there() -> None:
    """What was planned too short is lengthened by whole runs; what was enough isn't run again."""
    runner = FakeRunner()
    runs = long_runs(runner, TWO, pymc_nuts=(1000, 2), pymc_slice=(4000, 2))
    # A run of 1,000 draws in each of four chains is worth 40: a share of 200 takes 2, then 6.
    assert [n for _, n, draws in runner.ran if draws == 1000] == [0, 1, 2, 3, 4, 5]
    assert [n for _, n, draws in runner.ran if draws == 4000] == [0, 1]
    assert findings.pooled_findings(runs, TWO.demand).whole.ess.min() >= 400


def test_the_length_follows_from_a_first_stretch() -> None:
    """Two runs with a fifth more draws than needed; more runs where one would not fit in memory."""
    order = Order("gaussian")
    # 4,000 draws worth 1,000: a share of 25,000 takes 100,000 of them, and a fifth more.
    assert long_run.length("nutpie", run_of(1000, 1000), order, 2) == (15_000, 2)
    assert long_run.length("nutpie", run_of(1000, 1000), replace(order, draws=5000), 2) == (
        5000,
        6,
    )
    wide = replace(run_of(1000, 1000), parameters=tuple(map(str, range(1000))))
    draws, n_runs = long_run.length("nutpie", wide, order, 2)
    assert draws * 4 * 1000 <= long_run.MAX_NUMBERS
    assert draws * 4 * n_runs >= 120_000
    with pytest.raises(LongRunError, match="4,000 draws are worth 40 of mu, so 3,000,000 would be"):
        long_run.length("nutpie", run_of(1000, 40), order, 2)


def test_no_more_is_drawn_than_allowed() -> None:
    """At the limit it stops, and the demand is not met."""
    runner = FakeRunner()
    order = replace(TWO, max_draws=12_000)
    runs = long_runs(runner, order, pymc_nuts=(1000, 2), pymc_slice=(4000, 2))
    assert len(runs["pymc_nuts"]) == 3
    (few,) = findings.pooled_findings(runs, TWO.demand).unmet
    assert "the ESS of mu is" in few


def test_a_run_that_gives_nothing_ends_it() -> None:
    """A crash, and draws of a fitted approximation, are no evidence: said, with the reason."""
    for status in ("crashed", "approximate"):
        runner = FakeRunner(pymc_slice=status)
        with pytest.raises(LongRunError, match=f"pymc_slice: {status}: it did"):
            long_runs(runner, TWO, pymc_nuts=(1000, 2), pymc_slice=(4000, 2))


def test_orders_that_cant_be_carried_out() -> None:
    """One sampler, walkers that are no chains, and parameters it hasn't are each refused."""
    for order, words in {
        replace(TWO, samplers=("nutpie",)): "needs 2 samplers that agree, not nutpie",
        replace(TWO, samplers=("nutpie", "emcee")): "emcee: has no independent chains",
        replace(TWO, params=("dim",)): "--param dim: write it as --param key=value",
        replace(TWO, params=("dims=3",)): "no such parameter; did you mean 'dim'?",
        replace(TWO, settings=("samplers.pymc_nuts.chain=3",)): "did you mean 'chains'?",
    }.items():
        with pytest.raises((SamplerError, ConfigError), match=words):
            long_run.benchmark(order)


def test_the_command_repeats_the_run() -> None:
    """What is kept names every choice that was made, and nothing else."""
    order = Order("eight_schools", ("centered=true",), seed=7)
    assert order.command == "gradbench reference eight_schools --param centered=true --seed 7"
    more = replace(
        TWO, settings=("samplers.pymc_nuts.target_accept=0.99",), draws=500, max_draws=9000
    )
    assert more.command == (
        "gradbench reference gaussian --samplers pymc_nuts,pymc_slice"
        " --set samplers.pymc_nuts.target_accept=0.99 --draws 500 --max-draws 9000 --ess 400"
        " --seed 1"
    )


def findings_of(**given: Any) -> Findings:
    runs = {"nutpie": [run_of(5000, 20_000)], "stan_nuts": [run_of(5000, 20_000, **given)]}
    return findings.pooled_findings(runs, Demand(ess=30_000))


MOMENTS = """\
{
  "mu": {"mean": 1.2346, "sd": 2.0, "square_sd": 1.414, "mean_se": 0.01, "variance_se": 0.00707},
  "x": {
    "mean": [
      [null, 0.0],
      [0.0, 0.0]
    ],
    "sd": [
      [null, 1.0],
      [1.0, 1.0]
    ],
    "square_sd": [
      [null, 1.414],
      [1.414, 1.414]
    ],
    "mean_se": [
      [null, 0.005],
      [0.005, 0.005]
    ],
    "variance_se": [
      [null, 0.00707],
      [0.00707, 0.00707]
    ]
  }
}"""


def test_moments_to_the_byte() -> None:
    """Arrays have the model's shapes, nothing where nothing varies, and digits by their errors."""
    given = {"mean": np.r_[1.234567891, np.zeros(3)], "sd": np.r_[2.0, np.ones(3)]}
    alone = pooled.of_sampler([run_of(5000, 40_000, **given)])
    found = replace(findings_of(), whole=alone)
    assert long_run.text(long_run.moments(found, SHAPES)) == MOMENTS


def established(params: dict[str, Any], **given: Any) -> Established:
    versions = {"python": "3.13.0", "numpy": "2", "scipy": "1", "nutpie": "0.16"}
    return Established(findings_of(**given), None, params, SHAPES, versions)


def test_an_entry_replaces_one_of_the_same_parameters(tmp_path: Path) -> None:
    """Entries of other parameters stay where they are, and a model finds its own."""
    file = tmp_path / "my_model.py"
    for dim, mean in ((2, 0.0), (3, 0.0), (2, 0.5)):
        found = established({"dim": dim}, mean=np.full(4, 2 * mean), sd=np.full(4, 1.0))
        long_run.keep(kept_in(file), long_run.entry(replace(TWO, model="m"), found))
    entries = json.loads(kept_in(file).read_text())
    assert [one["params"] for one in entries] == [{"dim": 2}, {"dim": 3}]
    reference = stored(file, {"dim": 2})
    assert reference is not None
    assert reference.moments["mu"].mean == 0.5
    assert reference.source == (
        "nutpie, 4 chains of 5,000 draws and stan_nuts, 4 chains of 5,000 draws"
    )
    assert stored(file, {"dim": 4}) is None
    assert entries[0]["command"].startswith("gradbench reference m --samplers nutpie,stan_nuts")
    assert entries[0]["versions"] == {"python": "3.13.0", "numpy": "2", "nutpie": "0.16"}
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_tuple_among_the_parameters_is_found_again(tmp_path: Path) -> None:
    """JSON knows lists alone; an entry of a tuple is replaced and found all the same."""
    file = tmp_path / "my_model.py"
    for _ in range(2):
        found = established({"shape": (2, 3)})
        long_run.keep(kept_in(file), long_run.entry(replace(TWO, model="m"), found))
    assert len(json.loads(kept_in(file).read_text())) == 1
    assert stored(file, {"shape": (2, 3)}) is not None


def test_one_run_serves_both_parameterizations(tmp_path: Path) -> None:
    """What only the run's parameterization has is left out for the other."""
    file = tmp_path / "my_model.py"
    long_run.keep(kept_in(file), long_run.entry(replace(TWO, model="m"), established({})))
    whole, rest = stored(file, {}), stored(file, {}, without=("mu",))
    assert whole is not None
    assert rest is not None
    assert "mu" in whole.moments
    assert set(rest.moments) == set(whole.moments) - {"mu"}


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Where the file is not a list of references, it stays as it is."""
    path = tmp_path / "references" / "m.json"
    path.parent.mkdir()
    for damage in ("{", "3", "[3]", '[{"x": 1}]'):
        path.write_text(damage)
        with pytest.raises(StoreError, match="not a list of references"):
            long_run.keep(path, {"params": {}})
        assert path.read_text() == damage


def test_parameters_have_their_defaults(model_file: Write) -> None:
    """All parameters are resolved without running the file; one that can't be is told."""
    path = model_file("N = 3\ndef model(a, b=-2.5, *, c=(1, 2), d=N):\n    raise ValueError\n")
    assert models.resolved(path, {"a": 1, "d": 0}) == {"a": 1, "b": -2.5, "c": (1, 2), "d": 0}
    with pytest.raises(ModelError, match="no default for a"):
        models.resolved(path, {"d": 0})
    with pytest.raises(ModelError, match=r"my_model.py:6: the default of d is no plain value"):
        models.resolved(path, {"a": 1})


def shown(found: Findings, kept: Path) -> str:
    text = io.StringIO()
    table.established(found, kept, to=Console(file=text, width=100, highlight=False))
    return text.getvalue()


TABLE = """\
                                                  samplers apart, s.e.
parameter    mean        ±    sd   R-hat     ESS        mean, variance
──────────────────────────────────────────────────────────────────────
mu         0.0000  0.00500  1.00  1.0001  40 000              0.0, 0.0
x[0, 1]    0.0050  0.00500  1.00  1.0001  40 000              1.0, 0.0
x[1, 0]    0.0000  0.00500  1.00  1.0001  40 000              0.0, 0.0
x[1, 1]    0.0000  0.00500  1.00  1.0001  40 000              0.0, 0.0

• nutpie and stan_nuts agree: at most 1.0 standard errors apart, where chance allows 3.2
• nutpie: 4 chains, 0 of 20 000 transitions diverged
• stan_nuts: 4 chains, 0 of 20 000 transitions diverged
kept in m.json
"""

NEAR, FAR = np.array([0, 0.01, 0, 0]), np.array([0, 0, 0.1, 0])  # of the second sampler's means


def test_the_table_to_the_byte() -> None:
    """The table of made-up runs, compared exactly."""
    lines = shown(findings_of(mean=NEAR), Path("m.json")).splitlines()
    assert "\n".join(line.rstrip() for line in lines) == TABLE.rstrip("\n")


Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Call the command line with a long run that has already been made."""

    def call(found: Established, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(long_run, "run", lambda _order, _display: found)
        with pytest.raises(SystemExit) as end:
            main(["reference", "gaussian", *map(str, arguments)])
        assert isinstance(end.value.code, int)
        return end.value.code, " ".join(capsys.readouterr().out.split())

    return call


def test_samplers_that_disagree_leave_nothing_behind(invoke: Invoke, tmp_path: Path) -> None:
    """What agrees is kept; what does not is refused, exit code 1, and what was there stays."""
    path = tmp_path / "new" / "m.json"
    code, said = invoke(established({"dim": 50}, mean=NEAR), "--output", path)
    assert code == 0
    assert f"kept in {path}" in said
    kept = path.read_text()
    code, said = invoke(established({"dim": 50}, mean=FAR), "--output", path)
    assert code == 1
    assert "samplers disagree in the mean of x[1, 0] by 10.0 standard errors" in said
    assert "nothing is kept" in said
    assert path.read_text() == kept


def test_a_reference_is_checked(invoke: Invoke) -> None:
    """A reference within four standard errors is confirmed; one that is off is told, code 1."""
    zero, one = np.zeros(4), np.ones(4)
    found = established({"dim": 50})
    for mean, expected, words in (
        (zero, 0, "the reference is confirmed"),
        (zero + 0.03, 1, "the mean of mu is 6.0 standard errors off the reference"),
    ):
        reference = ReferenceMoments(mean, one, one, zero, zero)
        code, said = invoke(replace(found, reference=reference), "--check")
        assert (code, words in said) == (expected, True), said


JAX_NUTS = "numpyro_nuts,blackjax_nuts"

KNOWN = """
    from gradbench.reference import stored

    def model(scale=2.0):
        with pm.Model() as m:
            x = pm.Exponential("x", scale=scale)
            pm.Normal("y", 1.0, 3.0)
            pm.Deterministic("z", pt.stack([2 * x, 7.0]))
        return m

    def reference(scale=2.0):
        return stored(__file__, {"scale": scale})
    """


@pytest.mark.slow
@pytest.mark.skipif(
    any(samplers.remedy(name) for name in JAX_NUTS.split(",")), reason="needs both JAX samplers"
)
def test_a_real_run_is_right_kept_and_found(
    model_file: Write, gradbench: Run, tmp_path: Path
) -> None:
    """Moments that a long run keeps are the exact ones, and the model finds them.

    An exponential of scale 3 has mean 3, sd 3, and (x - 3)² the sd √8 · 9.
    """
    path = model_file(KNOWN)
    order = ("--param", "scale=3.0", "--samplers", JAX_NUTS, "--ess", 10_000)
    flags = {"PYTENSOR_FLAGS": "linker=py"}  # the samplers' own densities are compiled by JAX
    made = gradbench("reference", "./my_model.py", *order, "--quiet", env=flags)
    assert made.returncode == 0, made.stderr + made.stdout
    assert "kept in" in made.stdout
    (entry,) = json.loads((tmp_path / "references" / "my_model.json").read_text())
    assert entry["params"] == {"scale": 3.0}
    assert entry["ess"] >= 10_000
    moments = entry["moments"]
    exact = {"x": (3.0, 3.0), "y": (1.0, 3.0)}
    for name, (mean, sd) in exact.items():
        found = moments[name]
        assert found["mean"] == pytest.approx(mean, abs=4 * found["mean_se"])
        assert found["sd"] ** 2 == pytest.approx(sd**2, abs=4 * found["variance_se"])
        assert found["mean_se"] < 0.05
    assert moments["x"]["square_sd"] == pytest.approx(np.sqrt(8) * 9, rel=0.2)
    assert moments["z"]["mean"] == [pytest.approx(2 * moments["x"]["mean"], rel=1e-3), None]
    _, reference, *_ = models.load(models.Source(path), {"scale": 3.0})
    assert reference is not None
    assert reference.moments["x"].mean == moments["x"]["mean"]
    unknown = ("--check", "--param", "scale=4.0", "--samplers", JAX_NUTS)
    refused = gradbench("reference", "./my_model.py", *unknown, "--quiet", env=flags)
    assert refused.returncode == 2
    assert "the model has no reference for these parameters" in refused.stderr
