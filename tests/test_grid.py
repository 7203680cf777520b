"""The plan: order, labels, seeds and identity of cells."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from gradbench import models
from gradbench.config import loading as configs
from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell

Write = Callable[..., Path]
TWO = {"nuts": {"use": "pymc_nuts"}, "emcee": {"use": "emcee", "walkers": 8}}


def plan(path: Path) -> list[Cell]:
    return planning.cells(configs.load(str(path)))


def test_samplers_take_turns(config: Write) -> None:
    """Replicates of a model's samplers interleave; models follow one another."""
    models = {"a": {"use": "gaussian"}, "b": {"use": "gaussian"}}
    cells = plan(config(samplers=TWO, models=models, replicates=2))
    assert [(c.model, c.replicate, c.sampler) for c in cells] == [
        (model, replicate, sampler)
        for model in ("a", "b")
        for replicate in (0, 1)
        for sampler in ("nuts", "emcee")
    ]


def test_sweeps_expand_into_labels(config: Write) -> None:
    """A sweep makes one model, or one sampler, for each combination of its values."""
    models = {"g": {"use": "gaussian", "sweep": {"dim": [2, 10]}}}
    nuts = {"use": "pymc_nuts", "sweep": {"draws": [10, 20], "target_accept": [0.8, 0.9]}}
    cells = plan(config(models=models, samplers={"nuts": nuts}))
    assert len(cells) == 8
    assert cells[0].model == "g[dim=2]"
    assert cells[0].params == {"dim": 2}
    assert cells[1].sampler == "nuts[draws=10,target_accept=0.9]"
    assert cells[1].options["target_accept"] == 0.9


def test_seeds_depend_on_labels_only(config: Write) -> None:
    """Another sampler changes nobody's seed; starts are shared by a replicate's samplers."""
    one = plan(config(replicates=2))
    two = plan(config(samplers={"other": {"use": "pymc_nuts"}, **TWO}, replicates=2))
    seeds = {(c.sampler, c.replicate): (c.seed, c.start_seed) for c in two}
    assert [seeds[c.sampler, c.replicate] for c in one] == [(c.seed, c.start_seed) for c in one]
    assert len({c.start_seed for c in two}) == 2
    assert len({c.seed for c in two}) == 6
    assert all(0 <= c.seed < 2**31 for c in two)


def test_a_cell_is_its_json(config: Write) -> None:
    """A cell survives JSON, and its id is a file name that changes with any part of it."""
    (cell,) = plan(config(models={"g": {"use": "gaussian", "sweep": {"dim": [2]}}}))
    again = Cell.from_json(json.loads(json.dumps(cell.to_json())))
    assert again == cell
    assert again.id == cell.id
    assert set(cell.id) <= set("abcdefghijklmnopqrstuvwxyz0123456789_=-")
    assert Cell.from_json({**cell.to_json(), "seed": 1}).id != cell.id


def test_a_cell_says_what_it_runs(config: Write) -> None:
    """It holds its model's files as they were, and which options have their default."""
    samplers = {"nuts": {"use": "pymc_nuts", "tune": 1000, "draws": 50}}
    (cell,) = plan(config(samplers=samplers))
    assert cell.source is not None
    assert cell.source.path.name == "gaussian.py"
    assert cell.source.digest == models.fingerprint(models.find("gaussian", Path()))
    assert {"tune", "backend", "chains"} <= set(cell.defaults)
    assert "draws" not in cell.defaults


LATER = {"source", "defaults", "sampler_source", "parameters"}  # than schema 1


def test_ids_outlive_versions(config: Write) -> None:
    """A cell's id is what schema 1 made of it, so that an older run can be resumed."""
    (cell,) = plan(config())
    plain = cell.to_json()
    older = {name: plain[name] for name in plain if name not in LATER}
    assert Cell.from_json(older).id == cell.id
    digest = sha256(json.dumps(older, sort_keys=True).encode()).hexdigest()[:8]
    assert cell.id == f"normal-nuts-0-{digest}"


def test_places_need_no_sampler_and_no_model() -> None:
    """The order of a plan is read off labels, whatever became of what they name."""
    benchmark = Benchmark.model_validate(
        {
            "name": "n",
            "models": {"g": {"use": "/gone.py", "sweep": {"dim": [2, 3]}}, "h": {"use": "gone"}},
            "samplers": {"s": {"use": "gone"}},
        }
    )
    assert planning.places(benchmark) == ({"g[dim=2]": 0, "g[dim=3]": 1, "h": 2}, {"s": 0})
