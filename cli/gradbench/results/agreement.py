"""Do the samplers of a model agree? Whoever differs from the agreement of the others is named."""

from collections.abc import Mapping, Sequence

import numpy as np

from gradbench.config.planning import Key
from gradbench.draws import FloatArray
from gradbench.measure.result import Measured, counted
from gradbench.results.replicates import Shared
from gradbench.stats import agreement
from gradbench.stats.agreement import Differences, Runs

MOMENTS = ("mean", "second moment")


def between_samplers(
    believed: Mapping[Key, Sequence[Measured]], *, n_models: int = 1
) -> dict[Key, Shared]:
    """Return what each model's samplers say of each other, where there are two of them or more.

    Who differs from an agreement of the others ``disagrees``: of more than half of all, and of two
    families where the others have two. Where there is no such majority, all disagree.

    Args:
        believed: the replicates of each model and sampler that may be believed, one at least.
        n_models: of the run, each of which has its share of the chance that any is called wrong.
    """
    models: dict[str, dict[str, Sequence[Measured]]] = {}
    for (model, sampler), runs in believed.items():
        models.setdefault(model, {})[sampler] = runs
    return {
        (model, sampler): said
        for model, samplers in models.items()
        if len(samplers) > 1
        for sampler, said in _between(samplers, n_models=n_models).items()
    }


def _between(samplers: Mapping[str, Sequence[Measured]], *, n_models: int) -> dict[str, Shared]:
    """Return what the samplers of one model say of each other, by label."""
    runs = counted([run for group in samplers.values() for run in group])
    parameters = runs[0].parameters
    if not parameters:
        return {}
    remaining = iter(runs)
    stacked = [_stacked([next(remaining) for _ in group]) for group in samplers.values()]
    found = agreement.differences(stacked, n_models=n_models)
    agreeing = _majority(found.excess, [_family(group[0]) for group in samplers.values()])
    labels = list(samplers)
    return {label: _said(i, found, agreeing, labels, parameters) for i, label in enumerate(labels)}


def _stacked(runs: Sequence[Measured]) -> Runs:
    return Runs(
        *(np.array([getattr(run.diagnostics, name) for run in runs]) for name in Runs.__slots__)
    )


def _family(run: Measured) -> str:
    """Return what kind of sampler made a run, as far as the run tells."""
    if run.evaluations.n_grad_sampling:
        return "gradients"
    if run.is_weighted:
        return "weights"
    return "ensemble" if run.is_ensemble else "chains"


def _majority(excess: FloatArray, families: Sequence[str]) -> list[int]:
    """Return the samplers that agree with each other, empty where they are no majority.

    Who is in disagreement with most is left out first, until nobody is.
    """
    most = excess.max(axis=(2, 3))
    kept = list(range(len(families)))
    while (clash := most[np.ix_(kept, kept)]).max() > 1:
        n_clashes = (clash > 1).sum(axis=0)
        kept.pop(int(np.lexsort((clash.sum(axis=0), n_clashes))[-1]))
    left_out = [i for i in range(len(families)) if i not in kept]
    is_majority = len(kept) > max(1, len(families) // 2)
    is_broad = all(
        len({families[i] for i in kept}) > 1
        or len({family for j, family in enumerate(families) if j != i}) == 1
        for i in left_out
    )
    return kept if is_majority and is_broad else []


def _said(
    i: int,
    found: Differences,
    agreeing: Sequence[int],
    labels: Sequence[str],
    parameters: Sequence[str],
) -> Shared:
    """Return what is said of one sampler: its largest difference, and that it disagrees if so."""
    others = [j for j in (agreeing or range(len(labels))) if j != i]
    excess, share = found.excess[i], found.share[i]
    # What is a concern first; where nothing is, the least probable.
    other = max(others, key=lambda j: (excess[j].max(), share[j].max()))
    at = excess[other] if excess[other].max() > 1 else share[other]
    moment, worst = divmod(int(np.argmax(at)), len(parameters))
    z, allowed = (float(of[i, other][moment, worst]) for of in (found.z, found.allowed))
    columns = {"sampler_difference_z": z, "sampler_difference_allowed": allowed}
    if agreeing and i in agreeing:
        return Shared(columns)
    sds = found.sds[i, other][moment, worst]
    reason = (
        f"the {MOMENTS[moment]} of {parameters[worst]} differs by {sds:.2f} sd from"
        f" {labels[other]}'s, {z:.1f} standard errors where chance allows {allowed:.1f}"
    )
    if not agreeing:
        reason = f"the samplers fall into camps, and which is right can't be told; {reason}"
    return Shared(columns, "disagrees", reason)
