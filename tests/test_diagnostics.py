"""Effective sample sizes against ArviZ, against emcee, and against the truth."""

import io
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.signal import lfilter

from gradbench import compat
from gradbench.errors import SaveError
from gradbench.stats import columns, diagnostics
from gradbench.stats.diagnostics import Diagnostics, Roles, compute

RNG = np.random.default_rng
Array = npt.NDArray[Any]


def autoregressive(shape: tuple[int, ...], phi: float, seed: int = 0) -> Array:
    """Return stationary AR(1) series along axis 1: τ = (1 + φ) / (1 - φ), variance 1."""
    noise = RNG(seed).standard_normal((shape[0], shape[1] + 500, *shape[2:]))
    series: Array = lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise, axis=1)[:, 500:]
    return series


def scalar(value: Any) -> float:
    """Return the one number in what ArviZ returns: a float, or an array of one."""
    return float(np.asarray(value).item())


def awkward_chains(n_chains: int, n_draws: int, phi: float) -> Array:
    """Return draws with ties, with a heavy tail, and with a chain that is somewhere else."""
    x = autoregressive((n_chains, n_draws, 5), phi)
    x[..., 1] = np.round(x[..., 1], 1)
    x[..., 2] = np.exp(2 * x[..., 2])
    x[0, :, 3] += 0.5
    x[..., 4] = np.repeat(x[:, ::3, 4], 3, axis=1)[:, :n_draws]  # rejections repeat a draw
    return x


@pytest.mark.parametrize("phi", [0.0, 0.9, -0.7])
@pytest.mark.parametrize(("n_chains", "n_draws"), [(4, 1000), (2, 501), (3, 100), (1, 400), (4, 7)])
def test_chains_have_arviz_numbers(n_chains: int, n_draws: int, phi: float) -> None:
    """Bulk, tail and mean ESS, R-hat and MCSE are ArviZ's to 1e-8, for every kind of series."""
    az = compat.arviz()
    x = awkward_chains(n_chains, n_draws, phi)
    found = compute(x, np.arange(n_chains))
    for i in range(x.shape[2]):
        series = x[..., i]
        expected = {
            "ess_bulk": az.ess(series, method="bulk"),
            "ess_tail": az.ess(series, method="tail", prob=(0.05, 0.95)),
            "ess_mean": az.ess(series, method="mean"),
            "mcse_mean": az.mcse(series, method="mean"),
            "ess_square": az.ess((series - series.mean()) ** 2, method="mean"),
        }
        if n_chains > 1:
            expected["rhat"] = az.rhat(series)
        for name, value in expected.items():
            assert getattr(found, name)[i] == pytest.approx(scalar(value), rel=1e-8), name


def test_independent_draws_count_fully() -> None:
    """Walkers that draw independently have W·T effective draws, within a few percent."""
    found = compute(RNG(1).standard_normal((50, 400, 20)), np.zeros(50, int))
    for ess in (found.ess_mean, found.ess_square, found.ess_bulk, found.ess_tail):
        assert ess.mean() == pytest.approx(50 * 400, rel=0.05)


@pytest.mark.parametrize("phi", [0.8, 0.95])
def test_autoregressive_walkers_count_by_their_tau(phi: float) -> None:
    """AR(1) walkers have W·T/τ; the square of an AR(1) has the τ of φ²."""
    found = compute(autoregressive((40, 2000, 20), phi), np.zeros(40, int))
    tau, tau_square = (1 + phi) / (1 - phi), (1 + phi**2) / (1 - phi**2)
    assert found.ess_mean.mean() == pytest.approx(40 * 2000 / tau, rel=0.1)
    assert found.ess_bulk.mean() == pytest.approx(40 * 2000 / tau, rel=0.1)
    assert found.ess_square.mean() == pytest.approx(40 * 2000 / tau_square, rel=0.1)
    assert found.tau.mean() == pytest.approx(tau, rel=0.1)


def test_short_ensembles_are_judged_by_the_spread_of_their_walkers() -> None:
    """Over three τ the estimate keeps near the truth, where emcee's claims twice too much."""
    phi = 1 - 2 / 301  # τ = 300
    found = compute(autoregressive((100, 900, 20), phi), np.zeros(100, int))
    tau = (1 + phi) / (1 - phi) - 2 * phi * (1 - phi**900) / (900 * (1 - phi) ** 2)  # of 900 steps
    truth = 100 * 900 / tau
    assert found.ess_mean.mean() == pytest.approx(truth, rel=0.1)
    assert found.ess_autocorr_time.mean() > 1.5 * truth


