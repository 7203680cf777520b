"""Finite differences of x³ + 30 on [-5, 5], with few points and with more."""

from gradbench.studies import Finding, verdict

CLAIM = "Finite differences of x³ + 30 on [-5, 5] are bad with 11 points and better with 41."
PRINTED = "pictures: off the curve with 11 points, nearer with 41"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("numpy",)
EXTRA = ""

FEW, MORE = 11, 41
VISIBLE = 0.01  # of the picture's height


def measure() -> tuple[Finding, ...]:
    """Return the largest error of either grid, in the middle and at the ends."""
    middle, ends = zip(_errors(FEW), _errors(MORE), strict=True)
    height = 3 * 5.0**2  # what the derivative goes up to
    return (
        Finding(
            what=f"largest error with {FEW} points",
            printed="bad",
            ours=f"{middle[0]:.3g} in the middle, {ends[0]:.3g} at the ends",
            verdict=verdict(holds=min(middle[0], ends[0]) > VISIBLE * height),
            note=f"the derivative goes up to {height:.0f}",
        ),
        Finding(
            what=f"largest error with {MORE} points",
            printed="better",
            ours=f"{middle[1]:.3g} in the middle, {ends[1]:.3g} at the ends",
            verdict=verdict(holds=middle[1] < VISIBLE * height and ends[1] < ends[0]),
            note=f"{middle[0] / middle[1]:.3g} times smaller in the middle (central differences), "
            f"{ends[0] / ends[1]:.3g} times at the ends (one-sided), the step 4 times",
        ),
    )


def _errors(n: int) -> tuple[float, float]:
    """Return the largest error of differences on n points: in the middle, and at the ends."""
    import numpy as np

    x = np.linspace(-5.0, 5.0, n)
    errors = np.abs(np.gradient(x**3 + 30, x) - 3 * x**2)
    return float(errors[1:-1].max()), float(errors[[0, -1]].max())
