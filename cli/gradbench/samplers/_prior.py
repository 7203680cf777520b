"""A model's prior as a map of the unit cube, and its likelihood: what nested sampling takes."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray
from gradbench.logdensity import LogDensity
from gradbench.stan import UNCONSTRAINED
from gradbench.target import batch
from gradbench.target.target import Target

ROUND_TRIP = 1e-6  # relative: the map and its inverse, both in floating point, agree to this
LEVELS = (1e-300, 1 - 1e-10)  # of the cube: nearer to 1 its rounding is more than 1e-6 of the rest
SOLVED = 1e-9  # the same, of one coordinate, where the inverse is found by halving
N_HALVINGS = 64  # of the unit interval: more than floating point has
EDGE = 1e-5  # nearer to the cube's faces than this, rounding spoils the map's derivative
STEP = 1e-2  # of a difference, times the distance to the face; 7 points leave an error of STEP⁶
N_TRIED = 4  # points of the cube at which a map is tried before it is used


class Prior(Protocol):
    """A prior and the likelihood beside it, on a target's scale."""

    def transform(self, cube: FloatArray) -> FloatArray:
        """Return the point, shape (ndim,), that a point of the unit cube stands for."""
        ...

    def loglikelihood(self, x: FloatArray, /) -> float:
        """Return the log-likelihood at a point, -inf where it is NaN."""
        ...

    def reaches(self, x: FloatArray) -> bool:
        """Return whether the cube's floating-point numbers tell this point from its neighbours."""
        ...

    def logdensity(self, x: FloatArray) -> float:
        """Return the density that map and likelihood imply at a point; NaN if they don't agree."""
        ...


def of(target: Target) -> Prior:
    """Return the target's prior: what its function came with, or what PyMC knows of the model."""
    return OfFunction(target) if given(target) else OfModel(target)


def given(target: Target) -> LogDensity | None:
    """Return the plain function that the target was made from, if it came with its prior's map."""
    function = target.function
    return function if function is not None and function.prior_transform is not None else None


def missing(target: Target) -> str | None:
    """Return why a model has no such map, or None."""
    model = target.model
    if given(target) is not None:
        return OfFunction(target).fault(is_inverted=True)
    if not model.observed_RVs and not model.potentials:
        return "the model has no data and no potential: nested sampling needs a likelihood"
    if (reason := without(target)) is not None:
        return reason
    try:
        _from_cube(target)
        _to_cube(target)
    except NotImplementedError as error:
        return f"a prior has no inverse distribution function in PyMC ({error})"
    return None


def without(target: Target) -> str | None:
    """Return why a model has no prior to start from, in the terms of what it was made from."""
    names = target.starts.improper
    if UNCONSTRAINED in names:
        return "a Stan program is one density: it doesn't tell its prior from its likelihood"
    if names and target.function is not None:
        return (
            "a function is one density and has no prior: give LogDensity prior_transform and"
            " log_likelihood, or bounds for a uniform one"
        )
    if names:
        return f"the priors of {', '.join(names)} are improper: there is nothing to start from"
    return None


