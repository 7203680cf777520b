"""The plan: order, labels, seeds and identity of cells."""

import json
from collections.abc import Callable
from pathlib import Path

from gradbench import config as configs
from gradbench import grid
from gradbench.grid import Cell

Write = Callable[..., Path]
TWO = {"nuts": {"use": "pymc_nuts"}, "emcee": {"use": "emcee", "walkers": 8}}


def plan(path: Path) -> list[Cell]:
    return grid.cells(configs.load(str(path)))


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
