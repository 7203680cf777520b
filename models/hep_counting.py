r"""Counting events over an uncertain background: pyhf's model of a search, made Bayesian.

.. math:: n_k \sim \mathrm{Poisson}(\mu s_k + \gamma_k b_k), \quad
          a_k \sim \mathrm{Poisson}(\tau_k \gamma_k), \quad
          \tau_k = (b_k / \sigma_k)^2, \quad k = 1 \dots bins

``mu`` has a flat prior on [0, 10], each ``gamma`` on [1e-10, 10]: pyhf's bounds. The auxiliary
measurement :math:`a_k = \tau_k` need not be whole, its factorial is a gamma function, as in pyhf.
So the log-density of the parameters is pyhf's ``logpdf`` less
:math:`\log 10 + bins \log(10 - 10^{-10})`.

Origin: ``pyhf.simplemodels.uncorrelated_background`` (once ``hepdata_like``) of Heinrich et al.
(2021), Journal of Open Source Software 6(58), after HistFactory (Cranmer et al. 2012,
CERN-OPEN-2012-016). With one bin: signal 5, background 10 ± 3.5, 15 observed. With more: a bump on
a falling background, the counts drawn from ``seed`` at ``mu`` = 1. Parameters: ``mu``, ``gamma``
(bins,). Geometry: ``mu`` against every ``gamma``, and cut off at 0 where the signal is weak.
Reference: exact: given ``mu`` each ``gamma`` is a mixture of gamma distributions, and over ``mu``
it is quadrature. What the bounds cut off of those is less than rounding.
"""

from dataclasses import astuple, dataclass

import numpy as np
import pymc as pm
from scipy import special

from gradbench.draws import FloatArray
from gradbench.reference import Moments, Reference

MU_MAX = np.float64(10.0)  # of a plain 10.0 PyTensor takes the logarithm in single precision
GAMMA_MIN, GAMMA_MAX = 1e-10, 10.0
N_NODES = 400  # of Gauss and Legendre's quadrature over mu
N_CELLS = 4000  # of the grid from which mu is drawn


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: what is expected of it, how well, and what was counted.

    If j of its events are background, gamma ~ Gamma(tau + 1 + j, background + tau).
    """

    signal: float
    background: float
    tau: float
    observed: float

    @property
    def shapes(self) -> FloatArray:
        """The gamma distributions' shapes, (observed + 1,), by the number of background events."""
        return self.tau + 1 + np.arange(self.observed + 1)

    def given(self, mu: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log-likelihoods of mu (n,), gamma integrated out, up to one constant.

        Beside them the probability of each number of background events, (n, observed + 1).
        """
        j = np.arange(self.observed + 1)
        logp = (
            special.xlogy(self.observed - j, mu[:, None] * self.signal)
            - special.gammaln(self.observed - j + 1)
            + j * np.log(self.background)
            - special.gammaln(j + 1)
            + special.gammaln(self.shapes)
            - self.shapes * np.log(self.background + self.tau)
        )
        total = special.logsumexp(logp, axis=1, keepdims=True)
        return total[:, 0] - mu * self.signal, np.exp(logp - total)

    def draw(self, rng: np.random.Generator, mu: FloatArray) -> FloatArray:
        """Return a gamma for each mu."""
        _, probability = self.given(mu)
        j = (np.cumsum(probability, axis=1) < rng.random((len(mu), 1))).sum(axis=1)
        return np.asarray(rng.gamma(self.tau + 1 + j) / (self.background + self.tau))

    def raw_moments(self, probability: FloatArray) -> FloatArray:
        """Return the first four of gamma from the probabilities of background events."""
        powers = np.arange(1, 5)[:, None]
        of_each = special.poch(self.shapes, powers) / (self.background + self.tau) ** powers
        moments: FloatArray = of_each @ probability
        return moments


def model(bins: int = 1, seed: int = 1) -> pm.Model:
    """Return the model; ``bins`` is at least 1, ``seed`` is of no account where it is 1."""
    signal, background, tau, observed = np.array([astuple(each) for each in _bins(bins, seed)]).T
    with pm.Model() as counting:
        mu = pm.Uniform("mu", 0.0, MU_MAX)
        gamma = pm.Uniform("gamma", GAMMA_MIN, GAMMA_MAX, shape=bins)
        pm.Poisson("n", mu * signal + gamma * background, observed=observed)
        rate = tau * gamma
        pm.Potential("a", tau * pm.math.log(rate) - rate - special.gammaln(tau + 1))
    return counting


def reference(bins: int = 1, seed: int = 1) -> Reference:
    """Return the exact moments."""
    each = _bins(bins, seed)
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    mu = MU_MAX * (1 + nodes) / 2
    logp, probability = zip(*(a_bin.given(mu) for a_bin in each), strict=True)
    share = _share(np.sum(logp, axis=0) + np.log(weights))
    of_mu = [share @ mu**power for power in range(1, 5)]
    of_gamma = [b.raw_moments(share @ p) for b, p in zip(each, probability, strict=True)]

    def draw(rng: np.random.Generator, n: int) -> dict[str, FloatArray]:
        cells = MU_MAX * (np.arange(N_CELLS) + 0.5) / N_CELLS
        logp = np.sum([a_bin.given(cells)[0] for a_bin in each], axis=0)
        mu = rng.choice(cells, size=n, p=_share(logp))
        mu += MU_MAX / N_CELLS * rng.uniform(-0.5, 0.5, n)
        return {"mu": mu, "gamma": np.column_stack([a_bin.draw(rng, mu) for a_bin in each])}

    moments = {"mu": _moments(np.array(of_mu)), "gamma": _moments(np.array(of_gamma).T)}
    return Reference(source="exact", moments=moments, draw=draw)


def _bins(n: int, seed: int) -> list[Bin]:
    if n < 1:
        raise ValueError(f"bins must be at least 1, not {n}")
    if n == 1:
        return [Bin(signal=5.0, background=10.0, tau=(10.0 / 3.5) ** 2, observed=15.0)]
    x = (np.arange(n) + 0.5) / n
    signal, background = 10 * np.exp(-0.5 * ((x - 0.4) / 0.1) ** 2), 50 * np.exp(-2 * x)
    tau = (background / (0.2 * background + 1)) ** 2
    observed = np.random.RandomState(seed).poisson(signal + background)
    columns = np.column_stack([signal, background, tau, observed])
    return [Bin(*row) for row in columns.tolist()]


def _share(logp: FloatArray) -> FloatArray:
    p = np.exp(logp - logp.max())
    return np.asarray(p / p.sum())


def _moments(raw: FloatArray) -> Moments:
    """Return the moments that the first four raw ones, (4, ...), give."""
    mean, second, third, fourth = raw
    variance = second - mean**2
    central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    return Moments(mean=mean, sd=np.sqrt(variance), square_sd=np.sqrt(central - variance**2))
