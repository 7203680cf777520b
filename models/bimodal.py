r"""Two normals so far apart that a chain sees one of them.

.. math:: x \sim w \, \mathcal N(m, I) + (1 - w) \, \mathcal N(-m, I), \quad
          m = \frac{s}{2 \sqrt{dim}} (1, \dots, 1)

Written as a normal prior that covers both modes, times a potential, for samplers that go from prior
to posterior.

Origin: the usual test of moves between modes, as the mixture of Neal (1996), "Sampling from
multimodal distributions using tempered transitions". Parameters: ``x`` (dim,). Geometry: two modes
``separation`` standard deviations apart, the one where all of ``x`` is positive with ``weight``.
From 8 on nothing that moves step by step crosses between them: each chain looks converged, their
means and R-hat tell that they are not. Reference: exact.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from gradbench.reference import Moments, Reference


def model(dim: int = 2, separation: float = 10.0, weight: float = 0.3) -> pm.Model:
    """Return the model; ``separation`` is positive, ``weight`` lies between 0 and 1."""
    mode = _mode(dim, separation, weight)
    prior = pm.Normal.dist(0.0, 1 + mode)
    with pm.Model() as mixture:
        x = pm.Normal("x", 0.0, 1 + mode, shape=dim)
        upper, lower = (pm.logp(pm.Normal.dist(at, 1.0), x).sum() for at in (mode, -mode))
        parts = pt.stack([np.log(weight) + upper, np.log1p(-weight) + lower])
        pm.Potential("modes", pt.logsumexp(parts) - pm.logp(prior, x).sum())
    return mixture


def reference(dim: int = 2, separation: float = 10.0, weight: float = 0.3) -> Reference:
    """Return the exact moments, the same in every coordinate."""
    mode = _mode(dim, separation, weight)
    mean = (2 * weight - 1) * mode
    of_mode = np.array([weight, 1 - weight])
    off = np.array([mode, -mode]) - mean
    second = of_mode @ (off**2 + 1)
    fourth = of_mode @ (off**4 + 6 * off**2 + 3)
    one = np.ones(dim)

    def draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        sign = np.where(rng.random((n, 1)) < weight, 1.0, -1.0)
        return {"x": sign * mode + rng.standard_normal((n, dim))}

    moments = Moments(
        mean=mean * one, sd=np.sqrt(second) * one, square_sd=np.sqrt(fourth - second**2) * one
    )
    return Reference(source="exact", moments={"x": moments}, draw=draw)


def _mode(dim: int, separation: float, weight: float) -> float:
    """Return the coordinates of the upper mode, all the same."""
    if dim < 1 or not 0 < separation < np.inf or not 0 < weight < 1:
        raise ValueError(
            "dim must be at least 1, separation positive and finite, weight between 0 and 1;"
            f" not {dim}, {separation}, {weight}"
        )
    return separation / (2 * float(np.sqrt(dim)))
