"""From files to a table: what a run would say, where it is from, and beside which run it is."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gradbench as gb
from gradbench import compat, models
from gradbench.cli import main
from gradbench.draws import FloatArray
from gradbench.errors import GradbenchError
from gradbench.gate import sides
from gradbench.measure import workers
from gradbench.measure.worker import Session
from gradbench.measure.workers import Stopped
from gradbench.results import export, store
from gradbench.results.contests import contests
from gradbench.results.rows import rows
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary

CmdStan = Callable[..., list[Path]]
Judged = Callable[..., tuple[int, list[dict[str, Any]]]]
Failed = Callable[..., str]
Run = Callable[..., subprocess.CompletedProcess[str]]
GAUSSIAN = ("--model", "gaussian", "--param", "dim=3")
# What a run knows that draws don't tell; the check of the density is the run's.
NOT_OF_DRAWS = {"sampler_use", "default_options", "time_source", "evaluations_source", "origin"}


class Here:
    """A worker that answers in this process, which has imported PyMC already."""

    def __init__(self) -> None:
        self._session = Session()

    def call(self, do: str, **arguments: Any) -> Any:
        given = json.loads(json.dumps(arguments))
        try:
            return json.loads(json.dumps(getattr(self._session, do)(**given)))
        except GradbenchError as error:
            raise Stopped("failed", str(error)) from error

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "slow" not in request.keywords:
        monkeypatch.setattr(workers, "lone", Here)


@pytest.fixture
def judged(capsys: pytest.CaptureFixture[str]) -> Judged:
    """Run the command in this process; return its exit code and its rows."""

    def run(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
        with pytest.raises(SystemExit) as ended:
            main(["judge", *map(str, arguments), "--json", "-"])
        captured = capsys.readouterr()
        code = ended.value.code
        return int(code or 0), json.loads(captured.out) if captured.out else []

    return run


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Failed:
    """Run the command in this process; return its one message, its exit code being 2."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["judge", *map(str, arguments)])
        captured = capsys.readouterr()
        assert ended.value.code == 2, captured.err
        assert not captured.out
        assert captured.err.count("\n") == 1
        return captured.err

    return run


@pytest.fixture
def normal(tmp_path: Path, draws: FloatArray) -> Path:
    """Four clean chains of a 3-d standard normal with their log-density, its constant left out."""
    path = tmp_path / "normal.npz"
    np.savez(path, x=draws, lp=-0.5 * np.sum(draws**2, axis=2))
    return path


SCHOOLS = {
    "name": "schools",
    "models": {"schools": {"use": "eight_schools"}},
    "samplers": {
        "metropolis": {"use": "pymc_metropolis", "tune": 300, "draws": 600, "chains": 2},
        "walkers": {"use": "emcee", "walkers": 24, "tune": 100, "draws": 301},
    },
    "replicates": 2,
    "seed": 1,
}
OTHERS = {  # one of each kind: chains with their statistics, weights, families, an approximation
    "nuts": {"use": "pymc_nuts", "tune": 300, "draws": 500, "chains": 2},
    "nested": {"use": "dynesty", "draws": 50},
    "smc": {"use": "pymc_smc", "draws": 100},
    "advi": {"use": "pymc_advi", "tune": 500, "draws": 200},
}


def run(folder: Path, command: list[str], plain: dict[str, Any]) -> Path:
    """Run a benchmark that saves its draws; return its folder."""
    (folder / "run.yaml").write_text(yaml.safe_dump(plain))
    words = [*command, "run", "run.yaml", "--save-draws", "--quiet", "--skip-missing"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    (found,) = (folder / "results" / str(plain["name"])).iterdir()
    return found


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run with its draws, made once; not to be written to."""
    command = [sys.executable, "-m", "gradbench"]
    return run(tmp_path_factory.mktemp("once"), command, SCHOOLS)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of other kinds of draws, likewise."""
    plain = {**SCHOOLS, "samplers": OTHERS, "replicates": 1}
    return run(tmp_path_factory.mktemp("others"), [sys.executable, "-m", "gradbench"], plain)


@pytest.fixture
def finished(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(once, tmp_path / "finished"))


def by_place(table: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["sampler"], row["replicate"]): row for row in table}


