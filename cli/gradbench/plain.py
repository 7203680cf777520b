"""A sampler that is one function: its evaluations are counted, and its draws made whole, for it.

The function is ``sample(density, start, options, rng, clock)``. It returns the kept draws, an array
(chains, draws, ndim), or (draws, ndim) of one chain; or ``Draws``, where chains are not independent
or there is more to say. What it evaluated by ``density`` is counted, whatever such ``Draws`` say.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench import sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.errors import SamplerError
from gradbench.target.target import Target
from gradbench.timing import Phase, Stopwatch

Sample = Callable[["Density", FloatArray, Any, np.random.Generator, "Clock"], Any]


class Density:
    """The target's log-density, counted: what a plain sampler evaluates.

    Attributes:
        ndim: the length of a point.
        target: what is sampled, for what else a sampler needs to know of it. What is evaluated
            there isn't counted.
    """

    def __init__(self, target: Target, *, has_gradient: bool) -> None:
        self.ndim = target.ndim
        self.target = target
        self.n_logp = self.n_grad = 0
        self._value, self._has_gradient = target.density.logdensity, has_gradient

    def __call__(self, x: FloatArray) -> float:
        """Return the log-density at x, shape (ndim,); -inf outside the support."""
        self.n_logp += 1
        return self._value(x)

    def with_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-density at x, shape (ndim,), and its gradient, same shape.

        Raises:
            SamplerError: the sampler's file doesn't say that it uses gradients.
        """
        if not self._has_gradient:
            raise SamplerError("to use gradients, the sampler's file says USES_GRADIENT = True")
        self.n_grad += 1
        return self.target.density.logdensity_and_gradient(x)

    def many(self, points: FloatArray) -> FloatArray:
        """Return the log-density at many points in one call, (n, ndim) to (n,)."""
        self.n_logp += len(points)
        return self.target.density.logdensity_batch(np.ascontiguousarray(points))


class Clock:
    """Tells when warm-up ends: time and evaluations of both phases are kept apart.

    It runs from the call of ``sample`` to its end, in warm-up if there is any. Chains that run one
    after another enter both phases again and again.
    """

    def __init__(self, density: Density, stopwatch: Stopwatch) -> None:
        self._density, self._stopwatch = density, stopwatch
        self._phase: Phase | None = None
        self._seen = (0, 0)
        self._has_sampled = False
        self._spent = {"warmup": np.zeros(2, dtype=int), "sampling": np.zeros(2, dtype=int)}

    def warmup(self) -> None:
        """Begin warm-up: what is drawn from now on isn't kept."""
        self._enter("warmup")

    def sampling(self) -> None:
        """Begin sampling: what is drawn from now on is kept."""
        self._enter("sampling")

    def stop(self) -> Evaluations:
        """Return the evaluations of both phases, and stop.

        Raises:
            SamplerError: sampling never began, so that its draws would cost nothing.
        """
        self._stopwatch.stop()
        self._settle()
        if not self._has_sampled:
            raise SamplerError(
                "sample() never said that warm-up is over: it must call clock.sampling()"
            )
        (logp_warmup, grad_warmup), (logp, grad) = self._spent.values()
        return Evaluations(int(logp_warmup), int(logp), int(grad_warmup), int(grad))

    def _enter(self, phase: Phase) -> None:
        self._settle()
        self._phase = phase
        self._has_sampled |= phase == "sampling"
        self._stopwatch.start(phase)

    def _settle(self) -> None:
        now = self._density.n_logp, self._density.n_grad
        if self._phase is not None:
            self._spent[self._phase] += np.subtract(now, self._seen)
        self._seen = now


class Plain(sampler.OfAnyLength[sampler.Options]):
    """One function on one target, ready to run."""

    def __init__(
        self, sample: Sample, target: Target, options: sampler.Options, *, uses_gradient: bool
    ) -> None:
        super().__init__(options)
        self._sample, self._target, self._uses_gradient = sample, target, uses_gradient
        at = np.zeros(target.ndim)
        target.density.logdensity(at)
        target.density.logdensity_batch(at[None])
        if uses_gradient:
            target.density.logdensity_and_gradient(at)

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the target's log-density: it is all that the function can evaluate."""
        return np.array([self._target.density.logdensity(x) for x in points])

    def gradient(self, points: FloatArray) -> FloatArray | None:
        """Return the target's gradients, or None where the function uses none."""
        if not self._uses_gradient:
            return None
        return np.array([self._target.density.logdensity_and_gradient(x)[1] for x in points])

    def run(
        self, start: FloatArray, *, tune: int, draws: int, seed: int, stopwatch: Stopwatch
    ) -> Draws:
        """Call the function, with options of this length, from a copy of start."""
        options = self._options.model_copy(update={"tune": tune, "draws": draws})
        density = Density(self._target, has_gradient=self._uses_gradient)
        clock = Clock(density, stopwatch)
        rng = np.random.default_rng(seed)
        begin = clock.warmup if tune else clock.sampling
        begin()
        found = self._sample(density, start.copy(), options, rng, clock)
        evaluations = clock.stop()
        if isinstance(found, Draws):
            is_counted = density.n_logp + density.n_grad > 0
            return replace(found, evaluations=evaluations) if is_counted else found
        values = _whole(found, self._target.ndim)
        return Draws(values=values, groups=np.arange(len(values)), evaluations=evaluations)


def build(
    sample: Sample, target: Target, options: sampler.Options, *, uses_gradient: bool
) -> Plain:
    """Compile what the function evaluates."""
    return Plain(sample, target, options, uses_gradient=uses_gradient)


def _whole(found: Any, ndim: int) -> npt.NDArray[np.float64]:
    """Return what a function gave as an array (chains, draws, ndim) of its own.

    Raises:
        SamplerError: it is something else.
    """
    try:
        values = np.array(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SamplerError(f"sample() returned a {type(found).__name__}: {error}") from error
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[2] != ndim or values.shape[1] < 1:
        raise SamplerError(
            f"sample() returned draws of shape {np.shape(found)}; they must be of shape"
            f" (chains, draws, {ndim})"
        )
    return values
