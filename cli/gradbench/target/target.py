"""The target: one log-density on the unconstrained space, compiled from one ``pm.Model``.

Every sampler of a model gets this target, so that they sample the same density: PyMC's NUTS
samples the model it was compiled from, the others call what was compiled.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradbench.draws import FloatArray, IntArray
from gradbench.logdensity import LogDensity
from gradbench.reference import Reference
from gradbench.stan import StanProgram
from gradbench.target.density import CompiledDensity
from gradbench.target.parameters import Parameters, ReferenceMoments
from gradbench.target.quantities import Quantities
from gradbench.target.starts import Init, Starts

if TYPE_CHECKING:
    import pymc as pm


class Target:
    """A model's log-density, Jacobian included, and what its samplers need to know beside it.

    What is needed is compiled at its first use. What only those who measure ask for is had from
    the parts.

    Args:
        model: the PyMC model; its value variables, in PyMC's order, are the flat vector.
        reference: what is known of its posterior, or None.
        stan_program: the same density for Stan's own samplers, or None.
        initial: makes starting points of the model's own, as ``models.Loaded`` has it, or None.
        function: the plain function that the model was made from, or None.
        mode: the PyTensor mode, None for PyMC's default.
        init: the kind of its run's starting points, or None where there is no run.
        counted: which quantities count: names, of scalars too, with ``*`` and ``?``; ``~name`` is
            left out. Empty, or with nothing but names to leave out: free parameters, and what is
            computed from them but for whole numbers and what has many values.

    Attributes:
        ndim: the length of the flat vector.
        variables: the names of the value variables that it consists of, in order.
        density: the log-density in every form, and its graphs.
        quantities: every parameter and deterministic.
        starts: starting points of every kind.
        parameters: the scalars that are diagnosed, their roles and their reference.

    Raises:
        ModelError: the model has no free parameters, or a discrete one, or a name that is taken.
    """

    def __init__(
        self,
        model: "pm.Model",
        reference: Reference | None = None,
        stan_program: StanProgram | None = None,
        initial: Callable[..., Any] | None = None,
        function: LogDensity | None = None,
        *,
        mode: Any = None,
        init: Init | None = None,
        counted: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.stan_program = stan_program
        self.function = function
        self.mode = mode
        self.density = CompiledDensity(model, mode)
        self.quantities = Quantities(self.density, stan_program)
        self.starts = Starts(
            self.density,
            self.quantities,
            own=initial,
            reference=reference,
            function=function,
            init=init,
        )
        self.parameters = Parameters(
            self.density, self.quantities, self.starts, reference=reference, counted=counted
        )
        self.ndim = self.density.ndim
        self.variables = self.density.variables

    def require(self, init: Init) -> None:
        """Raise what a run from this kind of starting points would, as far as is told at once.

        Raises:
            ModelError: the model can't start so, or ``counted`` names what it hasn't.
        """
        self.starts.require(init)
        self.parameters.require()

    # -- the density -------------------------------------------------------------------------

    def logdensity(self, x: FloatArray) -> float:
        """Return the log-density at x, shape (ndim,); -inf outside the support."""
        return self.density.logdensity(x)

    def logdensity_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-density at x, shape (ndim,), and its gradient, by reverse mode.

        Outside the support the gradient is finite or NaN, and says nothing.
        """
        return self.density.logdensity_and_gradient(x)

    def logdensity_batch(self, points: FloatArray) -> FloatArray:
        """Return the log-density at many points, (n, ndim) to (n,): ``logdensity`` of each."""
        return self.density.logdensity_batch(points)

    @property
    def jax_logdensity(self) -> Callable[[Any], Any]:
        """The log-density as a function that JAX traces: x, shape (ndim,), to a scalar."""
        return self.density.jax_logdensity

    @property
    def why_no_gradient(self) -> str | None:
        """Why there is no gradient by reverse mode, and what to do, or None if there is one."""
        return self.density.why_no_gradient

    def why_not_on(self, backend: str) -> str | None:
        """Return why a backend can't compile the density, and what to do, or None if it can."""
        return self.density.why_not_on(backend)

    # -- the flat vector ---------------------------------------------------------------------

    def initial(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n points (n, ndim) at which to compile, to check, and to try a sampler.

        Raises:
            ModelError: no point with a finite log-density was found.
        """
        return self.starts.initial(rng, n)

    def point(self, x: FloatArray) -> dict[str, FloatArray]:
        """Return x, shape (ndim,), as PyMC's point: arrays by name of the value variable."""
        return self.density.point(x)

    def positions(self, names: Iterable[str]) -> IntArray:
        """Return where the coordinates of these value variables, in this order, stand in x."""
        return self.density.positions(names)

    # -- the constrained space ---------------------------------------------------------------

    def named(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return parameters and deterministics by name: (..., ndim) to (..., *shape)."""
        return self.quantities.named(values)

    def constrain(self, values: FloatArray) -> FloatArray:
        """Return the scalars that are diagnosed, as in ``names``: (..., ndim) to (..., n)."""
        return self.parameters.constrain(values)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the scalars that are diagnosed, as ArviZ writes them (``x[0, 1]``)."""
        return self.parameters.names

    @property
    def reference(self) -> ReferenceMoments | None:
        """The moments that are known, in the order of ``names``, or None.

        Raises:
            ModelError: they are of a parameter that the model lacks, or have a wrong shape.
        """
        return self.parameters.reference
