r"""Gaussian process regression: length-scale, amplitude and noise, the function integrated out.

.. math:: \log\ell \sim \mathcal N(0, 1), \quad
          \log a \sim \mathcal N(0, 1), \quad
          \log\sigma \sim \mathcal N(-1, 1),

.. math:: y \sim \mathcal N(0, K), \quad
          K_{ij} = a^2 \exp\left(-\frac{(t_i - t_j)^2}{2\ell^2}\right) + (\sigma^2 + 10^{-6})
          \delta_{ij}

Origin: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, chapters 2 and 5; the
10⁻⁶ keeps the matrix positive definite in floating point. Data, from ``seed``: ``n`` times, sorted,
uniform from 0 to 10, and :math:`\sin t` with noise of sd 0.3. Parameters: ``length_scale``,
``amplitude``, ``noise``. Geometry: three dimensions, a correlation between length-scale and
amplitude with a tail where both are large; what it tests is a density that factors a matrix.
Reference: exact, a sum over a grid: at each length-scale the eigenvalues give all the rest.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.reference import Moments, Reference

LOG_NOISE = -1.0  # mean of its prior
NUGGET = 1e-6
GRID = np.arange(-5.0, 5.0, 0.1)  # logarithms, in prior sds around the prior means


def model(n: int = 30, seed: int = 1) -> pm.Model:
    """Return the model; ``n`` points, 20 to 40: what the grid of the reference is for."""
    if not 20 <= n <= 40:
        raise ValueError(f"n must be from 20 to 40, not {n}")
    t, y = data(n, seed)
    with pm.Model() as process:
        length_scale = pm.LogNormal("length_scale", 0.0, 1.0)
        amplitude = pm.LogNormal("amplitude", 0.0, 1.0)
        noise = pm.LogNormal("noise", LOG_NOISE, 1.0)
        kernel = amplitude**2 * pt.exp(-0.5 * np.subtract.outer(t, t) ** 2 / length_scale**2)
        pm.MvNormal("y", np.zeros(n), kernel + (noise**2 + NUGGET) * np.eye(n), observed=y)
    return process


def reference(n: int = 30, seed: int = 1) -> Reference:
    """Return the exact moments."""
    t, y = data(n, seed)
    logp = np.array([_given(length_scale, t, y) for length_scale in np.exp(GRID)])
    logp -= 0.5 * GRID[:, None, None] ** 2
    weights = np.exp(logp - logp.max())
    weights /= weights.sum()
    return Reference(
        source="exact",
        moments={
            "length_scale": _moments(np.exp(GRID), weights.sum(axis=(1, 2))),
            "amplitude": _moments(np.exp(GRID), weights.sum(axis=(0, 2))),
            "noise": _moments(np.exp(GRID + LOG_NOISE), weights.sum(axis=(0, 1))),
        },
    )


def data(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times (n,) and values (n,)."""
    rng = np.random.RandomState(seed)
    t = np.sort(rng.uniform(0, 10, n))
    return t, np.sin(t) + 0.3 * rng.standard_normal(n)


def _given(length_scale: float, t: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the log-density at a length-scale but for its prior, (amplitudes, noises)."""
    eigenvalues, vectors = np.linalg.eigh(
        np.exp(-0.5 * (np.subtract.outer(t, t) / length_scale) ** 2)
    )
    noises = np.exp(2 * (GRID + LOG_NOISE)) + NUGGET
    variances = np.exp(2 * GRID)[:, None, None] * eigenvalues + noises[:, None]
    likelihood = -0.5 * (np.log(variances) + (vectors.T @ y) ** 2 / variances).sum(axis=-1)
    logp: np.ndarray = likelihood - 0.5 * GRID[:, None] ** 2 - 0.5 * GRID**2
    return logp


def _moments(values: np.ndarray, weights: np.ndarray) -> Moments:
    mean = weights @ values
    square = (values - mean) ** 2
    variance = weights @ square
    return Moments(mean, np.sqrt(variance), np.sqrt(weights @ (square - variance) ** 2))
