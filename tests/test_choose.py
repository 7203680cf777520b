"""The choice of a sampler: exact with made-up runs and a made-up clock, and once for real."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pytest

from gradbench import compat, samplers
from gradbench.choose.choose import Choice, Chooser
from gradbench.choose.entrants import ESS_NOISE, TIME_NOISE, Entrant
from gradbench.choose.race import Field
from gradbench.config.benchmark import Gates
from gradbench.config.planning import Cell
from gradbench.measure.result import CellResult, Status
from gradbench.timing import Duration, Timing
from tests.made_up import measured

GOAL = 1000


@dataclass
class Made:
    """A made-up sampler: what it costs, and how it ends."""

    compile_s: float = 1.0
    warmup_s: float = 1.0
    s_per_draw: float = 0.001
    draws_per_ess: float = 2.0
    status: Status = "ok"
    mean: float = 0.0
    fresh_status: Status = "ok"
    compiled: bool = field(default=False, init=False)


class World:
    """Runs made-up samplers; time passes only as they take it."""

    def __init__(self, samplers: Mapping[str, Made], *, seed: int = 0, noisy: bool = False) -> None:
        self.now = 0.0
        self.until = np.inf
        self._samplers = samplers
        self._rng = np.random.default_rng(seed) if noisy else None
        self.kept: list[CellResult] = []
        self.interrupt_at = np.inf

    def clock(self) -> float:
        return self.now

    def keep(self, found: Any) -> None:
        self.kept.append(found)

    def entrants(self) -> list[Entrant]:
        lengths = [250 * 4**i for i in range(7)]

        def cell(name: str, draws: int, replicate: int) -> Cell:
            return Cell(
                model="m", model_use="m", params={}, sampler=f"{name}[draws={draws}]",
                sampler_use=name, options={"draws": draws}, init="uniform", threads=1,
                replicate=replicate, seed=1, start_seed=1,
            )  # fmt: skip

        return [
            Entrant(
                name,
                [cell(name, draws, 0) for draws in lengths],
                [[cell(name, draws, r) for r in (1, 2, 3)] for draws in lengths],
            )
            for name in self._samplers
        ]

    def run(
        self, cells: Sequence[Cell], save_to: Path | None = None, *, stays_warm: bool = False
    ) -> Iterator[CellResult]:
        assert stays_warm
        assert save_to is None
        for cell in cells:
            if self.now >= self.interrupt_at:
                raise KeyboardInterrupt
            yield self._ran(cell, self._samplers[cell.sampler])

    def _ran(self, cell: Cell, made: Made) -> CellResult:
        draws = cell.options["draws"]
        status = made.status if cell.replicate == 0 else made.fresh_status
        compile_s, made.compiled = (0.0 if made.compiled else made.compile_s), True
        ess = draws / made.draws_per_ess
        if self._rng is not None:
            ess *= np.exp(np.sqrt(ESS_NOISE / ess) * self._rng.standard_normal())
        sampling = made.s_per_draw * draws
        if self._rng is not None:
            sampling *= np.exp(TIME_NOISE * self._rng.standard_normal())
        self.now += compile_s + made.warmup_s + sampling
        if self.now > self.until:
            self.now = self.until
            return CellResult(cell, "timeout", "all time was up")
        if status in {"crashed", "failed"}:
            return CellResult(cell, status, f"{status} for a reason")
        ones = np.ones(2)
        run = measured(
            0, mean=made.mean + 0.01 * ones / np.sqrt(ess), ess_mean=ess * ones,
            ess_square=ess * ones, ess_bulk=ess * ones, ess_tail=ess * ones, reference=None,
            n_draws=draws, is_approximate=status == "approximate",
        )  # fmt: skip
        run = replace(run, timing=Timing(
            Duration(compile_s, compile_s), Duration(made.warmup_s, made.warmup_s),
            Duration(sampling, sampling),
        ))  # fmt: skip
        few = status == "ok" and ess < 400
        return CellResult(cell, "too_few_draws" if few else status, "", run)


def chosen(world: World, *, budget_s: float = 1000.0, goal: int = GOAL) -> Choice:
    field = Field(world, world.entrants(), goal, world.keep, clock=world.clock)
    return Chooser(field, budget_s=budget_s, gates=Gates(), started=0.0).run()


def standing(found: Choice, sampler: str) -> Any:
    return next(one for one in found.standings if one.sampler == sampler)


def test_the_fastest_to_so_many_draws_wins() -> None:
    """Its price is the fresh replicates', and who is far behind is dropped, and says why."""
    world = World({"fast": Made(), "slow": Made(s_per_draw=0.05), "close": Made(s_per_draw=0.0012)})
    found = chosen(world)
    assert found.winner == "fast"
    assert found.price is not None
    assert found.price.estimate == pytest.approx(1 + 1 + GOAL * 2 * 0.001)
    assert found.n_fresh == 3
    assert found.ties == ("close",)
    assert "slower than" in standing(found, "slow").ended
    assert found.behind is not None
    assert found.behind > 2
    assert found.n_draws == 2000
    assert all("[draws=" in result.cell.sampler for result in world.kept), "as they were planned"
    compiled = {r.measured.timing.compile.wall_s for r in world.kept if r.measured is not None}
    assert compiled == {1.0}, "each length with what it would have compiled alone"


