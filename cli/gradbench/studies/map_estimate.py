"""Value and gradient, handed to scipy.optimize, find the MAP."""

import math
from typing import Any

from gradbench.studies import Finding, verdict

CLAIM = "Value and gradient, handed to scipy.optimize, find the MAP."
PRINTED = "-"
SOURCE = "exoplanet tutorial"
LIBRARIES = ("pytensor", "scipy")
EXTRA = ""

N_ROWS, N_COLUMNS = 200, 10
N_NEWTON = 20  # steps, of which about six are needed
NEAR = 1e-3  # standard deviations of the posterior


def measure() -> tuple[Finding, ...]:
    """Return how near to the mode of a logistic regression L-BFGS-B ends."""
    import numpy as np
    import pytensor
    import pytensor.tensor as pt
    from scipy.optimize import minimize

    rng = np.random.RandomState(1)
    x = rng.standard_normal((N_ROWS, N_COLUMNS))
    sign = np.where(rng.standard_normal(N_ROWS) < x @ rng.standard_normal(N_COLUMNS), 1.0, -1.0)

    w = pt.dvector("w")
    energy = pt.softplus(-sign * pt.dot(x, w)).sum() + 0.5 * (w**2).sum()
    both = pytensor.function([w], [energy, pytensor.grad(energy, w)], mode="FAST_COMPILE")

    start = np.zeros(N_COLUMNS)
    with_gradient = minimize(lambda at: tuple(both(at)), start, jac=True, method="L-BFGS-B")
    without = minimize(lambda at: both(at)[0], start, method="L-BFGS-B")
    mode, precision = _newton(x, sign)
    far = _distance(with_gradient.x - mode, precision)
    return (
        Finding(
            what=f"distance from the mode, logistic regression with {N_COLUMNS} coefficients",
            printed=PRINTED,
            ours=f"{far:.1e} posterior standard deviations",
            verdict=verdict(holds=far <= NEAR),
            note=f"{with_gradient.nfev} evaluations; {without.nfev} with forward differences "
            f"in the gradient's place",
        ),
    )


def _newton(x: Any, sign: Any) -> tuple[Any, Any]:
    """Return the mode and the Hessian there, by Newton's method with derivatives by hand."""
    import numpy as np

    w = np.zeros(x.shape[1])
    hessian = np.eye(x.shape[1])
    for _ in range(N_NEWTON):
        p = 1 / (1 + np.exp(sign * (x @ w)))
        hessian = (x.T * (p * (1 - p))) @ x + np.eye(x.shape[1])
        w = w - np.linalg.solve(hessian, w - x.T @ (sign * p))
    return w, hessian


def _distance(difference: Any, precision: Any) -> float:
    """Return the length of a difference in posterior standard deviations."""
    return math.sqrt(difference @ precision @ difference)