def assert_own_numbers(folder: Path, table: list[dict[str, Any]]) -> None:
    """Assert that rows of saved draws are those of the run, to the last digit."""
    stored = store.read(folder)
    theirs = json.loads(export.to_json(summarize(stored.results)))
    ours = by_place(table)
    assert len(ours) == len(theirs)
    for row in theirs:
        mine = ours[row["sampler"], row["replicate"]]
        differing = {k for k in row if mine[k] != row[k]} - NOT_OF_DRAWS
        assert not differing, {k: (row[k], mine[k]) for k in differing}


def test_saved_draws_give_the_runs_own_numbers(judged: Judged, once: Path) -> None:
    """Every column of chains and walkers, costs, errors and calibration among them."""
    _, table = judged(*sorted((once / "draws").iterdir()))
    assert_own_numbers(once, table)
    assert {row["sampler_use"] for row in table} == {"elsewhere"}


@pytest.mark.slow
def test_saved_draws_of_every_kind_give_the_runs_own_numbers(judged: Judged, others: Path) -> None:
    """Weighted samples, approximations, and what is not installed left out."""
    _, table = judged(*sorted((others / "draws").iterdir()))
    assert {row["sampler"] for row in table} >= {"nuts", "smc", "advi"}
    assert_own_numbers(others, table)


def test_chains_are_judged_as_a_run_judges_its_own(judged: Judged, normal: Path) -> None:
    """ESS, R-hat, errors of known moments, costs from what was given, and where they come from."""
    given = ("--warmup-s", 1, "--sampling-s", 3, "--gradients", 30_000, "--label", "mine")
    code, (row,) = judged(normal, *GAUSSIAN, *given)
    assert code == 0
    assert (row["sampler"], row["status"]) == ("mine", "ok")
    assert row["ess"] == pytest.approx(2000, rel=0.2)
    assert row["ms_per_ess"] == pytest.approx(4000 / row["ess"])
    assert row["evaluations_per_ess"] == pytest.approx(30_000 / row["ess"])
    assert row["time_source"] == "given"
    assert row["reference"] == "exact"
    assert row["z_max"] < 4
    assert row["rhat_max"] < 1.01
    assert "the model's at" in row["lp_agreement"]
    assert row["notices"] is None


