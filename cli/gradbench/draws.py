"""What a sampler returns: draws, what they belong to, and what they cost in evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluations:
    """How often the log-density was evaluated, alone or together with its gradient.

    An evaluation of value and gradient in one call counts once, as a gradient.
    """

    n_logp_warmup: int = 0
    n_logp_sampling: int = 0
    n_grad_warmup: int = 0
    n_grad_sampling: int = 0

    @property
    def n_logp(self) -> int:
        """Log-density evaluations without a gradient, warm-up and sampling together."""
        return self.n_logp_warmup + self.n_logp_sampling

    @property
    def n_grad(self) -> int:
        """Gradient evaluations, warm-up and sampling together."""
        return self.n_grad_warmup + self.n_grad_sampling


@dataclass(frozen=True, slots=True)
class Draws:
    """The kept draws of one run, on the unconstrained space, warm-up removed.

    Attributes:
        values: shape (chains, draws, ndim).
        groups: shape (chains,); chains with the same number belong to one ensemble and are not
            independent of each other. Independent chains each have a number of their own.
        evaluations: exact counts.
        stats: what the sampler says of each draw, shape (chains, draws) each, under ArviZ's names
            (``diverging``, ``acceptance_rate``, ``reached_max_treedepth``); absent where it has
            no meaning.
        acceptance_rate: mean over the kept draws, or None.
        is_approximate: whether they are independent draws from something that was fitted to the
            posterior: they say how well it fits, and have no effective sample size.
        weights: shape (draws,), sum 1, of one weighted sample that is no chain; or None.
        families: shape (draws,), of such a sample: draws with the same number descend from one
            ancestor and are not independent; or None.
        log_evidence: log of the marginal likelihood and its standard error, or None.
    """

    values: FloatArray
    groups: IntArray
    evaluations: Evaluations
    stats: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    acceptance_rate: float | None = None
    is_approximate: bool = False
    weights: FloatArray | None = None
    families: IntArray | None = None
    log_evidence: tuple[float, float] | None = None
