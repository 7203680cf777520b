"""Kepler's equation: through the iteration, or with a gradient of its own."""

from importlib import import_module
from typing import Any

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import rounding
from gradbench.studies._jax import in_double, n_operations

CLAIM = "An operation that iterates, as a solver of Kepler's equation, needs a gradient of its own."
PRINTED = "-"
SOURCE = "exoplanet tutorial"
LIBRARIES = ("pymc", "pytensor", "jax", "mpmath")
EXTRA = "gradients,jax"

MEAN, ECCENTRICITY = 0.3, 0.9
TOLERANCE = 1e-6  # of the value, at which the iteration stops
DIGITS = 40  # of the yardstick


def measure() -> tuple[Finding, ...]:
    """Return whether AD sees through a solver, and what a gradient of its own gives."""
    exact, by_mean, by_eccentricity = _yardstick()
    return (
        _opaque(),
        _until_converged(),
        _unrolled(exact, by_mean),
        _implicit(by_mean, by_eccentricity),
    )


def _yardstick() -> tuple[float, float, float]:
    """Return the eccentric anomaly and its two slopes, by differences at many digits."""
    import mpmath

    def anomaly(mean: Any, e: Any) -> Any:
        return mpmath.findroot(lambda y: y - e * mpmath.sin(y) - mean, mean + e)

    at = (mpmath.mpf(MEAN), mpmath.mpf(ECCENTRICITY))
    with mpmath.workdps(DIGITS):
        slopes = (mpmath.diff(anomaly, at, order) for order in ((1, 0), (0, 1)))
        return float(anomaly(*at)), *(float(slope) for slope in slopes)  # type: ignore[return-value]


def _opaque() -> Finding:
    """Return what PyTensor says of an operation whose inside it can't see."""
    import numpy as np
    import pytensor
    import pytensor.tensor as pt

    class Solver(pytensor.graph.op.Op):  # type: ignore[misc]
        itypes = (pt.dscalar,)
        otypes = (pt.dscalar,)

        def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = np.asarray(_iterated(inputs[0], ECCENTRICITY, 100, np.sin))

    mean = pt.dscalar("mean")
    try:
        pytensor.grad(Solver()(mean), mean)
    except NotImplementedError as error:
        refused = type(error).__name__
    else:
        refused = ""
    return Finding(
        what="gradient of an operation that has none of its own",
        printed="none",
        ours=f"PyTensor: {refused}" if refused else "PyTensor differentiates it",
        verdict=verdict(holds=bool(refused)),
    )


def _until_converged() -> Finding:
    """Return what JAX says of a loop that ends when it has converged."""
    jax = in_double()
    jnp = jax.numpy

    def solve(mean: Any) -> Any:
        def goes_on(state: Any) -> Any:
            return abs(state[1] - state[0]) > TOLERANCE

        def step(state: Any) -> Any:
            return state[1], mean + ECCENTRICITY * jnp.sin(state[1])

        return jax.lax.while_loop(goes_on, step, (mean - 1, mean))[1]

    try:
        jax.grad(solve)(MEAN)
    except ValueError as error:
        refused = type(error).__name__
    else:
        refused = ""
    return Finding(
        what="reverse mode through a loop that ends when it has converged",
        printed="-",
        ours=f"JAX: {refused}" if refused else "JAX differentiates it",
        verdict=verdict(holds=bool(refused)),
        note="reverse mode would have to keep a number of steps that isn't known beforehand",
    )


def _unrolled(exact: float, by_mean: float) -> Finding:
    """Return what differentiating through the steps gives, and the implicit slope from there."""
    jax = in_double()
    sin, cos = jax.numpy.sin, jax.numpy.cos

    n_steps = 1
    while abs(_iterated(MEAN, ECCENTRICITY, n_steps, sin) - exact) > TOLERANCE:
        n_steps += 1

    def solve(mean: Any) -> Any:
        return _iterated(mean, ECCENTRICITY, n_steps, sin)

    def implicit(anomaly: Any) -> Any:
        return 1 / (1 - ECCENTRICITY * cos(anomaly))

    n_through = n_operations(jax.grad(solve), MEAN) - n_operations(solve, MEAN)
    n_own = n_operations(implicit, MEAN)
    through = abs(float(jax.grad(solve)(MEAN)) - by_mean)
    own = abs(float(implicit(solve(MEAN))) - by_mean)
    return Finding(
        what=f"slope through {n_steps} steps, where the value is right to {TOLERANCE:.0e}",
        printed="-",
        ours=f"error {through:.1e}, {n_through} operations more; "
        f"implicit: {own:.1e}, {n_own} operations more",
        verdict=verdict(holds=through > own and n_through > n_own),
        note="the derivative converges after the value",
    )


def _implicit(by_mean: float, by_eccentricity: float) -> Finding:
    """Return the error of the shipped model's operation, whose gradient is its own."""
    import pytensor
    import pytensor.tensor as pt

    eccentric_anomaly = import_module("gradbench.models.kepler").eccentric_anomaly
    mean, e = pt.dscalars("mean", "e")
    slopes = pytensor.grad(eccentric_anomaly(mean, e), [mean, e])
    at = {mean: MEAN, e: ECCENTRICITY}
    ours = [float(slope.eval(at, mode="FAST_COMPILE")) for slope in slopes]
    errors = [abs(a - b) for a, b in zip(ours, (by_mean, by_eccentricity), strict=True)]
    return Finding(
        what="slopes of the shipped operation, by the implicit function theorem",
        printed="-",
        ours=f"{ours[0]:.10g}, {ours[1]:.10g}, errors {errors[0]:.1e}, {errors[1]:.1e}",
        verdict=verdict(holds=max(errors) <= rounding(max(map(abs, ours)))),
        note=f"against differences at {DIGITS} digits, which use no rule of differentiation",
    )


def _iterated(mean: Any, e: Any, n_steps: int, sin: Any) -> Any:
    """Return the eccentric anomaly after n steps of its fixed-point iteration."""
    anomaly = mean
    for _ in range(n_steps):
        anomaly = mean + e * sin(anomaly)
    return anomaly
