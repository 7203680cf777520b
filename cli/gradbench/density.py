"""The density check: every sampler of a model targets the same log-density, shown, not assumed.

Each worker evaluates, at the same points, the function its sampler really calls and the target it
compiled itself; ``judge`` holds them against each other. A model file that is not deterministic
(data drawn without a seed) is caught here too: its workers' targets differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gradbench.draws import FloatArray
from gradbench.samplers.base import Built
from gradbench.target import Target

N_POINTS = 8
N_DIRECTIONS = 4
STEP = 1e-3
VALUE_TOLERANCE = 1e-8  # relative to 1 + |log-density|: rounding, not a different density
GRADIENT_TOLERANCE = 1e-5  # relative to 1 + |gradient|; the difference's own error comes on top
UNUSABLE = 1e-2  # a finite difference less certain than this says nothing


@dataclass(frozen=True, slots=True)
class Probe:
    """What one sampler's worker evaluated at the points, shape (n,) or (n, n_directions).

    Attributes:
        values: from the function the sampler calls.
        target_values: from the target.
        slopes: the sampler's gradients along fixed directions; None if it uses none.
        differences: finite differences of the target along the same directions.
        uncertainties: how far two step sizes of the difference disagree.
    """

    values: list[float]
    target_values: list[float]
    slopes: list[list[float]] | None
    differences: list[list[float]] | None
    uncertainties: list[list[float]] | None


@dataclass(frozen=True, slots=True)
class DensityCheck:
    """The outcome for one model.

    Attributes:
        model: its label.
        samplers: those that were checked.
        n_points: points with a finite density, of those tried.
        value_error: largest relative disagreement of values, up to one constant per sampler;
            None where only one side is finite.
        gradient_error: largest relative disagreement of gradients; None if none is used or finite.
        refused: why, by sampler; empty when all agree.
        signature: a number that tells one log-density from another, whatever its constant; None
            from older runs.
    """

    model: str
    samplers: tuple[str, ...]
    n_points: int
    value_error: float | None
    gradient_error: float | None
    refused: Mapping[str, str] = field(default_factory=dict)
    signature: float | None = None

    @property
    def is_passed(self) -> bool:
        """Whether all samplers agree."""
        return not self.refused


def points(target: Target) -> FloatArray:
    """Return points (2 * N_POINTS, ndim): starting points, and as many on their way to the mode.

    The second half is where a run spends its time, or nearer to it than the first. They are the
    same in every run, whatever its seed, so that runs can be held against each other.
    """
    rng = np.random.default_rng(0)
    initial = target.initial(rng, N_POINTS)
    ascended = [target.ascended(x, maxiter=5) for x in initial]
    return np.concatenate([initial, np.array(ascended) + 0.1 * rng.standard_normal(initial.shape)])


def probe(built: Built, target: Target, at: FloatArray) -> Probe:
    """Return what the sampler and the target say at the points (n, ndim)."""
    slopes = differences = uncertainties = None
    gradients = built.gradient(at)
    if gradients is not None:
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((N_DIRECTIONS, target.ndim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        slopes = (gradients @ directions.T).tolist()
        fine = _differences(target, at, directions, STEP)
        coarse = _differences(target, at, directions, 2 * STEP)
        differences, uncertainties = fine.tolist(), np.abs(fine - coarse).tolist()
    return Probe(
        values=built.logdensity(at).tolist(),
        target_values=target.logdensity_batch(at).tolist(),
        slopes=slopes,
        differences=differences,
        uncertainties=uncertainties,
    )


def judge(model: str, at: FloatArray, probes: Mapping[str, Probe]) -> DensityCheck:
    """Return whether all samplers agree: values up to a constant, gradients with differences."""
    reference = np.array(next(iter(probes.values())).target_values)
    usable = np.isfinite(reference)
    value_errors, gradient_errors, refused = [0.0], [], {}
    for sampler, seen in probes.items():
        errors = _value_errors(np.array(seen.values), reference, usable)
        worst = int(np.argmax(errors))
        value_errors.append(float(errors[worst]))
        if not errors[worst] <= VALUE_TOLERANCE:
            refused[sampler] = (
                "its log-density differs from the model's by more than a constant: at "
                f"{_point(at[worst])} it is {seen.values[worst]:.10g}, the model's is"
                f" {reference[worst]:.10g}; at {_point(at[_other(worst)])} they are"
                f" {seen.values[_other(worst)]:.10g} and {reference[_other(worst)]:.10g}"
            )
        if seen.slopes is None:
            continue
        slope_errors = _gradient_errors(seen, usable)
        worst = int(np.argmax(slope_errors))
        gradient_errors.append(float(slope_errors[worst]))
        if not slope_errors[worst] <= GRADIENT_TOLERANCE and sampler not in refused:
            assert seen.differences is not None
            refused[sampler] = (
                f"its gradient is not that of the log-density: at {_point(at[worst])} the slopes"
                f" {_numbers(seen.slopes[worst])} should be {_numbers(seen.differences[worst])}"
            )
    if not usable.any():
        refused = dict.fromkeys(probes, "the log-density is finite at none of the points tried")
    return DensityCheck(
        model=model,
        samplers=tuple(probes),
        n_points=int(usable.sum()),
        value_error=_finite(max(value_errors)),
        gradient_error=_finite(max(gradient_errors)) if gradient_errors else None,
        refused=refused,
        signature=_signature(reference[:N_POINTS]),
    )


def _differences(target: Target, at: FloatArray, directions: FloatArray, h: float) -> FloatArray:
    """Return five-point central differences, shape (n, n_directions); error of order h⁴."""
    offsets = np.array([-2.0, -1.0, 1.0, 2.0]) * h
    weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * h)
    moved = at[:, None, None, :] + offsets[:, None] * directions[:, None, :]
    values = target.logdensity_batch(np.ascontiguousarray(moved.reshape(-1, at.shape[1])))
    differences: FloatArray = values.reshape(moved.shape[:3]) @ weights
    return differences


def _value_errors(values: FloatArray, reference: FloatArray, usable: FloatArray) -> FloatArray:
    """Return relative errors (n,), one constant removed; inf where only one side is finite."""
    both = usable & np.isfinite(values)
    errors = np.where(usable != np.isfinite(values), np.inf, 0.0)
    if both.any():
        offset = values[both] - reference[both]
        errors[both] = np.abs(offset - np.median(offset)) / (1 + np.abs(reference[both]))
    return errors


def _gradient_errors(seen: Probe, usable: FloatArray) -> FloatArray:
    """Return the largest relative error of the slopes at each point, shape (n,)."""
    slopes, differences = np.array(seen.slopes), np.array(seen.differences)
    scale = 1 + np.abs(differences)
    uncertain = np.array(seen.uncertainties) / scale
    errors = np.maximum(np.abs(slopes - differences) / scale - uncertain, 0)
    errors = np.where(np.isfinite(uncertain) & (uncertain < UNUSABLE), errors, 0)
    errors = np.where(np.isfinite(slopes), errors, np.inf)
    worst: FloatArray = np.where(usable, errors.max(axis=1), 0)
    return worst


def _signature(values: FloatArray) -> float | None:
    """Return the values' sum with alternating signs: a constant drops out, a change does not.

    Of the starting points alone: the way to the mode ends where rounding leads it.
    """
    signs = np.where(np.arange(len(values)) % 2, -1.0, 1.0)
    return _finite(float(signs @ values))


def _finite(error: float) -> float | None:
    return error if np.isfinite(error) else None


def _other(worst: int) -> int:
    return 0 if worst else 1


def _point(x: FloatArray) -> str:
    return f"x = ({_numbers(x[:4].tolist())}{', …' if len(x) > 4 else ''})"


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