def test_the_goal_decides() -> None:
    """What compiles long wins where many effective draws are wanted, and says from how many on."""

    def both() -> World:
        return World({"plain": Made(s_per_draw=0.01), "jax": Made(compile_s=30, s_per_draw=0.0005)})

    assert chosen(both(), goal=500).winner == "plain"
    found = chosen(both(), goal=100_000)
    assert found.winner == "jax"
    assert [lead.sampler for lead in found.leads] == ["plain", "jax"]
    assert found.leads[0].until == pytest.approx(29 / 0.019, rel=0.01)


def test_compile_and_warm_up_alone_can_be_too_long() -> None:
    """Whoever has not sampled yet when the leader is done is not run again."""
    found = chosen(World({"fast": Made(), "jax": Made(compile_s=500)}))
    assert "compile and warm-up alone" in standing(found, "jax").ended
    assert found.winner == "fast"


def test_short_runs_are_not_out() -> None:
    """Too few draws in the first rounds say nothing against who needs longer ones."""
    found = chosen(World({"slow start": Made(draws_per_ess=20, s_per_draw=0.0001), "b": Made()}))
    assert standing(found, "slow start").seconds is not None


@pytest.mark.parametrize("status", ["crashed", "failed", "approximate"])
def test_what_has_no_price_is_out_at_once(status: Status) -> None:
    """A crash, a failure or an approximation is run once, and told."""
    world = World({"bad": Made(status=status), "good": Made()})
    found = chosen(world)
    assert found.winner == "good"
    assert standing(found, "bad").status == status
    assert [r.cell.sampler_use for r in world.kept].count("bad") == 1


@pytest.mark.parametrize("budget_s", [40.0, 60.0, 300.0])
def test_the_budget_holds(budget_s: float) -> None:
    """Whatever runs when time is up is ended, and earlier runs still count."""
    world = World({f"s{i}": Made(s_per_draw=0.004 * (1 + 0.1 * i)) for i in range(5)})
    found = chosen(world, budget_s=budget_s)
    assert world.now <= budget_s
    assert found.winner is not None


@pytest.mark.parametrize("n", [1, 2, 5, 15])
def test_nobody_takes_the_time_of_all(n: int) -> None:
    """A first run that lasts is ended at its share, and those behind it still have theirs."""
    samplers = {"endless": Made(warmup_s=1e6), **{f"s{i}": Made() for i in range(n)}}
    found = chosen(World(samplers), budget_s=100)
    assert found.winner is not None
    assert standing(found, "endless").ended == "more than its share of the time"


def test_no_time_is_no_recommendation() -> None:
    """Where nothing was finished, nobody is recommended."""
    found = chosen(World({"a": Made(compile_s=50), "b": Made(compile_s=50)}), budget_s=20)
    assert found.winner is None
    ended = {one.ended for one in found.standings}
    assert ended == {"more than its share of the time", "time was up"}


def test_disagreeing_samplers_give_none() -> None:
    """Two that are in different places: which is right can't be told."""
    found = chosen(World({"here": Made(), "there": Made(mean=2.0)}))
    assert found.winner is None
    assert {one.status for one in found.standings} == {"disagrees"}


def test_a_lone_dissenter_is_named() -> None:
    """Even the fastest, where two others agree."""
    found = chosen(World({"wrong": Made(s_per_draw=1e-4, mean=2.0), "a": Made(), "b": Made()}))
    assert found.winner in {"a", "b"}
    assert standing(found, "wrong").status == "disagrees"


