"""Two normals: what no gradient and no chain tells of them, the weights of the modes."""

from pathlib import Path

import numpy as np
import pytest
from pytensor.compile.mode import Mode

from gradbench import models
from gradbench.target.target import Target


@pytest.mark.parametrize(("dim", "weight"), [(1, 0.3), (2, 0.3), (10, 0.9)])
def test_the_modes_have_their_weights(dim: int, weight: float) -> None:
    """Far apart, the densities at the modes are to each other as the weights are."""
    params = {"dim": dim, "weight": weight, "separation": 14.0}
    target = Target(
        *models.load(models.find("bimodal", Path()), params), mode=Mode("py", "fast_compile")
    )
    mode = np.full(dim, 7.0 / np.sqrt(dim))
    upper, lower = target.logdensity(mode), target.logdensity(-mode)
    assert upper - lower == pytest.approx(np.log(weight / (1 - weight)), abs=1e-9)
    assert upper == pytest.approx(np.log(weight) - dim / 2 * np.log(2 * np.pi), abs=1e-9)


def test_the_prior_covers_both_modes() -> None:
    """Each mode lies within two standard deviations of the prior that leads to it."""
    model, *_ = models.load(models.find("bimodal", Path()), {"separation": 40.0})
    (x,) = model.free_RVs
    _, sd = (parameter.eval() for parameter in x.owner.op.dist_params(x.owner))
    assert np.abs(20 / np.sqrt(2)) < 2 * sd
