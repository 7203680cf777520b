"""Whether a model's samplers agree: by chance hardly ever wrong, and what is wrong is named."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from gradbench.draws import Evaluations
from gradbench.measure.result import Measured
from gradbench.results.agreement import between_samplers
from gradbench.results.replicates import Shared
from gradbench.stats.diagnostics import Diagnostics
from tests.made_up import measured

N, ESS = 4, 400.0
NUTS = Evaluations(n_grad_sampling=1000)
WALK = Evaluations(n_logp_sampling=1000)


def run(
    rng: np.random.Generator,
    *,
    ess: float = ESS,
    claimed: float = 1.0,
    shift: float = 0.0,
    scale: float = 1.0,
    evaluations: Evaluations = NUTS,
) -> Measured:
    """Return a run of a standard normal: its moments are those of so many independent draws."""
    x = shift + scale * rng.standard_normal((N, int(ess)))
    ones, sizes = np.ones(N), np.full(N, ess * claimed)
    whole: dict[str, Any] = {field.name: ones for field in fields(Diagnostics)}
    whole |= {
        "mean": x.mean(axis=1),
        "sd": x.std(axis=1),
        "square_sd": ((x - x.mean(axis=1, keepdims=True)) ** 2).std(axis=1),
        "ess_mean": sizes,
        "ess_square": sizes,
        "is_finite": ones > 0,
        "is_counted": ones > 0,
        "n_independent": float(N),
        "n_independent_square": float(N),
    }
    names = tuple(f"x[{i}]" for i in range(N))
    return measured(0, parameters=names, reference=None, evaluations=evaluations, **whole)


Runs = Mapping[str, Sequence[Measured]]


def said(samplers: Runs) -> dict[str, Shared]:
    found = between_samplers({("m", label): runs for label, runs in samplers.items()})
    return {sampler: shared for (_, sampler), shared in found.items()}


def disagreeing(samplers: Runs) -> set[str]:
    return {label for label, shared in said(samplers).items() if shared.status == "disagrees"}


def several(
    rng: np.random.Generator, n: int, n_replicates: int, **given: Any
) -> dict[str, list[Measured]]:
    return {f"s{i}": [run(rng, **given) for _ in range(n_replicates)] for i in range(n)}


@pytest.mark.parametrize(("n_replicates", "claimed"), [(1, 1.0), (1, 3.0), (3, 1.0), (3, 4.0)])
def test_chance_is_no_disagreement(n_replicates: int, claimed: float) -> None:
    """Hardly one of 200 runs of five samplers is flagged, even if each claims too large an ESS.

    Of a single replicate nothing but the claim is known: up to fourfold it is excused. One in a
    hundred is allowed; of 200 that is five or more in one trial of twenty.
    """
    rng = np.random.default_rng(1)
    flagged = [
        bool(disagreeing(several(rng, 5, n_replicates, claimed=claimed))) for _ in range(200)
    ]
    assert sum(flagged) <= 4


@pytest.mark.parametrize("wrong", [{"shift": 0.5}, {"scale": 1.4}])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_who_is_wrong_is_named(wrong: dict[str, Any], n: int) -> None:
    """By a mean or a second moment, where the others agree; of two nobody can tell who it is."""
    rng = np.random.default_rng(2)
    given = several(rng, n - 1, 3)
    given["odd"] = [run(rng, **wrong) for _ in range(3)]
    found = said(given)
    if n == 2:
        assert disagreeing(given) == {"s0", "odd"}
        assert "camps" in found["odd"].reason
        return
    assert disagreeing(given) == {"odd"}
    moment = "mean" if "shift" in wrong else "second moment"
    assert f"the {moment} of x[" in found["odd"].reason
    assert "chance allows" in found["odd"].reason
    odd, fine = found["odd"].columns, found["s0"].columns
    assert odd["sampler_difference_z"] > odd["sampler_difference_allowed"]
    assert fine["sampler_difference_z"] < fine["sampler_difference_allowed"]


def test_camps_have_no_majority() -> None:
    """Two against two: all disagree, and a parameter that differs is told."""
    rng = np.random.default_rng(3)
    given = several(rng, 2, 3) | {f"t{i}": [run(rng, shift=1.0)] * 3 for i in range(2)}
    assert disagreeing(given) == {"s0", "s1", "t0", "t1"}
    assert all("camps" in shared.reason for shared in said(given).values())


def test_a_majority_of_one_family_does_not_outvote_two_of_another() -> None:
    """Three that use gradients may have missed what two random walks found."""
    rng = np.random.default_rng(4)
    walks = {
        f"walk{i}": [run(rng, shift=1.0, evaluations=WALK) for _ in range(3)] for i in range(2)
    }
    given = several(rng, 3, 3) | walks
    assert disagreeing(given) == set(given)
    del given["walk1"]
    assert disagreeing(given) == {"walk0"}


def test_a_tenth_of_an_sd_is_no_concern() -> None:
    """However certain it is, it changes nobody's conclusion."""
    rng = np.random.default_rng(5)
    given = several(rng, 3, 3, ess=40_000)
    given["odd"] = [run(rng, ess=40_000, shift=0.08) for _ in range(3)]
    assert disagreeing(given) == set()
    found = said(given)["odd"].columns
    assert found["sampler_difference_z"] > found["sampler_difference_allowed"]


def test_a_moment_that_does_not_exist_says_nothing() -> None:
    """NaN is no difference; the other parameters still count."""
    rng = np.random.default_rng(6)
    given = several(rng, 3, 3)
    gone = np.where(np.arange(N) == 0, np.nan, 1.0)

    def without(of: Measured) -> Measured:
        names = ("mean", "sd", "square_sd", "ess_mean", "ess_square")
        found = {name: getattr(of.diagnostics, name) * gone for name in names}
        return replace(of, diagnostics=replace(of.diagnostics, **found))

    heavy = {label: [without(one) for one in runs] for label, runs in given.items()}
    assert disagreeing(heavy) == set()
    assert np.isfinite(said(heavy)["s0"].columns["sampler_difference_z"])
    heavy["odd"] = [without(run(rng, shift=1.0)) for _ in range(3)]
    assert disagreeing(heavy) == {"odd"}


def test_a_lone_sampler_is_compared_with_nobody() -> None:
    """Of one there is nothing to say."""
    assert said(several(np.random.default_rng(0), 1, 3)) == {}
