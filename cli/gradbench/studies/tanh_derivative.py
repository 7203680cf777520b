"""Autograd's example: the derivative of tanh at 1, and its finite difference."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import is_printed

CLAIM = "Autograd's derivative of tanh at 1 is exact, its finite difference right to nine digits."
PRINTED = "0.41997434161402603; 0.41997434264973155"
SOURCE = "slides"
LIBRARIES = ("autograd", "mpmath")
EXTRA = "gradients"

STEP = 1e-4
DIGITS = 30  # of the yardstick
PART = 0.01  # of the difference's error, what its leading term may leave unexplained


def measure() -> tuple[Finding, ...]:
    """Return both derivatives as printed, and what the difference's error is."""
    import autograd
    import autograd.numpy as anp
    import mpmath
    import numpy as np

    def tanh(x: Any) -> Any:  # as the slides write it
        y = anp.exp(-2.0 * x)
        return (1.0 - y) / (1.0 + y)

    automatic = float(autograd.grad(tanh)(1.0))
    difference = float((tanh(1.0001) - tanh(0.9999)) / 0.0002)
    numpys = float((np.tanh(1.0001) - np.tanh(0.9999)) / 0.0002)
    with mpmath.workdps(DIGITS):
        exact, third = (float(mpmath.diff(mpmath.tanh, 1, order)) for order in (1, 3))
    error, leading = difference - exact, STEP**2 / 6 * third
    rounded = float(np.finfo(float).eps) / STEP  # the last place of two values, over the step
    return (
        Finding(
            what="Autograd",
            printed="0.41997434161402603",
            ours=repr(automatic),
            verdict=verdict(holds=is_printed(automatic, "0.41997434161402603")),
            note=f"error {abs(automatic - exact):.1e}",
        ),
        Finding(
            what="finite difference",
            printed="0.41997434264973155",
            ours=repr(difference),
            verdict=verdict(holds=abs(difference - 0.41997434264973155) <= rounded),
            note=f"of NumPy's own tanh it is {numpys!r}: the last place of tanh, over the step, "
            f"is {rounded:.1e}, so that no further digit is the mathematics'",
        ),
        Finding(
            what="error of the finite difference",
            printed="-",
            ours=f"{error:.3e}; h²/6 times the third derivative: {leading:.3e}",
            verdict=verdict(holds=abs(error - leading) <= PART * abs(leading)),
        ),
    )
