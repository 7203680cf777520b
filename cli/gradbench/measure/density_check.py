"""The density check: every sampler of a model targets the same log-density, shown, not assumed.

Each worker evaluates, at the same points, the function its sampler really calls, and the first of
them the target that it compiled itself; ``check_density`` compares all with that. A model file that
is not deterministic (data drawn without a seed) is caught here too: its workers' densities differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from gradbench.draws import FloatArray
from gradbench.measure.bare import Bare
from gradbench.sampler import Evaluator
from gradbench.target import differences
from gradbench.target.target import Target

N_POINTS = 8
N_DIRECTIONS = 4
DISTANCES = 2.0 ** np.arange(-2, 11)  # how far points are pushed to leave the support

# An error of 1e-6 in a log-density changes no acceptance probability by more than 1e-6, whatever
# the sampler, and dynesty's map through inverse distribution functions rounds to 1e-7. Large values
# are sums of large terms: in float64 a factor through a badly conditioned matrix, or a function
# that another library approximates, keeps 8 digits of them.
VALUE_TOLERANCE = 1e-6
VALUE_ROUNDING = 1e-8
FLOAT32_ROUNDING = 1e-5  # float32 has 7 digits; a sum of 10,000 terms loses two
NEGLIGIBLE = 30.0  # below the largest log-density: e^-30 of it, where no run ever is

# Measured with NUTS on a 50-d normal: gradients wrong by anything up to 1e-2 (root mean square,
# relative) cost no more gradients per effective draw, a common factor of 1.1 up to 1.2 times as
# many, a step of 0.1 in place of a derivative 6.6 times, one component left at 0 2,268 times. The
# acceptance step keeps the target right: a wrong gradient costs, it doesn't bias.
INEXACT_GRADIENT = 1e-5  # relative: what differs by more is told
WRONG_GRADIENT = 1e-2  # relative: what differs by more is refused
UNUSABLE = 1e-2  # a finite difference less certain than this says nothing
SAFETY = 10.0  # an error read off the spread of a few differences may be as many times too small

JUMP = 1e-3  # a smaller one changes no acceptance probability by more than that
N_NODES = (16, 64, 256)  # Gauss-Legendre; with 256 the shipped models agree to 1e-13
N_HALVINGS = 40  # what still jumps over 1e-12 of a line is no slope

FLOAT32_NOISE = 1e-7  # relative uncertainty of differences: with float64 it is 1e-10, say
FLOAT32 = (
    "its log-density computes in float32, in whose steps slopes are lost: return float64"
    " (jax_enable_x64); samplers that only compare log-densities can run"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one sampler's worker evaluated at the points, shape (n,) or (n, n_directions).

    Attributes:
        values: from the function the sampler calls.
        slopes: the sampler's gradients along fixed directions; None if it uses none. NaN where its
            value isn't finite.
        target_values: from the target, one point at a time; None where another probe has them, as
            all that follows.
        differences: the target's derivatives along the same directions, from finite differences;
            None if it has no gradient.
        uncertainties: how far differences of other steps disagree.
        again: the target's values, asked a second time.
        jump: the size of a jump of the target's on a line between points, and where it is.
        is_float32: whether the target computes in float32.
        reached: which points the sampler can come to at all; None if it can come to all.
        is_exact: whether its slopes are to be the log-density's, not some that were asked for.
        bare: what evaluations of the target cost; None where another probe has it.
    """

    values: list[float]
    slopes: list[list[float]] | None
    target_values: list[float] | None = None
    differences: list[list[float]] | None = None
    uncertainties: list[list[float]] | None = None
    again: list[float] | None = None
    jump: tuple[float, list[float]] | None = None
    is_float32: bool = False
    reached: list[bool] | None = None
    is_exact: bool = True
    bare: Bare | None = None


