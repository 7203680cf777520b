"""What the contracts of samplers and of models share: how far a run is from its reference."""

from collections.abc import Callable

import numpy as np
import pytest

from gradbench.draws import FloatArray
from gradbench.stats.diagnostics import Diagnostics
from gradbench.target.parameters import ReferenceMoments

Errors = Callable[[Diagnostics, ReferenceMoments], FloatArray]


@pytest.fixture(scope="session")
def errors() -> Errors:
    """Give errors of means and variances in standard errors, the run's and the reference's.

    Those of which the reference says nothing are left out.
    """

    def of(found: Diagnostics, known: ReferenceMoments) -> FloatArray:
        mean_se = np.hypot(known.sd / np.sqrt(found.ess_mean), known.mean_se)
        variance_se = np.hypot(known.square_sd / np.sqrt(found.ess_square), known.variance_se)
        every = [
            (found.mean - known.mean) / mean_se,
            (found.second_moment - known.sd**2) / variance_se,
        ]
        z: FloatArray = np.concatenate(every)[
            ~np.isnan(np.concatenate([known.sd, known.square_sd]))
        ]
        return z

    return of
