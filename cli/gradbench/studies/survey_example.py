"""The survey's example, f(x1, x2) = ln x1 + x1 x2 - sin x2 at (2, 5), in both modes."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import is_printed
from gradbench.studies._jax import in_double

CLAIM = "ln x1 + x1 x2 - sin x2 at (2, 5): both modes give its derivatives, reverse mode in one go."
PRINTED = "11.652; 5.5; 5.5 and 1.716"
SOURCE = "Sellforte post, after arXiv:1404.7456"
LIBRARIES = ("jax",)
EXTRA = "jax"

AT = (2.0, 5.0)


def measure() -> tuple[Finding, ...]:
    """Return the value, the forward trace's derivative and the reverse trace's adjoints."""
    jax = in_double()
    log, sin = jax.numpy.log, jax.numpy.sin

    def f(x1: Any, x2: Any) -> Any:
        return log(x1) + x1 * x2 - sin(x2)

    value, forward = jax.jvp(f, AT, (1.0, 0.0))
    first, second = jax.vjp(f, *AT)[1](1.0)
    return (
        _compared("value", "11.652", value),
        _compared("∂f/∂x1, forward trace", "5.500", forward),
        _compared("adjoint of x1, reverse trace", "5.500", first),
        _compared("adjoint of x2, reverse trace", "1.716", second),
    )


def _compared(what: str, printed: str, ours: Any) -> Finding:
    """Return the line of one figure."""
    return Finding(
        what=what,
        printed=printed,
        ours=f"{float(ours):.10g}",
        verdict=verdict(holds=is_printed(ours, printed)),
    )
