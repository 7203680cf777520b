"""What reverse mode keeps of a long loop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradbench.studies import Finding, _jax, verdict
from gradbench.studies._cost import cpu_s

CLAIM = "Reverse mode needs memory: it keeps what the function computed on its way."
PRINTED = "-"
SOURCE = "Sellforte post; slides; PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

LENGTHS = 400, 1600, 6400  # steps of the loop
N_INPUTS, N_STATE = 4, 2048
STEP = 1e-3
NEAR = 1.25  # memory four times as long is four times as much, to a quarter of it
ALIKE = 2.0  # what doesn't grow with the length less than doubles


def measure() -> tuple[Finding, ...]:
    """Return memory and cost of each kind of derivative at each length."""
    found = {n: _at(n) for n in LENGTHS}
    growth = LENGTHS[-1] / LENGTHS[0]

    def line(kind: str, printed: str, holds: Callable[[float], bool]) -> Finding:
        memory = [found[n].memory_bytes[kind] for n in LENGTHS]
        costs = ", ".join(f"{found[n].costs[kind]:.3g}" for n in LENGTHS)
        return Finding(
            what=f"{kind}, {', '.join(f'{n:,}' for n in LENGTHS)} steps",
            printed=printed,
            ours=f"{', '.join(f'{bytes_ / 2**20:.3g}' for bytes_ in memory)} MiB",
            verdict=verdict(holds=holds(memory[-1] / memory[0])),
            note=f"{costs} times the function's CPU time",
        )

    def grows(ratio: float) -> bool:
        return growth / NEAR <= ratio <= growth * NEAR

    return (
        line("reverse mode", "needs memory", grows),
        line(
            "reverse mode with checkpoints",
            PRINTED,
            lambda ratio: growth**0.5 / ALIKE <= ratio <= growth**0.5 * ALIKE,
        ),
        line(f"forward mode, {N_INPUTS} inputs", PRINTED, lambda ratio: ratio < ALIKE),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Bytes beside inputs and outputs, and costs in evaluations of the function, by kind."""

    memory_bytes: dict[str, float]
    costs: dict[str, float]


def _at(n_steps: int) -> _Found:
    """Return what derivatives of a loop take; the compiler says which memory they need."""
    jax = _jax.in_double()
    f, checkpointed = _loop(n_steps), _loop(n_steps, n_between=round(n_steps**0.5))
    x = jax.numpy.linspace(0.1, 0.4, N_INPUTS)
    kinds = {
        "function": f,
        "reverse mode": jax.grad(f),
        "reverse mode with checkpoints": jax.grad(checkpointed),
        f"forward mode, {N_INPUTS} inputs": jax.jacfwd(f),
    }
    compiled = {kind: jax.jit(call).lower(x).compile() for kind, call in kinds.items()}
    spent_s = cpu_s({kind: _jax.blocking(call, x) for kind, call in compiled.items()})
    return _Found(
        {k: float(call.memory_analysis().temp_size_in_bytes) for k, call in compiled.items()},
        {kind: s / spent_s["function"] for kind, s in spent_s.items()},
    )


def _loop(n_steps: int, *, n_between: int = 0) -> Callable[[Any], Any]:
    """Return a function of few inputs that takes so many steps with a state of many numbers.

    Args:
        n_steps: of the loop.
        n_between: steps between two checkpoints, of which it must be a multiple; 0 for none.
    """
    jax = _jax.in_double()
    jnp = jax.numpy
    places = jnp.linspace(0.0, 1.0, N_STATE)

    def function(x: Any) -> Any:
        def step(state: Any, _: None) -> Any:
            slope = x[0] * state * (x[1] - state) + x[2] * (x[3] - state)
            return state + STEP * slope, None

        def stretch(state: Any, _: None) -> Any:
            return jax.lax.scan(step, state, None, length=n_between)

        if n_between:
            outer = n_steps // n_between
            return jax.lax.scan(jax.checkpoint(stretch), places, None, length=outer)[0].sum()
        return jax.lax.scan(step, places, None, length=n_steps)[0].sum()

    return function