class OfFunction:
    """The map and the likelihood that a plain function came with.

    The map has no inverse of its own. Where each coordinate of x rises or falls with the one of the
    cube at the same place, whatever else it depends on, the inverse is found by halving, all
    coordinates at once, and again while more of them fall into their places: a coordinate whose
    prior depends on others' is solved once those are.
    """

    def __init__(self, target: Target) -> None:

        from gradbench.target import from_function

        density = given(target)
        assert density is not None
        assert density.prior_transform is not None
        self._target, self._map = target, density.prior_transform
        self._is_transformed = density.transform
        self._likelihood = from_function.likelihood(density)

    def transform(self, cube: FloatArray) -> FloatArray:
        """Return the point, shape (ndim,), that a point of the unit cube stands for.

        Raises:
            TypeError: it is no such point.
        """
        x = np.asarray(self._map(np.array(cube, dtype=np.float64)), dtype=np.float64)
        if x.shape != (self._target.ndim,):
            raise TypeError(
                f"prior_transform must return a point of the shape {(self._target.ndim,)}, not"
                f" {x.shape}"
            )
        (point,) = self._target.starts.of_function(x[None])
        return np.asarray(point)

    def loglikelihood(self, x: FloatArray) -> float:
        """Return the log-likelihood at a point, -inf where it is NaN."""
        if not self._is_transformed:
            return self._likelihood(x)
        named = self._target.named(x)
        return self._likelihood(
            np.concatenate([np.ravel(named[rv.name]) for rv in self._target.model.free_RVs])
        )

    def parts(self, x: FloatArray) -> tuple[float, float]:
        """Return the log-density at a point in two parts: without the likelihood, and that."""
        whole, likelihood = self._target.logdensity(x), self.loglikelihood(x)
        return whole - likelihood if np.isfinite(whole) else -np.inf, likelihood

    def reaches(self, x: FloatArray) -> bool:
        """Return whether floating point resolves the map there, or there is nothing to resolve."""
        cube, _, is_inside = self._inverse(x)
        return not is_inside.all() or bool((np.minimum(cube, 1 - cube) >= EDGE).all())

    def logdensity(self, x: FloatArray) -> float:
        """Return the density that map and likelihood imply at a point; NaN if none is found."""
        cube, is_found, is_inside = self._inverse(x)
        if not is_inside.all():
            return -np.inf
        return self.loglikelihood(x) - self._log_volume(cube) if is_found.all() else np.nan

    def fault(self, *, is_inverted: bool) -> str | None:
        """Return why the map can't be used, or None: it is tried at points inside the cube.

        There the log-density must be that of likelihood and map, up to one constant.

        Args:
            is_inverted: whether the map's inverse is needed too.
        """
        tried = np.random.default_rng(0).uniform(0.1, 0.9, (N_TRIED, self._target.ndim))
        points = [self.transform(cube) for cube in tried]
        offsets = [
            self.loglikelihood(x) - self._log_volume(cube) - self._target.logdensity(x)
            for cube, x in zip(tried, points, strict=True)
        ]
        if not np.ptp(offsets) <= ROUND_TRIP * (1 + np.abs(offsets).max()):
            return (
                "the log-density is not that of prior_transform and log_likelihood: at points of"
                f" the cube they differ by {', '.join(f'{offset:.6g}' for offset in offsets)},"
                " which must be one number"
            )
        if is_inverted and not all(self._inverse(x)[1].all() for x in points):
            return (
                "gradbench can't check prior_transform: each coordinate must rise or fall with the"
                " cube's coordinate at the same place"
            )
        return None

    def _inverse(
        self, x: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return the cube's point, and which coordinates were found, and which have one at all."""
        is_found = np.zeros(len(x), dtype=bool)
        is_inside = np.ones(len(x), dtype=bool)
        cube = np.full(len(x), 0.5)
        for _ in range(len(x)):
            n_found = is_found.sum()
            low, high = np.where(is_found, cube, 0.0), np.where(is_found, cube, 1.0)
            at_low, at_high = self._at(low, -np.inf), self._at(high, np.inf)
            rises = at_low < at_high
            is_inside = (np.minimum(at_low, at_high) <= x) & (x <= np.maximum(at_low, at_high))
            is_inside |= is_found
            for _ in range(N_HALVINGS):
                cube = np.where(is_found, cube, 0.5 * (low + high))
                is_low = (self._at(cube, np.nan) < x) == rises
                low, high = np.where(is_low, cube, low), np.where(is_low, high, cube)
            is_found = np.abs(self._at(cube, np.inf) - x) <= SOLVED * (1 + np.abs(x))
            if is_found.all() or is_found.sum() == n_found:
                break
        return cube, is_found, is_inside

    def _at(self, cube: FloatArray, otherwise: float) -> FloatArray:
        """Return the map at a point, and this where it is NaN or, at the cube's faces, fails."""
        try:
            with np.errstate(all="ignore"):
                x = self.transform(cube)
        except (ArithmeticError, ValueError):
            return np.full(len(cube), otherwise)
        return np.where(np.isnan(x), otherwise, x)

    def _log_volume(self, cube: FloatArray) -> float:
        """Return the log of the map's Jacobian determinant, by central differences."""
        weights = np.array([45.0, -9.0, 1.0]) / 60.0
        columns = []
        for i, step in enumerate(STEP * np.minimum(cube, 1 - cube)):
            moves = np.arange(1, 4)[:, None] * step * (np.arange(len(cube)) == i)
            ahead, behind = (
                np.array([self.transform(cube + sign * move) for move in moves])
                for sign in (1.0, -1.0)
            )
            columns.append(weights @ (ahead - behind) / step)
        return float(np.linalg.slogdet(np.array(columns))[1])


class Uncompiled:
    """A function of a point, shape (ndim,), as PyMC's kernels take a compiled one."""

    def __init__(self, function: Callable[[FloatArray], float]) -> None:
        self._function = function

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return its value at a point."""
        return np.array(self._function(x))

    def copy(self, **_: Any) -> "Uncompiled":
        """Return itself: there is nothing random in it."""
        return self

    def get_shared(self) -> list[Any]:
        """Return no shared variables."""
        return []


class OfModel:
    """The map, its inverse and the likelihood of a PyMC model, compiled.

    Attributes:
        loglikelihood: of a point, shape (ndim,); -inf outside the support.
    """

    def __init__(self, target: Target) -> None:
        from pytensor.gradient import jacobian

        model, mode = target.model, target.mode
        cube, points = _from_cube(target)
        self._transform = _compiled([cube], points, mode)
        x, levels = _to_cube(target)
        self._inverse = _compiled([x], [levels, jacobian(levels, x)], mode)
        data = [*model.observed_RVs, *model.potentials]
        likelihood = model.logp(vars=data, jacobian=False)
        self.loglikelihood = target.density.scalar(likelihood)

    def transform(self, cube: FloatArray) -> FloatArray:
        """Return the point, shape (ndim,), that a point of the unit cube stands for."""
        return np.asarray(self._transform(np.asarray(cube, dtype=np.float64)))

    def reaches(self, x: FloatArray) -> bool:
        """Return whether the cube's floating-point numbers tell this point from its neighbours."""
        cube, _ = self._inverse(x)
        return bool(np.all((cube > LEVELS[0]) & (cube < LEVELS[1])))

    def logdensity(self, x: FloatArray) -> float:
        """Return the density that map and likelihood imply at a point; NaN if they don't agree.

        A volume of the prior is a volume of the cube: its log-density is that of the inverse's
        Jacobian determinant.
        """
        cube, derivative = self._inverse(x)
        if not np.allclose(self.transform(cube), x, rtol=ROUND_TRIP, atol=ROUND_TRIP):
            return np.nan
        return self.loglikelihood(x) + float(np.linalg.slogdet(derivative)[1])


def _from_cube(target: Target) -> tuple[Any, Any]:
    """Return the cube's point and the target's, each variable through its inverse distribution."""
    import pymc as pm
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace

    model, points = target.model, {}
    cube = pt.dvector("cube")
    known: dict[Any, Any] = {}
    first = 0
    for rv in model.free_RVs:
        name = model.rvs_to_values[rv].name
        shape = model.initial_point()[name].shape
        level = cube[first : first + int(np.prod(shape))].reshape(shape)
        first += int(np.prod(shape))
        value, transform = pm.icdf(rv, level), model.rvs_to_transforms[rv]
        x = value if transform is None else transform.forward(value, *rv.owner.inputs)
        known[rv], points[name] = clone_replace([value, x], known)
    point = pt.concatenate([points[name].ravel() for name in target.variables])
    return cube, batch.unchecked(cube, point, np.nan)


def _to_cube(target: Target) -> tuple[Any, Any]:
    """Return the target's point and the cube's, each variable through its distribution function."""
    import pymc as pm
    import pytensor.tensor as pt

    model, levels = target.model, []
    for rv in model.free_RVs:
        value, transform = model.rvs_to_values[rv], model.rvs_to_transforms[rv]
        if transform is not None:
            value = transform.backward(value, *rv.owner.inputs)
        levels.append(pt.exp(pm.logcdf(rv, value)).ravel())
    replaced = model.replace_rvs_by_values(levels)
    x, joined = target.density.joined([pt.concatenate(replaced)])
    return x, batch.unchecked(x, joined[0], np.nan)


def _compiled(inputs: list[Any], outputs: Any, mode: Any) -> Callable[..., Any]:
    from pymc.pytensorf import compile as pymc_compile

    function: Callable[..., Any] = pymc_compile(
        inputs, outputs, mode=mode, on_unused_input="ignore"
    )
    return function
