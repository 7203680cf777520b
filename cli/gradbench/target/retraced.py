"""A NumPy log-density run with another library's arrays: what gives it a gradient, and a proof."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gradbench.draws import FloatArray
from gradbench.errors import ModelError, first_line, pip_install
from gradbench.logdensity import Library, LogDensity
from gradbench.target import differences
from gradbench.target.copies import Copies

EXTRAS: Mapping[Library, str] = MappingProxyType({"jax": "jax", "autograd": "gradients"})
OTHER: Mapping[Library, Library] = MappingProxyType({"jax": "autograd", "autograd": "jax"})

N_POINTS = 2  # at which a copy must agree with its function before it is used
N_TRIED = 100  # of the prior, or of uniform(-2, 2), until so many are inside the support
RADIUS = 2.0  # Stan Reference Manual, "Initialization": uniform(-2, 2)
N_DIRECTIONS = 3
STEPS = tuple(
    0.1 * 0.25**k for k in range(10)
)  # of the differences, for coordinates of any usual scale
VALUE_ROUNDING = 1e-8  # the same formula, by another library
WRONG_GRADIENT = 1e-5  # relative, as the density check's INEXACT_GRADIENT: exact ones are better
UNUSABLE = 1e-2  # a finite difference less certain than this says nothing
SAFETY = 10.0  # an error read off the spread of a few differences may be as many times too small

IN_PLACE = "it writes into an array; build a new one instead (np.stack, np.where, m = m + ...)"
NUMBER = "float() and int() take no traced number; leave them out, or use np's functions"
BRANCH = "it branches on a value; use np.where, bounds= for a box, or gradient='autograd'"
LOST = (
    "code that is not NumPy's own gets x here, and knows NumPy's arrays only; call np's functions"
    " (np.dot(a, x) for a.dot(x))"
)
UNKNOWN = "it has none of its own of this function"
# What the libraries say, by words that tell one cause from another, and what it means.
CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "item assignment": IN_PLACE,
        "immutable": IN_PLACE,
        "setting an array element": IN_PLACE,
        "out=(array(": IN_PLACE,
        "all returned notimplemented": UNKNOWN,
        "tracerboolconversionerror": BRANCH,
        "tracerarrayconversionerror": LOST,
        "argument 0 of type arraybox": LOST,
        "float() argument": NUMBER,
        "int() argument": NUMBER,
        "must be real number": NUMBER,
        "concretizationtypeerror": NUMBER,
        "tracerintegerconversionerror": "it takes an index, a length or a range from a value",
    }
)


def retraced(density: LogDensity, library: Library) -> Callable[[Any], Any]:
    """Return the log-density with a library in the place of NumPy: x, shape (ndim,), to a scalar.

    Where the library follows it, it can differentiate it.

    Raises:
        ModelError: the library isn't installed.
    """
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise ModelError(
            f"LogDensity: gradient={library!r} needs {library}: {pip_install(EXTRAS[library])}"
        ) from error
    copies = Copies(library, _folder(density.function))
    numpy, function = copies.of(np), copies.of(density.function)
    args, kwargs = copies.of(tuple(density.args)), copies.of(dict(density.kwargs))

    def of_x(x: Any) -> Any:
        found = function(x[None] if density.vectorized else x, *args, **kwargs)
        found = found[0] if density.vectorized else found
        if density.blobs and (isinstance(found, tuple | list) or numpy.ndim(found)):
            found = found[0]
        return numpy.reshape(found * 1.0, ())

    return of_x


def prove(
    density: LogDensity,
    library: Library,
    values: Callable[[FloatArray], FloatArray],
    both: Callable[[FloatArray], tuple[Any, Any]],
) -> None:
    """Raise if a copy is not its function where runs start, or its gradient not the function's.

    Args:
        density: the function, and where it starts.
        library: whose copy it is.
        values: of the function itself, points (n, ndim) to (n,).
        both: of the copy, one point (1, ndim) to its value (1,) and gradient (1, ndim).

    Raises:
        ModelError: why, and what to do.
    """
    name = f"LogDensity: gradient={library!r}"
    at = np.array([*islice(_inside(density, values), N_POINTS)])
    if not len(at):
        raise ModelError(
            f"{name} can't be compared with finite differences: the log-density is finite at none"
            " of the points tried; give LogDensity an initial= where it is"
        )
    try:
        copied, gradients = map(np.concatenate, zip(*(both(x[None]) for x in at), strict=True))
    except Exception as error:  # whatever the function or the library raises
        raise ModelError(f"{name} {why_not(error, density, library)}") from error
    for given, own in zip(copied, values(at), strict=True):
        if not np.isclose(given, own, rtol=VALUE_ROUNDING, atol=VALUE_ROUNDING):
            raise ModelError(
                f"{name} computes {given:.10g} where the function returns {own:.10g}: it must"
                " depend on x alone, and compute in float64"
            )
    if wrong := _wrong_slope(values, at, gradients):
        raise ModelError(f"{name} {wrong}; try gradient={OTHER[library]!r}")


def why_not(error: Exception, density: LogDensity, library: Library) -> str:
    """Return where a library can't follow a function, why, from what it raised, and what to do."""
    copies = Copies(library, _folder(density.function))
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    own = [f for f in frames if copies.is_own(f.filename) and ours != Path(f.filename).parent]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}, {own[-1].line!r}" if own else ""
    return f"can't follow the function{where}: {_cause(error, frames[-1].filename, library)}"