@pytest.mark.slow
@pytest.mark.smoke
def test_the_model_is_run_in_a_worker(
    judged: Judged, normal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the user's code: the command itself never loads it."""
    monkeypatch.setattr(models, "load", None)
    _, (row,) = judged(normal, *GAUSSIAN)
    assert "the model's at" in row["lp_agreement"]


def test_without_seconds_or_counts_there_is_no_price(judged: Judged, normal: Path) -> None:
    """Nor with those of sampling alone."""
    for given in ((), ("--sampling-s", 3)):
        _, (row,) = judged(normal, *GAUSSIAN, *given)
        assert row["ms_per_ess"] is None
        assert row["evaluations_per_ess"] is None
        assert row["n_grad_sampling"] is None
        assert row["warmup_s"] is None
    assert row["sampling_ms_per_ess"] == pytest.approx(3000 / row["ess"])


def test_another_target_is_refused(judged: Judged, draws: FloatArray, tmp_path: Path) -> None:
    """The chains are of a narrower normal than the model, and say so by their log-density."""
    np.savez(tmp_path / "a.npz", x=draws, lp=-0.6 * np.sum(draws**2, axis=2))
    code, (row,) = judged(tmp_path / "a.npz", *GAUSSIAN, "--gradients", 1000)
    assert code == 1
    assert row["status"] == "refused"
    assert "another target: theirs less the model's is" in row["reason"]
    assert row["evaluations_per_ess"] is None


def test_chains_off_by_much_contradict_their_ess(
    judged: Judged, draws: FloatArray, tmp_path: Path
) -> None:
    """One mean is half an sd off what is known."""
    np.savez(tmp_path / "a.npz", x=draws + np.array([0.5, 0, 0]))
    code, (row,) = judged(tmp_path / "a.npz", *GAUSSIAN)
    assert (code, row["status"]) == (1, "overstated")


def test_cmdstan_has_its_costs_in_its_comments(
    judged: Judged, cmdstan: CmdStan, draws: FloatArray
) -> None:
    """Four files are four chains, their seconds added up; warm-up's evaluations are in them."""
    lp = -0.5 * np.sum(draws**2, axis=2)
    files = cmdstan(draws, "x.1,x.2,x.3", lp=lp, n_warmup=100, save_warmup="true")
    _, (row,) = judged(*files, *GAUSSIAN)
    assert (row["n_chains"], row["n_draws"]) == (4, 400)
    assert (row["warmup_s"], row["sampling_s"]) == (1.0, 3.0)
    assert row["time_source"] == "comments of the files, chains added up"
    assert (row["n_grad_warmup"], row["n_grad_sampling"]) == (1600, 6400)
    assert row["evaluations_source"] == "n_steps of Stan 2.35.0 + 1 a draw"
    assert "the model's at" in row["lp_agreement"]
    assert row["n_divergences"] == 0


def test_chains_of_different_lengths_are_cut(
    judged: Judged, cmdstan: CmdStan, draws: FloatArray
) -> None:
    """To the shortest, and the table says so."""
    files = cmdstan(draws, "x.1,x.2,x.3")
    lines = files[1].read_text().splitlines(keepends=True)
    files[1].write_text("".join([*lines[:300], *lines[350:]]))
    _, (row,) = judged(*files)
    assert row["n_draws"] == 450
    assert "chains have 500, 450, 500, 500 draws: the first 450 of each" in row["notices"]


def test_a_repeated_chain_counts_once(judged: Judged, draws: FloatArray, tmp_path: Path) -> None:
    """Its copy would double the ESS."""
    np.savez(tmp_path / "a.npz", x=np.concatenate([draws, draws[:1]]))
    _, (row,) = judged(tmp_path / "a.npz")
    assert row["n_chains"] == 4
    assert row["notices"] == "chain 5 repeats chain 1, and is left out"


def test_doubts_make_a_row_unreliable(judged: Judged, draws: FloatArray, tmp_path: Path) -> None:
    """Warm-up that was left in."""
    far = 10 * 0.9 ** np.arange(500)[:, None]
    np.savez(tmp_path / "a.npz", x=draws + far)
    _, (row,) = judged(tmp_path / "a.npz")
    assert row["status"] != "ok"
    assert "is warm-up left in?" in row["notices"]


def test_what_is_missing_is_listed(judged: Judged, draws: FloatArray, tmp_path: Path) -> None:
    """Judged are the parameters that are there."""
    np.savez(tmp_path / "a.npz", mu=draws[..., 0], log_tau=draws[..., 1], other=draws[..., 2])
    _, (row,) = judged(tmp_path / "a.npz", "--model", "eight_schools")
    assert row["n_parameters"] == 1
    assert "of the model, not in the files: tau, eta, theta" in row["notices"]
    assert "log_tau may be tau on another scale" in row["notices"]
    assert "not of the model, left out: log_tau, other" in row["notices"]


def test_walkers_are_judged_as_an_ensemble(judged: Judged, tmp_path: Path) -> None:
    """Emcee's own file without a word, other files with --walkers."""
    import emcee

    backend = emcee.backends.HDFBackend(tmp_path / "run.h5")
    sampler = emcee.EnsembleSampler(12, 2, lambda x: -0.5 * float(x @ x), backend=backend)
    sampler.run_mcmc(np.random.default_rng(0).standard_normal((12, 2)), 300)
    np.save(tmp_path / "run.npy", np.swapaxes(sampler.get_chain(), 0, 1))
    model = ("--model", "gaussian", "--param", "dim=2")
    _, (ours,) = judged(tmp_path / "run.h5", *model)
    _, (walkers,) = judged(tmp_path / "run.npy", *model, "--walkers")
    _, (wrong,) = judged(tmp_path / "run.npy", *model)
    assert ours["ess"] == walkers["ess"]
    assert ours["autocorrelation_times_min"] is not None
    assert ours["evaluations_source"] == "walkers times steps of emcee, those of the file"
    assert "judge them with --walkers" in wrong["notices"]
    assert wrong["autocorrelation_times_min"] is None


def test_draws_that_are_no_chain_are_judged_by_their_errors(judged: Judged, normal: Path) -> None:
    """--reference-only: no ESS, and no price."""
    _, (row,) = judged(normal, *GAUSSIAN, "--reference-only", "--sampling-s", 1, "--warmup-s", 0)
    assert row["status"] == "approximate"
    assert row["ess"] is None
    assert row["error_rms_sd"] < 0.1


def test_parameters_and_names_choose_columns(
    judged: Judged, draws: FloatArray, tmp_path: Path
) -> None:
    """Columns without a name get one, and some of them are judged."""
    np.save(tmp_path / "a.npy", draws)
    _, (row,) = judged(tmp_path / "a.npy", "--names", "a,b[0],b[1]", "--parameters", "b")
    assert row["n_parameters"] == 2
    _, (row,) = judged(tmp_path / "a.npy", "--model", "gaussian", "--param", "dim=3")
    assert row["n_parameters"] == 3
    _, (row,) = judged(tmp_path / "a.npy", "--names", "a,b,c", "--parameters", "~a")
    assert row["n_parameters"] == 2


def test_a_row_beside_a_run(judged: Judged, finished: Path, tmp_path: Path) -> None:
    """It is there in the folder's tables, after those measured here, and no gate looks at it."""
    rng = np.random.default_rng(0)
    stored = store.read(finished)
    n_before = len(stored.results)
    path = tmp_path / "mine.npz"
    np.savez(path, mu=rng.standard_normal((4, 500)))
    given = ("--warmup-s", 1e-6, "--sampling-s", 1e-6, "--gradients", 2000)
    judged(path, "--into", finished, "--label", "mine", *given)
    _, table = judged(path, "--into", finished, "--label", "mine", *given)
    assert len(table) == n_before + 1, "the same draws have one place"
    found = export.from_csv(finished / "results.csv")
    (mine,) = [summary for summary in found if summary.is_elsewhere]
    assert (mine.model, mine.sampler, mine.replicate) == ("schools", "mine", 0)
    assert rows(found)[-1].sampler == "mine", "the quickest, and not ranked by it"
    assert ("schools", "mine") not in sides.of_run("run", store.read(finished)).series
    assert ("schools", "mine") not in sides.of_csv(finished / "results.csv").series
    assert "mine" in (finished / "parameters.csv").read_text()


def test_other_draws_of_one_label_are_another_replicate(
    judged: Judged, finished: Path, tmp_path: Path
) -> None:
    """So that several runs of one sampler have an interval."""
    for seed in range(2):
        path = tmp_path / f"{seed}.npz"
        np.savez(path, mu=np.random.default_rng(seed).standard_normal((4, 500)))
        _, table = judged(path, "--into", finished, "--label", "mine")
    assert [row["replicate"] for row in table if row["sampler"] == "mine"] == [0, 1]


def test_a_run_with_such_a_row_is_finished(
    judged: Judged, finished: Path, tmp_path: Path, gradbench: Run
) -> None:
    """--resume runs nothing for it, and shows it."""
    path = tmp_path / "mine.npz"
    np.savez(path, mu=np.random.default_rng(0).standard_normal((4, 500)))
    judged(path, "--into", finished, "--label", "mine")
    done = gradbench("run", "--resume", finished, "--quiet")
    assert "mine: made elsewhere (NumPy, 4 chains of 500 draws)" in done.stdout
    assert "mine" in gradbench("show", finished).stdout


def test_evaluations_are_compared_and_time_is_not() -> None:
    """A contest with what was made elsewhere is one of evaluations."""

    def summary(sampler: str, use: str, replicate: int) -> Summary:
        return Summary(
            model="m", sampler=sampler, replicate=replicate, status="ok", reason="", init="uniform",
            threads=1, seed=0, start_seed=0, params="{}", options="{}", sampler_use=use,
            ms_per_ess=1.0, evaluations_per_ess=10.0 if use == "elsewhere" else 5.0,
        )  # fmt: skip

    found = [
        summary(name, use, i)
        for name, use in (("quick", "elsewhere"), ("nuts", "pymc_nuts"), ("mh", "pymc_metropolis"))
        for i in range(2)
    ]
    timed, counted = contests(found)
    assert timed.time is not None
    assert (timed.other, counted.other) == ("mh", "quick")
    assert counted.time is None
    assert counted.evaluations.estimate == pytest.approx(2)


def test_mistakes_are_told(failed: Failed, normal: Path, once: Path, tmp_path: Path) -> None:
    """One message each, and exit code 2."""
    assert "no such file" in failed(tmp_path / "none.csv")
    assert "name it" in failed(normal, "--param", "dim=3")
    assert "no model 'gausian'" in failed(normal, "--model", "gausian")
    assert "needs a --model whose moments are known" in failed(normal, "--reference-only")
    assert "--parameters y: no such column" in failed(normal, "--parameters", "y")
    assert "the run has no model gaussian[dim=3]" in failed(normal, *GAUSSIAN, "--into", once)
    mu = tmp_path / "mu.npz"
    np.savez(mu, mu=np.random.default_rng(0).standard_normal((4, 500)))
    assert "has a sampler 'walkers' already" in failed(mu, "--into", once, "--label", "walkers")
    assert "none of the columns is of the model" in failed(normal, "--model", "eight_schools")


@pytest.mark.parametrize("kind", ["array", "mapping", "ArviZ object", "path", "paths"])
def test_python_gives_what_the_command_gives(
    judged: Judged, draws: FloatArray, tmp_path: Path, kind: str
) -> None:
    """Whatever holds the chains: the same numbers, as a frame, a table and a page."""
    path, files = tmp_path / "kept.nc", [tmp_path / f"{i}.npz" for i in range(2)]
    compat.save_draws(path, {"x": draws}, {}, {})
    for half, file in zip(np.split(draws, 2), files, strict=True):
        np.savez(file, x=half)
    given: dict[str, Any] = {
        "array": draws,
        "mapping": {"x": draws},
        "ArviZ object": compat.load_draws(path),
        "path": path,
        "paths": files,
    }
    _, (row,) = judged(*files, *GAUSSIAN, "--warmup-s", 0, "--sampling-s", 3, "--label", "mine")
    found = gb.judge(
        given[kind], model="gaussian", params={"dim": 3}, warmup_s=0, sampling_s=3, label="mine"
    )
    assert found.is_believed
    cells = json.loads(found.cells().to_json(orient="records", double_precision=15))[0]
    assert cells.keys() == row.keys()
    numbers = {name for name, value in row.items() if isinstance(value, float)}
    assert {n: cells[n] for n in numbers} == pytest.approx({n: row[n] for n in numbers}, rel=1e-9)
    assert {n for n in row.keys() - numbers if cells[n] != row[n]} <= {"origin", "options"}
    assert repr(found) == "<Judgement mine on gaussian[dim=3]: ok>"
    assert found.parameters()["parameter"].tolist() == ["x[0]", "x[1]", "x[2]"]
    assert found.to_frame()["ms_per_ess"][0] == pytest.approx(row["ms_per_ess"])
    assert "4 chains of 500 draws" in found.table()
    assert "<table>" in found._repr_html_()


def test_a_runs_draws_have_its_own_numbers_in_python(once: Path) -> None:
    """Draws of one of its cells, as ArviZ has them, are judged as the run judged them."""
    mine = gb.load(once).cells().set_index(["sampler", "replicate"])
    draws = gb.load(once).draws("schools", "metropolis", 1)
    found = gb.judge(draws).cells().iloc[0]
    for name in ("ess", "rhat_max", "n_logp_sampling", "sampling_s"):
        assert found[name] == mine.loc[("metropolis", 1), name]


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (object(), {}, r"x has the shape \(\); it must be \(chains, draws, parameters\)"),
        (np.full((4, 100, 2), None), {}, "x holds objects; draws are real numbers"),
        (np.zeros((4, 100)), {}, r"the shape \(4, 100\); it must be \(chains, draws, parameters\)"),
        ({"a": np.zeros((2, 9)), "b": np.zeros((2, 8))}, {}, "arrays differ in chains or draws"),
        ([[1.0], [1.0, 2.0]], {}, "chains: can't be read"),
        ({}, {}, "there are no draws in it"),
        ([], {}, r"the shape \(0,\)"),
        ("none.nc", {}, "no such file"),
        (np.zeros((4, 100, 2)), {"warmup_s": -1}, "warmup_s: must be at least 0, not -1"),
        (np.zeros((4, 100, 2)), {"params": {"dim": 2}}, "are of a model: name it"),
        (np.zeros((4, 100, 2)), {"model": "gausian"}, "no model 'gausian'; did you mean"),
        (np.zeros((4, 100, 3)), {"names": ["a", "b"]}, "2 names for 3 columns"),
        (np.zeros((4, 100, 2)), {"model": len}, "model: "),
    ],
)
def test_mistakes_in_python_are_told(given: Any, options: dict[str, Any], said: str) -> None:
    """Each is one error with the command's words."""
    with pytest.raises(GradbenchError, match=said):
        gb.judge(given, **options)


