"""Do samplers that are right agree, and are wrong ones named, without known moments?

Real runs of five samplers on ten models, their references taken away; replicates one and two at a
time. Then four errors: an unadjusted sampler, a move that is wrong in second moments, chains that
see one of two modes, a log-density that lacks its Jacobian. Nothing of it is timed:
``python benchmarks/agreement.py``.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gradbench as gb
from gradbench.measure.result import CellResult
from gradbench.results import store
from gradbench.results.summarize import summarize
from gradbench.results.summary import Summary

SAMPLERS = {
    "pymc_nuts": {"use": "pymc_nuts"},
    "nutpie": {"use": "nutpie"},
    "numpyro_nuts": {"use": "numpyro_nuts"},
    "emcee": {"use": "emcee", "walkers": 80, "tune": 1000, "draws": 4000},
    "pymc_metropolis": {"use": "pymc_metropolis", "tune": 2000, "draws": 20_000},
}
MODELS: dict[str, dict[str, Any]] = {
    "gaussian": {"dim": 10},
    "correlated_gaussian": {"dim": 10, "rho": 0.8},
    "ill_conditioned_gaussian": {"dim": 5, "condition": 100.0},
    "student_t": {"dim": 3},
    "constrained": {},
    "eight_schools": {},
    "hep_counting": {},
    "logistic_regression": {"n": 200, "k": 5},
    "gaussian_process": {"n": 20},
    "implicit_root": {},
}
THREE = {name: SAMPLERS[name] for name in ("pymc_nuts", "nutpie", "numpyro_nuts")}
MCLMC = {"blackjax_mclmc": {"use": "blackjax_mclmc"}}
SNOOKER = {
    "emcee_de": {
        "use": "emcee", "walkers": 128, "tune": 2000, "draws": 4000,
        "moves": {"de": 0.8, "snooker": 0.2},
    }
}  # fmt: skip
SLICE = {"pymc_slice": {"use": "pymc_slice", "tune": 500, "draws": 2000}}
SMC = {"pymc_smc": {"use": "pymc_smc"}}
SCALE = """import numpy as np
import pymc as pm

def model(is_wrong=False):
    with pm.Model() as scale:
        sigma = pm.HalfNormal("sigma", 1.0)
        pm.Normal("y", 0.0, sigma, observed=np.array([0.3, -0.8, 1.4]))
        if is_wrong:
            pm.Potential("no_jacobian", -pm.math.log(sigma))
    return scale
"""


def main() -> None:
    """Print how often samplers are flagged that are right, and that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="of the right ones")
    asked = parser.parse_args()
    print("| right | replicates | runs | compared | flagged |\n|---|---|---|---|---|")
    clean: dict[int, list[tuple[int, int, int]]] = {1: [], 2: []}
    for model in asked.models:
        of_model = results(entry(model, MODELS[model]), SAMPLERS, asked.replicates)
        for n, counts in clean.items():
            runs = list(judged(of_model, n))
            n_flagged = sum(bool(flags(run)) for run in runs)
            counts.append((len(runs), sum(len(run) > 1 for run in runs), n_flagged))
            print(f"| {model} | {n} |", " | ".join(map(str, counts[-1])), "|", flush=True)
    for n, counts in clean.items():
        whole = np.sum(counts or [(0, 0, 0)], axis=0)
        print(f"| all | {n} |", " | ".join(map(str, whole)), "|", flush=True)
    print("\n| wrong | replicates | runs | named |\n|---|---|---|---|")
    for what, (found, wrong) in errors(asked.replicates).items():
        for n in (1, 2):
            runs = list(judged(found, n))
            named = sum(wrong in flags(run) for run in runs)
            print(f"| {what} | {n} | {len(runs)} | {named} |", flush=True)


def errors(n: int) -> Mapping[str, tuple[Sequence[CellResult], str]]:
    """Return the runs with one wrong sampler in each, and its name, by what is wrong."""
    normal, modes = entry("gaussian", {"dim": 50}), entry("bimodal", {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scale.py"
        path.write_text(SCALE)
        right = results({"use": str(path)}, THREE, n)
        wrong = results({"use": str(path), "params": {"is_wrong": True}}, SLICE, n)
    return {
        "MCLMC, unadjusted, on 50 normals": (results(normal, THREE | MCLMC, n), "blackjax_mclmc"),
        "emcee's snooker move on 50 normals": (results(normal, THREE | SNOOKER, n), "emcee_de"),
        "a Jacobian is missing": ([*right, *wrong], "pymc_slice"),
        "chains in one of two modes": (
            results(modes, {"pymc_slice": SLICE["pymc_slice"] | {"chains": 1}} | SMC, n),
            "pymc_slice",
        ),
    }


def entry(model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a shipped model's entry in a config."""
    return {"use": model, "params": dict(params)}


def results(
    model: Mapping[str, Any], samplers: Mapping[str, Any], n_replicates: int
) -> list[CellResult]:
    """Return what samplers give on a model, all under one label, and no reference."""
    config = {
        "name": "agreement", "models": {"model": dict(model)}, "samplers": dict(samplers),
        "replicates": n_replicates, "seed": 1,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = gb.run(config, results=folder, progress=False)
        found = store.read(run.path).results
    return [
        replace(result, measured=result.measured and replace(result.measured, reference=None))
        for result in found
    ]


def judged(found: Sequence[CellResult], n: int) -> Iterator[list[Summary]]:
    """Yield the summaries of every n replicates, of those samplers that were compared."""
    last = max(result.cell.replicate for result in found)
    for first in range(0, last + 1 - n + 1, n):
        some = [r for r in found if first <= r.cell.replicate < first + n]
        yield [s for s in summarize(some) if s.sampler_difference_z is not None]


def flags(run: Sequence[Summary]) -> set[str]:
    """Return the samplers of a run that are said to disagree."""
    return {summary.sampler for summary in run if summary.status == "disagrees"}


if __name__ == "__main__":
    main()
