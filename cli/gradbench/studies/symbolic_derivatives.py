"""SymPy's derivatives of x³ and of cos(x²)."""

from gradbench.studies import Finding, verdict

CLAIM = "Symbolic derivatives are exact everywhere: SymPy's of x³ and of cos(x²)."
PRINTED = "3x², -2x sin(x²)"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("sympy",)
EXTRA = "gradients"


def measure() -> tuple[Finding, ...]:
    """Return whether SymPy's derivatives are the printed ones, as expressions."""
    import sympy

    x = sympy.Symbol("x")
    pairs = {x**3: 3 * x**2, sympy.cos(x**2): -2 * x * sympy.sin(x**2)}
    return tuple(
        Finding(
            what=f"derivative of {f}",
            printed=str(printed),
            ours=str(derivative := sympy.diff(f, x)),
            verdict=verdict(holds=sympy.simplify(derivative - printed) == 0),
        )
        for f, printed in pairs.items()
    )
