"""A file's columns are found in a model, whatever writes them; what isn't found is told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gradbench.elsewhere import names
from gradbench.elsewhere.names import Matching
from gradbench.errors import ChainsError
from gradbench.measure.known import Known
from gradbench.stats.diagnostics import Roles
from gradbench.target.quantities import scalars

SHAPES = {"mu": (), "tau": (), "theta": (3,), "L": (2, 2)}


def known(shapes: Mapping[str, tuple[int, ...]] = SHAPES, **given: Any) -> Known:
    every = tuple(s for name, shape in shapes.items() for s in scalars(name, shape))
    roles = Roles(*(np.ones(len(every), bool) for _ in range(3)))
    usual: dict[str, Any] = {
        "names": every, "roles": roles, "uncounted": {}, "reference": None,
        "reference_source": None, "shapes": dict(shapes), "free": tuple(shapes),
        "variables": ("mu", "tau_log__", "theta", "L"),
    }  # fmt: skip
    return Known(**{**usual, **given})


def match(*columns: str, index_from: Any = None, **given: Any) -> Matching:
    return names.matched(columns, known(**given), index_from=index_from)


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("mu", ("mu", None)),
        ("theta.1", ("theta", (1,))),
        ("theta[0]", ("theta", (0,))),
        ("L[1, 2]", ("L", (1, 2))),
        ("L.1.2", ("L", (1, 2))),
        ("L(1,2)", ("L", (1, 2))),
        ("layer.weight", ("layer.weight", None)),
        ("pair:2.3", ("pair.2", (3,))),
        ("pairs.1:2.3", ("pairs.2", (1, 3))),
        ("z.1.imag", ("z", (1, 2))),
    ],
)
def test_indexes_are_read_in_every_way(written: str, parsed: tuple[str, Any]) -> None:
    """ArviZ's, R's, Julia's and CmdStan's, tuples and complex numbers among them."""
    assert names.parsed(written) == parsed


@pytest.mark.parametrize(
    "columns",
    [
        ("theta.1", "theta.2", "theta.3"),
        ("theta[1]", "theta[2]", "theta[3]"),
        ("theta[0]", "theta[1]", "theta[2]"),
    ],
)
def test_indexes_start_from_0_or_1(columns: tuple[str, ...]) -> None:
    """The last index, or the first, says which."""
    assert match(*columns).columns == {"theta[0]": 0, "theta[1]": 1, "theta[2]": 2}


def test_what_one_quantity_says_of_indexes_holds_for_all() -> None:
    """Theta alone doesn't say where its indexes start; L does."""
    found = match("theta[1]", "theta[2]", "L[1,1]", "L[2,1]", "L[1,2]", "L[2,2]")
    assert found.columns["theta[0]"] == 0
    assert found.columns["L[1, 0]"] == 3


def test_indexes_that_may_start_from_either_are_left_out() -> None:
    """A wrong guess would be judged against another parameter's moments."""
    found = match("mu", "theta[1]", "theta[2]")
    assert "theta[0]" not in found.columns
    assert "whether indexes start from 0 or from 1 can't be told from the columns" in found.notices


def test_cmdstan_says_where_its_indexes_start() -> None:
    """So that some of an array's elements are enough."""
    assert match("theta.2", index_from=1).columns == {"theta[1]": 0}


def test_what_is_missing_is_listed() -> None:
    """Whole quantities by their name, parts of one by their scalars."""
    found = match("mu", "theta.1", "theta.3", index_from=1)
    assert found.missing == ("tau", "theta[1]", "L")


def test_what_the_model_has_not_is_told() -> None:
    """A column of another model is left out."""
    found = match("mu", "sigma")
    assert found.foreign == ("sigma",)
    assert "not of the model, left out: sigma" in found.notices


def test_indexes_that_dont_fit_are_told() -> None:
    """An array of another length is another model's."""
    found = match("mu", *(f"theta.{i}" for i in range(1, 6)), index_from=1)
    assert set(found.columns) == {"mu"}
    assert any("don't fit the model's shape (3)" in notice for notice in found.notices)


@pytest.mark.parametrize("name", ["tau_log__", "log_tau", "log(tau)", "tau_log"])
def test_another_scale_is_explained(name: str) -> None:
    """The unconstrained one of PyMC, and what is named as a logarithm."""
    said = " ".join(match("mu", name).notices)
    assert f"{name.rstrip(')') if name == 'log(tau)' else name}" in said
    assert "tau itself" in said


def test_columns_of_which_none_is_the_models_are_refused() -> None:
    """With both lists, and where there are no names, with how to give them."""
    with pytest.raises(ChainsError, match=r"none of the columns is of the model: they are a, b"):
        match("a", "b")
    with pytest.raises(ChainsError, match="--names says what the columns are"):
        match("x[0]", "x[1]")


def test_names_are_given_in_words() -> None:
    """A quantity of the model stands for its scalars; commas within brackets part no names."""
    assert names.expanded("mu, theta", 4, known()) == ("mu", "theta[0]", "theta[1]", "theta[2]")
    assert names.expanded("L[0, 1],mu", 2, None) == ("L[0, 1]", "mu")
    with pytest.raises(ChainsError, match="2 names for 3 columns"):
        names.expanded("a,b", 3, None)
