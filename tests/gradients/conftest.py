"""What the tests of gradients share: a way's own gradients at points, without any timing."""

from collections.abc import Callable

import numpy as np
import pytest

from gradbench import gradients
from gradbench.draws import FloatArray
from gradbench.measure.gradient_cost import Given
from gradbench.target.target import Target

Evaluate = Callable[[Target, str, FloatArray], Given | None]


@pytest.fixture(scope="session")
def evaluated() -> Evaluate:
    """Give what a method makes of a target at points (n, ndim), None where it is unsuited."""

    def of(target: Target, name: str, at: FloatArray) -> Given | None:
        if gradients.remedy(name) is not None:
            return None
        method = gradients.load(name)
        if method.unsuited(target) is not None:
            return None
        way = method.build(target)
        both = [way.alone.gradient(np.ascontiguousarray(x)) for x in at]
        return Given(
            values=np.array([float(value) for value, _ in both]),
            gradients=np.array([np.asarray(gradient, dtype=float) for _, gradient in both]),
            default=np.array([target.logdensity(x) for x in at]),
        )

    return of
