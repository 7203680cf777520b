"""The limb-darkened light curve: does its gradient have to be written by hand?"""

from importlib import import_module
from typing import Any

from gradbench.studies import Finding, verdict

CLAIM = "The light curve of a limb-darkened star needs an operation with a gradient of its own."
PRINTED = "a gradient written by hand"
SOURCE = "exoplanet tutorial"
LIBRARIES = ("pymc", "pytensor", "mpmath")
EXTRA = "gradients"

RADIUS, U1, U2 = 0.1, 0.4, 0.25
DISTANCES = (0.5, 0.95, 1.02)  # whole before the star, and across its edge
DIGITS = 18  # of the yardstick
NEEDED = 1e-6  # a relative error that no sampler and no optimizer would notice


def measure() -> tuple[Finding, ...]:
    """Return the error of AD through plain operations, by distance and by radius."""
    import pytensor
    import pytensor.tensor as pt

    hidden = import_module("gradbench.models.transit").hidden
    z, r = pt.dvectors("z", "r")  # a radius for each distance, for each to have its own slope
    slopes = pytensor.grad(hidden(z, r, U1, U2).sum(), [z, r])
    both = pytensor.function([z, r], slopes, mode="FAST_COMPILE")
    by_distance, by_radius = both(list(DISTANCES), [RADIUS] * len(DISTANCES))
    return (
        _compared("by the distance", by_distance.tolist(), (1, 0)),
        _compared("by the radius", by_radius.tolist(), (0, 1)),
    )


def _compared(what: str, ours: list[float], order: tuple[int, int]) -> Finding:
    """Return the largest error at the distances, relative to the largest slope."""
    import mpmath

    with mpmath.workdps(DIGITS):
        exact = [float(mpmath.diff(_hidden, (z, RADIUS), order)) for z in DISTANCES]
    scale = max(map(abs, exact))
    error = max(abs(a - b) for a, b in zip(ours, exact, strict=True)) / scale
    return Finding(
        what=f"slope {what}, AD through plain operations",
        printed=PRINTED,
        ours=f"relative error {error:.1e}",
        verdict=verdict(holds=error > NEEDED),
        note="a quadrature in a variable in which the integrand is smooth is differentiated like "
        "any other program",
    )


def _hidden(z: Any, r: Any) -> Any:
    """Return the hidden share of the star's light: ring after ring, by tanh-sinh quadrature."""
    import mpmath

    def ring(rho: Any) -> Any:
        mu = mpmath.sqrt(1 - rho**2)
        cosine = (rho**2 + z**2 - r**2) / (2 * rho * z)
        return (1 - U1 * (1 - mu) - U2 * (1 - mu) ** 2) * 2 * rho * mpmath.acos(cosine)

    whole = mpmath.pi * (1 - mpmath.mpf(U1) / 3 - mpmath.mpf(U2) / 6)
    return mpmath.quad(ring, [z - r, min(z + r, mpmath.mpf(1))]).real / whole
