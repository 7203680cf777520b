"""What PyMC's step methods share: chains one after another, in the loop inside ``pm.sample``."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from gradbench import compat, sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.target import differences
from gradbench.target.differences import Scheme
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

N_STEPS = (1, 4, 16, 64)  # from one point of the density check to another, until they stay inside


class Options(sampler.Options):
    """``pm.sample``'s options, with its defaults but for ``chains``."""

    chains: int = Field(2, ge=1, le=1000, description="independent chains, one after another")


class HamiltonianOptions(Options):
    """``pm.sample``'s options for step methods that follow gradients."""

    init: Literal["adapt_diag", "adapt_full"] = Field(
        "adapt_diag", description="a diagonal mass matrix, or a dense one; both are adapted"
    )
    gradient: Literal["exact", "finite_central", "finite_forward"] = Field(
        "exact", description="by reverse mode, or by finite differences of the log-density"
    )
    step: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="of finite differences, relative to a coordinate's size, or to 1 where that is"
        " smaller; by default what balances rounding and truncation",
    )

    LATER: ClassVar[tuple[str, ...]] = ("gradient", "step")

    @model_validator(mode="after")
    def _is_step_used(self) -> Self:
        if self.step is not None and self.scheme is None:
            raise ValueError("step is of finite differences: set gradient: finite_central")
        return self

    @property
    def scheme(self) -> Scheme | None:
        """The kind of finite differences; None for exact gradients."""
        schemes: dict[str, Scheme] = {"finite_central": "central", "finite_forward": "forward"}
        return schemes.get(self.gradient)


def unsuited(target: Target, options: HamiltonianOptions) -> str | None:
    """Return why not: the backend can't compile the density, or it has no exact gradient."""
    complaint = target.why_not_on(options.backend)
    if complaint is None and options.scheme is None and target.why_no_gradient is not None:
        return f"{target.why_no_gradient}, or gradient: finite_central"
    return complaint


@dataclass(frozen=True, slots=True)
class Ran:
    """What the chains left: their traces, and the counter's reading in both phases."""

    traces: list[Any]
    tune: int
    n_warmup: int
    n_sampling: int

    def values(self, variables: tuple[str, ...]) -> FloatArray:
        """Return the kept draws (chains, draws, ndim) in the order of the variables."""
        chains = []
        for trace in self.traces:
            columns = [trace.get_values(name, burn=self.tune) for name in variables]
            rows = [np.asarray(c, dtype=np.float64).reshape(len(c), -1) for c in columns]
            chains.append(np.concatenate(rows, axis=1))
        return np.array(chains)

    def stat(self, name: str, method: int = 0) -> npt.NDArray[Any]:
        """Return a statistic of one step method, shape (chains, tune + draws)."""
        return np.array([t.get_sampler_stats(name, sampler_idx=method) for t in self.traces])


class Chains:
    """Runs chains on one target; what records them is compiled once, as in ``pm.sample``."""

    def __init__(self, target: Target) -> None:
        from pymc.backends.ndarray import NDArray

        self._target = target
        self._first = NDArray(model=target.model)

    def run(
        self,
        step: Any,
        start: FloatArray,
        generators: list[np.random.Generator],
        *,
        tune: int,
        draws: int,
        stopwatch: Stopwatch,
        count: Callable[[], int] = lambda: 0,
    ) -> Ran:
        """Run a chain from each start (chains, ndim), each from the step method's state now.

        ``count`` reads a counter of evaluations, if the step method itself doesn't tell.
        """
        fresh = step.sampling_state
        ran = Ran([], tune, 0, 0)
        for chain, x in enumerate(start):
            step.sampling_state = fresh
            trace = self._empty_trace()
            trace.setup(tune + draws, chain, step.stats_dtypes)
            steps = compat.iter_chain(
                step,
                self._target.point(x),
                trace=trace,
                chain=chain,
                tune=tune,
                draws=draws,
                rng=generators[chain],
            )
            before = tuned = count()
            stopwatch.start("warmup" if tune else "sampling")
            for done, _ in enumerate(steps, start=1):
                if done == tune:
                    stopwatch.start("sampling")
                    tuned = count()
            stopwatch.stop()
            ran = Ran(
                [*ran.traces, trace],
                tune,
                ran.n_warmup + tuned - before,
                ran.n_sampling + count() - tuned,
            )
        step.sampling_state = fresh
        return ran

    def _empty_trace(self) -> Any:
        from pymc.backends.ndarray import NDArray

        first = self._first
        return NDArray(
            model=self._target.model,
            vars=first.vars,
            fn=first.fn,
            var_shapes=first.var_shapes,
            var_dtypes=first.var_dtypes,
        )


