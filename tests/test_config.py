"""Configs: what is read, what is refused, and that every refusal names its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gradbench.config import loading, planning
from gradbench.config.benchmark import json_schema
from gradbench.config.yaml_source import Document
from gradbench.errors import ConfigError

GOOD = """\
name: small
models:
  normal: {use: gaussian, params: {dim: 2}}
samplers:
  nuts: {use: pymc_nuts, draws: 100}
  emcee: {use: emcee, walkers: 8}
"""

BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)

# What is written, what in GOOD it replaces, and the place and words of the message.
REFUSED = {
    "an empty file": ("", None, "bad.yaml:1:1: the file is empty"),
    "only a comment": ("# nothing\n", None, "bad.yaml:1:1: the file is empty"),
    "a list": ("- name\n", None, "bad.yaml:1:1: a benchmark is a map of keys, not a list"),
    "a tab": ("name: x\nmodels:\n\tnormal: 1\n", None, "bad.yaml:3:1: a tab"),
    "two documents": ("name: a\n---\nname: b\n", None, "bad.yaml:2:1: but found another document"),
    "an alias bomb": (BILLION_LAUGHS, None, "aliases (*) expand to more than 10,000 values"),
    "an alias to itself": ("a: &a [*a]\n", None, "aliases (*) expand"),
    "a Python object": (
        "name: !!python/object/apply:os.system [ls]\n",
        None,
        "bad.yaml:1:7: name: a YAML value of type 'python/object/apply:os.system'",
    ),
    "a date": ("2020-01-01", "small", "bad.yaml:1:7: name: a YAML value of type 'timestamp'"),
    "a duplicate key": (
        "samplers: {}\nmodels:",
        "models:",
        "bad.yaml:5:1: samplers: written twice",
    ),
    "an unknown key": (
        "replicate: 3\nmodels:",
        "models:",
        "bad.yaml:2:1: replicate: unknown key; did you mean 'replicates'?",
    ),
    "an unknown key of a model": (
        "parms:",
        "params:",
        "bad.yaml:3:27: models.normal.parms: unknown key; did you mean 'params'?",
    ),
    "a list for a map": (
        "[gaussian]",
        "{use: gaussian, params: {dim: 2}}",
        "bad.yaml:3:3: models.normal: must be a map of keys, not a list",
    ),
    "no models": (
        "models: {}",
        "models:\n  normal: {use: gaussian, params: {dim: 2}}",
        "bad.yaml:2:1: models: must not be empty",
    ),
    "no name": ("description: x", "name: small", "bad.yaml:1:1: name: is missing"),
    "a label with a path": ("../../x:", "normal:", "bad.yaml:3:3: models.../../x: a label is"),
    "a name with a path": ("../x", "small", "bad.yaml:1:1: name: a label is letters"),
    "NaN": (".nan", "2", "models.normal.params.dim: must be a finite number"),
    "infinity": (".inf", "100", "samplers.nuts.draws: must be a finite number"),
    "no draws": ("0", "100", "bad.yaml:5:26: samplers.nuts.draws: must be at least 4, not 0"),
    "negative draws": ("-1", "100", "samplers.nuts.draws: must be at least 4, not -1"),
    "half a draw": ("1.5", "100", "samplers.nuts.draws: must be a whole number, not a number"),
    "draws in text": ("1e3", "100", "samplers.nuts.draws: must be a whole number, not text; YAML"),
    "true draws": ("true", "100", "samplers.nuts.draws: must be a whole number, not true/false"),
    "too many walkers": (
        "walkers: 100001",
        "walkers: 8",
        "bad.yaml:6:23: samplers.emcee.walkers: must be at most 100,000, not 100001",
    ),
    "an unknown sampler": (
        "use: emce,",
        "use: emcee,",
        "bad.yaml:6:11: samplers.emcee.use: no sampler 'emce'; did you mean 'emcee'?",
    ),
    "an unknown option": (
        "draw:",
        "draws:",
        "bad.yaml:5:26: samplers.nuts.draw: unknown key; did you mean 'draws'?",
    ),
    "an unknown model": (
        "gausian",
        "gaussian",
        "models.normal.use: no model 'gausian'; did you mean 'gaussian'?",
    ),
    "an unknown parameter": (
        "dmi:",
        "dim:",
        "bad.yaml:3:36: models.normal.params.dmi: the model has no such parameter; did you mean",
    ),
    "a missing model file": ("./none.py", "gaussian", "models.normal.use: "),
    "a swept parameter given too": (
        "{dim: 2}, sweep: {dim: [3]}}",
        "{dim: 2}}",
        "models.normal.sweep.dim: is set both directly and under sweep",
    ),
    "an empty sweep": (
        "{}, sweep: {dim: []}}",
        "{dim: 2}}",
        "models.normal.sweep.dim: must not be empty",
    ),
    "a bad value in a sweep": (
        "sweep: {draws: [100, 0]}",
        "draws: 100",
        "samplers.nuts.sweep.draws: must be at least 4, not 0",
    ),
    "too many cells": (
        "replicates: 10000\nmodels:\n  more: {use: gaussian, sweep: {dim: [1, 2, 3, 4, 5, 6]}}",
        "models:",
        "makes 140,000 cells",
    ),
    "a time without a unit": (
        "limits: {timeout: soon}\nmodels:",
        "models:",
        "bad.yaml:2:10: limits.timeout: must be a time such as 90s, 10min or 2h",
    ),
    "no memory": ("limits: {memory: 0}\nmodels:", "models:", "limits.memory: must be above 0"),
    "a wrong init": (
        "init: unifrom\nmodels:",
        "models:",
        "init: must be one of uniform, reference, model, map, own, prior; did you mean 'uniform'?",
    ),
    "figures of no sampler": (
        "published: {source: x, ms_per_ess: {nut: 1.0}}\nmodels:",
        "models:",
        "published.ms_per_ess.nut: no such sampler; did you mean 'nuts'?",
    ),
    "too deep": ("[" * 5000, None, "can't be read as YAML"),
}


@pytest.mark.parametrize(("text", "replaces", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_place_and_words(
    text: str, replaces: str | None, message: str, tmp_path: Path
) -> None:
    """Careless and hostile configs are refused in words, with file, line, column and key."""
    path = tmp_path / "bad.yaml"
    if replaces is not None:
        assert replaces in GOOD
        text = GOOD.replace(replaces, text, 1)
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        loading.load(str(path))
    assert message in str(refused.value).replace(f"{tmp_path}/", "")


def test_names_the_file_that_is_not_text(tmp_path: Path) -> None:
    """A folder, a binary file, a huge file and no file at all are each told apart."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "huge.yaml").write_text("#" * (2**20 + 1))
    for name, words in {
        "": "is a folder",
        "binary.yaml": "not a text file",
        "huge.yaml": "larger than 1 MiB",
        "gausian50": "did you mean 'gaussian50'?",
    }.items():
        source = str(tmp_path / name) if name != "gausian50" else name
        with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
            loading.load(source)