def test_emcee_claim_is_emcees() -> None:
    """The column of emcee's autocorrelation time is what emcee itself computes."""
    import emcee

    x = autoregressive((30, 501, 3), 0.9)
    tau = emcee.autocorr.integrated_time(np.moveaxis(x, 0, 1), quiet=True)
    found = compute(x, np.zeros(30, int))
    assert found.ess_autocorr_time == pytest.approx(30 * 501 / tau, rel=1e-8)


@pytest.mark.parametrize("n_draws", [500, 501])
def test_walkers_as_chains_is_arviz_claim(n_draws: int) -> None:
    """The column of ArviZ's claim is its bulk ESS with walkers for chains, odd lengths too."""
    x = autoregressive((10, n_draws, 2), 0.9)
    found = compute(x, np.zeros(10, int))
    claims = [float(compat.arviz().ess(x[..., i], method="bulk")) for i in range(2)]
    assert found.ess_bulk_as_chains == pytest.approx(claims, rel=1e-8)


def test_ensembles_of_one_run_add_up() -> None:
    """Two ensembles in one run are independent: their ESS is the sum of each one's."""
    x = autoregressive((20, 500, 3), 0.9)
    both = compute(x, np.repeat([0, 1], 10))
    one, other = (compute(x[half], np.zeros(10, int)) for half in (slice(10), slice(10, 20)))
    assert both.ess_mean == pytest.approx(one.ess_mean + other.ess_mean)


def test_frozen_chains_are_worth_nothing() -> None:
    """A chain that never moved has ESS 0 and is told; ArviZ would give it every draw."""
    x = RNG(2).standard_normal((4, 100, 2))
    x[1, :, 0] = 3.0
    found = compute(x, np.arange(4))
    assert diagnostics.is_frozen(x, np.arange(4)).tolist() == [True, False]
    assert found.ess_bulk[0] == found.ess_mean[0] == 0
    assert found.ess_bulk[1] > 100


def test_a_frozen_ensemble_is_worth_nothing() -> None:
    """One ensemble that stands still spoils the parameter; one walker that does, does not."""
    x = RNG(2).standard_normal((20, 100, 2))
    x[:10, :, 0] = x[:10, :1, 0]
    x[0, :, 1] = 3.0
    found = compute(x, np.repeat([0, 1], 10))
    assert diagnostics.is_frozen(x, np.repeat([0, 1], 10)).tolist() == [True, False]
    assert found.ess_mean[0] == found.ess_tail[0] == 0
    assert 100 < found.ess_mean[1] < 20 * 100


def test_nan_is_not_a_number() -> None:
    """A parameter with NaN or infinity among its draws has no diagnostics; others keep theirs."""
    x = RNG(3).standard_normal((2, 100, 3))
    x[0, 5, 0], x[1, 7, 1] = np.nan, np.inf
    found = compute(x, np.arange(2))
    assert found.is_finite.tolist() == [False, False, True]
    assert np.isnan(found.ess_bulk[:2]).all()
    assert found.ess_bulk[2] > 100


def test_survives_json() -> None:
    """Diagnostics survive JSON, NaN as null."""
    import json

    found = compute(RNG(4).standard_normal((3, 50, 2)), np.zeros(3, int))
    again = Diagnostics.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    for name in Diagnostics.__slots__:
        assert np.array_equal(getattr(again, name), getattr(found, name), equal_nan=True)


@pytest.mark.parametrize("groups", [np.arange(4), np.zeros(4, int)])
def test_the_spread_of_squares(groups: Array) -> None:
    """The sd of (x - mean)² is that of all draws; results that lack it are read, as NaN."""
    x = np.exp(autoregressive((4, 500, 3), 0.5))
    found = compute(x, groups)
    squares = (x - x.mean(axis=(0, 1))) ** 2
    assert found.square_sd == pytest.approx(squares.std(axis=(0, 1), ddof=1))
    weights = np.full(500, 1 / 500)
    weighted = diagnostics.compute_weighted(x[:1], weights)
    assert weighted.square_sd == pytest.approx(((x[0] - x[0].mean(axis=0)) ** 2).std(axis=0))
    older = found.to_json() | {"is_frozen": [False] * 3}
    for name in ("square_sd", "n_distinct", "is_counted"):
        del older[name]
    read = Diagnostics.from_json(older)
    assert np.isnan(read.square_sd).tolist() == np.isnan(read.n_distinct).tolist() == [True] * 3
    assert read.is_counted.all()


