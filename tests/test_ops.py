"""The models with operations of their own: what is integrated and solved is right."""

import importlib
import itertools
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.integrate import quad, solve_ivp

from gradbench import compat, models
from gradbench.draws import FloatArray
from gradbench.errors import ModelError
from gradbench.target.target import Target

pm = compat.pymc()

implicit_root, lotka_volterra, transit = (
    importlib.import_module(f"gradbench.models.{name}")
    for name in ("implicit_root", "lotka_volterra", "transit")
)


@pytest.mark.parametrize("name", ["kepler", "implicit_root", "lotka_volterra"])
def test_jax_sees_the_same_density(name: str) -> None:
    """Value and gradient by JAX are those by PyTensor, whose Python code runs here."""
    jax = pytest.importorskip("jax")
    target = Target(*models.load(models.find(name, Path()), {}), mode="FAST_COMPILE")
    jax.config.update("jax_enable_x64", True)
    both = jax.jit(jax.value_and_grad(target.jax_logdensity))
    for x in target.initial(np.random.default_rng(0), 4):
        value, gradient = target.logdensity_and_gradient(x)
        theirs, slopes = both(x)
        assert float(theirs) == pytest.approx(value, rel=1e-11)
        assert np.asarray(slopes) == pytest.approx(gradient, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", ["kepler", "implicit_root", "transit"])
def test_no_data_are_refused(name: str) -> None:
    """A model of no observations is refused in words."""
    with pytest.raises(ModelError, match=r"n: at least 1 .* not 0"):
        models.load(models.find(name, Path()), {"n": 0})


# -- implicit_root -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spring() -> Target:
    """The spring with few data, whose posterior is far from normal."""
    path = models.find("implicit_root", Path())
    return Target(*models.load(path, {"n": 4}), mode=compat.mode("c"))


def test_displacements_are_cardanos(spring: Target) -> None:
    """The root finder's density is the one of the cubic's closed solution."""
    force, y = implicit_root._data(4, 1)
    points = spring.initial(np.random.default_rng(0), 50)
    u = implicit_root.closed(force, *np.exp(points.T)[:, :, None])
    exact = -0.5 * ((y - u) / implicit_root.SIGMA) ** 2
    exact = exact.sum(axis=1) - 0.5 * (points**2).sum(axis=1)
    found = spring.logdensity_batch(points)
    assert found - found[0] == pytest.approx(exact - exact[0], rel=1e-10, abs=1e-10)


def test_moments_are_the_densitys(spring: Target) -> None:
    """The reference's moments are those of the model's own density, summed over a grid."""
    axes = np.linspace(-7.0, 4.0, 161), np.linspace(-9.0, 7.0, 161)
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    logp = spring.logdensity_batch(points)
    weights = np.exp(logp - logp.max()) / np.exp(logp - logp.max()).sum()
    values = spring.constrain(points)
    mean = weights @ values
    off = (values - mean) ** 2
    reference = spring.reference
    assert reference is not None
    assert reference.mean == pytest.approx(mean, rel=1e-4)
    assert reference.sd**2 == pytest.approx(weights @ off, rel=1e-4)
    assert reference.square_sd**2 == pytest.approx(weights @ (off - weights @ off) ** 2, rel=1e-3)


def test_draws_have_the_references_moments(spring: Target) -> None:
    """Exact draws have the exact means and variances."""
    reference, n = spring.reference, 100_000
    assert reference is not None
    values = spring.constrain(spring.starts.find("reference", np.random.default_rng(0), n))
    assert np.abs(values.mean(axis=0) - reference.mean).max() < 4 * reference.sd.max() / n**0.5
    errors = (values.var(axis=0) - reference.sd**2) / reference.square_sd
    assert np.abs(errors).max() < 4 / n**0.5


# -- transit -------------------------------------------------------------------------------------

RADII = (0.02, 0.1, 0.3)


def distances(r: float) -> FloatArray:
    """Return distances inside, at, and around both contacts, where the planet is partly out."""
    near = np.array([0.0, 1e-9, 1e-6, 1e-3, 1e-2])
    contacts = np.concatenate([[1 - r], 1 - r - near, 1 - r + near, 1 + r - near, 1 + r + near])
    return np.concatenate([np.linspace(1e-7, 1.5, 31), [r, r + 1e-6, r - 1e-6], contacts])


def light(rho: float, u1: float, u2: float) -> float:
    """Return the star's brightness at a distance from its centre, over that of all its light."""
    dark = 1 - np.sqrt(max(1 - rho**2, 0.0))
    return float(1 - u1 * dark - u2 * dark**2) / (np.pi * (1 - u1 / 3 - u2 / 6))


@pytest.fixture(scope="module")
def hidden() -> pytensor.compile.Function:
    """The hidden share and its slopes by distance and radius, compiled."""
    z, r, u1, u2 = pt.dvector(), pt.dvector(), pt.dscalar(), pt.dscalar()
    share = transit.hidden(z, r, u1, u2)
    outputs = [share, *pytensor.grad(share.sum(), [z, r])]
    return pytensor.function([z, r, u1, u2], outputs, mode="FAST_COMPILE")


@pytest.mark.parametrize("r", RADII)
def test_a_uniform_star_is_hidden_by_the_overlap(
    r: float, hidden: pytensor.compile.Function
) -> None:
    """Without limb darkening the hidden share is the area that two circles have in common."""
    z = distances(r)
    with np.errstate(invalid="ignore"):
        planet, star = (
            np.arccos(c) for c in ((z**2 + r**2 - 1) / (2 * z * r), (1 + z**2 - r**2) / (2 * z))
        )
        kite = 0.5 * np.sqrt((1 - (z - r) ** 2) * ((z + r) ** 2 - 1))
    partly = (r**2 * planet + star - kite) / np.pi
    area = np.where(z <= 1 - r, r**2, np.where(z >= 1 + r, 0.0, partly))
    assert hidden(z, np.full_like(z, r), 0.0, 0.0)[0] == pytest.approx(area, abs=1e-8)


@pytest.mark.parametrize("r", RADII)
def test_a_darkened_star_is_hidden_by_the_integral(
    r: float, hidden: pytensor.compile.Function
) -> None:
    """The hidden share is the integral of the light over rings, its slopes that over the limb."""
    u = 0.4, 0.3
    z = distances(r)
    share, by_z, by_r = hidden(z, np.full_like(z, r), *u)
    assert np.isfinite([share, by_z, by_r]).all()
    rings = [_over_rings(at, r, u) for at in z]
    assert share == pytest.approx(rings, abs=1e-9)
    assert by_z == pytest.approx([_over_limb(at, r, u, towards=True) for at in z], abs=1e-7)
    assert by_r == pytest.approx([_over_limb(at, r, u, towards=False) for at in z], abs=1e-7)


def _over_rings(z: float, r: float, u: tuple[float, float]) -> float:
    """Return the hidden light, ring by ring around the star's centre."""

    def ring(t: float) -> float:
        rho = inner + (outer - inner) * t**2 * (3 - 2 * t)  # smooth at both ends
        covered = np.arccos(np.clip((rho**2 + z**2 - r**2) / (2 * rho * z), -1, 1)) if rho else 0
        return float(2 * covered * rho * light(rho, *u) * (outer - inner) * 6 * t * (1 - t))

    inner, outer = min(abs(z - r), 1.0), min(z + r, 1.0)
    whole = quad(lambda rho: 2 * np.pi * rho * light(rho, *u), 0, max(r - z, 0.0), epsabs=1e-13)[0]
    return float(whole + _pieces(ring))


def _over_limb(z: float, r: float, u: tuple[float, float], *, towards: bool) -> float:
    """Return the light along the planet's limb, which it hides when it grows or moves."""

    def limb(t: float) -> float:
        angle = first + (np.pi - first) * t**2
        bright = light(np.sqrt(abs(z**2 + r**2 + 2 * z * r * np.cos(angle))), *u)
        return float(2 * bright * r * (np.cos(angle) if towards else 1) * (np.pi - first) * 2 * t)

    first = np.arccos(np.clip((1 - z**2 - r**2) / (2 * z * r), -1, 1))
    return _pieces(limb)


def _pieces(function: object) -> float:
    """Return the integral over (0, 1), in pieces that get small towards 0 and 1."""
    ends = [0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0]
    parts = itertools.pairwise(ends)
    return float(sum(quad(function, a, b, epsabs=1e-13, epsrel=1e-10)[0] for a, b in parts))


# -- lotka_volterra ------------------------------------------------------------------------------


def test_the_steps_are_small_enough() -> None:
    """For nearly all of the prior the integrator is within a millionth of the exact solution."""
    errors = []
    for z in np.random.default_rng(0).standard_normal((25, 6)):
        theta = lotka_volterra.CENTRE * np.exp(lotka_volterra.SPREAD * z)
        exact = solve_ivp(
            lambda _, y, theta=theta: lotka_volterra._rates(*y, theta),
            (0, lotka_volterra.YEARS),
            theta[4:],
            method="DOP853",
            t_eval=np.arange(1, lotka_volterra.YEARS + 1),
            rtol=1e-9,
            atol=1e-10,
        ).y.T
        errors.append(np.abs(lotka_volterra._integrate(theta, 0)[:, 0] / exact - 1).max())
    assert np.quantile(errors, 0.95) < 1e-6


def test_derivatives_are_those_of_the_steps() -> None:
    """The integrated derivatives, and JAX's, are the slopes of what is integrated."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    theta, _ = lotka_volterra.TRUTH
    found = lotka_volterra._integrate(theta, 6)
    populations = lotka_volterra.Populations().jax()
    assert found[:, 0] == pytest.approx(np.asarray(populations(theta)), rel=1e-11)
    slopes = np.asarray(lotka_volterra.Slopes().jax()(theta))
    assert found[:, 1:] == pytest.approx(slopes, rel=1e-9, abs=1e-9)
    for j, step in enumerate(1e-5 * np.diag(theta)):
        up, down = (lotka_volterra._integrate(theta + s, 0)[:, 0] for s in (step, -step))
        assert found[:, 1 + j] == pytest.approx((up - down) / (2 * step[j]), rel=1e-6, abs=1e-4)
