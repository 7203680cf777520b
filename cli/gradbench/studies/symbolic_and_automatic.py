"""AD of exp(sin(2 pi x / 3)) against the symbolic derivative."""

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import rounding

CLAIM = "The derivative of exp(sin(2πx/3)) by AD equals the symbolic one on [-3, 3]."
PRINTED = "curves that coincide"
SOURCE = "exoplanet tutorial"
LIBRARIES = ("pytensor", "sympy")
EXTRA = "gradients"

N_POINTS = 1001


def measure() -> tuple[Finding, ...]:
    """Return how far apart the two derivatives are."""
    import numpy as np
    import pytensor
    import pytensor.tensor as pt
    import sympy

    points = np.linspace(-3.0, 3.0, N_POINTS)
    x = pt.dvector("x")
    slope = pytensor.grad(pt.exp(pt.sin(2 * np.pi * x / 3)).sum(), x)
    automatic = slope.eval({x: points}, mode="FAST_COMPILE")  # as differentiated, not rewritten
    s = sympy.Symbol("x")
    derivative = sympy.exp(sympy.sin(2 * sympy.pi * s / 3)).diff(s)
    symbolic = sympy.lambdify(s, derivative, "numpy")(points)

    largest, scale = np.abs(automatic - symbolic).max(), np.abs(symbolic).max()
    return (
        Finding(
            what=f"largest difference at {N_POINTS:,} points",
            printed=PRINTED,
            ours=f"{largest:.1e}, of derivatives up to {scale:.2f}",
            verdict=verdict(holds=largest <= rounding(scale)),
        ),
    )