def test_correlated_and_constant_parameters_count_once_or_not_at_all() -> None:
    """Of ten parameters, two copies of each of three and four constants are worth three."""
    independent = RNG(8).standard_normal((4, 2500, 3))
    x = np.concatenate([independent, -2 * independent, np.ones((4, 2500, 4))], axis=2)
    x[..., 9] = np.nan
    assert diagnostics.n_independent(x) == pytest.approx(3, rel=0.02)
    assert diagnostics.n_independent(x[..., 6:]) == 1


def test_parameters_of_one_scale_are_worth_fewer_squares() -> None:
    """Uncorrelated draws that share a scale are worth all of them, their squares far fewer."""
    rng = RNG(12)
    x = rng.standard_normal((4, 1000, 30)) * np.exp(0.5 * rng.standard_normal((4, 1000, 1)))
    found = compute(x, np.arange(4))
    assert found.n_independent > 28
    squares = (x - x.mean(axis=(0, 1))).reshape(-1, 30) ** 2
    expected = 30**2 / np.sum(np.corrcoef(squares, rowvar=False) ** 2)
    assert found.n_independent_square == pytest.approx(expected, rel=0.15)
    assert found.n_independent_square < 15
    older = found.to_json()
    del older["n_independent_square"]
    assert Diagnostics.from_json(older).n_independent_square == found.n_independent


@pytest.mark.parametrize("is_ensemble", [False, True])
def test_errors_of_a_slow_direction_are_one_parameters(is_ensemble: bool) -> None:
    """Draws that share little, but what is slow of them: their errors are nearly one direction."""
    n_chains, n_draws, d = (20, 400, 20) if is_ensemble else (4, 2000, 20)
    share, tau = 0.3, (1 + 0.9) / (1 - 0.9)
    common = autoregressive((n_chains, n_draws, 1), 0.9)
    own = RNG(13).standard_normal((n_chains, n_draws, d))
    x = np.sqrt(share) * common + np.sqrt(1 - share) * own
    correlation = share * tau / (share * tau + 1 - share)  # of errors; of draws it is the share
    expected = d**2 / (d + d * (d - 1) * correlation**2)
    groups = np.zeros(n_chains, int) if is_ensemble else np.arange(n_chains)
    assert compute(x, groups).n_independent == pytest.approx(expected, rel=0.15)
    assert diagnostics.n_independent(x) > 5 * expected


def test_draws_far_away_leave_the_independent_parameters_a_number() -> None:
    """Draws whose squares overflow have the correlations that they had before they were scaled."""
    x = RNG(14).standard_normal((4, 500, 3))
    for of_squares in (False, True):
        near = diagnostics.n_independent(x, of_squares=of_squares)
        assert diagnostics.n_independent(1e160 * x, of_squares=of_squares) == pytest.approx(near)
        assert diagnostics.n_independent(1e307 * x, of_squares=of_squares) >= 1


def simulated_rows(
    name: str, rng: np.random.Generator, n_rows: int
) -> tuple[Array, Array, Array, float, Array]:
    """Return clean errors of second moments, (rows, 2, 10), spreads, ESS, and their worth."""
    shape = (n_rows, 2, 500, 10)
    scale = rng.standard_normal((*shape[:3], 1))
    normal, chi_square = rng.standard_normal(shape), rng.chisquare(5, (*shape[:3], 1))
    draws: Array = {
        "shared scale": normal * np.exp(0.5 * scale),
        "Student t": normal / np.sqrt(chi_square / 5),
        "log-normal": np.exp(normal) - np.exp(0.5),
    }[name]
    second, fourth = {
        "shared scale": (np.exp(0.5), 3 * np.exp(2)),
        "Student t": (5 / 3, 25),
        "log-normal": (
            np.exp(2) - np.exp(1),
            np.exp(8) - 4 * np.exp(5) + 6 * np.exp(3) - 3 * np.exp(2),
        ),
    }[name]
    squares = draws**2
    square_sd = np.sqrt(fourth - second**2)
    worth = diagnostics.n_independent(draws[0], of_squares=True)
    errors = (squares.mean(axis=2) - second) / square_sd
    heaviness = np.full(10, square_sd / (np.sqrt(2) * second))
    return errors, squares.std(axis=2) / square_sd, np.full((2, 10), 500.0), worth, heaviness


