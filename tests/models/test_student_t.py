"""Student's t: what its tails leave to be scored."""

from pathlib import Path

import numpy as np
import pytest

from gradbench import models
from gradbench.errors import ModelError

PATH = models.find("student_t", Path())


@pytest.mark.parametrize(("nu", "is_scored"), [(2.5, False), (4.0, False), (4.5, True)])
def test_squares_are_scored_where_they_have_a_variance(nu: float, is_scored: bool) -> None:
    """Up to four degrees of freedom there is no reference for the spread of squares."""
    _, reference, *_ = models.load(PATH, {"nu": nu})
    assert reference is not None
    of = reference.moments["x"]
    assert np.asarray(of.sd) ** 2 == pytest.approx(nu / (nu - 2))
    assert (of.square_sd is not None) == is_scored


def test_no_variance_is_refused() -> None:
    """Two degrees of freedom are refused, and the words say why."""
    with pytest.raises(ModelError, match="above 2, or x has no variance"):
        models.load(PATH, {"nu": 2.0})