def test_names_the_model_file_without_model(config: Callable[..., Path], tmp_path: Path) -> None:
    """A model file that lacks ``model``, or isn't Python, is refused without being run."""
    for body, words in {"x = 1\n": "has no function 'model'", "def": "can't be read"}.items():
        (tmp_path / "mine.py").write_text(body)
        with pytest.raises(ConfigError, match=words):
            loading.load(str(config(models={"mine": {"use": "./mine.py"}})))


def test_reports_all_problems_at_once(tmp_path: Path) -> None:
    """One reading of a file shows each of its problems on a line of its own."""
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + "replicates: 0\nthreads: 0\n")
    with pytest.raises(ConfigError) as refused:
        loading.load(str(path))
    assert len(str(refused.value).splitlines()) == 2


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="{}[]:,-&*!| \n'\"ab0.#"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader raise anything but ConfigError."""
    try:
        value = Document(text, "x").value
    except ConfigError as error:
        value = {"refused": str(error)}
    assert isinstance(value, dict)


def test_resolved_config_is_read_back_equal(config: Callable[..., Path]) -> None:
    """What a run's folder keeps is the benchmark itself, defaults written out."""
    benchmark = loading.load(str(config(limits={"timeout": "90s", "memory": "500MB"})))
    path = config("again.yaml")
    path.write_text(loading.dump(benchmark))
    assert loading.restore(path) == benchmark
    assert benchmark.limits.timeout_s == 90
    assert benchmark.limits.memory_bytes == 500_000_000
    assert benchmark.samplers["nuts"].options["target_accept"] == 0.8


def test_overrides_reach_any_key(config: Callable[..., Path]) -> None:
    """--set replaces a value, makes missing maps, and is named in errors."""
    path = str(config(models={"a.b": {"use": "gaussian"}}))
    benchmark = loading.load(path, ["models.a.b.params.dim=7", "seed=3", "limits.timeout=5s"])
    assert benchmark.models["a.b"].params == {"dim": 7}
    assert (benchmark.seed, benchmark.limits.timeout_s) == (3, 5.0)
    for wrong, words in {
        "seed": "write it as --set path.to.key=value",
        "seed=x": "--set seed: seed: must be a whole number",
        "name.x=1": "is no map of keys",
        "seed=[": "--set seed:",
    }.items():
        with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
            loading.load(path, [wrong])


def test_shipped_configs_fit_their_schema() -> None:
    """Every shipped config is found by name, loads, and fits the schema editors use.

    So do samplers that aren't shipped, a package's by its bare name among them.
    """
    import jsonschema

    schema = json_schema()
    folder = Path(__file__).parents[1] / "configs"
    assert sorted(folder.glob("*.yaml"))
    for path in folder.glob("*.yaml"):
        assert "# yaml-language-server: $schema=schema.json" in path.read_text()
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
        assert planning.cells(loading.load(path.stem))
    elsewhere = {"mine": {"use": "./mine.py", "step": 1}, "theirs": {"use": "their_nuts", "a": 2}}
    jsonschema.validate({**yaml.safe_load(GOOD), "samplers": elsewhere}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(GOOD), "replicate": 1}, schema)


def test_committed_schema_is_current() -> None:
    """``configs/schema.json`` is what ``gradbench schema`` prints."""
    import json

    import pydantic

    if tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 12):
        pytest.skip("older versions of pydantic write the same schema in other words")
    committed = Path(__file__).parents[1] / "configs" / "schema.json"
    assert json.loads(committed.read_text()) == json_schema()