@pytest.mark.parametrize("name", ["shared scale", "Student t", "log-normal"])
def test_heavy_tails_and_shared_scales_contradict_nothing(name: str) -> None:
    """Of 200 clean rows at most 2 are called wrong, and many are where no heed is paid to it."""
    errors, spread, ess, worth, heaviness = simulated_rows(name, RNG(15), 200)
    n_wrong = n_careless = 0
    for off, own in zip(errors, spread, strict=True):
        sure = diagnostics.bounded(off, own, heaviness)
        n_wrong += diagnostics.is_overstated(ess, sure, n_independent=worth)
        n_wrong += bool(diagnostics.is_biased(sure, ess).any())
        n_careless += diagnostics.calibration(ess, off, n_independent=10).low > 1.25
    assert n_wrong <= 2
    assert n_careless > 4


def test_draws_from_far_outside_are_an_error() -> None:
    """One draw in 1,000 a million sds away is bias, however large that makes its own sd."""
    far = np.full((2, 1), 1e3)
    own = np.full((2, 1), 1e6 / 1e3**0.5)
    law = np.array([np.nan])
    assert diagnostics.is_biased(diagnostics.bounded(far, own, law), np.full((2, 1), 1e3)).all()
    assert diagnostics.bounded(far, np.full((2, 1), np.nan), law).tolist() == far.tolist()
    assert diagnostics.bounded(far, np.full((2, 1), 0.5), law).tolist() == far.tolist()


def test_a_normal_law_excuses_no_error() -> None:
    """Where a law's tails are no heavier than a normal's, a spread is an error, not an excuse."""
    off, own = np.full((2, 3), 2.0), np.full((2, 3), 100.0)
    found = diagnostics.bounded(off, own, np.array([1.0, 1.1, np.nan]))
    assert found[0] == pytest.approx([2.0, 1.0, 0.2])


def test_rhat_across_is_nested_rhat() -> None:
    """R-hat across replicates is nested R-hat with replicates as superchains."""
    x = autoregressive((12, 200, 1), 0.5)
    x[:4] += 1.0
    runs = x[..., 0].reshape(3, 4, 200)
    found = diagnostics.rhat_across(runs.mean(axis=(1, 2))[:, None], runs.var(axis=(1, 2))[:, None])
    # Margossian et al. (2022), equation 5, with all draws of a superchain as its within variance.
    between = runs.mean(axis=(1, 2)).var(ddof=1)
    assert found == pytest.approx(np.sqrt(1 + between / runs.var(axis=(1, 2)).mean()))
    if hasattr(compat.arviz(), "rhat_nested"):
        nested = compat.arviz().rhat_nested(
            x[..., 0], superchain_ids=np.repeat([0, 1, 2], 4), method="identity"
        )
        assert found[0] == pytest.approx(float(nested), rel=0.01)


def simulated_errors(n_replicates: int, true_ess: float, bias: float = 0.0) -> Array:
    errors: Array = bias + RNG(5).standard_normal((n_replicates, 40)) / np.sqrt(true_ess)
    return errors


def test_honest_claims_are_calibrated_and_false_ones_refuted() -> None:
    """Claims equal to the truth pass; claims of four times the truth are overstated."""
    errors = simulated_errors(6, 350)
    honest = diagnostics.calibration(np.full((6, 40), 350.0), errors, n_independent=40)
    assert honest.low < 1 < honest.high
    assert not diagnostics.is_overstated(np.full((6, 40), 350.0), errors, n_independent=40)
    claimed = np.full((6, 40), 1430.0)
    false = diagnostics.calibration(claimed, errors, n_independent=40)
    assert diagnostics.is_overstated(claimed, errors, n_independent=40)
    assert false.ratio == pytest.approx(4 * honest.ratio, rel=0.03)


