"""Plain data and back: what is not a finite number is null in a file, and NaN when it is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from gradbench import records
from gradbench.draws import FloatArray
from gradbench.timing import Duration, Timing


@dataclass(frozen=True, slots=True)
class Everything:
    number: float
    maybe: float | None
    word: str
    array: FloatArray
    pairs: tuple[tuple[str, float], ...]
    by_name: Mapping[str, float]
    several: Sequence[float]
    timing: Timing | None
    later: float = 2.0


def everything(bad: float) -> Everything:
    timing = Timing(compile=Duration(bad, 1.0))
    pairs, by_name = (("a", bad), ("b", 2.0)), {"c": bad}
    return Everything(bad, bad, "[x]", np.array([bad, 1e160]), pairs, by_name, [bad, 0.5], timing)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float64("nan"), np.float32("inf")])
def test_no_number_that_isnt_finite_is_written(bad: float) -> None:
    """Wherever a NaN or an infinity is, JSON has null, and a number that must be there is NaN."""
    text = records.to_json(everything(bad))
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert plain["number"] is plain["array"][0] is plain["timing"]["compile"]["wall_s"] is None
    again = records.from_plain(Everything, plain)
    assert np.isnan([again.number, again.array[0], again.pairs[0][1], again.several[0]]).all()
    assert (again.maybe, again.word, again.pairs[1]) == (None, "[x]", ("b", 2.0))
    assert again.array.dtype == float
    assert again.array[1] == 1e160
    assert again.timing is not None
    assert np.isnan(again.timing.compile.wall_s)
    assert again.timing.compile.cpu_s == 1.0
    assert np.isnan(again.by_name["c"])


def test_older_and_foreign_data() -> None:
    """A field that came later has its default; one that isn't known is refused."""
    plain = records.to_plain(everything(1.0))
    del plain["later"]
    assert records.from_plain(Everything, plain).later == 2.0
    with pytest.raises(TypeError, match="foreign"):
        records.from_plain(Everything, {**plain, "foreign": 1})


def test_what_is_no_data_is_refused() -> None:
    """An object that JSON has no form for is named, wherever it is."""
    with pytest.raises(TypeError, match="a Generator can't be written as JSON"):
        records.to_json({"deep": [np.random.default_rng()]})
    assert records.to_plain({"n": np.int64(3), "b": np.bool_(True)}) == {"n": 3, "b": True}
