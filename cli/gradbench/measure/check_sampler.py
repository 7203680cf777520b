"""A sampler looked at on its own: whether it keeps what its form promises, a line for each promise.

What can be told from short runs in one process is told here; whether draws have the right moments
takes replicates, and is told in ``results.check_sampler``.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradbench import compat, models
from gradbench.draws import Draws, FloatArray
from gradbench.errors import GradbenchError, SamplerError, first_line
from gradbench.measure import density_check
from gradbench.sampler import Built, Options, Sampler
from gradbench.target.target import Target
from gradbench.timing import Duration, Phase, Stopwatch

Outcome = Literal["passed", "failed", "skipped"]

RUNS = "runs"  # the promise without which there are no others
ITSELF = "the sampler"
TUNE, DRAWS = 200, 100  # of the short runs, or the sampler's own where they are fewer
SEEDS = (5, 5, 6)  # of three runs: the second must repeat the first, the third must not
OUTSIDE_SHARE = 0.1  # of a run's CPU time that may lie outside the phases,
OUTSIDE_S = 0.1  # or so many seconds, whatever is more: step methods are made anew for each run
FAR = 20.0  # sds from the mode in every coordinate: where no draw is, nor one on the way
MORE = 4  # times as much warm-up: who has not come near the mode then, left warm-up in
NARROW = 0.05  # times as wide a target becomes, all of a sudden, after
N_BEFORE, N_NARROW, N_WIDE = 200, 800, 60  # evaluations, the second and third by turns
N_AFTER = 3  # distances that are looked at whenever it is wide again: a fast tuning recovers soon
MUCH_SHORTER = 0.5  # times: steps of a kernel that stays are 0.8 to 1 times as long as before
NDIM = 4  # of the targets that count, and that are started from afar


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one promise, and why; of what holds the reason says how far it was looked."""

    name: str
    outcome: Outcome
    reason: str = ""


def promises(sampler: Sampler, target: Target, options: Options) -> list[Line]:
    """Return a line for each promise that short runs can tell, from this very process.

    Args:
        sampler: what is looked at.
        target: what it runs on; compiled for the options' backend.
        options: a user's choice; the runs are shorter, where these say more.
    """
    try:
        subject = _Subject(sampler, target, options)
        subject.built.rehearse(subject.start())
        _ = subject.runs
    except Exception as error:
        return [Line(RUNS, "failed", _told(error))]
    return [Line(RUNS, "passed"), *(_line(name, ask, subject) for name, ask in _asked())]


class _Broken(Exception):  # noqa: N818 - it is an answer
    """A promise isn't kept; the message says how."""


class _Skipped(Exception):  # noqa: N818 - it is an answer
    """A promise can't be looked at here; the message says why."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One run, and what was seen around it.

    Attributes:
        draws: as they were when it ended.
        returned: the very arrays it returned.
        stopwatch: what it was given.
        whole: the whole call.
        moved_starts: whether the starting points were others afterwards.
        drew_from: global random generators that were in another state afterwards.
    """

    draws: FloatArray
    returned: Draws
    stopwatch: Stopwatch
    whole: Duration
    moved_starts: bool
    drew_from: tuple[str, ...]


class _Subject:
    """A sampler built on a target, and three short runs of it."""

    def __init__(self, sampler: Sampler, target: Target, options: Options) -> None:
        # What the dimension decides is enough for every target that it is tried on.
        chosen = options.fitted(max(target.ndim, NDIM))
        self.sampler, self.target, self.chosen = sampler, target, chosen
        self.options = _shorter(chosen, TUNE, DRAWS)
        self.built = sampler.build(target, self.options)
        if not isinstance(self.built, Built):
            kind = type(self.built).__name__
            raise SamplerError(f"build() returned a {kind}; it must be a gradbench.sampler.Built")

    def start(self) -> FloatArray:
        return self.target.initial(np.random.default_rng(0), self.options.n_starts)

    @cached_property
    def runs(self) -> list[_Run]:
        return [_run(self.built, self.start(), seed) for seed in SEEDS]

    @cached_property
    def counting(self) -> "Counting":
        return Counting()

    @property
    def first(self) -> _Run:
        return self.runs[0]

    @property
    def is_chains(self) -> bool:
        """Whether its draws are of chains or walkers, as many and as long as was asked for."""
        draws = self.first.returned
        return not draws.is_approximate and draws.weights is None


