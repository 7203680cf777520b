"""dynesty's nested sampling (Speagle 2020), static or dynamic: weighted draws, and the evidence."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import _prior
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "dynesty: nested sampling, static or dynamic; weighted draws and the evidence"
USES_GRADIENT = False
LIBRARIES = ("dynesty",)
EXTRA = "nested"
DETUNED = {"sample": "rwalk", "walks": 5}


class Options(sampler.Options):
    """dynesty's options with its defaults; ``draws`` is its ``nlive``."""

    tune: Literal[0] = Field(0, description="nested sampling has no warm-up")
    draws: int = Field(500, ge=4, description="live points; how many draws come, the run decides")
    kind: Literal["static", "dynamic"] = Field(
        "static", description="live points as they are, or more where they are worth most"
    )
    bound: Literal["none", "single", "multi", "balls", "cubes"] = Field(
        "multi", description="what the live points are enclosed in"
    )
    sample: Literal["auto", "unif", "rwalk", "slice", "rslice"] = Field(
        "auto", description="how a new live point is found within"
    )
    walks: int | None = Field(None, ge=1, description="steps of a random walk; dynesty's choice")
    dlogz: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="log evidence left when it stops"
    )

    @property
    def n_starts(self) -> int:
        """One, unused: live points come from the prior."""
        return 1


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: no likelihood, or a prior that can't be mapped from the unit cube."""
    return _prior.missing(target) or target.why_not_on(options.backend)


def build(target: Target, options: Options) -> "Nested":
    """Compile the prior's map and the likelihood; dynesty itself has nothing to compile."""
    return Nested(target, options)


class Nested(sampler.Built):
    """Nested sampling on one target, ready to run."""

    def __init__(self, target: Target, options: Options) -> None:
        self._options, self._ndim = options, target.ndim
        self._prior = _prior.of(target)
        self._n_logp = 0
        self.logdensity(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return what the prior's map and the likelihood imply at points (n, ndim)."""
        return np.array([self._prior.logdensity(x) for x in points])

    def reaches(self, points: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which of the points (n, ndim) it can come to at all: far out the cube has none."""
        return np.array([self._prior.reaches(x) for x in points])

    def sample(
        self,
        start: FloatArray,  # noqa: ARG002 - live points come from the prior
        *,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run until what is left of the evidence is small."""
        import dynesty

        ours = self._options
        self._n_logp = 0
        kind = dynesty.NestedSampler if ours.kind == "static" else dynesty.DynamicNestedSampler
        walks = {} if ours.walks is None else {"walks": ours.walks}
        ends = {"static": "dlogz", "dynamic": "dlogz_init"}[ours.kind]
        limit = {} if ours.dlogz is None else {ends: ours.dlogz}
        stopwatch.start("sampling")
        sampler = kind(
            self._counted,
            self._prior.transform,
            self._ndim,
            nlive=ours.draws,
            bound=ours.bound,
            sample=ours.sample,
            rstate=np.random.default_rng(seed),
            **walks,
        )
        sampler.run_nested(print_progress=False, **limit)
        stopwatch.stop()
        found = sampler.results
        weights = np.asarray(found.importance_weights())
        return Draws(
            values=np.asarray(found.samples)[None],
            groups=np.zeros(1, dtype=np.int64),
            evaluations=Evaluations(n_logp_sampling=self._n_logp),
            stats={"weight": weights[None]},
            weights=weights / weights.sum(),
            log_evidence=(float(found.logz[-1]), float(found.logzerr[-1])),
        )

    def _counted(self, x: FloatArray) -> float:
        self._n_logp += 1
        return self._prior.loglikelihood(x)
