r"""Predators and prey: the parameters of the Lotka-Volterra equations.

.. math:: \dot u = \alpha u - \beta u v, \quad \dot v = \delta u v - \gamma v, \quad
          \log y_{i} \sim \mathcal N(\log (u, v)(i), \sigma^2), \quad i = 1 \dots 20

The equations are solved by the classic Runge-Kutta method of fourth order with 32 steps a year, in
an operation of its own, compiled by Numba; its gradient comes from the equations of the
derivatives, integrated along. JAX makes the same steps and differentiates them itself.

Origin: the hares and lynxes of Carpenter, "Predator-Prey Population Dynamics: the Lotka-Volterra
model in Stan" (2018). The data are not theirs, but made from ``seed`` with parameters like theirs.
Parameters: ``log_theta`` (6,), standard normals, with
:math:`\theta = (\alpha, \beta, \gamma, \delta, u(0), v(0)) = m\, e^{0.25\, \mathrm{log\_theta}}`
and :math:`m` near the values for hares and lynxes; ``sigma`` :math:`\sim \mathrm{LogNormal}(-1,
1)`. Geometry: one mode, strongly correlated rates; what it tests is a density that costs thousands
of steps. Reference: a long run.
"""

from typing import Any

import numba
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch import numba_funcify

from gradbench.compat import OwnGradient
from gradbench.draws import FloatArray
from gradbench.reference import Reference, stored

NAMES = "alpha", "beta", "gamma", "delta", "prey", "predators"
CENTRE = np.array([0.55, 0.028, 0.80, 0.024, 30.0, 5.0])
SPREAD = 0.25
TRUTH = np.array([0.50, 0.025, 0.85, 0.026, 33.0, 6.0]), 0.25  # theta, sigma
YEARS = 20
STEPS = 32  # a year
REACH = 0.0, 0.5, 0.5, 1.0  # of a step, where the Runge-Kutta stages are


def model(seed: int = 1) -> pm.Model:
    """Return the model."""
    y = _data(seed)
    with pm.Model() as populations:
        theta = pm.Deterministic("theta", CENTRE * pt.exp(SPREAD * pm.Normal("log_theta", shape=6)))
        sigma = pm.LogNormal("sigma", -1.0, 1.0)
        pm.Normal("log_y", pt.log(Populations()(theta)), sigma, observed=np.log(y))
    return populations


def reference(seed: int = 1) -> Reference | None:
    """Return the moments of a long run, or None."""
    return stored(__file__, {"seed": seed})


class Populations(OwnGradient, Op):  # type: ignore[misc]
    """Prey and predators at the end of each year, from theta: (6,) to (YEARS, 2)."""

    __props__ = ()
    itypes = (pt.dvector,)
    otypes = (pt.dmatrix,)
    gufunc_signature = "(p)->(t,s)"

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Integrate the equations."""
        outputs[0][0] = _integrate(inputs[0], 0)[:, 0]

    def pullback(self, inputs: Any, _outputs: Any, cotangents: Any) -> Any:
        """Return the cotangent of theta, from the derivatives."""
        return [(cotangents[0][:, None] * Slopes()(*inputs)).sum(axis=(0, 2))]

    def jax(self) -> Any:
        """Return the same integration for JAX."""
        import jax
        import jax.numpy as jnp

        def populations(theta: Any) -> Any:
            def year(state: Any, _: Any) -> Any:
                state = jax.lax.fori_loop(0, STEPS, lambda _, s: step(s), state)
                return state, state

            def step(state: Any) -> Any:
                first = rates(state)
                second = rates(state + first / (2 * STEPS))
                third = rates(state + second / (2 * STEPS))
                last = rates(state + third / STEPS)
                return state + (first + 2 * second + 2 * third + last) / (6 * STEPS)

            def rates(state: Any) -> Any:
                return jnp.stack(_rates(state[0], state[1], theta))

            return jax.lax.scan(year, theta[4:], None, length=YEARS)[1]

        return populations


class Slopes(OwnGradient, Op):  # type: ignore[misc]
    """The derivatives of the populations by theta: (6,) to (YEARS, 6, 2)."""

    __props__ = ()
    itypes = (pt.dvector,)
    otypes = (pt.dtensor3,)
    gufunc_signature = "(p)->(t,p,s)"

    def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
        """Integrate the equations and those of their derivatives."""
        outputs[0][0] = _integrate(inputs[0], 6)[:, 1:]

    def jax(self) -> Any:
        """Return JAX's own derivative of the same integration."""
        import jax

        return lambda theta: jax.jacfwd(Populations().jax())(theta).swapaxes(1, 2)


@numba_funcify.register(Populations)  # type: ignore[untyped-decorator]
def _(_op: Any, **_: Any) -> Any:
    return numba.njit(lambda theta: _integrate(theta, 0)[:, 0])


@numba_funcify.register(Slopes)  # type: ignore[untyped-decorator]
def _(_op: Any, **_: Any) -> Any:
    return numba.njit(lambda theta: _integrate(theta, 6)[:, 1:])


def _rates(u: Any, v: Any, theta: Any) -> tuple[Any, Any]:
    """Return the growth of prey and predators."""
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    return alpha * u - beta * u * v, delta * u * v - gamma * v


_compiled_rates = numba.njit(_rates)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _integrate(theta: Any, n: int) -> Any:
    """Return the states at the end of each year, (YEARS, 1 + n, 2), for n of 0, or 6.

    A state is the populations, and in the rows after them their derivatives by theta.
    """
    size = 2 * (1 + n)
    state, stage, growths = np.zeros(size), np.empty(size), np.zeros((4, size))
    state[:2] = theta[4:]
    if n:
        state[10] = state[13] = 1.0  # each population's derivative by its own beginning
    found = np.empty((YEARS, size))
    for step in range(YEARS * STEPS):
        # Loops, for expressions of whole arrays would be eight times as slow.
        for k in range(4):
            for i in range(size):
                stage[i] = state[i] + REACH[k] / STEPS * growths[k - 1, i]
            _growth(stage, theta, growths[k])
        for i in range(size):
            middle = growths[1, i] + growths[2, i]
            state[i] += (growths[0, i] + 2 * middle + growths[3, i]) / (6 * STEPS)
        if (step + 1) % STEPS == 0:
            found[step // STEPS] = state
    return found.reshape((YEARS, 1 + n, 2))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _growth(state: Any, theta: Any, growth: Any) -> None:
    """Write the growth of a state: of the populations, and of their derivatives by theta."""
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    u, v = state[0], state[1]
    growth[0], growth[1] = _compiled_rates(u, v, theta)
    for j in range(2, len(state), 2):
        growth[j] = (alpha - beta * v) * state[j] - beta * u * state[j + 1]
        growth[j + 1] = delta * v * state[j] + (delta * u - gamma) * state[j + 1]
    if len(state) > 2:
        growth[2] += u
        growth[4] -= u * v
        growth[7] -= v
        growth[9] += u * v


def _data(seed: int) -> FloatArray:
    """Return the populations that are seen at the end of each year, shape (YEARS, 2)."""
    theta, sigma = TRUTH
    noise = np.random.RandomState(seed).standard_normal((YEARS, 2))
    return np.asarray(_integrate(theta, 0)[:, 0] * np.exp(sigma * noise))