def test_error_based_interval_covers_the_truth() -> None:
    """The error-based ESS of each of 40 parameters covers the truth about 38 times."""
    _, low, high = diagnostics.error_based_ess(simulated_errors(20, 350))
    assert 35 <= np.sum((low < 350) & (high > 350)) <= 40


def test_reference_error_is_not_the_samplers() -> None:
    """Where the reference itself is uncertain, its variance is taken from the errors."""
    se = np.full(40, 0.1)
    errors = simulated_errors(50, 400) + RNG(6).standard_normal((50, 40)) * se
    naive = diagnostics.calibration(np.full((50, 40), 400.0), errors, n_independent=40)
    fair = diagnostics.calibration(
        np.full((50, 40), 400.0), errors, n_independent=40, reference_se=se
    )
    assert naive.ratio > 4
    assert fair.ratio == pytest.approx(1, abs=0.5)


UNEVEN = np.r_[40.0, np.full(39, 4000.0)]
EVEN = np.full(40, 400.0)


@pytest.mark.parametrize("n_replicates", [2, 5, 20])
@pytest.mark.parametrize(("ess", "se"), [(EVEN, 0.0), (UNEVEN, 0.0), (EVEN, 0.05), (EVEN, 0.1)])
def test_calibration_interval_covers_the_truth(n_replicates: int, ess: Array, se: float) -> None:
    """Honest claims have 1 in their interval, whatever is slow and however sure the reference."""
    rng, reference_se, n_covered, n_refuted, n_biased = RNG(9), np.full(40, se), 0, 0, 0
    claimed = np.tile(ess, (n_replicates, 1))
    for _ in range(200):
        errors = rng.standard_normal((n_replicates, 40)) / np.sqrt(ess)
        errors += se * rng.standard_normal(40)  # off by the same in every replicate
        found = diagnostics.calibration(
            claimed, errors, n_independent=40, reference_se=reference_se
        )
        n_covered += found.low < 1 < found.high
        n_refuted += diagnostics.is_overstated(
            claimed, errors, n_independent=40, reference_se=reference_se
        )
        biased = diagnostics.is_biased(errors, claimed, reference_se=reference_se)
        n_biased += bool(biased.any())
    assert n_covered >= 180
    assert n_refuted <= 2
    assert n_biased <= 2


def test_bias_is_found_only_where_it_is() -> None:
    """A shift of 0.3 sd is found over five replicates; chance alone is not called bias."""
    ess = np.full((5, 40), 400.0)
    errors = simulated_errors(5, 400)
    assert not diagnostics.is_biased(errors, ess).any()
    errors[:, 7] += 0.3
    assert np.flatnonzero(diagnostics.is_biased(errors, ess)).tolist() == [7]


@pytest.mark.parametrize("n_replicates", [2, 5])
def test_an_overstated_claim_is_not_taken_for_bias(n_replicates: int) -> None:
    """Claims of four times a small ESS are overstated every time and hardly ever biased."""
    rng, n_biased = RNG(10), 0
    claimed = np.full((n_replicates, 40), 160.0)
    for _ in range(100):
        errors = rng.standard_normal((n_replicates, 40)) / np.sqrt(40)
        assert diagnostics.is_overstated(claimed, errors, n_independent=40)
        n_biased += bool(diagnostics.is_biased(errors, claimed).any())
    assert n_biased <= 5


def test_rhat_by_chance_is_rarely_passed_by_converged_chains() -> None:
    """The largest R-hat of 50 converged parameters passes 1.01 often, what chance allows rarely."""
    n_over = n_over_plain = 0
    for seed in range(40):
        found = compute(autoregressive((2, 500, 50), 0.3, seed), np.arange(2))
        ess = np.fmin(found.ess_bulk, found.ess_square)
        n_over += bool((found.rhat > diagnostics.rhat_by_chance(ess, 2)).any())
        n_over_plain += bool((found.rhat > 1.01).any())
    assert n_over_plain > 10
    assert n_over <= 2


def test_intervals_of_costs() -> None:
    """Geometric means and ratios have t intervals on logs, and none from a single value."""
    estimate, low, high = diagnostics.geometric_mean_interval(np.array([1.0, 2.0, 4.0]))
    assert estimate == pytest.approx(2)
    assert low * high == pytest.approx(4)
    assert np.isnan(diagnostics.geometric_mean_interval(np.array([3.0]))[1:]).all()
    ratio, low, high = diagnostics.ratio_interval(np.array([2.0, 2.2, 1.8]), np.array([1.0, 1.1]))
    assert low < 1.9 < high
    assert ratio == pytest.approx(1.9, rel=0.02)


