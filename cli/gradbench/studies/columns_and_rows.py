"""The Jacobian of a linear program: by columns forward, by rows in reverse."""

from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._jax import in_double

CLAIM = "A program's Jacobian comes by columns in forward mode and by rows in reverse mode."
PRINTED = "[[2, 0, 0], [0, 1, 3]]; [[2, 1, 2], [-2, -1, 1]]"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

FIRST = ((2.0, 0.0, 0.0), (0.0, 1.0, 3.0))
SECOND = ((2.0, 1.0, 2.0), (-2.0, -1.0, 1.0))


def measure() -> tuple[Finding, ...]:
    """Return both Jacobians of both of the text's programs, all exact."""
    jnp = in_double().numpy

    def first(x: Any) -> Any:
        return jnp.array([2 * x[0], 1 * x[1] + 3 * x[2]])

    def second(x: Any) -> Any:
        y = 2 * x[0] + x[1]
        return jnp.array([y + 2 * x[2], x[2] - y])

    return (
        _compared("program by columns", FIRST, _columns(first)),
        _compared("program by rows", FIRST, _rows(first)),
        _compared("program with an intermediate, by columns", SECOND, _columns(second)),
        _compared("program with an intermediate, by rows", SECOND, _rows(second)),
    )


def _columns(f: Any) -> Any:
    """Return the Jacobian by a forward pass for each of the three inputs, (2, 3)."""
    jax = in_double()
    x = jax.numpy.ones(3)
    passes = [jax.jvp(f, (x,), (along,))[1] for along in jax.numpy.eye(3)]
    return jax.numpy.stack(passes, axis=1)


def _rows(f: Any) -> Any:
    """Return the Jacobian by a reverse pass for each of the two outputs, (2, 3)."""
    jax = in_double()
    pullback = jax.vjp(f, jax.numpy.ones(3))[1]
    return jax.numpy.stack([pullback(back)[0] for back in jax.numpy.eye(2)])


def _compared(what: str, printed: tuple[tuple[float, ...], ...], jacobian: Any) -> Finding:
    """Return the line of one Jacobian."""
    ours = tuple(map(tuple, jacobian.tolist()))
    return Finding(
        what=what, printed=_text(printed), ours=_text(ours), verdict=verdict(holds=ours == printed)
    )


def _text(matrix: tuple[tuple[float, ...], ...]) -> str:
    """Return a matrix as the text prints it."""
    return "[" + ", ".join("[" + ", ".join(f"{x:g}" for x in row) + "]" for row in matrix) + "]"
