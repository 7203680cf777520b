"""Which mode for which shape: a wide function and a tall one."""

from typing import Any

from gradbench.studies import Finding, _jax, verdict
from gradbench.studies._cost import cpu_s

CLAIM = "Forward mode needs a pass for each input, reverse mode one for each output."
PRINTED = "-"
SOURCE = "Sellforte post; slides; PyHEP tutorial"
LIBRARIES = ("jax",)
EXTRA = "jax"

N = 2000  # inputs of the wide function, outputs of the tall one
CHEAP = 5.0  # evaluations, what a pass costs at most: Griewank & Walther (2008), section 4.6


def measure() -> tuple[Finding, ...]:
    """Return the cost of both Jacobians of both functions, in evaluations of the function."""
    jnp = _jax.in_double().numpy

    def wide(x: Any) -> Any:
        return (x * x * x + x * x).sum()

    def tall(t: Any) -> Any:
        return t * t * jnp.arange(1.0, N + 1) + t

    return (
        *_costs(f"{N:,} inputs, 1 output", wide, jnp.ones(N), one_pass="reverse"),
        *_costs(f"1 input, {N:,} outputs", tall, jnp.float64(1.0), one_pass="forward"),
    )


def _costs(shape: str, f: Any, x: Any, *, one_pass: str) -> tuple[Finding, ...]:
    """Return a line for each mode, judged by counted operations; CPU time is in the note."""
    jax = _jax.in_double()
    calls = {"function": f, "forward": jax.jacfwd(f), "reverse": jax.jacrev(f)}
    n = {name: _jax.n_flops(call, x) for name, call in calls.items()}
    times_s = cpu_s({name: _jax.blocking(jax.jit(call), x) for name, call in calls.items()})

    def line(mode: str) -> Finding:
        ratio, n_passes = n[mode] / n["function"], 1 if mode == one_pass else N
        holds = ratio <= CHEAP if n_passes == 1 else N / CHEAP <= ratio <= N * CHEAP
        return Finding(
            what=f"{mode} mode, {shape}",
            printed="a pass" if n_passes == 1 else f"{N:,} passes",
            ours=f"{ratio:,.1f} evaluations",
            verdict=verdict(holds=holds),
            note=f"operations counted; {times_s[mode] / times_s['function']:,.1f} by CPU time, "
            "calls included",
        )

    return line("forward"), line("reverse")
