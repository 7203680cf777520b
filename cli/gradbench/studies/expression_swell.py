"""The map x² + 3x + 4, six times: the size of its derivative as a formula and as a program."""

from typing import Any

from gradbench.studies import Finding, _jax, _sympy, verdict
from gradbench.studies._figures import rounding

CLAIM = "Six times x² + 3x + 4: the formula swells, cse finds what repeats, AD keeps the size."
PRINTED = "5 replacements"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("sympy", "jax")
EXTRA = "gradients,jax"

N_MAPS = 6
N_PRINTED = 5  # replacements
CHEAP = 5.0  # evaluations, what a pass costs at most: Griewank & Walther (2008), section 4.6
AT = 0.125


def measure() -> tuple[Finding, ...]:
    """Return the number of operations in formulas and programs, and whether they agree."""
    import sympy

    jax = _jax.in_double()
    x = sympy.Symbol("x")
    formula = _iterated(x)
    derivative = sympy.diff(formula, x)
    n_formula, n_derivative = map(_sympy.n_operations, (formula, derivative))
    replacements, _ = sympy.cse(formula)
    n_shared = _sympy.n_operations_shared(derivative)
    n_program, n_reverse = (_jax.n_operations(f, AT) for f in (_iterated, jax.grad(_iterated)))
    exact = float(derivative.subs(x, sympy.Rational(AT)))
    error = abs(float(jax.grad(_iterated)(AT)) - exact)
    return (
        Finding(
            what="operations in the formula and in its derivative",
            printed="expression swell",
            ours=f"{n_formula} and {n_derivative}",
            verdict=verdict(holds=n_formula > CHEAP * n_program and n_derivative > n_formula),
            note=f"the program has {n_program}",
        ),
        Finding(
            what="subexpressions that cse finds in the formula",
            printed=str(N_PRINTED),
            ours=str(len(replacements)),
            verdict=verdict(holds=len(replacements) == N_PRINTED),
            note=f"with cse the derivative has {n_shared} operations",
        ),
        Finding(
            what="operations in the program of value and derivative by AD",
            printed="the size of the program",
            ours=f"{n_reverse}, {n_reverse / n_program:.3g} times the program's {n_program}",
            verdict=verdict(holds=n_reverse <= CHEAP * n_program),
        ),
        Finding(
            what=f"derivative at {AT}, AD against the formula",
            printed="exact",
            ours=f"relative error {error / abs(exact):.1e}",
            verdict=verdict(holds=error <= rounding(abs(exact))),
        ),
    )


def _iterated(x: Any) -> Any:
    """Return the map of the map and so on, of anything that can be multiplied and added."""
    for _ in range(N_MAPS):
        x = x**2 + 3 * x + 4
    return x
