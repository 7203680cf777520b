"""Ways to the mode: an optimizer with the gradient, with differences in its place, and without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gradbench import models
from gradbench.draws import FloatArray
from gradbench.models import Source
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

N_EVALUATIONS = 200_000  # at most
ARRIVED = 1e-2  # a log-density that is short by less is 1 % less likely

# Of SciPy's minimize, by name: the method, and what it takes for the gradient.
WAYS: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "L-BFGS-B, exact gradient": ("L-BFGS-B", True),
        "L-BFGS-B, 2-point differences": ("L-BFGS-B", "2-point"),
        "L-BFGS-B, 3-point differences": ("L-BFGS-B", "3-point"),
        "Nelder-Mead, no gradient": ("Nelder-Mead", None),
    }
)


@dataclass(frozen=True, slots=True)
class Ascent:
    """Where one way to the mode ended, and what it took; numbers are NaN where it didn't end.

    Attributes:
        way: its name, of ``WAYS``.
        said: what the optimizer said at its end, or why there was none.
        n_evaluations: of the log-density, its gradient included where that is exact.
        cpu_s: CPU seconds.
        value: the log-density where it ended.
        at: shape (ndim,), where that is, unconstrained.
    """

    way: str
    said: str
    n_evaluations: int = 0
    cpu_s: float = np.nan
    value: float = np.nan
    at: FloatArray | None = None


def ascend(source: Source, params: dict[str, Any], way: str) -> Ascent:
    """Return where a way leads from the model's first starting point.

    Raises:
        ModelError: it can't be loaded, compiled, or started from anywhere.
    """
    from scipy.optimize import minimize

    target = Target(*models.load(source, params))
    method, gradient = WAYS[way]
    if gradient is True and target.why_no_gradient is not None:
        return Ascent(way, target.why_no_gradient)

    def value_at(x: FloatArray) -> float:
        return -target.logdensity(x)

    def both_at(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = target.logdensity_and_gradient(x)
        return -value, -slope

    function: Callable[[FloatArray], Any] = both_at if gradient is True else value_at
    start = target.initial(np.random.default_rng(0), 1)[0]
    function(start)  # compiled now
    limit = "maxfev" if method == "Nelder-Mead" else "maxfun"
    stopwatch = Stopwatch()
    with np.errstate(all="ignore"):  # the way may lead outside the support
        stopwatch.start("sampling")
        found = minimize(
            function,
            start,
            jac=gradient,
            method=method,
            options={limit: N_EVALUATIONS, "maxiter": N_EVALUATIONS},
        )
        stopwatch.stop()
    return Ascent(
        way=way,
        said=str(found.message),
        n_evaluations=int(found.nfev),
        cpu_s=stopwatch.timing.sampling.cpu_s,
        value=target.logdensity(found.x),
        at=np.asarray(found.x),
    )
