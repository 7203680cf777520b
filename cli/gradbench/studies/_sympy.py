"""The size of SymPy's formulas."""

from typing import Any


def n_operations(*formulas: Any) -> int:
    """Return how many operations formulas take as written."""
    return sum(int(formula.count_ops()) for formula in formulas)


def n_operations_shared(*formulas: Any) -> int:
    """Return how many operations formulas take if what repeats is computed once."""
    import sympy

    replacements, rest = sympy.cse(formulas)
    return n_operations(*(by for _, by in replacements), *rest)
