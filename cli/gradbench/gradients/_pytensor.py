"""What PyTensor's methods share: the target's graph, compiled by one of its backends."""

from collections.abc import Callable
from typing import Any

from gradbench import compat
from gradbench.draws import FloatArray
from gradbench.gradients import Pair, Way
from gradbench.target.density import CompiledDensity
from gradbench.target.target import Target


class Reverse(Way):
    """Reverse mode of the target's graph in one backend."""

    def __init__(self, target: Target, backend: str) -> None:
        import pytensor

        self._density = CompiledDensity(target.model, compat.mode(backend))
        self._flat, logp = self._density.graph
        self._outputs = [logp], [logp, pytensor.grad(logp, self._flat)]
        value, both = self._functions = [
            self._density.compiled(self._flat, outputs) for outputs in self._outputs
        ]
        self._pair = Pair(lambda x: value(x)[0], lambda x: tuple(both(x)))

    @property
    def alone(self) -> Pair:
        """Of one point, in one call."""
        return self._pair

    def batched(self) -> Pair:
        """Return the same of many points in one call."""
        value, both = (self._density.batched(self._flat, outputs) for outputs in self._outputs)

        def gradient(points: FloatArray) -> tuple[Any, Any]:
            values, slopes = both(points)
            return values, slopes

        return Pair(lambda points: value(points)[0], gradient)


class Numba(Reverse):
    """Reverse mode in Numba, which can also loop without coming back to Python."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, "numba")

    def looped(self, n: int) -> Pair | None:
        """Return functions that evaluate n times inside one Numba function."""
        value, both = (_loop(function, n) for function in self._functions)
        return Pair(value, lambda x: (both(x), None))


def _loop(function: Any, n: int) -> Callable[[FloatArray], float]:
    import numba

    compiled = function.vm.jit_fn

    @numba.njit
    def loop(x):  # type: ignore[no-untyped-def]
        at, total = x.copy(), 0.0
        for _ in range(n):
            total += compiled(at)[0].item()
            at[0] = x[0] + 1e-300 * total  # the same point, which the compiler can't know
        return total

    def looped(x: FloatArray) -> float:
        return float(loop(x))

    return looped


def without_compiler() -> str | None:
    """Return that PyTensor finds no C compiler here, or None if it does."""
    import pytensor

    if pytensor.config.cxx:
        return None
    return "PyTensor finds no C++ compiler; install one, such as g++"
