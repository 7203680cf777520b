"""y from x² + y² = 1 by a root finder, its gradient by the implicit function theorem."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import rounding

CLAIM = "y from x² + y² = 1 by a root finder has the gradient -x/y, by the implicit theorem."
PRINTED = "picture: value and gradient along the circle"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("pytensor",)
EXTRA = ""

AT = 0.5
COTANGENT = 3.0  # any but 1, for which forgetting it would go unnoticed


def measure() -> tuple[Finding, ...]:
    """Return the root at 0.5, its slope, and its slope times a cotangent."""
    import pytensor
    import pytensor.tensor as pt

    from gradbench import implicit

    def bracket(x: Any) -> tuple[Any, Any]:
        return 0 * x, 0 * x + 2.0

    y = implicit.root(lambda y, x: x * x + y * y - 1, bracket=bracket)
    x = pt.dscalar("x")
    value = float(y(x).eval({x: AT}, mode="FAST_COMPILE"))
    slope = float(pytensor.grad(y(x), x).eval({x: AT}, mode="FAST_COMPILE"))
    pulled = float(pytensor.grad(COTANGENT * y(x), x).eval({x: AT}, mode="FAST_COMPILE"))
    exact = (1 - AT**2) ** 0.5
    return (
        _compared("value at 0.5", "√(1 - x²)", value, exact),
        _compared("gradient at 0.5", "-x/y", slope, -AT / exact),
        _compared(f"gradient of {COTANGENT:g} y at 0.5", "-", pulled, -COTANGENT * AT / exact),
    )


def _compared(what: str, printed: str, ours: float, exact: float) -> Finding:
    """Return the line of one figure."""
    return Finding(
        what=what,
        printed=printed,
        ours=f"{ours:.15g}, error {abs(ours - exact):.1e}",
        verdict=verdict(holds=abs(ours - exact) <= rounding(abs(exact))),
    )