@dataclass(frozen=True, slots=True)
class DensityCheck:
    """The outcome for one model.

    Attributes:
        model: its label.
        samplers: those that were checked.
        n_points: points with a finite density, of those tried.
        value_error: largest relative disagreement of values, up to one constant per sampler;
            None where only one side is finite.
        gradient_error: largest relative disagreement of gradients that are to be exact; None if
            none is used or finite.
        refused: why, by sampler; empty when all agree.
        signature: a number that tells one log-density from another, whatever its constant; None
            from older runs.
        notes: by sampler, what is imperfect and not refused.
        findings: what is unusual about the density itself.
        n_outside: points outside the support, of those tried.
        bare: what one evaluation costs; None from older runs, and where no point is in the support.
    """

    model: str
    samplers: tuple[str, ...]
    n_points: int
    value_error: float | None
    gradient_error: float | None
    refused: Mapping[str, str] = field(default_factory=dict)
    signature: float | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    n_outside: int = 0
    bare: Bare | None = None

    @property
    def is_passed(self) -> bool:
        """Whether all samplers agree."""
        return not self.refused

    def joined(self, other: "DensityCheck") -> "DensityCheck":
        """Return it with what was found of further samplers of the same model."""
        values = (self.value_error, other.value_error)
        slopes = (self.gradient_error, other.gradient_error)
        return replace(
            self,
            samplers=(*self.samplers, *other.samplers),
            n_points=min(self.n_points, other.n_points),
            # Values that can't be compared outweigh all others; a gradient that isn't used doesn't.
            value_error=None if None in values else max(v for v in values if v is not None),
            gradient_error=max((error for error in slopes if error is not None), default=None),
            refused={**self.refused, **other.refused},
            notes={**self.notes, **other.notes},
            findings=tuple(dict.fromkeys((*self.findings, *other.findings))),
        )


@np.errstate(all="ignore")  # outside the support numbers overflow
def points(target: Target) -> FloatArray:
    """Return points (n, ndim): starting points, as many nearer to the mode, and some outside.

    Of the first 2 * N_POINTS the second half is where a run spends its time, or nearer to it than
    the first. They are the same in every run, whatever its seed, so that runs can be compared.
    """
    rng = np.random.default_rng(0)
    initial = target.initial(rng, N_POINTS)
    ascended = [target.density.ascended(x, maxiter=5) for x in initial]
    nearer = np.array(ascended) + 0.1 * rng.standard_normal(initial.shape)
    return np.concatenate([initial, nearer, outside(target, nearer)])


def outside(target: Target, inside: FloatArray) -> FloatArray:
    """Return points (n, ndim) where the density is -inf or NaN: one on a ray from each, if any."""
    rays = directions(len(inside), inside.shape[1], seed=1)
    pushed = [_pushed(target, x, d) for x, d in zip(inside, rays, strict=True)]
    return np.array([x for x in pushed if x is not None]).reshape(-1, inside.shape[1])


@np.errstate(all="ignore")
def probe(built: Evaluator, target: Target | None, at: FloatArray) -> Probe:
    """Return what the sampler says at the points (n, ndim), and what the target says there.

    All points are asked for at once and in random order, so that those outside the support have
    neighbours inside. The target is None where another sampler's probe tells what it says.
    """
    order = np.random.default_rng(0).permutation(len(at))
    values = np.empty(len(at))
    values[order] = built.logdensity(at[order])
    is_finite = np.isfinite(values)
    gradients = built.gradient(at[is_finite]) if is_finite.any() else None
    slopes = None
    if gradients is not None:
        slopes = np.full((len(at), N_DIRECTIONS), np.nan)
        slopes[is_finite] = gradients @ directions(N_DIRECTIONS, at.shape[1]).T
    seen = Probe(
        values.tolist(),
        None if slopes is None else slopes.tolist(),
        # Nested sampling alone is held to a cube's floating-point numbers.
        reached=built.reaches(at).tolist(),
        is_exact=built.is_exact,
    )
    return seen if target is None else _with_target(seen, target, at)


def of_target(target: Target, at: FloatArray) -> Probe:
    """Return what the target itself says at the points (n, ndim), as the first probe has it."""
    return _with_target(Probe([], None), target, at)