def _cause(error: Exception, filename: str, library: Library) -> str:
    """Return what an error means that was raised in this file."""
    said = f"{type(error).__name__}: {error}".lower()
    cause = next((cause for words, cause in CAUSES.items() if words in said), None)
    if cause in {None, UNKNOWN}:
        what = cause or f"{type(error).__name__}: {first_line(error)}"
        return f"{what}; try gradient={OTHER[library]!r}"
    return LOST if "scipy" in Path(filename).parts else str(cause)


def _wrong_slope(
    values: Callable[[FloatArray], FloatArray], at: FloatArray, gradients: FloatArray
) -> str | None:
    """Return which slope finite differences contradict, at points (n, ndim), or None."""
    directions = np.random.default_rng(0).standard_normal((N_DIRECTIONS, at.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected, uncertain = differences.along(values, at, directions, steps=STEPS)
    slopes = gradients @ directions.T
    lengths = np.sqrt(np.mean(np.nan_to_num(expected) ** 2, axis=1, keepdims=True))
    is_known = uncertain <= UNUSABLE * np.maximum(lengths, UNUSABLE)
    if not is_known.any():
        return "can't be proven: no finite difference of the function is certain"
    errors = np.where(is_known, np.abs(slopes - expected) - SAFETY * uncertain, 0.0)
    excess = errors - WRONG_GRADIENT * np.maximum(lengths, 1.0)
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    if excess[worst] <= 0:
        return None
    return (
        f"computes a slope of {slopes[worst]:.6g} where finite differences of the function give"
        f" {expected[worst]:.6g}"
    )


def _inside(
    density: LogDensity, values: Callable[[FloatArray], FloatArray]
) -> Iterator[FloatArray]:
    """Yield points (ndim,) where runs may start and the log-density is finite."""
    return (x for x in _starts(density) if np.isfinite(values(x[None])[0]))


def _starts(density: LogDensity) -> Iterator[FloatArray]:
    rng = np.random.default_rng(0)
    if density.initial is not None:
        n_given = N_POINTS if callable(density.initial) else len(np.atleast_2d(density.initial))
        yield from density.starts(rng, min(n_given, N_POINTS))
    elif density.prior_transform is not None:
        yield from density.from_prior(rng, N_TRIED)
    else:
        around = rng.uniform(-RADIUS, RADIUS, (N_TRIED, density.size))
        yield from density.inside(around, radius=RADIUS)
    yield density.somewhere


def _folder(function: Any) -> Path:
    """Return the folder of the file in which a function is written, or its object's class."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is not None:
        return Path(code.co_filename).resolve().parent
    named = function if isinstance(getattr(function, "__name__", None), str) else type(function)
    module = sys.modules.get(getattr(named, "__module__", None) or "")
    return Path(getattr(module, "__file__", None) or "").resolve().parent