def test_a_winner_that_fresh_runs_contradict_loses() -> None:
    """What converged by luck does so no second time; the next one is confirmed."""
    lucky = Made(s_per_draw=5e-4, fresh_status="not_converged")
    found = chosen(World({"lucky": lucky, "good": Made()}))
    assert found.winner == "good"
    assert found.n_fresh == 3
    assert standing(found, "lucky").status == "not_converged"


def test_ctrl_c_gives_the_answer_so_far() -> None:
    """What was raced by then counts."""
    world = World({"fast": Made(), "slow": Made(s_per_draw=0.05)})
    world.interrupt_at = 20.0
    found = chosen(world)
    assert found.is_interrupted
    assert found.winner == "fast"


def test_the_true_best_is_hardly_ever_dropped() -> None:
    """Noise as large as it is supposed to be drops the best of five in at most 1 % of races.

    Of 300, seven or more would be had by chance in 3 of 100 trials.
    """
    dropped = good = 0
    for seed in range(300):
        world = World(
            {f"s{i}": Made(s_per_draw=0.004 * 1.3**i) for i in range(5)}, seed=seed, noisy=True
        )
        found = chosen(world, budget_s=500)
        dropped += "slower" in standing(found, "s0").ended
        good += found.winner in {"s0", "s1"}
    assert dropped <= 6
    assert good >= 290


CALLS = [name for name in samplers.names() if samplers.load(name).call]


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_the_librarys_own_call_runs(name: str) -> None:
    """As it is printed, with options filled in, on a model."""
    if samplers.remedy(name) is not None:
        pytest.skip("not installed")
    pm = compat.pymc()
    with pm.Model() as model:
        pm.Normal("x", 0, 1, shape=2)
    options = samplers.load(name).options().fitted(2).model_copy(update={"draws": 50, "tune": 50})
    code = Template(samplers.load(name).call).substitute(options.model_dump())
    logging.disable(logging.WARNING)
    given: dict[str, Any] = {"model": model}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' advice to their users
            exec(code, given)
    finally:
        logging.disable(logging.NOTSET)
    values = (
        given["idata"].posterior["x"].values if "idata" in given else np.asarray(given["draws"])
    )
    assert np.isfinite(values).all()
    assert values.shape[-1] == 2


Gradbench = Callable[..., Any]
NORMAL = "def model():\n    with pm.Model() as m:\n        pm.Normal('x', shape=3)\n    return m"


@pytest.mark.slow
@pytest.mark.smoke
def test_a_model_is_given_a_sampler(
    gradbench: Gradbench, model_file: Callable[..., Path], tmp_path: Path
) -> None:
    """The real thing on a small model: a verdict, a call, a config, and a folder that shows."""
    model_file(NORMAL)
    flags = ("--samplers", "pymc_nuts,emcee", "--budget", "2min", "--quiet", "--ess", "200")
    done = gradbench("choose", "./my_model.py", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recommended" in done.stdout
    assert "to 200 effective draws" in done.stdout
    assert "samplers agree" in done.stdout
    assert "replicates: 5" in done.stdout
    (race,) = (tmp_path / "results" / "choose-my_model").iterdir()
    assert gradbench("show", race).returncode == 0
    refused = gradbench("run", "--resume", race)
    assert refused.returncode == 2
    assert "run gradbench choose again" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "soon"], "--budget soon: must be a time"),
        (["--samplers", "pymc_nutz"], "no sampler 'pymc_nutz'"),
    ],
)
def test_mistakes_are_one_message(
    gradbench: Gradbench, model_file: Callable[..., Path], words: list[str], said: str
) -> None:
    """With exit code 2."""
    model_file(NORMAL)
    done = gradbench("choose", "./my_model.py", *words, "--quiet")
    assert done.returncode == 2
    assert said in done.stderr


def test_a_density_that_takes_too_long_is_told(
    gradbench: Gradbench, model_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Looking at it alone takes the whole budget: exit code 1, and nothing is left behind."""
    model_file(
        "from gradbench import LogDensity\n"
        "def slow(x):\n    time.sleep(2)\n    return -0.5 * x @ x\n"
        "def model():\n    return LogDensity(slow, ndim=2)\n"
    )
    done = gradbench("choose", "./my_model.py", "--budget", "8s", "--quiet")
    assert done.returncode == 1, done.stderr
    assert "took all the time that was given: not done after 8 s" in done.stderr
    assert not (tmp_path / "results").exists()
