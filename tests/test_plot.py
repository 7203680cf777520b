"""The forest of costs in the terminal, compared exactly."""

from typing import Any

import numpy as np
import pytest

from gradbench.results.summarize import summarize
from gradbench.show.console import text
from gradbench.show.plot import plot
from tests.made_up import results

BAD: dict[str, Any] = {"rhat": np.array([1.5, 1.5])}


def plotted(*cells: Any, width: int = 80) -> str:
    found = summarize([cell for group in cells for cell in group])
    return text(lambda to: plot(found, to=to), width=width)


def test_costs_are_dots_in_their_intervals() -> None:
    """A line for each sampler, the cheapest first, over one axis; who has no price says why."""
    slow = results("slow", ess_bulk=np.array([500.0, 500.0]))
    shown = plotted(results("nuts"), slow, results("broken", **BAD))
    nuts, slower, broken = shown.splitlines()[-3:]
    assert nuts.startswith("nuts ")
    assert nuts.endswith("3.80 [2.96, 4.87]")
    assert slower.endswith("7.97 [6.21, 10.2]")
    assert nuts.index("●") < slower.index("●")
    assert nuts.count("●") == 1
    assert "─●" in nuts
    assert "●─" in nuts
    assert broken.split() == ["broken", "not_converged"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_is_as_wide_as_the_terminal(width: int) -> None:
    """No line is longer, whatever the terminal, and no colour is needed."""
    shown = plotted(results("nuts"), results("pymc_demetropolis_z"), width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown


def test_one_replicate_is_a_dot() -> None:
    """Without an interval there is no bar."""
    (line,) = (x for x in plotted(results("nuts", n=1)).splitlines() if x.startswith("nuts"))
    assert "●" in line
    assert "─" not in line


def test_nobody_has_a_price() -> None:
    """The table says so, and has no axis."""
    shown = plotted(results("a", **BAD), results("b", **BAD))
    assert "●" not in shown
    assert shown.count("not_converged") == 2
