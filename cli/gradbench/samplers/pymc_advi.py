"""PyMC's ADVI (Kucukelbir et al. 2017): the normal nearest to the posterior, found by ascent."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "PyMC: ADVI, a fitted normal, mean-field or full-rank (an approximation)"
USES_GRADIENT = True
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"learning_rate": 1e-7}


class Options(sampler.Options):
    """``pm.fit``'s options with its defaults; ``tune`` is its ``n``."""

    tune: int = Field(10_000, ge=1, description="steps of the optimizer")
    draws: int = Field(1000, ge=4, description="draws from the fitted normal")
    family: Literal["mean_field", "full_rank"] = Field(
        "mean_field", description="independent coordinates, or a whole covariance"
    )
    learning_rate: float = Field(
        1e-3, gt=0, allow_inf_nan=False, description="of the optimizer, a windowed Adagrad"
    )

    @property
    def n_starts(self) -> int:
        """One starting point: the first mean."""
        return 1


def build(target: Target, options: Options) -> "Fit":
    """Compile the optimizer's step, as ``pm.fit`` does at every call."""
    return Fit(target, options)


class Fit(sampler.OfAnyLength[Options]):
    """A normal and the steps that fit it, ready to run from its first state."""

    def __init__(self, target: Target, options: Options) -> None:
        import pymc as pm
        import pytensor
        from pytensor.compile.mode import get_mode

        super().__init__(options)
        mode = {} if target.mode is None else {"mode": target.mode}
        kind = pm.ADVI if options.family == "mean_field" else pm.FullRankADVI
        inference = kind(model=target.model, random_seed=0)
        approx = inference.approx
        self._step = inference.objective.step_function(
            score=True,
            obj_optimizer=pm.adagrad_window(learning_rate=options.learning_rate),
            compile_kwargs=mode,
        )
        self._state = {v: v.get_value() for v in (*self._step.get_shared(), *approx.params)}
        parameters = approx.groups[0].shared_params
        self._mean = parameters["mu"]
        self._scale = parameters["rho" if options.family == "mean_field" else "L_tril"]
        self._order = target.positions(approx.groups[0].ordering)
        self._back = np.argsort(self._order)
        self._fitted = pytensor.function([], [approx.mean, approx.cov], **mode)
        self._fitted()
        logp = approx.set_size_and_deterministic(approx.sized_symbolic_logp, 1, 0).sum()
        # A failed check is -inf, as in the objective's step; PyMC's compile would reseed the noise.
        checked = get_mode(target.mode).including("local_check_parameter_to_ninf_switch")
        self._density = pytensor.function([], [logp, pytensor.grad(logp, self._mean)], mode=checked)
        self.gradient(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the log-density in the objective itself, at points (n, ndim)."""
        return np.array([self._at(x)[0] for x in points])

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return its gradients there, same shape."""
        gradients: FloatArray = np.array([self._at(x)[1] for x in points])[:, self._back]
        return gradients

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Fit from start (1, ndim), then draw."""
        rng = np.random.default_rng(seed)
        self._reset(rng)
        self._mean.set_value(start[0, self._order])
        stopwatch.start("warmup")
        for step in range(tune):
            if np.isnan(self._step()):
                raise FloatingPointError(f"the objective became NaN at step {step + 1}")
        stopwatch.start("sampling")
        mean, covariance = self._fitted()
        noise = rng.standard_normal((draws, len(mean)))
        values = mean + noise @ np.linalg.cholesky(covariance).T
        stopwatch.stop()
        return Draws(
            values=np.ascontiguousarray(values[None][..., self._back]),
            groups=np.zeros(1, dtype=np.int64),
            evaluations=Evaluations(n_grad_warmup=tune),
            is_approximate=True,
        )

    def _at(self, x: FloatArray) -> Any:
        """Return density and gradient at x: with a width of zero, every draw is the mean."""
        self._scale.set_value(np.where(self._is_width(), -1e3, 0.0))
        self._mean.set_value(x[self._order])
        return self._density()

    def _is_width(self) -> Any:
        """Return which entries of the scale become standard deviations, through a softplus."""
        if self._options.family == "mean_field":
            return np.ones(self._scale.get_value().shape, dtype=bool)
        row, column = np.tril_indices(len(self._mean.get_value()))
        return row == column

    def _reset(self, rng: np.random.Generator) -> None:
        for variable, value in self._state.items():
            is_random = isinstance(value, np.random.Generator)
            variable.set_value(rng.spawn(1)[0] if is_random else value)