def test_what_saved_draws_say_is_not_said_again(failed: Failed, once: Path) -> None:
    """A run's own seconds and evaluations are not replaced, nor is what was given ignored."""
    path = sorted((once / "draws").iterdir())[0]
    said = failed(path, "--warmup-s", 0, "--gradients", 5)
    assert "a run's own saved draws say themselves what --warmup-s and --gradients would" in said


def test_a_million_parameters_are_refused(failed: Failed, tmp_path: Path) -> None:
    """With what to do instead."""
    np.save(tmp_path / "large.npy", np.zeros((1, 4, 1_000_000)))
    assert "1,000,000 parameters are more than can be judged" in failed(tmp_path / "large.npy")


def test_chains_that_never_moved_are_frozen(judged: Judged, tmp_path: Path) -> None:
    """One chain of four, told as a run tells it."""
    values = np.random.default_rng(0).standard_normal((4, 100, 2))
    values[1] = 0.5
    np.save(tmp_path / "a.npy", values)
    code, (row,) = judged(tmp_path / "a.npy")
    assert (code, row["status"]) == (1, "frozen")


def test_nan_among_draws_is_told(judged: Judged, tmp_path: Path) -> None:
    """As in a run: the row has no price, and its reason says where."""
    values = np.random.default_rng(0).standard_normal((4, 100, 2))
    values[1, 5, 1] = np.nan
    np.save(tmp_path / "a.npy", values)
    code, (row,) = judged(tmp_path / "a.npy")
    assert (code, row["status"]) == (1, "nonfinite")
    assert "x[1]" in row["reason"]