def test_the_exponent_of_a_power_law() -> None:
    """Costs that follow one have its exponent and no doubt; the interval is SciPy's otherwise."""
    values = np.array([2.0, 10.0, 50.0, 200.0])
    exact = diagnostics.exponent_interval(values, [3 * v**0.75 * np.ones(2) for v in values])
    assert exact == pytest.approx((0.75, 0.75, 0.75))
    costs = [v**0.75 * RNG(int(v)).lognormal(0, 0.2, 5) for v in values]
    slope, low, high = diagnostics.exponent_interval(values, costs)
    fit = stats.linregress(np.log(values), [np.log(c).mean() for c in costs])
    assert slope == pytest.approx(fit.slope)
    assert high - slope == pytest.approx(slope - low) == pytest.approx(fit.stderr * 4.302653)


def test_a_power_law_has_a_band() -> None:
    """It is the line through the logs, its band that of a regression's mean, as SciPy has it."""
    values = np.array([2.0, 10.0, 50.0, 200.0])
    costs = [v**0.75 * RNG(int(v)).lognormal(0, 0.2, 5) for v in values]
    x, y = np.log(values), np.array([np.log(c).mean() for c in costs])
    fit = stats.linregress(x, y)
    at = np.array([1.0, 20.0, 1000.0])
    law, low, high = np.log(diagnostics.power_law(values, costs, at))
    assert law == pytest.approx(fit.intercept + fit.slope * np.log(at))
    scatter = np.sqrt(np.sum((y - fit.intercept - fit.slope * x) ** 2) / 2)
    far = (np.log(at) - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2)
    assert high - law == pytest.approx(4.302653 * scatter * np.sqrt(0.25 + far))
    assert law - low == pytest.approx(high - law)


@pytest.mark.parametrize("misfit", [0.0, 0.3])
@pytest.mark.parametrize("n_points", [3, 7])
def test_the_exponents_interval_covers_the_truth(n_points: int, misfit: float) -> None:
    """It has the true exponent in 95 of 100, with noise alone and with points off the line."""
    rng, n_covered = RNG(11), 0
    values = np.geomspace(2, 200, n_points)
    for _ in range(1000):
        off = misfit * rng.standard_normal(n_points)  # the same in all replicates of a point
        costs = [
            np.exp(0.5 * np.log(v) + o + 0.1 * rng.standard_normal(5))
            for v, o in zip(values, off, strict=True)
        ]
        _, low, high = diagnostics.exponent_interval(values, costs)
        n_covered += low < 0.5 < high
    assert 925 <= n_covered <= 975


def weighted(n: int, seed: int) -> tuple[Array, Array]:
    """Return draws of N(0, 1.5²), shape (n, 1), and the weights that make them N(0, 1)."""
    x = 1.5 * RNG(seed).standard_normal((n, 1))
    log_weights = -0.5 * x[:, 0] ** 2 + 0.5 * (x[:, 0] / 1.5) ** 2
    weights = np.exp(log_weights)
    return x, weights / weights.sum()


def test_equal_weights_are_independent_draws() -> None:
    """With equal weights and no families every effective sample size is the number of draws."""
    x = RNG(0).standard_normal((500, 3))
    found = diagnostics.compute_weighted(x[None], np.full(500, 1 / 500))
    for name in ("ess_bulk", "ess_tail", "ess_mean", "ess_square"):
        assert getattr(found, name) == pytest.approx(500)
    assert found.mean == pytest.approx(x.mean(axis=0))
    assert found.sd == pytest.approx(x.std(axis=0))


def test_weighted_moments_and_kish() -> None:
    """Weighted means are right within their error, and the ESS is Kish's."""
    errors = []
    for seed in range(300):
        x, weights = weighted(400, seed)
        found = diagnostics.compute_weighted(x[None], weights, reference_mean=np.zeros(1))
        assert found.ess_mean[0] == pytest.approx(1 / np.sum(weights**2))
        assert found.second_moment[0] == pytest.approx(found.sd[0] ** 2 + found.mean[0] ** 2)
        errors.append(found.mean[0])
    assert np.mean(errors) == pytest.approx(0, abs=4 * np.std(errors) / np.sqrt(300))


