"""What each kind of differentiation costs."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from gradbench.studies import Finding, _jax, _sympy, verdict
from gradbench.studies._cost import cpu_s

CLAIM = "Symbolic is slow and hungry, numerical slow in many dimensions, AD as fast as by hand."
PRINTED = "-"
SOURCE = "slides"
LIBRARIES = ("sympy", "jax")
EXTRA = "gradients,jax"

N_NESTED = 10  # inputs of the formula, each within the next
N_DIM = 1000
COMPARABLE = 2.0  # times the work of the derivative by hand
CHEAP = 5.0  # evaluations, what a pass costs at most: Griewank & Walther (2008), section 4.6


def measure() -> tuple[Finding, ...]:
    """Return the size, passes and work of each kind, counted; CPU time is in the notes."""
    return _symbolic(), _numerical(), _automatic()


def _symbolic() -> Finding:
    """Return how a formula's gradient grows against a program's, and how long either takes."""
    import sympy
    from sympy.core.cache import clear_cache

    jax = _jax.in_double()
    names = sympy.symbols(f"x:{N_NESTED}")
    formula = _nested(names, sympy.sin)
    x = jax.numpy.ones(N_NESTED)

    def derive() -> list[Any]:
        clear_cache()  # or it would only remember what it has derived before
        return [sympy.diff(formula, name) for name in names]

    def program(x: Any) -> Any:
        return _nested([x[i] for i in range(N_NESTED)], jax.numpy.sin)

    def trace() -> Any:
        anew = partial(program)  # or it would only remember what it has traced before
        return jax.make_jaxpr(jax.grad(anew))(x)

    n_formula, n_gradient = _sympy.n_operations(formula), _sympy.n_operations(*derive())
    n_shared = _sympy.n_operations_shared(*derive())
    n_program, n_reverse = (_jax.n_operations(f, x) for f in (program, jax.grad(program)))
    times_s = cpu_s({"symbolic": derive, "automatic": trace})
    return Finding(
        what=f"size of the gradient, {N_NESTED} inputs: symbolic against AD",
        printed="slow and hungry",
        ours=f"{n_gradient / n_formula:.3g} times the formula; "
        f"{n_reverse / n_program:.3g} times the program",
        verdict=verdict(holds=n_gradient > CHEAP * n_formula and n_reverse <= CHEAP * n_program),
        note=f"deriving it takes {times_s['symbolic'] / times_s['automatic']:.2g} times AD's CPU "
        f"time; with cse it has {n_shared / n_formula:.3g} times the formula's operations",
    )


def _numerical() -> Finding:
    """Return how many evaluations differences take against one reverse pass."""
    import numpy as np

    jax = _jax.in_double()
    n_calls = 0

    def counted(x: Any) -> float:
        nonlocal n_calls
        n_calls += 1
        return float((x * np.sin(x)).sum())

    _differences(counted, np.ones(N_DIM))

    def f(x: Any) -> Any:
        return (x * jax.numpy.sin(x)).sum()

    x = jax.numpy.ones(N_DIM)
    reverse = _jax.n_flops(jax.grad(f), x) / _jax.n_flops(f, x)
    return Finding(
        what=f"evaluations for a gradient, {N_DIM:,} dimensions: differences against AD",
        printed="slow in high dimensions",
        ours=f"{n_calls:,}; {reverse:.3g} evaluations' worth of operations",
        verdict=verdict(holds=n_calls >= N_DIM and reverse <= CHEAP),
    )


def _automatic() -> Finding:
    """Return the work of AD's gradient against that of the gradient by hand."""
    jax = _jax.in_double()
    jnp = jax.numpy

    def f(x: Any) -> Any:
        return (x * x * x + x * x).sum()

    def by_hand(x: Any) -> Any:
        return 3 * x * x + 2 * x

    x = jnp.ones(N_DIM)
    compiled = {"automatic": jax.jit(jax.grad(f)), "by hand": jax.jit(by_hand)}
    n = {name: _jax.n_flops(call, x) for name, call in compiled.items()}
    times_s = cpu_s({name: _jax.blocking(call, x) for name, call in compiled.items()})
    ratio = n["automatic"] / n["by hand"]
    return Finding(
        what="AD's gradient against the gradient by hand",
        printed="comparable",
        ours=f"{ratio:.3g} times the operations",
        verdict=verdict(holds=ratio <= COMPARABLE),
        note=f"{times_s['automatic'] / times_s['by hand']:.2g} times the CPU time",
    )


def _nested(x: Sequence[Any], sin: Any) -> Any:
    """Return sin(x1 sin(x2 sin(...))): of each input once."""
    value = sin(x[-1])
    for factor in reversed(x[:-1]):
        value = sin(factor * value)
    return value


def _differences(f: Any, x: Any) -> list[float]:
    """Return the gradient by forward differences: an evaluation for each input, and one more."""
    import numpy as np

    step = float(np.sqrt(np.finfo(float).eps))
    at = f(x)
    return [(f(x + step * e) - at) / step for e in np.eye(len(x))]
