"""``if x > 2``: SymPy, AD, and AD of a compiled program."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._jax import in_double

CLAIM = "SymPy can't differentiate `if x > 2`; through JAX it passes transparently."
PRINTED = "TypeError: cannot determine truth value of Relational"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("sympy", "jax")
EXTRA = "gradients,jax"


def measure() -> tuple[Finding, ...]:
    """Return what each says of x² above 2 and x³ below."""
    jax = in_double()
    return _symbolic(), _automatic(jax.grad), _traced(jax)


def _symbolic() -> Finding:
    """Return what SymPy says."""
    import sympy

    try:
        branching(sympy.Symbol("x"))
    except TypeError as error:
        said = f"TypeError: {error}"
    else:
        said = "no error"
    return Finding(
        what="SymPy",
        printed=PRINTED,
        ours=said,
        verdict=verdict(holds=said.startswith("TypeError: cannot determine truth value")),
        note="a Piecewise expression can be differentiated, but isn't the program",
    )


def _automatic(grad: Any) -> Finding:
    """Return what AD gives on either side."""
    above, below = float(grad(branching)(3.0)), float(grad(branching)(1.0))
    return Finding(
        what="AD at 3 and at 1",
        printed="passes through transparently",
        ours=f"{above:g} and {below:g}",
        verdict=verdict(holds=(above, below) == (2 * 3.0, 3 * 1.0**2)),
    )


def _traced(jax: Any) -> Finding:
    """Return what AD says once the function is compiled."""
    try:
        jax.jit(jax.grad(branching))(3.0)
    except jax.errors.TracerBoolConversionError as error:
        said = type(error).__name__
    else:
        said = "no error"
    return Finding(
        what="AD of the compiled function",
        printed="passes through transparently",
        ours=said,
        verdict=verdict(holds=said == "no error"),
        note="the claim holds for untraced functions; under jit it takes jax.lax.cond or where",
    )


def branching(x: Any) -> Any:
    """Return x² above 2 and x³ below, of whatever can be compared with 2."""
    if x > 2:
        return x**2
    return x**3