def test_code_that_a_file_of_draws_names_is_not_run(
    judged: Judged, once: Path, tmp_path: Path
) -> None:
    """A model of the user's own is loaded only where the user names it."""
    import xarray

    (path, *_) = sorted((once / "draws").iterdir())
    copy = tmp_path / "copy.nc"
    shutil.copy(path, copy)
    marked = tmp_path / "was_run"
    model = tmp_path / "model.py"
    model.write_text(f"open({str(marked)!r}, 'w')\ndef model(): ...\n")
    with xarray.open_dataset(copy, group="posterior", engine="h5netcdf") as data:
        cell = json.loads(data.attrs["cell"])
    cell |= {"model_use": str(model), "source": {"path": str(model), "data": None, "digest": ""}}
    import h5py

    with h5py.File(copy, "a") as file:
        file["posterior"].attrs["cell"] = json.dumps(cell)
    _, (row,) = judged(copy)
    assert not marked.exists()
    assert "judged without its model" in row["notices"]


@pytest.mark.slow
def test_draws_as_cmdstan_writes_them(judged: Judged, cmdstan: CmdStan, others: Path) -> None:
    """Draws with Stan's log-density, in CmdStan's format, are of the model they were made from."""
    import xarray

    (path,) = (others / "draws").glob("*-nuts-*")
    with xarray.open_dataset(path, group="posterior", engine="h5netcdf") as data:
        values = np.concatenate(
            [data["mu"].values[..., None], data["tau"].values[..., None], data["eta"].values],
            axis=2,
        )
    lp = schools_lp(values)
    columns = "mu,tau," + ",".join(f"eta.{i}" for i in range(1, 9))
    _, (row,) = judged(*cmdstan(values, columns, lp=lp), "--model", "eight_schools")
    assert "the model's at" in row["lp_agreement"], row["lp_agreement"]
    (own,) = (s for s in export.from_csv(others / "results.csv") if s.sampler == "nuts")
    assert row["ess_bulk_min"] == pytest.approx(own.ess_bulk_min, rel=1e-2)
    _, (other,) = judged(*cmdstan(values, columns, lp=0.9 * lp), "--model", "eight_schools")
    assert other["status"] == "refused"


def schools_lp(values: FloatArray) -> FloatArray:
    """Return what Stan calls lp__: the log-density with log tau for tau, constants left out."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    sigma = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    mu, tau, eta = values[..., 0], values[..., 1], values[..., 2:]
    theta = mu[..., None] + tau[..., None] * eta
    return np.asarray(
        -0.5 * (mu / 5) ** 2
        - np.log1p((tau / 5) ** 2)
        + np.log(tau)
        - 0.5 * np.sum(eta**2, axis=-1)
        - 0.5 * np.sum(((y - theta) / sigma) ** 2, axis=-1)
    )