def check_density(
    model: str, at: FloatArray, probes: Mapping[str, Probe], *, truth: Probe | None = None
) -> DensityCheck:
    """Return whether all samplers agree: values up to a constant, gradients with differences.

    What is right is what the target says in ``truth`` or, without it, in the first probe that has
    it.
    """
    truth = truth or next(seen for seen in probes.values() if seen.target_values is not None)
    reference = np.array(truth.target_values)
    usable = np.isfinite(reference)
    refused, notes = {}, {}
    value_errors, gradient_errors = [0.0], []
    for sampler, seen in probes.items():
        errors = _value_errors(seen, reference)
        value_errors.append(float(np.max(_relative(errors, 1 + np.abs(reference)))))
        if reason := _values_refused(at, seen, truth, errors):
            refused[sampler] = reason
        elif truth.is_float32 and seen.slopes is None:
            notes[sampler] = "computes in float32"
        elif truth.is_float32:
            refused[sampler] = FLOAT32
        elif seen.slopes is not None and truth.differences is not None:
            slope_errors = np.where(usable, _gradient_errors(seen, truth), 0)
            worst = int(np.argmax(slope_errors))
            if seen.is_exact:
                gradient_errors.append(float(slope_errors[worst]))
            if seen.is_exact and not slope_errors[worst] <= WRONG_GRADIENT:
                refused[sampler] = (
                    "its gradient is not that of the log-density: at"
                    f" {shown(at[worst])} the slopes {_numbers(seen.slopes[worst])} should be"
                    f" {_numbers(truth.differences[worst])}"
                )
            elif slope_errors[worst] > INEXACT_GRADIENT:
                asked = "" if seen.is_exact else ", as asked for"
                notes[sampler] = f"inexact gradient{asked}: {slope_errors[worst]:.0e}"
    if (reason := unusable(at, truth)) is not None:
        refused = dict.fromkeys(probes, reason)
    return DensityCheck(
        model=model,
        samplers=tuple(probes),
        n_points=int(usable.sum()),
        value_error=_finite(max(value_errors)),
        gradient_error=_finite(max(gradient_errors)) if gradient_errors else None,
        refused=refused,
        signature=_signature(reference[:N_POINTS]),
        notes={sampler: note for sampler, note in notes.items() if sampler not in refused},
        findings=_findings(truth),
        n_outside=int((~usable).sum()),
        bare=truth.bare,
    )


# -- the target ------------------------------------------------------------------------------


def _value(target: Target, x: FloatArray) -> float:
    """Return the log-density at one point, without compiling another function for it."""
    if target.why_no_gradient is None:
        return target.logdensity_and_gradient(x)[0]
    return target.logdensity(x)


def _pushed(target: Target, x: FloatArray, direction: FloatArray) -> FloatArray | None:
    """Return the first point on the way out where the density is -inf or NaN, or None."""
    for distance in DISTANCES:
        y: FloatArray = x + distance * direction
        try:
            value = _value(target, y)
        except Exception:
            return None  # a sampler that came here would end as well
        if not np.isfinite(value):
            return y
    return None


def _with_target(seen: Probe, target: Target, at: FloatArray) -> Probe:
    """Return the probe with all that the target says."""
    values, again = ([_value(target, x) for x in at] for _ in range(2))
    seen = replace(seen, target_values=values, again=again, is_float32=_is_rounded(values))
    usable = np.isfinite(values)
    if target.why_no_gradient is not None or not usable.any():
        return seen
    slopes, uncertainties = np.full((2, len(at), N_DIRECTIONS), np.nan)
    slopes[usable], uncertainties[usable] = extrapolated(target, at[usable])
    noise = _relative(uncertainties[usable], _norms(slopes[usable])[:, None])
    return replace(
        seen,
        differences=slopes.tolist(),
        uncertainties=uncertainties.tolist(),
        jump=_jump(target, at[usable]),
        is_float32=seen.is_float32
        or bool(np.median(noise) > FLOAT32_NOISE and _has_float32(target)),
    )