class Hamiltonian(sampler.OfAnyLength[HamiltonianOptions]):
    """A step method of PyMC that follows gradients, on one target, ready to run.

    Args:
        target: what is sampled; its gradient is compiled here, as ``pm.sample`` does, or its
            log-density where finite differences take the gradient's place.
        options: the chains and their lengths.
        step: makes the step method from what all of them take.
        stats: ArviZ's names of the statistics it reports, and PyMC's; ``n_steps`` among them.
    """

    def __init__(
        self,
        target: Target,
        options: HamiltonianOptions,
        step: Callable[..., Any],
        stats: dict[str, str],
    ) -> None:
        super().__init__(options)
        self._target, self._make_step, self._stats = target, step, stats
        self._density: Any = _density(target, options)
        self._chains = Chains(target)
        self.gradient(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the values the step method itself gets, at points (n, ndim)."""
        return np.array([self._density([x])[0] for x in points])

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return the gradients the step method itself gets, at points (n, ndim)."""
        return np.array([self._density([x])[1] for x in points])

    @property
    def is_exact(self) -> bool:
        """Whether its gradients are not finite differences."""
        return self._options.scheme is None

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the chains one after another from start (chains, ndim)."""
        generators, seeds = compat.spawn_generators(seed, len(start))
        ran = self._chains.run(
            self._step(start, seeds[0]),
            start,
            generators,
            tune=tune,
            draws=draws,
            stopwatch=stopwatch,
        )
        stats = {ours: ran.stat(theirs) for ours, theirs in self._stats.items()}
        # A trajectory's first state is evaluated once more before its leapfrog steps.
        n_grad = stats["n_steps"].astype(int) + 1
        kept = {name: stat[:, tune:] for name, stat in stats.items()}
        return Draws(
            values=ran.values(self._target.variables),
            groups=np.arange(len(start)),
            evaluations=self._evaluations(int(n_grad[:, :tune].sum()), int(n_grad[:, tune:].sum())),
            stats=kept,
            acceptance_rate=float(kept["acceptance_rate"].mean()),
        )

    def _evaluations(self, n_warmup: int, n_sampling: int) -> Evaluations:
        """Return what so many gradients cost: themselves, or log-densities of their differences."""
        scheme = self._options.scheme
        if scheme is None:
            return Evaluations(n_grad_warmup=n_warmup, n_grad_sampling=n_sampling)
        n_each = differences.n_evaluations(self._target.ndim, scheme)
        return Evaluations(n_logp_warmup=n_each * n_warmup, n_logp_sampling=n_each * n_sampling)

    def _step(self, start: FloatArray, seed: int) -> Any:
        """Return a fresh step method: what ``pm.sample`` sets up for ``init``.

        For ``adapt_full`` it is what ``jitter+adapt_full`` sets up: without jitter, ``pm.sample``
        takes the mean of the starts times the number of chains (PyMC 5.28 and 6.3).
        """
        return self._make_step(
            potential=self._potential(start.mean(axis=0), seed),
            model=self._target.model,
            rng=seed,
            initial_point=self._target.point(start[0]),
            logp_dlogp_func=self._density,
        )

    def _potential(self, mean: FloatArray, seed: int) -> Any:
        """Return the mass matrix, adapted from the unit matrix that counts as 10 draws."""
        from pymc.step_methods.hmc import quadpotential

        ndim = self._target.ndim
        if self._options.init == "adapt_diag":
            return quadpotential.QuadPotentialDiagAdapt(ndim, mean, np.ones(ndim), 10, rng=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="QuadPotentialFullAdapt is an experimental")
            return quadpotential.QuadPotentialFullAdapt(ndim, mean, np.eye(ndim), 10, rng=seed)


def _density(target: Target, options: HamiltonianOptions) -> Any:
    """Return what PyMC's step methods take as the log-density and its gradient."""
    if options.scheme is not None:
        return Differences(target, options.scheme, options.step)
    density = target.model.logp_dlogp_function(ravel_inputs=True, mode=target.mode)
    density.trust_input = True
    density.set_extra_values({})
    return density


class Differences:
    """A log-density with finite differences, in the form of PyMC's ``ValueGradFunction``.

    Args:
        target: whose log-density it is.
        scheme: forward or central.
        step: relative; None for the textbook's.
    """

    def __init__(self, target: Target, scheme: Scheme, step: float | None) -> None:
        self.dtype = "float64"
        self._extra_vars_shared: dict[str, Any] = {}
        self._raveled_inputs = True
        self._pytensor_function = differences.of(target.logdensity, scheme, step)

    def __call__(self, raveled: list[FloatArray]) -> tuple[float, FloatArray]:
        """Return the log-density and the differences at the one point of a list."""
        return self._pytensor_function(raveled[0])


class Counter:
    """Counts evaluations; ``counting`` wraps what makes them."""

    def __init__(self) -> None:
        self.n = 0

    def counting(self, function: Callable[..., Any], n: int) -> Callable[..., Any]:
        """Return the function, each call of which makes n evaluations."""

        def counted(*arguments: Any) -> Any:
            self.n += n
            return function(*arguments)

        return counted


class GradientFree(sampler.OfAnyLength[Options]):
    """A step method of PyMC that uses no gradient, on one target, ready to run.

    PyMC gives each variable a step method of its own, unless they are sampled as one block.

    Args:
        target: what is sampled; the step method compiles its density.
        options: the chains and their lengths.
        step: makes the step method from the compile options.
        density: the attribute of it that evaluates the density.
        n_each: evaluations in one call of that: 2 where it is a difference of two densities.
        accepted: its statistic of acceptance, if it has one.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        step: Callable[..., Any],
        *,
        density: str,
        n_each: int,
        accepted: str | None,
    ) -> None:
        super().__init__(options)
        self._target, self._accepted = target, accepted
        mode = {} if target.mode is None else {"mode": target.mode}
        self._step = step(model=target.model, compile_kwargs=mode)
        self._methods = getattr(self._step, "methods", [self._step])
        self._chains = Chains(target)
        self._counter = Counter()
        self._is_difference = n_each == 2
        self._densities = [getattr(method, density) for method in self._methods]
        for method, function in zip(self._methods, self._densities, strict=True):
            setattr(method, density, self._counter.counting(function, n_each))
        self.logdensity(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return what the step methods themselves evaluate, at points (n, ndim), but a constant.

        Differences are added up from the highest point, so that little is lost in rounding; -inf
        outside the support, NaN where nothing inside leads from one point to another.
        """
        if not self._is_difference:
            return np.array([self._logdensity(x) for x in points])
        first = self._from(0, points)
        return self._from(int(np.nanargmax(first)), points) if np.isfinite(first).any() else first

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the chains one after another from start (chains, ndim)."""
        generators, _ = compat.spawn_generators(seed, len(start))
        ran = self._chains.run(
            self._step,
            start,
            generators,
            tune=tune,
            draws=draws,
            stopwatch=stopwatch,
            count=lambda: self._counter.n,
        )
        rate = None
        if self._accepted is not None:
            sizes = [sum(self._size(name) for name in m.var_names) for m in self._methods]
            rates = [
                ran.stat(self._accepted, method)[:, tune:].mean()
                for method in range(len(self._methods))
            ]
            rate = float(np.average(rates, weights=sizes))
        return Draws(
            values=ran.values(self._target.variables),
            groups=np.arange(len(start)),
            evaluations=Evaluations(n_logp_warmup=ran.n_warmup, n_logp_sampling=ran.n_sampling),
            acceptance_rate=rate,
        )

    def _logdensity(self, x: FloatArray) -> float:
        point = self._target.point(x)
        calls = zip(self._methods, self._densities, strict=True)
        return float(np.mean([function(_block(m, point, point)) for m, function in calls]))

    def _from(self, origin: int, points: FloatArray) -> FloatArray:
        """Return differences to one of the points, or to the first that is inside the support."""
        # Outside, -inf minus -inf is NaN; inside it is 0, but for rounding.
        is_inside = np.array([np.isfinite(self._way(x, x, 1)) for x in points], dtype=bool)
        values = np.where(is_inside, np.nan, -np.inf)
        if not is_inside.any():
            return values
        reached = [origin if is_inside[origin] else int(np.argmax(is_inside))]
        values[reached[0]] = 0.0
        for here in reached:  # it grows
            for there in np.flatnonzero(np.isnan(values)):
                values[there] = values[here] + self._climb(points[here], points[there])
                if np.isfinite(values[there]):
                    reached.append(int(there))
        return values

    def _climb(self, start: FloatArray, end: FloatArray) -> float:
        """Return the difference of the densities at two points inside, NaN if no way is found.

        The step methods move some variables at a time: a corner that this cuts may lie outside
        the support, where another order or shorter steps stay inside.
        """
        ways = (self._way(start, end, n, by) for n in N_STEPS for by in (1, -1))
        return next((way for way in ways if np.isfinite(way)), np.nan)

    def _way(self, start: FloatArray, end: FloatArray, n_steps: int, by: int = 1) -> float:
        """Return the sum of differences along a line, method by method, forwards or backwards."""
        at, total = self._target.point(start), 0.0
        for share in np.arange(1, n_steps + 1) / n_steps:
            to = self._target.point(end if share == 1 else start + share * (end - start))
            for method, function in list(zip(self._methods, self._densities, strict=True))[::by]:
                total += float(function(_block(method, to, at), _block(method, at, at)))
                at |= {name: to[name] for name in method.var_names}
        return total

    def _size(self, variable: str) -> int:
        return int(np.size(self._target.model.initial_point()[variable]))


def _block(method: Any, point: dict[str, FloatArray], others: dict[str, FloatArray]) -> FloatArray:
    """Return a step method's own variables at a point, flat, all others set to their values."""
    for name, shared in method.shared.items():
        shared.set_value(others[name])
    return np.concatenate([np.ravel(point[name]) for name in method.var_names])
