"""What Stan's samplers share: a model's Stan program, held against the target."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradbench import sampler, stan
from gradbench.draws import Evaluations, FloatArray, IntArray
from gradbench.errors import ModelError
from gradbench.stan import UNCONSTRAINED
from gradbench.target.target import Target

SAME = 1e-8  # relative: two unconstrained scales that agree to this are one


def unsuited(target: Target, options: Any) -> str | None:  # noqa: ARG001 - the protocol
    """Return why not: the model has no Stan program."""
    if target.stan_program is None:
        return (
            "the model has no Stan program; give its file a function stan(...) that returns a"
            " gradbench.stan.StanProgram"
        )
    return None


def evaluations(runs: Sequence[Mapping[str, Any]], *, has_warmup: bool) -> Evaluations:
    """Return the counts of several runs of the bridge, added up."""
    whole = {kind: sum(run[f"n_{kind}"] for run in runs) for kind in ("logp", "grad")}
    warmup = {
        kind: sum(run[f"n_{kind}_warmup"] for run in runs) if has_warmup else 0 for kind in whole
    }
    return Evaluations(
        n_logp_warmup=warmup["logp"],
        n_logp_sampling=whole["logp"] - warmup["logp"],
        n_grad_warmup=warmup["grad"],
        n_grad_sampling=whole["grad"] - warmup["grad"],
    )


class Program(sampler.Evaluator):
    """A Stan program whose unconstrained vector is the target's, perhaps in another order.

    Raises:
        ModelError: its parameters are not the model's, or are transformed in another way.
    """

    def __init__(self, target: Target) -> None:
        assert target.stan_program is not None
        self.target = target
        self.program = stan.load(target.stan_program)
        # Where the program is the model, the target's vector is the program's own.
        self._is_own = target.variables == (UNCONSTRAINED,)
        self.order = np.arange(target.ndim) if self._is_own else self._positions()
        self._back = np.argsort(self.order)

    def theirs(self, x: FloatArray) -> FloatArray:
        """Return a point, shape (ndim,), as the program's unconstrained vector."""
        if self._is_own:
            return x
        named = self.target.named(x)
        values = {name: named[name] for name in self.program.names()}
        return np.array(self.program.unconstrain(stan.to_json(values)))

    def ours(self, theirs: FloatArray) -> FloatArray:
        """Return Stan's unconstrained vectors (..., ndim) in the target's order."""
        return np.asarray(theirs[..., self._back])

    def _positions(self) -> IntArray:
        """Return where each of the program's unconstrained coordinates stands in the target's."""
        target, program = self.target, self.program
        (x,) = target.initial(np.random.default_rng(0), 1)
        if program.ndim != target.ndim or not set(program.names()) <= set(target.quantities.shapes):
            raise ModelError(
                f"the Stan program's parameters are {', '.join(program.names())};"
                f" the model's are {', '.join(target.quantities.shapes)}"
            )
        try:
            theirs = self.theirs(x)
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"a point of the model's is none of the Stan program's: {error}"
            ) from error
        order = np.array([np.argmin(np.abs(x - y)) for y in theirs])
        is_other = ~np.isclose(x[order], theirs, rtol=SAME, atol=SAME)
        if is_other.any() or len(set(order)) < target.ndim:
            names = np.array(program.coordinates())[is_other]
            own = dict.fromkeys(name.split(".")[0] for name in names)
            raise ModelError(
                "the Stan program's unconstrained parameters are not the model's: a constraint"
                f" differs, or is transformed in another way ({', '.join(own) or 'two are equal'})"
            )
        return order

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the program's own log-density at points (n, ndim)."""
        return np.array([self.program.logdensity(x) for x in points[:, self.order]])

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return its gradients there, same shape."""
        gradients = [self.program.gradient(x)[1] for x in points[:, self.order]]
        return self.ours(np.array(gradients))


class Posterior(Program, sampler.OfAnyLength[sampler.Chosen]):
    """What Stan's samplers are built as."""

    def __init__(self, target: Target, options: sampler.Chosen) -> None:
        Program.__init__(self, target)
        sampler.OfAnyLength.__init__(self, options)