def _shorter(options: Options, tune: int, draws: int) -> Options:
    return options.model_copy(
        update={"tune": min(options.tune, tune), "draws": min(options.draws, draws)}
    )


def _run(built: Built, start: FloatArray, seed: int) -> _Run:
    given, stopwatch, around = start.copy(), Stopwatch(), Stopwatch()
    before = _global_states()
    around.start("sampling")
    found = built.sample(given, seed=seed, stopwatch=stopwatch)
    around.stop()
    after = _global_states()
    if not isinstance(found, Draws):
        raise SamplerError(f"it returned a {type(found).__name__}, not Draws")
    return _Run(
        draws=np.array(found.values),
        returned=found,
        stopwatch=stopwatch,
        whole=around.timing.sampling,
        moved_starts=not np.array_equal(given, start),
        drew_from=tuple(name for name in before if before[name] != after[name]),
    )


def _global_states() -> dict[str, str]:
    legacy = np.random.get_state()  # noqa: NPY002 - it is the global one that is looked at
    return {"NumPy": repr([np.asarray(part).tolist() for part in legacy]),
            "Python": repr(random.getstate())}  # fmt: skip


def _line(name: str, ask: Callable[[_Subject], str], subject: _Subject) -> Line:
    try:
        return Line(name, "passed", ask(subject))
    except _Skipped as skipped:
        return Line(name, "skipped", str(skipped))
    except Exception as error:
        return Line(name, "failed", _told(error))


def _told(error: Exception) -> str:
    if isinstance(error, _Broken | GradbenchError):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _asked() -> Iterator[tuple[str, Callable[[_Subject], str]]]:
    """Yield each promise's name, in the order of the table, and what looks at it."""
    yield "log-density", _logdensity
    yield "gradient", _gradient
    yield "counts", _counts
    yield "seed", _seed
    yield "draws", _draws
    yield "memory", _memory
    yield "phases", _phases
    yield "warm-up", _warmup
    yield "adaptation", _adaptation
    yield "starts", _starts
    yield "random state", _random_state


# -- the density -----------------------------------------------------------------------------


def _logdensity(subject: _Subject) -> str:
    check = _judged(subject, has_slopes=False)
    if not check.is_passed:
        raise _Broken(check.refused[ITSELF])
    outside = f", {check.n_outside} outside the support" if check.n_outside else ""
    return f"the model's at {check.n_points} points{outside}"


def _gradient(subject: _Subject) -> str:
    inside = subject.start()[:1]
    has_any = subject.built.gradient(inside) is not None
    if has_any != subject.sampler.uses_gradient:
        says, gives = ("True", "no gradients") if not has_any else ("False", "gradients")
        raise _Broken(f"USES_GRADIENT is {says}, and gradient() gives {gives} to check")
    if not has_any:
        raise _Skipped("it uses none")
    if not _judged(subject, has_slopes=False).is_passed:
        raise _Skipped("the log-density is another one")
    check = _judged(subject, has_slopes=True)
    if not check.is_passed:
        raise _Broken(check.refused[ITSELF])
    return check.notes.get(ITSELF, "agrees with finite differences")


def _judged(subject: _Subject, *, has_slopes: bool) -> density_check.DensityCheck:
    at = density_check.points(subject.target)
    seen = density_check.probe(subject.built, subject.target, at)
    return density_check.check_density(
        "", at, {ITSELF: seen if has_slopes else replace(seen, slopes=None)}
    )


# -- draws -----------------------------------------------------------------------------------


