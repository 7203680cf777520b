"""Evaluations that files hold: what each library's statistic counts, where that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gradbench.draws import Evaluations
from gradbench.elsewhere.chains import Content, Stats

# Gradients beside those of the leapfrog steps, one transition: PyMC and Stan evaluate the first
# state of a trajectory once more. Measured: the statistic against gradbench's exact counts.
BESIDE_STEPS: Mapping[str, int] = {
    "pymc": 1,
    "stan": 1,
    "cmdstan": 1,
    "cmdstanpy": 1,
    "pystan": 1,
    "nutpie": 0,
    "numpyro": 0,
    "blackjax": 0,
}


@dataclass(frozen=True, slots=True)
class Counted:
    """Evaluations, what they are of, and where they come from; None where there are none."""

    evaluations: Evaluations = field(default_factory=Evaluations)
    of: Literal["all", "sampling", "nothing"] = "nothing"
    source: str | None = None


def given(n_logp: int | None, n_grad: int | None) -> Counted | None:
    """Return what the user counted, or None: warm-up and sampling together."""
    if n_logp is None and n_grad is None:
        return None
    evaluations = Evaluations(n_logp_sampling=n_logp or 0, n_grad_sampling=n_grad or 0)
    return Counted(evaluations, "all", "given, warm-up and sampling together")


def found(contents: Sequence[Content]) -> Counted:
    """Return what the files count, as far as it can be trusted."""
    first = contents[0]
    library = first.library.partition(" ")[0].lower()
    if any(content.n_steps is not None for content in contents):
        n_logp = sum(len(c.chains) * (1 + (c.n_steps or 0)) for c in contents)
        said = "walkers times steps of emcee, those of the file"
        return Counted(Evaluations(n_logp_sampling=n_logp), "all", said)
    every = [chain for content in contents for chain in content.chains]
    if not all("n_steps" in chain.stats for chain in every):
        return Counted()
    if library not in BESIDE_STEPS:
        whose = f"of {first.library}" if first.library else "of an unknown library"
        return Counted(source=f"unknown (n_steps {whose} is not trusted)")
    if any(content.thin > 1 for content in contents):
        return Counted(
            source="unknown (n_steps is there for kept draws only, and draws are thinned)"
        )
    beside = BESIDE_STEPS[library]
    n_sampling = sum(_n_grad(chain.stats, beside) for chain in every)
    said = f"n_steps of {first.library}" + (" + 1 a draw" if beside else "")
    if all("n_steps" in chain.warmup_stats for chain in every):
        n_warmup = sum(_n_grad(chain.warmup_stats, beside) for chain in every)
        return Counted(Evaluations(n_grad_warmup=n_warmup, n_grad_sampling=n_sampling), "all", said)
    return Counted(
        Evaluations(n_grad_sampling=n_sampling),
        "sampling",
        f"{said}: {n_sampling:,} gradients in sampling, those of warm-up not in the file"
        " (--gradients gives the total)",
    )


def _n_grad(stats: Stats, beside: int) -> int:
    n_steps = np.asarray(stats["n_steps"], dtype=np.float64)
    return int(n_steps.sum()) + beside * n_steps.size
