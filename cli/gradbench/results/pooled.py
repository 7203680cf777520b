"""Runs as one: the moments of all their draws together, and how well they are known.

Draws never leave their workers, so all is made from what each run stores of itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradbench.draws import FloatArray
from gradbench.measure.result import Measured
from gradbench.stats import diagnostics


@dataclass(frozen=True, slots=True)
class Pooled:
    """Several runs as one, an array over the n scalar parameters each, shape (n,).

    Attributes:
        mean, sd: of all draws, each run with its weight.
        square_sd: sd of (x - mean)².
        ess_bulk, ess_mean, ess_square: what the weighted runs are worth together.
        rhat: the largest of each run's, split and rank-normalised, and of nested R-hat with the
            runs as superchains.
        n_chains: of all runs together.
        n_draws: kept draws of all chains together.
        n_divergences: among them.
    """

    mean: FloatArray
    sd: FloatArray
    square_sd: FloatArray
    ess_bulk: FloatArray
    ess_mean: FloatArray
    ess_square: FloatArray
    rhat: FloatArray
    n_chains: int
    n_draws: int
    n_divergences: int

    @property
    def mean_se(self) -> FloatArray:
        """Standard error of the mean."""
        return self.sd / np.sqrt(self.ess_mean)

    @property
    def variance_se(self) -> FloatArray:
        """Standard error of the variance."""
        return self.square_sd / np.sqrt(self.ess_square)

    @property
    def ess(self) -> FloatArray:
        """The smallest of the effective sample sizes; NaN where one is."""
        return np.minimum(np.minimum(self.ess_bulk, self.ess_mean), self.ess_square)


def pooled(runs: Sequence[Measured], weights: FloatArray) -> Pooled:
    """Return runs as one; weights (runs,) sum to 1.

    Moments are those of the mixture of the runs' draws; only ``square_sd`` leaves out what third
    moments add where means differ, less than its own error. Independent runs of one posterior have
    the squared error sd² Σ w² / ESS: that is their effective sample size together.
    """

    def stacked(name: str) -> FloatArray:
        return np.array([getattr(run.diagnostics, name) for run in runs])

    def worth(name: str) -> FloatArray:
        return np.asarray(1 / (weights**2 @ (1 / stacked(name))))

    means, variances = stacked("mean"), stacked("sd") ** 2
    rhat = stacked("rhat")
    with np.errstate(divide="ignore", invalid="ignore"):
        if len(runs) > 1:
            rhat = np.vstack([rhat, diagnostics.rhat_across(means, variances)])
        mean = weights @ means
        squares = variances + (means - mean) ** 2
        variance = weights @ squares
        return Pooled(
            mean=mean,
            sd=np.sqrt(variance),
            square_sd=np.sqrt(weights @ (stacked("square_sd") ** 2 + (squares - variance) ** 2)),
            ess_bulk=worth("ess_bulk"),
            ess_mean=worth("ess_mean"),
            ess_square=worth("ess_square"),
            rhat=rhat.max(axis=0),
            n_chains=sum(run.n_chains for run in runs),
            n_draws=sum(run.n_chains * run.n_draws for run in runs),
            n_divergences=sum(run.n_divergences or 0 for run in runs),
        )


def of_sampler(runs: Sequence[Measured]) -> Pooled:
    """Return one sampler's runs as one, every draw counting the same.

    Weights by effective sample size would make least of the runs that saw a slow corner.
    """
    return pooled(runs, _shares(runs))


def of_all(runs: Mapping[str, Sequence[Measured]]) -> Pooled:
    """Return all samplers' runs as one, every sampler counting the same, whatever its length."""
    weights = np.concatenate([_shares(of_one) for of_one in runs.values()]) / len(runs)
    return pooled([run for of_one in runs.values() for run in of_one], weights)


def by_worth(runs: Sequence[Measured]) -> Pooled:
    """Return runs that agree as one, each weighing as much as its worst parameter is known."""
    worth = [
        np.nanmin([run.diagnostics.ess_mean, run.diagnostics.ess_square, run.diagnostics.ess_bulk])
        for run in runs
    ]
    return pooled(runs, np.array(worth) / np.sum(worth))


def _shares(runs: Sequence[Measured]) -> FloatArray:
    """Return each run's share of all the draws."""
    n_draws = np.array([run.n_chains * run.n_draws for run in runs])
    return np.asarray(n_draws / n_draws.sum())