def test_families_are_one_draw_each() -> None:
    """Copies of an ancestor count once: ten copies of each of 100 draws are about 100."""
    x = np.repeat(RNG(1).standard_normal((100, 2)), 10, axis=0)
    families = np.repeat(np.arange(100), 10)
    found = diagnostics.compute_weighted(x[None], np.full(1000, 1e-3), families)
    assert found.ess_mean == pytest.approx(100)
    alone = diagnostics.compute_weighted(x[None], np.full(1000, 1e-3), np.arange(1000))
    assert alone.ess_mean == pytest.approx(1000)


def test_a_weighted_sample_can_be_constant_or_broken() -> None:
    """One value throughout doesn't count; a draw that is not finite makes its parameter NaN."""
    x = RNG(2).standard_normal((50, 3))
    x[:, 1], x[7, 2] = 3.0, np.nan
    found = diagnostics.compute_weighted(x[None], np.full(50, 0.02))
    assert found.is_counted.tolist() == [True, False, True]
    assert found.is_finite.tolist() == [True, True, False]
    assert np.isnan(found.ess_mean).tolist() == [False, True, True]


@pytest.mark.parametrize("groups", [np.arange(4), np.zeros(4, int)], ids=["chains", "ensemble"])
def test_what_ties_or_is_constant_does_not_count(groups: Any) -> None:
    """Of computed quantities an indicator and what is cut off don't count; a repeated draw does."""
    x = RNG(5).standard_normal((4, 400, 5))
    x = np.repeat(x, 5, axis=1)  # each proposal rejected four times
    x[..., 1] = x[..., 0] > 0  # an indicator, true in a whole chain
    x[1, :, 1] = 1.0
    x[..., 2] = np.maximum(x[..., 0] - 1, 0)  # mostly 0
    x[..., 3] = 7.0
    x[..., 4] = np.exp(x[..., 0])
    is_free = np.arange(5) == 0
    every = np.ones(5, dtype=bool)
    found = compute(x, groups, roles=Roles(is_free, every, is_free))
    assert found.is_counted.tolist() == [True, False, False, False, True]
    assert np.isnan(found.ess_bulk).tolist() == [False, False, False, True, False]
    assert found.ess_bulk[1] > 0
    chosen = compute(x, groups, roles=Roles(is_free, ~is_free, every))
    assert chosen.is_counted.tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("is_weighted", [False, True])
def test_blocks_from_disk_give_the_same(is_weighted: bool, monkeypatch: Any) -> None:
    """Columns made in tiles, kept in a file and read in blocks: the numbers of the whole array."""
    draws = RNG(6).standard_normal((1 if is_weighted else 3, 101, 4))
    weights = np.full(101, 1 / 101)
    mixing = RNG(7).standard_normal((4, 30))

    def found(values: Any) -> Diagnostics:
        if is_weighted:
            return diagnostics.compute_weighted(values, weights)
        return compute(values, np.arange(3))

    whole = found(draws @ mixing)
    monkeypatch.setattr(columns, "HELD_BYTES", 100)
    monkeypatch.setattr(columns, "TILE_BYTES", 7 * 8 * 30)
    monkeypatch.setattr(diagnostics, "BLOCK_BYTES", 4 * 8 * draws[..., 0].size)
    with closing(columns.Columns(draws, lambda x: x @ mixing, 30)) as values:
        assert values[:, :, 3:5] == pytest.approx((draws @ mixing)[:, :, 3:5])
        again = found(values)
    for name in Diagnostics.__slots__:
        expected = np.asarray(getattr(whole, name), float)
        assert np.asarray(getattr(again, name), float) == pytest.approx(expected, nan_ok=True)


def test_a_full_disk_is_told(monkeypatch: Any) -> None:
    """Where the temporary folder is full, the error says what to do."""

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns, "SpooledTemporaryFile", lambda max_size: Full())  # noqa: ARG005
    with pytest.raises(SaveError, match=r"no room .* parameters:, or set TMPDIR"):
        columns.Columns(np.zeros((1, 5, 2)), lambda x: x, 2)
