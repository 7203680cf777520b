"""The counting experiment is pyhf's, to rounding."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pytensor.compile.mode import Mode

from gradbench import models
from gradbench.draws import FloatArray
from gradbench.target.target import Target

pyhf = pytest.importorskip("pyhf", reason="it is held against pyhf, which is not installed")

PUBLISHED = np.array([[5.0], [10.0], [3.5], [15.0]])  # pyhf's example of one bin


def made(bins: int) -> FloatArray:
    """Return signal, background, its uncertainty and counts of several bins, (4, bins)."""
    each = import_module("gradbench.models.hep_counting")._bins(bins, 1)
    rows = [(b.signal, b.background, b.background / np.sqrt(b.tau), b.observed) for b in each]
    return np.array(rows).T


@pytest.mark.parametrize("data", [PUBLISHED, made(20)], ids=["one bin", "20 bins"])
def test_density_is_pyhfs(data: FloatArray) -> None:
    """The log-density of the parameters is pyhf's, less the constant of the flat priors."""
    signal, background, sd, observed = data.tolist()
    bins = len(signal)
    # Unvalidated: its validation calls what jsonschema has deprecated.
    theirs = pyhf.simplemodels.uncorrelated_background(signal, background, sd, validate=False)
    assert theirs.config.suggested_bounds() == [(0, 10), *[(1e-10, 10)] * bins]
    constant = np.log(10) + bins * np.log(10 - 1e-10)

    model, *_ = models.load(models.find("hep_counting", Path()), {"bins": bins})
    target = Target(model, mode=Mode("py", "fast_compile"))
    density = model.compile_logp(jacobian=False, mode=Mode("py", "fast_compile"))
    for x in target.initial(np.random.default_rng(1), 20):
        named = target.named(x[None])
        at = [float(named["mu"][0]), *named["gamma"][0]]
        (expected,) = theirs.logpdf(at, observed + theirs.config.auxdata)
        assert float(density(target.point(x))) + constant == pytest.approx(expected, abs=1e-10)
