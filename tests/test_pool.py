"""Runs as one, and the demands on them: made-up draws and numbers, known answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradbench.draws import Evaluations, FloatArray
from gradbench.measure.result import Measured
from gradbench.references import findings
from gradbench.references.findings import Demand
from gradbench.results import pooled
from gradbench.results.pooled import Pooled
from gradbench.stats import diagnostics
from gradbench.target.parameters import ReferenceMoments
from gradbench.timing import Timing

NAMES = ("x[0]", "x[1]")
MILD = Demand(rhat=1.01, ess=5_000, divergences=1e-3)


def measured(values: FloatArray, **given: Any) -> Measured:
    """Return what a worker says of these draws, shape (chains, draws, 2)."""
    n_chains, n_draws, _ = values.shape
    whole: dict[str, Any] = {
        "timing": Timing(), "evaluations": Evaluations(), "parameters": NAMES,
        "diagnostics": diagnostics.compute(values, np.arange(n_chains)), "reference": None,
        "reference_source": None, "n_chains": n_chains, "n_draws": n_draws, "is_ensemble": False,
        "n_divergences": 0, "acceptance_rate": None, "peak_memory_bytes": 0, "fingerprint": "",
        "backend": "c", "thread_pools": {}, "load": 0.0,
    }  # fmt: skip
    return Measured(**{**whole, **given})


def draws(seed: int, n: int = 1000, shift: float = 0.0, scale: float = 1.0) -> FloatArray:
    """Return four chains of an exponential and a normal, the normal moved and scaled."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.exponential(size=(4, n)), rng.standard_normal((4, n))], axis=2)
    x[..., 1] = shift + scale * x[..., 1]
    return x


def two(**given: Any) -> dict[str, list[Measured]]:
    """Return two runs each of two samplers; what is given is done to the second one's draws."""
    return {
        "nutpie": [measured(draws(1)), measured(draws(2))],
        "numpyro_nuts": [measured(draws(3, **given)), measured(draws(4, **given))],
    }


def test_pooled_moments_are_those_of_all_draws() -> None:
    """Mean, sd and the sd of squares are the concatenated draws', runs of other lengths too."""
    first, second = draws(1, 500), draws(2, 2000)
    found = pooled.of_sampler([measured(first), measured(second)])
    every = np.concatenate([first, second], axis=1).reshape(-1, 2)
    mean = every.mean(axis=0)
    assert found.mean == pytest.approx(mean, rel=1e-12)
    assert found.sd == pytest.approx(every.std(axis=0), rel=1e-3)
    assert found.square_sd == pytest.approx(((every - mean) ** 2).std(axis=0), rel=1e-2)
    assert (found.n_chains, found.n_draws) == (8, 10_000)


def test_pooled_ess_is_that_of_the_weighted_mean() -> None:
    """Independent draws pooled by their number are worth their number, equally weighted less."""
    runs = [measured(draws(1, 500)), measured(draws(2, 2000))]
    by_number = pooled.of_sampler(runs)
    assert by_number.ess_mean == pytest.approx(10_000, rel=0.1)
    assert by_number.mean_se == pytest.approx(np.ones(2) / 100, rel=0.1)
    assert by_number.variance_se == pytest.approx(np.sqrt([8, 2]) / 100, rel=0.25)
    equal = pooled.of_all({"one": runs[:1], "other": runs[1:]})
    assert equal.ess_mean == pytest.approx(4 / (1 / 2000 + 1 / 8000), rel=0.1)


def test_rhat_is_over_the_chains_of_all_runs() -> None:
    """Runs that each are well mixed but somewhere else have a large R-hat."""
    near, far = measured(draws(1)), measured(draws(2, shift=1.0))
    assert near.diagnostics.rhat.max() < 1.01
    assert far.diagnostics.rhat.max() < 1.01
    assert pooled.of_sampler([near, far]).rhat[1] > 1.1


def test_samplers_that_agree_are_believed() -> None:
    """Two samplers' runs of the same posterior meet all demands."""
    found = findings.pooled_findings(two(), MILD)
    assert found.unmet == ()
    assert found.apart.max() < found.allowed
    assert found.whole.ess.min() == pytest.approx(16_000, rel=0.1)


@pytest.mark.parametrize(
    ("given", "words"), [({"shift": 0.1}, "in the mean"), ({"scale": 1.08}, "in the variance")]
)
def test_samplers_that_disagree_are_refused(given: Any, words: str) -> None:
    """A tenth of an sd between means, or 8 % between sds, is refused by name."""
    (complaint,) = findings.pooled_findings(two(**given), MILD).unmet
    assert f"samplers disagree {words} of x[1] by " in complaint


def test_each_demand_says_what_is_missing() -> None:
    """Too few effective draws, a large R-hat and divergences are told apart, with their figures."""
    (few,) = findings.pooled_findings(two(), Demand(rhat=1.01, ess=1e6)).unmet
    assert "of 1,000,000 after 16,000 draws: allow more (--max-draws)" in few
    (loose,) = findings.pooled_findings(two(), replace(MILD, rhat=1.0)).unmet
    assert loose.startswith("R-hat of x[")
    runs = two()
    runs["nutpie"][0] = measured(draws(1), n_divergences=90)
    (diverging,) = findings.pooled_findings(runs, MILD).unmet
    assert "transitions diverge: nutpie 90 of 8,000, more than 0.001 of them" in diverging


def test_what_is_no_number_meets_no_demand() -> None:
    """A parameter with NaN among its draws fails, although no comparison with NaN is true."""
    values = draws(5)
    values[0, 0, 1] = np.nan
    runs = {**two(), "broken": [measured(values)]}
    unmet = findings.pooled_findings(runs, MILD).unmet
    assert len(unmet) == 3
    assert all("x[1]" in sentence for sentence in unmet)


def certain(mean: FloatArray) -> Pooled:
    """Return a standard normal's pool of 100 parameters, ESS 10,000, with these means."""
    one = np.ones(len(mean))
    ess = 1e4 * one
    return Pooled(mean, one, np.sqrt(2) * one, ess, ess, ess, one, 8, 10_000, 0)


def test_chance_alone_refuses_seldom() -> None:
    """Of 400 pairs of honest samplers on 100 parameters about one in a hundred is refused."""
    rng, n_refused = np.random.default_rng(0), 0
    for _ in range(400):
        pools = [certain(rng.standard_normal(100) / 100) for _ in range(2)]
        n_refused += bool(findings.apart(pools).max() > diagnostics.z_by_chance(200))
    assert n_refused <= 10
    assert findings.apart([certain(np.zeros(100)), certain(np.full(100, 0.07))])[0].min() > 4


def reference(mean: float, error: float) -> ReferenceMoments:
    return ReferenceMoments(
        mean=np.array([mean, np.nan]), sd=np.array([1.0, np.nan]), square_sd=np.array([8**0.5, 0]),
        mean_se=np.array([error, 0]), variance_se=np.zeros(2),
    )  # fmt: skip


def test_a_fresh_run_confirms_or_contradicts_a_reference() -> None:
    """Four combined standard errors are allowed; what the reference doesn't know is not judged."""
    found = findings.pooled_findings(two(), MILD)
    right = findings.confirm(found, reference(1.0, 0.0))
    assert right.unmet == ()
    assert right.allowed == 4
    assert np.isnan(right.off[:, 1]).all()
    (wrong,) = findings.confirm(found, reference(1.1, 0.0)).unmet
    assert "the mean of x[0] is" in wrong
    assert "standard errors off the reference, where 4.0 are allowed" in wrong
    assert findings.confirm(found, reference(1.1, 0.1)).unmet == (), "it says itself that it may be"
