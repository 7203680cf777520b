"""What a sampler returns: draws, what they belong to, and what they cost in evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.errors import SamplerError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MIN_DRAWS = 4  # of a chain: its halves have a variance each


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

    def require(self, ndim: int) -> None:
        """Raise what is wrong with the form of these draws; what isn't finite is left to others.

        Raises:
            SamplerError: a shape or a type isn't as promised, a count is negative or no number.
        """
        shape = np.shape(self.values)
        if len(shape) != 3 or shape[2] != ndim or shape[0] < 1:
            raise SamplerError(
                f"its draws are of shape {shape}; they must be of shape (chains, draws, {ndim})"
            )
        if getattr(self.values, "dtype", None) != np.float64:
            raise SamplerError("its draws must be a NumPy array of float64")
        if shape[1] < MIN_DRAWS:
            raise SamplerError(f"it kept {shape[1]} draws of a chain; {MIN_DRAWS} are the fewest")
        promised: dict[str, tuple[Any, tuple[int, ...]]] = {"groups": (self.groups, shape[:1])}
        promised |= {f"stats[{name!r}]": (stat, shape[:2]) for name, stat in self.stats.items()}
        for name in ("weights", "families"):
            if (array := getattr(self, name)) is not None:
                promised[name] = (array, shape[1:2])
        for name, (array, expected) in promised.items():
            if np.shape(array) != expected:
                raise SamplerError(f"its {name} are of shape {np.shape(array)}, not {expected}")
        for field_ in fields(self.evaluations):
            count = getattr(self.evaluations, field_.name)
            if not isinstance(count, int | np.integer) or count < 0:
                raise SamplerError(f"its evaluations' {field_.name} is {count!r}: no count")