def _seed(subject: _Subject) -> str:
    first, again, other = (run.draws for run in subject.runs)
    if not np.array_equal(first, again, equal_nan=True):
        raise _Broken("the same seed gave other draws: draw from nothing but the seed's generator")
    if np.array_equal(first, other, equal_nan=True):
        raise _Broken("another seed gave the same draws: the seed is ignored")
    return ""


def _draws(subject: _Subject) -> str:
    found, options = subject.first.returned, subject.options
    found.require(subject.target.ndim)
    n_chains, n_draws, _ = found.values.shape
    if subject.is_chains and n_draws != options.draws:
        raise _Broken(f"it kept {n_draws} draws of a chain; draws is {options.draws}")
    if subject.is_chains and n_chains != options.n_starts:
        raise _Broken(f"it returned {n_chains} chains; n_starts is {options.n_starts}")
    if not np.isfinite(found.values).all():
        raise _Broken("NaN or infinity among its draws")
    is_still = (np.ptp(subject.first.draws, axis=1) == 0).all(axis=1)
    if is_still.any():
        raise _Broken(
            f"all draws of chain {int(np.argmax(is_still))} are the same: if it moves, each kept"
            " draw must be a copy"
        )
    return f"{n_chains} × {n_draws} × {subject.target.ndim}"


def _memory(subject: _Subject) -> str:
    for run in subject.runs:
        if not np.array_equal(run.draws, run.returned.values, equal_nan=True):
            raise _Broken(
                "its draws changed when it ran again: they share memory with its state; return a"
                " copy"
            )
    return ""


def _starts(subject: _Subject) -> str:
    if any(run.moved_starts for run in subject.runs):
        raise _Broken("it changes its starting points in place; begin with a copy")
    return ""


def _random_state(subject: _Subject) -> str:
    drew_from = {name for run in subject.runs for name in run.drew_from}
    if drew_from:
        raise _Broken(f"it changes the state of {' and '.join(sorted(drew_from))}'s global"
                      " generator")  # fmt: skip
    return ""


# -- cost ------------------------------------------------------------------------------------


def _phases(subject: _Subject) -> str:
    is_tuned = subject.options.tune > 0
    for run in subject.runs:
        spent = run.stopwatch.timing
        if spent.sampling.wall_s == 0:
            raise _Broken("it never starts the phase 'sampling'")
        if (spent.warmup.wall_s > 0) != is_tuned:
            word = "never starts" if is_tuned else "starts"
            raise _Broken(f"it {word} the phase 'warmup', where tune is {subject.options.tune}")
        if spent.compile.wall_s > 0:
            raise _Broken("it starts the phase 'compile' in a run: compile in build()")
    outside = min(_outside_s(run) for run in subject.runs)  # what is long is so in all of them
    whole = min(run.whole.cpu_s for run in subject.runs)
    if outside > max(OUTSIDE_S, OUTSIDE_SHARE * whole):
        raise _Broken(f"{outside:.2g} of its {whole:.2g} CPU seconds lie outside the phases")
    counts = subject.first.returned.evaluations
    if is_tuned != (counts.n_logp_warmup + counts.n_grad_warmup > 0):
        raise _Broken(
            f"it counts {'no' if is_tuned else 'some'} evaluations in warm-up, where tune is"
            f" {subject.options.tune}"
        )
    return ""


def _outside_s(run: _Run) -> float:
    spent = run.stopwatch.timing
    return run.whole.cpu_s - spent.warmup.cpu_s - spent.sampling.cpu_s


