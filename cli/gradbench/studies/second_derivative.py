"""The second derivative of a function with a branch, by AD and by differences of differences."""

from typing import Any

from gradbench.draws import FloatArray
from gradbench.studies import Finding, verdict
from gradbench.studies._jax import in_double
from gradbench.studies.control_flow import branching

CLAIM = "Differences of differences go wrong where the function branches; AD doesn't."
PRINTED = "picture: on the curve by AD, off it by differences"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

N_POINTS, N_MORE = 11, 101
VISIBLE = 0.05 * 12  # of the picture's height


def measure() -> tuple[Finding, ...]:
    """Return the largest error on the text's grid, by AD and by both formulas of differences."""
    import numpy as np

    jax = in_double()
    x = np.linspace(-2.0, 5.0, N_POINTS)
    y = np.array([branching(at) for at in x])
    automatic = np.array([float(jax.grad(jax.grad(branching))(float(at))) for at in x])
    as_printed = _worst(x, np.gradient(np.gradient(y), x))
    with_spacing = _worst(x[1:-1], np.gradient(np.gradient(y, x), x)[1:-1])
    finer = np.linspace(-2.0, 5.0, N_MORE)
    values = np.array([branching(at) for at in finer])
    with_more = _worst(finer[1:-1], np.gradient(np.gradient(values, finer), finer)[1:-1])
    return (
        _line("AD", "on the curve", _worst(x, automatic), holds=_worst(x, automatic)[0] == 0),
        _line(
            "differences of differences as the text computes them",
            "off the curve",
            as_printed,
            holds=as_printed[0] > VISIBLE,
            note="the text's inner difference lacks the spacing, so that all of it is off",
        ),
        _line(
            "differences of differences with the spacing, between the ends",
            "off the curve",
            with_spacing,
            holds=with_spacing[0] > VISIBLE and with_more[0] > with_spacing[0],
            note=f"{with_more[0]:.3g} at x = {with_more[1]:.3g} with {N_MORE} points: the function "
            f"jumps at 2, so that a finer grid makes it worse",
        ),
    )


def _worst(x: FloatArray, second: Any) -> tuple[float, float]:
    """Return the largest error of a second derivative, and where it is."""
    import numpy as np

    errors = np.abs(second - np.where(x > 2, 2.0, 6 * x))
    at = int(errors.argmax())
    return float(errors[at]), float(x[at])


def _line(
    what: str, printed: str, worst: tuple[float, float], *, holds: bool, note: str = ""
) -> Finding:
    """Return the line of one way."""
    ours = f"largest error {worst[0]:.3g}" + (f", at x = {worst[1]:.3g}" if worst[0] else "")
    return Finding(what, f"picture: {printed}", ours, verdict(holds=holds), note)
