"""z = x1 x2 + x2 at (2, 4), forward and in reverse."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._jax import in_double

CLAIM = "z = x1 x2 + x2 at (2, 4): two forward passes or one in reverse give value and gradient."
PRINTED = "(12, 4), (12, 3); (12, [4, 3])"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

AT = (2.0, 4.0)
VALUE, GRADIENT = 12.0, (4.0, 3.0)


def measure() -> tuple[Finding, ...]:
    """Return the two Jacobian-vector products and the vector-Jacobian product, all exact."""
    jax = in_double()

    def z(x1: Any, x2: Any) -> Any:
        return x1 * x2 + x2

    def forward(i: int) -> Finding:
        value, slope = map(float, jax.jvp(z, AT, (1.0 - i, 0.0 + i)))
        return Finding(
            what=f"JVP along x{i + 1}",
            printed=f"({VALUE:g}, {GRADIENT[i]:g})",
            ours=f"({value:g}, {slope:g})",
            verdict=verdict(holds=(value, slope) == (VALUE, GRADIENT[i])),
        )

    value, pullback = jax.vjp(z, *AT)
    first, second = map(float, pullback(1.0))
    reverse = Finding(
        what="VJP",
        printed=f"({VALUE:g}, [{GRADIENT[0]:g}, {GRADIENT[1]:g}])",
        ours=f"({float(value):g}, [{first:g}, {second:g}])",
        verdict=verdict(holds=(float(value), first, second) == (VALUE, *GRADIENT)),
    )
    return forward(0), forward(1), reverse
