"""The door from Python: names, signatures, frames, text and HTML, on made-up workers."""

import contextlib
import csv
import importlib
import inspect
import io
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradbench as gb
from gradbench.api import frames
from gradbench.cli import main
from gradbench.errors import ConfigError, LibraryError, ModelError, SamplerError, StoreError
from gradbench.gate import forms
from gradbench.gate.verdict import Policy
from gradbench.measure.check_sampler import Line
from gradbench.measure.workers import Stopped
from gradbench.results import check_sampler
from gradbench.show import progress
from tests.made_up import ENDED, MEASURED, measured, replace_workers

ROOT = Path(__file__).parents[1]

Config = dict[str, Any]
Write = Callable[..., Path]

SIGNATURES: dict[Callable[..., Any], str] = {
    gb.run: "config, overrides=None, *, only=(), results='results', save_draws=False,"
    " skip_missing=False, progress=True, ess=1000, **keys",
    gb.load: "path, *, ess=1000",
    gb.compare: "base, head",
    gb.judge: "chains, *, model=None, params=mappingproxy({}), data=None, posteriordb=None,"
    " parameters=(), names=None, walkers=False, compile_s=None, warmup_s=None, sampling_s=None,"
    " evaluations=None, gradients=None, reference_only=False, label=None",
    gb.check_sampler: "sampler, *, options=mappingproxy({}), models=(), seed=0, quick=False,"
    " progress=True",
    gb.Run.to_frame: "self",
    gb.Run.cells: "self",
    gb.Run.parameters: "self",
    gb.Run.curves: "self",
    gb.Run.draws: "self, model, sampler, replicate=0",
    gb.Run.table: "self, *, width=100",
    gb.Run.resume: "self, *, save_draws=False, progress=True",
    gb.Comparison.to_frame: "self",
    gb.Comparison.table: "self, *, width=100",
    gb.Judgement.to_frame: "self",
    gb.Judgement.cells: "self",
    gb.Judgement.parameters: "self",
    gb.Judgement.table: "self, *, width=100",
    gb.Contract.to_frame: "self",
    gb.Contract.table: "self, *, width=100",
}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    """A config in Python of two samplers and three replicates, its workers made up."""
    replace_workers(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return {
        "name": "whole",
        "models": {"normal": {"use": "gaussian", "params": {"dim": 2}}},
        "samplers": {label: {"use": "pymc_nuts"} for label in ("ok", "timeout")},
        "replicates": 3,
        "seed": 1,
    }


# -- names -----------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    """Whoever removes one breaks notebooks; each can be had, completed, and nothing else."""
    functions = {"check_sampler", "compare", "judge", "load", "run"}
    records = {"Comparison", "Contract", "GradbenchError", "Judgement", "Run"}
    of_models = {"LogDensity", "Moments", "Reference", "StanProgram"}
    assert set(gb.__all__) == functions | records | of_models
    assert set(gb.__all__) <= set(dir(gb))
    for name in gb.__all__:
        assert getattr(gb, name).__module__.startswith("gradbench."), name
    with pytest.raises(AttributeError, match="has no attribute 'runs'"):
        _ = gb.runs


def test_signatures_are_kept() -> None:
    """What a notebook calls today it can call tomorrow."""
    for function, expected in SIGNATURES.items():
        signature = inspect.signature(function)
        bare = [
            p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()
        ]
        found = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
        assert str(found) == f"({expected})", function
    for cls, names in {
        gb.Run: {"path", "n_finished", "n_planned", "is_finished"},
        gb.Comparison: {"verdict", "sentence", "regressions"},
        gb.Judgement: {"is_believed"},
        gb.Contract: {"found", "is_passed", "failed"},
    }.items():
        public = {name for name in dir(cls) if not name.startswith("_")}
        methods = {f.__name__ for f in SIGNATURES if f.__qualname__.startswith(cls.__name__)}
        assert public == names | methods


def test_importing_it_imports_nothing_heavy() -> None:
    """``import gradbench`` costs what it did: numbers, frames and PyMC come when they are used."""
    code = (
        "import sys\nimport gradbench as gb\ndir(gb)\n"
        "heavy = {'pymc', 'arviz', 'pandas', 'numpy', 'rich', 'pydantic', 'emcee'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "gb.run, gb.load, gb.compare, gb.judge, gb.check_sampler\n"
        "heavy = {'pymc', 'arviz', 'pandas', 'xarray'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# -- runs ------------------------------------------------------------------------------------


def test_a_run_from_python_is_the_command_lines(
    plain: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same folder, the same table, the same numbers as results.csv and parameters.csv."""
    run = gb.run(plain)
    assert run.path.parent == Path("results/whole")
    assert repr(run) == f"<Run {run.path}: 6 of 6 cells>"
    with pytest.raises(SystemExit):
        main(["show", str(run.path)])
    shown = capsys.readouterr().out
    assert run.table().split() == shown.split()
    assert run.table() == gb.load(run.path).table()
    for found, name in ((run.cells(), "results.csv"), (run.parameters(), "parameters.csv")):
        with (run.path / name).open(newline="") as lines:
            expected = list(csv.DictReader(lines))
        assert list(found.columns) == list(expected[0])
        assert len(found) == len(expected)
        for column in found.columns:
            ours = [_as_csv(value) for value in found[column]]
            assert ours == [_as_csv(line[column]) for line in expected], column


def _as_csv(value: Any) -> Any:
    """Return a number as one, whether it is one or the text of one; None where there is none."""
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def test_the_frame_has_a_row_for_each_model_and_sampler(plain: Config) -> None:
    """Intervals are three columns; a sampler without a price has NaN, a status and a reason."""
    found = gb.run(plain).to_frame().set_index("sampler")
    assert list(found.index) == ["ok", "timeout"]
    ok, timeout = found.loc["ok"], found.loc["timeout"]
    assert ok["ms_per_ess_low"] < ok["ms_per_ess"] < ok["ms_per_ess_high"]
    assert ok["ms_per_ess"] == pytest.approx(1e3 * 4 / 1050, rel=0.01)
    assert (ok["status"], ok["n_replicates"], ok["n_divergences"]) == ("ok", 3, 0)
    assert np.isnan(timeout["ms_per_ess"])
    assert timeout["reason"] == "timeout, said the worker"
    assert str(found["ms_per_ess"].dtype) == "float64"
    assert str(found["n_replicates"].dtype) == "int64"


def test_overrides_are_keywords_or_paths(plain: Config, tmp_path: Path) -> None:
    """Both replace what the config says, in a config of Python, a file, and a shipped one."""
    run = gb.run(plain, {"samplers.ok.draws": np.int64(7)}, replicates=1, only="ok")
    assert run.n_planned == 1
    assert '"draws": 7' in run.cells()["options"][0]
    (tmp_path / "own.yaml").write_text("name: own\nmodels: {a: {use: gaussian}}\nsamplers: {}\n")
    run = gb.run(
        Path("own.yaml"), samplers={"ok": {"use": "pymc_nuts"}}, models={"b": {"use": "gaussian"}}
    )
    assert list(run.to_frame()["model"]) == ["b"]
    run = gb.run(
        "gaussian50",
        {"models.gaussian50.params.dim": 2, "samplers.ok": {"use": "pymc_nuts"}},
        replicates=1,
        only=["ok"],
        results=tmp_path / "elsewhere",
    )
    assert run.path.parent == tmp_path / "elsewhere" / "gaussian50"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"replicates": 0}, "override: replicates: must be at least 1, not 0"),
        ({"replicates": float("nan")}, "override: replicates: must be a finite number, not nan"),
        (
            {"samplers.ok.drawz": 5},
            "override: samplers.ok.drawz: unknown key; did you mean 'draws'",
        ),
        ({"limits": {"timeout": "soon"}}, "override: limits.timeout: must be a time"),
        ({"name.first": 1}, "name is no map of keys"),
        ({"seed": {1, 2}}, "override: seed: a value of type 'set' is not allowed"),
        ({"models": {}}, "models: must not be empty"),
    ],
)
def test_wrong_overrides_are_named(plain: Config, overrides: Config, words: str) -> None:
    """The command line's words, with the key that is wrong; nothing is written."""
    with pytest.raises(ConfigError) as error:
        gb.run(plain, overrides)
    assert words in str(error.value)
    assert not Path("results").exists()


def test_wrong_configs_are_named(plain: Config) -> None:
    """A config of Python has keys and no lines; a wrong name has the command line's words."""
    with pytest.raises(ConfigError, match=r"^config: name: is missing$"):
        gb.run({key: value for key, value in plain.items() if key != "name"})
    with pytest.raises(ConfigError, match="no such file, and no shipped config of this name; did"):
        gb.run("gausian50")
    with pytest.raises(ConfigError, match=r"--only okay: .*did you mean 'ok'"):
        gb.run(plain, only="okay")
    with pytest.raises(StoreError, match="not a results folder"):
        gb.load("results")


def test_what_is_not_installed_is_left_out_if_asked(
    plain: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``skip_missing`` says on stderr what it leaves out; where nothing is left, it is an error."""
    from gradbench import samplers

    monkeypatch.setattr(samplers, "remedy", lambda use: "pip" if use == "nutpie" else None)
    plain["samplers"]["gone"] = {"use": "nutpie"}
    run = gb.run(plain, skip_missing=True, replicates=1)
    assert set(run.cells()["sampler"]) == {"ok", "timeout"}
    assert capsys.readouterr().err == "left out, not installed: gone: pip\n"
    with pytest.raises(SamplerError, match="none of the samplers is installed"):
        gb.run(plain, skip_missing=True, only="gone")


def test_an_interrupted_run_is_kept_and_resumed(
    plain: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C gives what was finished, which says that it is unfinished, and how to go on."""

    def interrupted(replicate: int) -> Any:
        if replicate == 1:
            raise KeyboardInterrupt
        return measured(replicate)

    monkeypatch.setitem(MEASURED, "ok", interrupted)
    run = gb.run(plain)
    assert not run.is_finished
    assert (run.n_finished, run.n_planned) == (2, 6)
    assert repr(run).endswith("2 of 6 cells, unfinished>")
    assert capsys.readouterr().err == "interrupted; 2 of 6 cells are kept\n"
    note = "unfinished: 2 of 6 cells are done; run.resume() runs the others"
    assert run.table().endswith(note)
    assert note in run._repr_html_()
    with pytest.raises(StoreError, match="replicate 1 of ok on normal is not finished"):
        run.draws("normal", "ok", 1)
    monkeypatch.setitem(MEASURED, "ok", measured)
    whole = run.resume()
    assert whole.is_finished
    assert whole.path == run.path
    assert "unfinished" not in whole.table()


def test_draws_that_are_not_there_are_named(plain: Config) -> None:
    """A label that doesn't exist, a cell that failed, a run that kept none: each in a sentence."""
    run = gb.run(plain)
    for place, words in {
        ("norma", "ok", 0): "no model 'norma'; did you mean 'normal'",
        ("normal", "okay", 0): "no sampler 'okay'; did you mean 'ok'",
        ("normal", "ok", 3): "replicate 3 of ok on normal does not exist (there are: 0 to 2)",
        ("normal", "timeout", 0): "no draws: timeout: timeout, said the worker",
        ("normal", "ok", 0): "its draws were not saved; gradbench.run(..., save_draws=True)",
    }.items():
        with pytest.raises(StoreError) as error:
            run.draws(*place)
        assert words in str(error.value)
    folder = run.path / "draws"
    folder.mkdir()
    (folder / f"{run._result('normal', 'ok', 0).cell.id}.nc").write_text("no netCDF")
    with pytest.raises(StoreError, match="can't be read as netCDF"):
        run.draws("normal", "ok")


def test_without_pandas_there_is_one_line(plain: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames say what is missing and what installs it; the text needs none."""
    run = gb.run(plain, replicates=1)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LibraryError, match=r"^pandas is not installed: pip install pandas$"):
        run.to_frame()
    assert "ms/ESS" in run.table()


def test_no_cells_are_an_empty_frame() -> None:
    """A run that was interrupted at once has all columns, and no rows."""
    from gradbench.results.rows import Row

    found = frames.frame(Row, [])
    assert len(found) == 0
    assert {"ms_per_ess_high", "log_evidence_se", "lone_z_by_chance", "status"} <= {*found.columns}


@pytest.mark.parametrize("version", range(1, 6))
def test_runs_of_older_versions_are_loaded(version: int) -> None:
    """Whatever wrote a folder, its table is a frame, a text and a page."""
    run = gb.load(ROOT / "tests" / "golden" / f"schema-{version}")
    assert run.is_finished
    assert len(run.cells()) == run.n_planned
    assert {*run.to_frame()["sampler"]} == {*run.cells()["sampler"]}
    models = {label.partition("[")[0] for label in run.cells()["model"]}
    assert len(Page(run._repr_html_()).captions) == len(models)


# -- models ----------------------------------------------------------------------------------


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[types.ModuleType]:
    """A module with a model file's function, and another."""
    (tmp_path / "my_own_model.py").write_text("def model(dim=2): ...\n\ndef other(): ...\n")
    sys.path.insert(0, str(tmp_path))
    try:
        yield importlib.import_module("my_own_model")
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("my_own_model", None)


def test_an_imported_files_model_is_a_model(
    plain: Config, imported: types.ModuleType, tmp_path: Path
) -> None:
    """Its function stands for its path, in a config and in an override, dotted or not."""
    plain["models"] = {"a": {"use": imported.model, "params": {"dim": 3}}}
    run = gb.run(plain, {"models.b.use": imported.model}, only="ok", replicates=1)
    paths = set(run.cells()["model_use"])
    assert paths == {str(tmp_path / "my_own_model.py")}


def test_a_function_of_the_session_has_a_remedy(plain: Config, imported: types.ModuleType) -> None:
    """What workers could not import is refused with what to do, and nothing is written."""

    def model() -> None: ...

    session = types.FunctionType(model.__code__, {}, "model")
    session.__module__, session.__qualname__ = "__main__", "model"
    for function, problem in {
        session: "model was defined in this session, which workers can't see into",
        model: "workers call a file's function model, and this is test_a_function_of_the_session",
        imported.other: "workers call a file's function model, and this is other of ",
        object(): "is an object, which only this process has",
    }.items():
        with pytest.raises(ModelError) as error:
            gb.run(plain, models={"mine": {"use": function}})
        assert str(error.value).startswith("models.mine.use: ")
        assert problem in str(error.value)
        assert "%%writefile my_model.py" in str(error.value)
    assert not Path("results").exists()


def test_paths_of_a_shipped_config_start_here(plain: Config, tmp_path: Path) -> None:
    """A model's path in an override of a shipped config is in the current folder."""
    assert plain
    (tmp_path / "here.py").write_text("def model(): ...\n")
    run = gb.run(
        "gaussian50",
        {"samplers.ok.use": "pymc_nuts", "models.mine.use": "./here.py"},
        models={"mine": {"use": "gaussian"}},  # comes first
        replicates=1,
        only="ok",
    )
    assert set(run.cells()["model_use"]) == {str(tmp_path / "here.py")}


# -- comparisons -----------------------------------------------------------------------------


def test_a_comparison_from_python_is_the_command_lines(
    plain: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run, its folder, its CSV: the same verdicts as ``gradbench compare``, as text and frame."""
    base = gb.run(plain, replicates=8, only="ok")
    monkeypatch.setitem(MEASURED, "ok", lambda i: measured(1, ess_mean=np.full(2, 500.0 + i)))
    head = gb.run(plain, replicates=8, only="ok")
    found = gb.compare(base, head)
    assert found.regressions == ["ok on normal"]
    assert repr(found) == f"<Comparison {base.path} → {head.path}: {found.sentence}>"
    with pytest.raises(SystemExit):
        main(["compare", str(base.path), str(head.path)])
    assert found.table().split() == capsys.readouterr().out.split()
    again = gb.compare(base.path / "results.csv", str(head.path))
    assert again.to_frame()["verdict"].tolist() == ["regressed"]
    (row,) = found.to_frame().to_dict("records")
    (line,) = csv.DictReader(io.StringIO(forms.to_csv([found.verdict], Policy())))
    assert {*row} == {*line} - {"base_name", "head_name"}
    assert row["evaluations_ratio_low"] == float(line["evaluations_ratio_low"])


def test_what_has_nothing_in_common_is_not_compared(plain: Config) -> None:
    """Two runs without a model and sampler of both are refused with what each has."""
    one, other = (gb.run(plain, only=label, replicates=1) for label in ("ok", "timeout"))
    with pytest.raises(StoreError, match="there ok on normal; here timeout on normal"):
        gb.compare(one, other)
    with pytest.raises(StoreError, match="no such file or folder"):
        gb.compare(one, "nowhere")


# -- HTML ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a screen reader has of a page: captions, and each cell with its scope."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.captions: list[str] = []
        self.cells: list[tuple[str, str | None, str]] = []
        self.styles: list[str] = []
        self.feed(text)
        assert self.opened == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.styles += [value or "" for name, value in attrs if name == "style"]
        if tag == "br":
            self.handle_data(" ")
            return
        self.opened.append(tag)
        if tag in {"td", "th"}:
            self.cells.append((tag, dict(attrs).get("scope"), ""))
        if tag == "caption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if "caption" in self.opened:
            self.captions[-1] += data
        elif self.opened and self.opened[-1] in {"td", "th"}:
            tag, scope, text = self.cells[-1]
            self.cells[-1] = (tag, scope, text + data)


def test_a_runs_html_is_accessible_and_whole(plain: Config) -> None:
    """Caption, scopes of heads and of rows, all columns, statuses in words, and no colour."""
    run = gb.run(plain)
    page = Page(run._repr_html_())
    assert page.captions == [
        "normal 3 replicates, started from uniform(-2, 2) on the unconstrained scale"
    ]
    heads = [text for tag, scope, text in page.cells if (tag, scope) == ("th", "col")]
    rows = [text for tag, scope, text in page.cells if (tag, scope) == ("th", "row")]
    assert heads[0] == "sampler"
    assert {"ms/ESS [95 % CI]", "warm-up + sampling s", "compile s", "div.", "status"} <= {*heads}
    assert rows == ["ok", "timeout"]
    assert len(page.cells) == 3 * len(heads)
    assert {"ok", "timeout"} <= {text for tag, _, text in page.cells if tag == "td"}
    assert not any("color" in style or "background" in style for style in page.styles)


def test_a_sweeps_points_head_their_rows(plain: Config) -> None:
    """Where a table has several points, each row is headed by its point and its sampler."""
    plain["models"]["normal"] = {"use": "gaussian", "sweep": {"dim": range(2, 4)}}
    page = Page(gb.run(plain, only="ok")._repr_html_())
    rows = [text for tag, scope, text in page.cells if (tag, scope) == ("th", "row")]
    assert rows == ["2", "ok", "3", "ok"]


def test_html_is_escaped(plain: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker says is text, whatever is in it."""
    monkeypatch.setitem(ENDED, "timeout", Stopped("failed", "<script>alert('&')</script>"))
    html = gb.run(plain, replicates=1)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_comparisons_html_has_its_verdicts_in_words(plain: Config) -> None:
    """The sentence is the caption, model and sampler head the row, the verdict is a word."""
    run = gb.run(plain, replicates=64, only="ok")
    page = Page(gb.compare(run, run)._repr_html_())
    assert page.captions == [f"No regression (1 identical). {run.path} → {run.path}"]
    rows = [text for tag, scope, text in page.cells if (tag, scope) == ("th", "row")]
    assert rows == ["normal", "ok"]
    assert ("td", None, "identical") in page.cells


# -- a sampler's contract --------------------------------------------------------------------


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let every sampler keep one promise and break another; what is asked is noted."""
    asked: dict[str, Any] = {}

    def check(use: str, _display: object, **given: Any) -> check_sampler.Contract:
        asked.update(given, use=use)
        lines = (Line("seed", "passed"), Line("counts", "failed", "by 3 & more"))
        return check_sampler.Contract(use, {"step": 0.3}, lines)

    monkeypatch.setattr(check_sampler, "check", check)
    return asked


def test_a_sampler_is_checked_from_python(
    checked: dict[str, Any], imported: types.ModuleType, tmp_path: Path
) -> None:
    """As the command does, on a model's name, path or imported function; the contract is shown."""
    mine = Path("mine.py")
    found = gb.check_sampler(mine, options={"step": 0.3}, models=imported.model, quick=True)
    assert checked["use"] == "mine.py"
    assert checked["models"] == [str(tmp_path / "my_own_model.py")]
    assert checked["effort"] == check_sampler.QUICK
    assert repr(found) == "<Contract mine.py: 1 kept, 1 broken>"
    assert not found.is_passed
    assert found.failed == {"counts": "by 3 & more"}
    assert found.to_frame().to_dict("list") == {
        "name": ["seed", "counts"], "outcome": ["passed", "failed"], "reason": ["", "by 3 & more"],
    }  # fmt: skip
    assert found.table().splitlines()[0] == "mine.py  step=0.3"
    page = Page(found._repr_html_())
    assert page.captions == ["mine.py step=0.3"]
    rows = [text for tag, scope, text in page.cells if (tag, scope) == ("th", "row")]
    assert rows == ["seed", "counts"]
    assert ("td", None, "by 3 & more") in page.cells


def test_a_wrong_option_of_a_sampler_is_named() -> None:
    """With its key, and the nearest that there is."""
    with pytest.raises(ConfigError, match=r"samplers\.sampler\.drawz: unknown key; did you mean"):
        gb.check_sampler("pymc_metropolis", options={"drawz": 5}, progress=False)


# -- progress --------------------------------------------------------------------------------


class Stream(io.StringIO):
    """A stream as a notebook's kernel has them."""


Stream.__module__ = "ipykernel.iostream"


def test_a_notebooks_progress_is_one_line(plain: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts cells on one line that is gone in the end; ``progress=False`` writes nothing."""
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    gb.run(plain, progress=False)
    assert stream.getvalue() == ""
    gb.run(plain)
    written = stream.getvalue()
    assert "\n" not in written
    lines = [line.rstrip() for line in written.split("\r")]
    assert "3/6 normal timeout #2" in lines
    assert lines[-2:] == ["", ""]


def test_a_shorter_line_leaves_nothing_of_a_longer_one() -> None:
    """What is written over a line is at least as wide as that was."""
    stream = io.StringIO()
    with progress.Line(stream) as line:
        line.compiling("a_long_name", "nuts")
        line.compiling("b", "")
    first, *others = stream.getvalue().split("\r")[2:]
    assert len(others[0]) >= len(first)


def test_elsewhere_progress_is_the_command_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script has the bar of ``gradbench run``, which is silent where stderr is no terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.display(is_quiet=False) as shown:
        assert isinstance(shown, progress.Display)
        shown.planned(3)
    assert stream.getvalue() == ""


# -- for real --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.smoke
def test_a_small_run_from_a_script(tmp_path: Path) -> None:
    """A real run by a script: a model of an imported file, its draws as ArviZ has them, a frame."""
    (tmp_path / "coins.py").write_text(
        "import pymc as pm\n\ndef model(heads=7):\n    with pm.Model() as built:\n"
        "        p = pm.Beta('p', 1, 1)\n        pm.Binomial('y', 10, p, observed=heads)\n"
        "    return built\n"
    )
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
        import coins
        import gradbench as gb

        run = gb.run(
            {
                "name": "coins",
                "models": {"coins": {"use": coins.model, "params": {"heads": 6}}},
                "samplers": {"nuts": {"use": "pymc_nuts", "tune": 300, "draws": 1500}},
                "replicates": 2,
            },
            {"samplers.nuts.chains": 2},
            save_draws=True,
        )
        found = run.to_frame().iloc[0]
        assert found["ms_per_ess"] > 0 and found["model"] == "coins", found
        p = run.draws("coins", "nuts", 1)["posterior"]["p"]
        assert p.shape == (2, 1500) and abs(float(p.mean()) - 7 / 12) < 0.1
        cells = run.parameters().set_index(["replicate", "parameter"])
        assert abs(cells.loc[(1, "p"), "mean"] - float(p.mean())) < 1e-9
        assert gb.compare(run, run).regressions == []
        print(run.table())
        """)
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nuts" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pages_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/python.md from top to bottom in one session, as a notebook: what is printed is as shown.

    Of a table that is its head; what holds no measured number is the same to the letter.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "my_model", None)  # and whatever is imported is forgotten
    del sys.modules["my_model"]
    session = types.ModuleType("__main__").__dict__
    printed = ""
    page = (ROOT / "docs" / "python.md").read_text()
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if kind == "text":
            assert _shown(printed) == _shown(text)
        elif text.startswith("%%writefile "):
            command, _, body = text.partition("\n")
            (tmp_path / command.split()[1]).write_text(body)
        else:
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(text, session)
            printed = stdout.getvalue()


def _shown(text: str) -> str | list[str]:
    """Return a line as it is; of several the words of the table's head."""
    lines = text.strip("\n").splitlines()
    if len(lines) == 1:
        return lines[0].strip()
    rule = next((i for i, line in enumerate(lines) if "──" in line), 1)
    return lines[rule - 1].split()