def extrapolated(target: Target, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return derivatives along the fixed directions, (n, n_directions), and their uncertainties."""
    fixed = directions(N_DIRECTIONS, at.shape[1])
    return differences.along(target.logdensity_batch, at, fixed)


def _jump(target: Target, inside: FloatArray) -> tuple[float, list[float]] | None:
    """Return the size of a jump on lines between these points, and where it is, or None.

    Along a line the integral of the gradient is the difference of the log-densities, unless these
    jump. What can't be integrated with many nodes is halved until it can be, as a kink can, or
    until its length is lost in rounding.
    """
    half = len(inside) // 2
    for start, end in zip(inside[:half], np.roll(inside[half : 2 * half], 1, axis=0), strict=True):
        try:
            if all(_excess(target, start, end, n) > 0 for n in N_NODES):
                found = _halved(target, start, end)
                if found is not None:
                    return found
        except Exception:
            continue
    return None


def _excess(target: Target, start: FloatArray, end: FloatArray, n_nodes: int) -> float:
    """Return by how much more than allowed the gradient's integral misses; NaN off the support."""
    shares, weights = _gauss_legendre(n_nodes)
    nodes = start + shares[:, None] * (end - start)
    slopes = [target.logdensity_and_gradient(x)[1] @ (end - start) for x in nodes]
    values = np.array([_value(target, start), _value(target, end)])
    missed = np.abs(values[1] - values[0] - weights @ np.array(slopes))
    return float(missed - JUMP - VALUE_ROUNDING * np.abs(values).max())


def _halved(target: Target, start: FloatArray, end: FloatArray) -> tuple[float, list[float]] | None:
    """Return the jump that is left when a line is halved again and again, or None."""
    for _ in range(N_HALVINGS):
        middle = (start + end) / 2
        halves = ((start, middle), (middle, end))
        excess = [_excess(target, *half, N_NODES[0]) for half in halves]
        if not max(excess) > 0:
            return None
        start, end = halves[int(np.argmax(excess))]
    return abs(_value(target, end) - _value(target, start)), start.tolist()


@cache
def _gauss_legendre(n: int) -> tuple[FloatArray, FloatArray]:
    """Return the nodes and weights of n-point Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


def _is_rounded(values: list[float]) -> bool:
    """Return whether float32 holds all of the values, and no type much coarser does."""
    found = np.unique(np.array(values)[np.isfinite(values)])
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    coarse = np.ldexp(np.round(np.ldexp(np.frexp(found)[0], 16)), np.frexp(found)[1] - 16)
    return bool(np.all(single == found) and np.any(coarse != found))


def _has_float32(target: Target) -> bool:
    """Return whether anything that depends on x is computed in float32 on the way."""
    from pytensor.graph.traversal import ancestors

    if target.function is not None and target.function.kind == "jax":
        import jax

        x = np.zeros(target.ndim)
        return "f32[" in str(jax.make_jaxpr(target.function.function)(x))
    flat, outputs = target.density.joined([target.model.logp()])
    return any(
        variable.owner and variable.type.dtype == "float32" and flat in ancestors([variable])
        for variable in ancestors(outputs)
        if hasattr(variable.type, "dtype")
    )


# -- errors ----------------------------------------------------------------------------------


def _values_refused(at: FloatArray, seen: Probe, truth: Probe, errors: FloatArray) -> str | None:
    """Return why the values, with these errors, are refused, or None."""
    reference = np.array(truth.target_values)
    rounding = FLOAT32_ROUNDING if truth.is_float32 else VALUE_ROUNDING
    excess = errors - VALUE_TOLERANCE
    excess -= rounding * np.where(np.isfinite(reference), np.abs(reference), 0)
    worst = int(np.argmax(excess))
    if excess[worst] <= 0:
        return None
    other = 0 if worst else 1
    return (
        f"its log-density differs from the model's by more than a constant: at {shown(at[worst])}"
        f" it is {seen.values[worst]:.10g}, the model's is {reference[worst]:.10g}; at"
        f" {shown(at[other])} they are {seen.values[other]:.10g} and {reference[other]:.10g}"
    )


def _value_errors(seen: Probe, reference: FloatArray) -> FloatArray:
    """Return errors (n,), one constant removed; inf where only one side is finite.

    What a sampler can't come to counts as no error. Outside the support a value far below the
    largest is as good as none: a Bernoulli's at a logit of 37 is -inf in PyTensor, -42.6 in JAX.
    """
    values = np.array(seen.values)
    inside, is_finite = np.isfinite(reference), np.isfinite(values)
    reached = np.full(len(values), True) if seen.reached is None else np.array(seen.reached)
    both = inside & is_finite & reached
    offset = np.median(values[both] - reference[both]) if both.any() else 0.0
    errors = np.zeros(len(values))
    errors[both] = np.abs(values[both] - reference[both] - offset)
    errors[inside & ~is_finite] = np.inf
    highest = np.max(reference[inside], initial=-np.inf) + offset
    errors[~inside & ~(np.isnan(values) | (values < highest - NEGLIGIBLE))] = np.inf
    return np.where(reached, errors, 0.0)


def _gradient_errors(seen: Probe, truth: Probe) -> FloatArray:
    """Return the error of the slopes at each point, shape (n,): a share of their length.

    What the differences can't resolve counts as no error.
    """
    slopes, differences = np.array(seen.slopes), np.array(truth.differences)
    uncertainties, lengths = np.array(truth.uncertainties), _norms(differences)
    errors = np.maximum(np.abs(slopes - differences) - SAFETY * uncertainties, 0)
    is_resolved = uncertainties <= UNUSABLE * lengths[:, None]
    relative = _relative(_norms(np.where(is_resolved, errors, 0.0)), lengths)
    return np.where(np.isfinite(slopes).all(axis=1), relative, np.inf)


def _norms(slopes: FloatArray) -> FloatArray:
    """Return the root mean square over directions, (n, n_directions) to (n,); NaN left out."""
    known = np.isfinite(slopes)
    total = np.sum(np.where(known, slopes, 0.0) ** 2, axis=1)
    norms: FloatArray = np.sqrt(total / np.maximum(known.sum(axis=1), 1))
    return norms


def _relative(errors: FloatArray, scale: FloatArray) -> FloatArray:
    """Return errors in units of the scale; no error is 0 even where the scale is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative: FloatArray = np.where(errors > 0, errors / scale, 0.0)
    return relative


def unusable(at: FloatArray, truth: Probe) -> str | None:
    """Return why no sampler can be compared with what a target says at points, or None."""
    values, again = np.array(truth.target_values), np.array(truth.again)
    if not np.isfinite(values).any():
        return "the log-density is finite at none of the points tried"
    worst = int(np.argmax(np.abs(np.nan_to_num(values) - np.nan_to_num(again))))
    if np.allclose(values, again, rtol=VALUE_ROUNDING, atol=VALUE_TOLERANCE, equal_nan=True):
        return None
    return (
        f"the log-density is random: asked twice at {shown(at[worst])} it is"
        f" {values[worst]:.10g} and {again[worst]:.10g}; fix what it draws (a pm.Minibatch's rows,"
        " a generator without a seed)"
    )


def _findings(truth: Probe) -> tuple[str, ...]:
    """Return what is unusual about the target itself, and no reason to refuse it."""
    if truth.jump is None:
        return ()
    size, where = truth.jump
    return (
        f"the log-density jumps by {size:.2g} near {shown(np.array(where))}, which its gradient"
        " doesn't show",
    )


def directions(n: int, ndim: int, seed: int = 0) -> FloatArray:
    """Return n directions of length 1, shape (n, ndim), always the same ones."""
    found = np.random.default_rng(seed).standard_normal((n, ndim))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _signature(values: FloatArray) -> float | None:
    """Return the values' sum with alternating signs: a constant drops out, a change does not.

    Of the starting points alone: the way to the mode ends where rounding leads it.
    """
    signs = np.where(np.arange(len(values)) % 2, -1.0, 1.0)
    return _finite(float(signs @ values))


def _finite(error: float) -> float | None:
    return error if np.isfinite(error) else None


def shown(x: FloatArray) -> str:
    """Return a point in words, of its first coordinates."""
    return f"x = ({_numbers(x[:4].tolist())}{', …' if len(x) > 4 else ''})"


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