def _counts(subject: _Subject) -> str:
    sampler, options = subject.sampler, subject.options
    if options.backend == "numba":
        raise _Skipped("numba compiles the density: calls can't be counted")
    if options.backend == "jax" and subject.first.returned.is_approximate:
        # A fit evaluates many points at once: a callback for each takes minutes and gigabytes.
        raise _Skipped("an approximation in JAX: calls can't be counted one by one")
    counting = subject.counting
    if (reason := sampler.unsuited(counting.target, options)) is not None:
        raise _Skipped(reason)
    built = sampler.build(counting.target, options)
    start = np.random.default_rng(0).standard_normal((options.n_starts, NDIM))
    counting.n = 0
    found = built.sample(start, seed=1, stopwatch=Stopwatch()).evaluations
    counting.settle(options)
    claimed = found.n_logp + found.n_grad
    if claimed != counting.n:
        raise _Broken(f"it counts {claimed:,} evaluations; the density was called {counting.n:,}"
                      " times")  # fmt: skip
    if (found.n_grad > 0) != sampler.uses_gradient:
        raise _Broken(
            f"USES_GRADIENT is {sampler.uses_gradient}, and it counts {found.n_grad:,} gradients"
        )
    return f"{claimed:,} calls of a density that counts"


class Counting:
    """A standard normal whose log-density counts its calls, whoever compiles it.

    Attributes:
        target: the normal, of ``NDIM`` dimensions.
        n: how often it was called, with or without a gradient.
        scale: its sd. What JAX compiles keeps to 1.
        watch: is told of each point it is called with.
    """

    def __init__(self) -> None:
        self.n, self.scale = 0, 1.0
        self.watch: Callable[[FloatArray], None] = lambda _: None
        pm = compat.pymc()
        import pytensor.tensor as pt
        from pytensor.graph.basic import Apply
        from pytensor.graph.op import Op

        counting = self

        class CountingNormal(compat.OwnGradient, Op):  # type: ignore[misc]
            """A standard normal's log-density, which counts however it is called."""

            def make_node(self, x: Any) -> Any:
                return Apply(self, [x], [pt.dscalar()])

            def perform(self, _node: Any, inputs: Any, outputs: Any) -> None:
                counting.count()
                outputs[0][0] = np.asarray(-0.5 * np.sum((inputs[0] / counting.scale) ** 2))
                counting.watch(inputs[0])

            def pullback(self, inputs: Any, _outputs: Any, cotangents: Any) -> Any:
                return [-inputs[0] * cotangents[0]]

            def jax(self) -> Any:
                import jax
                import jax.numpy as jnp

                def normal(x: Any) -> Any:
                    # Given x: once for each point.
                    jax.debug.callback(lambda _: counting.count(), x)
                    return -0.5 * jnp.sum(x**2)

                return normal

        with pm.Model() as model:
            pm.Potential("counted", CountingNormal()(pm.Normal("x", shape=NDIM)))
        self.target = Target(model, mode=compat.mode("c"))
        at = np.zeros(NDIM)  # the first calls, which compile, are not all evaluations
        self.target.logdensity(at)
        self.target.logdensity_batch(at[None])
        self.target.logdensity_and_gradient(at)

    def count(self) -> None:
        """Count one call."""
        self.n += 1

    def settle(self, options: Options) -> None:
        """Wait until every call of a run with these options is counted."""
        if options.backend == "jax":
            import jax

            jax.effects_barrier()


# -- warm-up ---------------------------------------------------------------------------------


def _warmup(subject: _Subject) -> str:
    """From afar, no draw on the way is kept, if warm-up is long enough to arrive."""
    sampler, chosen = subject.sampler, subject.chosen
    if subject.options.tune == 0:
        raise _Skipped("it has none")
    if not subject.is_chains:
        raise _Skipped("its draws are no chain's")
    target = _normal(chosen)
    if (reason := sampler.unsuited(target, chosen)) is not None:
        raise _Skipped(reason)
    longer = _shorter(chosen, chosen.tune, DRAWS).model_copy(update={"tune": MORE * chosen.tune})
    scatter = np.random.default_rng(0).standard_normal((longer.n_starts, NDIM))
    built = sampler.build(target, longer)
    found = built.sample(FAR + scatter, seed=1, stopwatch=Stopwatch()).values
    first, last = (np.abs(found[:, i]).max(axis=1) for i in (0, -1))
    if (last > FAR / 2).any():
        raise _Skipped(f"it does not come from {FAR:g} sds away in {longer.tune} steps")
    if (first > FAR / 2).any():
        raise _Broken(
            f"started {FAR:g} sds away, its first kept draw is {first.max():.0f} sds away after"
            f" {longer.tune} steps of warm-up: warm-up draws are among those kept"
        )
    return f"nothing kept on the way from {FAR:g} sds"


