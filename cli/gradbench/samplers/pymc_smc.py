"""PyMC's sequential Monte Carlo (Ching & Chen 2007; Minson et al. 2013), prior to posterior."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench import sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.samplers import _prior, _pymc
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "PyMC: sequential Monte Carlo, a population led from prior to posterior; evidence"
USES_GRADIENT = False
LIBRARIES = ("pymc",)
EXTRA = ""
DETUNED = {"correlation_threshold": 0.3}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample_smc(draws=$draws, chains=$chains)
"""


class Options(sampler.Options):
    """``pm.sample_smc``'s options with its defaults; a chain is a population."""

    tune: Literal[0] = Field(0, description="it has no warm-up: all its stages are one run")
    draws: int = Field(2000, ge=4, description="particles of each population")
    chains: int = Field(2, ge=1, le=1000, description="independent populations, one after another")
    kernel: Literal["IMH", "MH"] = Field(
        "IMH", description="proposals from a fitted normal, or a random walk"
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="share of effective particles of a stage")
    correlation_threshold: float = Field(
        0.01, gt=0, lt=1, description="a stage moves until correlations fall by less than this"
    )

    @property
    def n_starts(self) -> int:
        """One, unused: populations start from the prior."""
        return 1


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: a prior that can't be drawn from, or nothing that leads away from it."""
    if not target.model.observed_RVs and not target.model.potentials:
        return "the model has no data and no potential: it would only draw from the prior"
    if _prior.given(target):
        reason = _prior.OfFunction(target).fault(is_inverted=False)
    else:
        reason = _prior.without(target)
    return reason or target.why_not_on(options.backend)


def build(target: Target, options: Options) -> "Populations":
    """Compile prior, likelihood and draws from the prior."""
    return Populations(target, options)


class Populations(sampler.OfAnyLength[Options]):
    """Populations on one target, ready to run."""

    def __init__(self, target: Target, options: Options) -> None:
        import pymc as pm
        from pymc.pytensorf import compile as pymc_compile

        super().__init__(options)
        mode = {} if target.mode is None else {"mode": target.mode}
        self._kernel = getattr(pm.smc, options.kernel)(
            draws=options.draws,
            model=target.model,
            threshold=options.threshold,
            correlation_threshold=options.correlation_threshold,
            compile_kwargs=dict(mode),
        )
        self._prior_logp: Any = self._kernel.prior_logp_func
        self._likelihood_logp: Any = self._kernel.likelihood_logp_func
        self._order = target.positions(v.name for v in self._kernel.variables)
        self._target = target
        self._given = _prior.OfFunction(target) if _prior.given(target) else None
        if self._given is None:
            self._from_prior = pymc_compile([], self._kernel._prior_expression, **mode)
        else:
            self._split(self._given)
        self.logdensity(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return prior and likelihood as the kernel evaluates them, at points (n, ndim)."""
        return np.array(
            [
                float(np.squeeze(self._prior_logp(x) + self._likelihood_logp(x)))
                for x in points[:, self._order]
            ]
        )

    def run(
        self,
        start: FloatArray,  # noqa: ARG002 - populations start from the prior
        *,
        tune: int,  # noqa: ARG002 - it has none
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the populations one after another, each from the prior to the posterior."""
        counter = _pymc.Counter()
        values, families, evidence = [], [], []
        for chain, rng in enumerate(np.random.default_rng(seed).spawn(self._options.chains)):
            stopwatch.start("sampling")
            particles, ancestors = self._population(rng, draws, counter)
            stopwatch.stop()
            values.append(particles)
            families.append(ancestors + chain * draws)
            evidence.append(float(np.squeeze(self._kernel.log_marginal_likelihood)))
        size = len(values) * draws
        error = np.std(evidence, ddof=1) / np.sqrt(len(evidence)) if len(evidence) > 1 else np.nan
        back = np.argsort(self._order)
        return Draws(
            values=np.concatenate(values)[None][..., back],
            groups=np.zeros(1, dtype=np.int64),
            evaluations=Evaluations(n_logp_sampling=counter.n),
            weights=np.full(size, 1 / size),
            families=np.concatenate(families),
            log_evidence=(float(np.mean(evidence)), float(error)),
        )

    def _split(self, given: _prior.OfFunction) -> None:
        """Have the kernel call a plain function and its likelihood.

        It asks for the priors of all its particles, then for their likelihoods, or the other way
        round: what was evaluated for one is remembered for the other.
        """
        back = np.argsort(self._order)

        @lru_cache(maxsize=self._options.draws)
        def parts(x: bytes) -> tuple[float, float]:
            return given.parts(np.frombuffer(x)[back])

        self._prior_logp = _prior.Uncompiled(lambda x: parts(x.tobytes())[0])
        self._likelihood_logp = _prior.Uncompiled(lambda x: parts(x.tobytes())[1])
        self._forget = parts.cache_clear

    def _begin(self, rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
        """Return n draws from the prior, by name of the value variable."""
        if self._given is not None:
            self._forget()
            cubes = rng.spawn(1)[0].uniform(size=(n, self._target.ndim))
            points = [self._target.point(self._given.transform(cube)) for cube in cubes]
            return {name: np.array([point[name] for point in points]) for name in points[0]}
        for variable in self._from_prior.get_shared():
            if isinstance(variable.get_value(borrow=True), np.random.Generator):
                variable.set_value(rng.spawn(1)[0])
        drawn = zip(*(self._from_prior() for _ in range(n)), strict=True)
        names = self._kernel._prior_var_names
        return {name: np.array(v) for name, v in zip(names, drawn, strict=True)}

    def _population(self, rng: np.random.Generator, n: int, counter: _pymc.Counter) -> Any:
        """Return the last particles (n, ndim), and which of the first each descends from."""
        kernel, begun = self._kernel, self._begin(rng, n)
        n_each = 1 if self._given is None else 2  # a function and its likelihood are two calls
        kernel.draws = n
        kernel.prior_logp_func = self._prior_logp
        kernel.likelihood_logp_func = self._likelihood_logp
        kernel.initialize(begun, rng)
        counter.n += n_each * n
        kernel.likelihood_logp_func = counter.counting(kernel.likelihood_logp_func, n_each)
        ancestors = np.arange(n)
        while kernel.beta < 1:
            kernel.update_beta_and_weights()
            kernel.step()
            ancestors = ancestors[kernel.resampling_indexes]
        return kernel.tempered_posterior, ancestors
