"""A model's prior as a map of the unit cube, and its likelihood: what nested sampling takes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradbench import batch
from gradbench.draws import FloatArray
from gradbench.target import Target

ROUND_TRIP = 1e-6  # relative: the map and its inverse, both in floating point, agree to this
LEVELS = (1e-300, 1 - 1e-10)  # of the cube: nearer to 1 its rounding is more than 1e-6 of the rest


def missing(target: Target) -> str | None:
    """Return why a model has no such map, or None."""
    model = target.model
    if not model.observed_RVs and not model.potentials:
        return "the model has no data and no potential: nested sampling needs a likelihood"
    if names := improper(target):
        return f"the priors of {', '.join(names)} are improper: no unit cube maps to them"
    try:
        _from_cube(target)
        _to_cube(target)
    except NotImplementedError as error:
        return f"a prior has no inverse distribution function in PyMC ({error})"
    return None


def improper(target: Target) -> list[str]:
    """Return the names of the variables whose prior is flat on an unbounded range."""
    return target.improper


class Prior:
    """The map, its inverse and the likelihood on one target, compiled.

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
        self.loglikelihood = target.scalar(likelihood)

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
    x, joined = target.joined([pt.concatenate(replaced)])
    return x, batch.unchecked(x, joined[0], np.nan)


def _compiled(inputs: list[Any], outputs: Any, mode: Any) -> Callable[..., Any]:
    from pymc.pytensorf import compile as pymc_compile

    function: Callable[..., Any] = pymc_compile(
        inputs, outputs, mode=mode, on_unused_input="ignore"
    )
    return function