def _adaptation(subject: _Subject) -> str:
    """In sampling the steps don't follow the target.

    Moments would not tell: a step that is tuned all the time makes second moments wrong by some
    0.05 sd only. So the target becomes much narrower while it is sampled, and wide again: right
    then, the steps of what has adapted are as short as the narrow one demands.
    """
    sampler = subject.sampler
    groups = subject.first.returned.groups
    if not subject.is_chains or len(np.unique(groups)) < len(groups):
        raise _Skipped("its draws are of no chains of their own")
    if subject.options.backend in {"jax", "numba"}:
        raise _Skipped(f"{subject.options.backend} compiles the density: it can't be changed")
    counting = subject.counting
    n_draws = N_BEFORE + 4 * (N_NARROW + N_WIDE)
    longer = subject.options.model_copy(update={"draws": n_draws})
    if (reason := sampler.unsuited(counting.target, longer)) is not None:
        raise _Skipped(reason)
    built = sampler.build(counting.target, longer)
    stopwatch = _Switching(counting)
    counting.watch = stopwatch.called
    start = np.random.default_rng(0).standard_normal((longer.n_starts, NDIM))
    built.sample(start, seed=1, stopwatch=stopwatch)
    if not (stopwatch.after or stopwatch.n_still):
        raise _Skipped("it evaluates too little to tell")
    ratio = stopwatch.ratio
    if ratio < MUCH_SHORTER:
        raise _Broken(
            f"it adapts in sampling: after a target {1 / NARROW:g} times narrower its steps are"
            f" {ratio:.2g} times as long as before"
        )
    return "its steps don't follow the target in sampling"


class _Switching(Stopwatch):
    """Makes a target narrow, and wide again, by turns, in each chain's sampling.

    Attributes:
        before: logs of distances between points evaluated one after the other, at first.
        after: of those right after the target is wide again.
        n_still: how many of the latter were no steps at all.
    """

    def __init__(self, counting: "Counting") -> None:
        super().__init__()
        self._counting = counting
        self._n: int | None = None
        self._last: FloatArray | None = None
        self.before: list[float] = []
        self.after: list[float] = []
        self.n_still = 0

    @property
    def ratio(self) -> float:
        """How many times as long steps are after as before, a geometric mean."""
        if not self.after:
            return 0.0
        return float(np.exp(np.mean(self.after) - np.mean(self.before)))

    def start(self, phase: Phase) -> None:
        super().start(phase)
        self._n = 0 if phase == "sampling" else None
        self._counting.scale, self._last = 1.0, None

    def called(self, x: FloatArray) -> None:
        """Take note of a point, and switch the target for the next one if it is time."""
        if self._n is None:
            return
        since = (self._n - N_BEFORE) % (N_NARROW + N_WIDE) - N_NARROW
        last, self._last = self._last, x.copy()
        distance = 0.0 if last is None else float(np.linalg.norm(x - last))
        is_after = self._n >= N_BEFORE and 1 <= since <= N_AFTER
        if distance == 0:
            self.n_still += is_after
        elif is_after:
            self.after.append(np.log(distance))
        elif self._n < N_BEFORE:
            self.before.append(np.log(distance))
        self._n += 1
        is_narrow = self._n >= N_BEFORE and (self._n - N_BEFORE) % (N_NARROW + N_WIDE) < N_NARROW
        self._counting.scale = NARROW if is_narrow else 1.0


def _normal(options: Options) -> Target:
    source = models.find("gaussian", Path())
    loaded = models.load(source, {"dim": NDIM})
    return Target(*loaded, mode=compat.mode(options.target_backend))
