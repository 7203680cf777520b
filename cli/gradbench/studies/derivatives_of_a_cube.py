"""x³ at 4 and its derivatives, one ``grad`` after another."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._jax import in_double

CLAIM = "Derivatives of any order come from differentiating the derivative: x³ at 4."
PRINTED = "64, 48, 24, 6, 0"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

AT = 4.0
NAMES = ("value", "first", "second", "third", "fourth")


def measure() -> tuple[Finding, ...]:
    """Return the value and each derivative, all exact."""
    jax = in_double()

    def f(x: Any) -> Any:
        return x**3

    lines = []
    for name, printed in zip(NAMES, PRINTED.split(", "), strict=True):
        ours = float(f(AT))
        what = name if name == "value" else f"{name} derivative"
        lines.append(Finding(what, printed, f"{ours:g}", verdict(holds=ours == float(printed))))
        f = jax.grad(f)
    return tuple(lines)
