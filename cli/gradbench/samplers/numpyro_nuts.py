"""NumPyro's NUTS (Phan et al. 2019), iterative, on the model's log-density in JAX."""

from typing import Any

from pydantic import Field

from gradbench.samplers import _jax
from gradbench.target.target import Target

SUMMARY = "NumPyro: NUTS in JAX, diagonal or dense mass matrix"
USES_GRADIENT = True
LIBRARIES = ("numpyro", "jax")
EXTRA = "jax"
DETUNED = {"target_accept_prob": 0.99}
CALL = """\
import pymc as pm

with model:
    idata = pm.sample(draws=$draws, tune=$tune, chains=$chains, nuts_sampler="numpyro")
"""


class Options(_jax.Options):
    """``numpyro.infer.NUTS``' options under its names and with its defaults."""

    target_accept_prob: float = Field(
        0.8, gt=0, lt=1, description="aimed acceptance rate in tuning"
    )
    max_tree_depth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")
    dense_mass: bool = Field(False, description="a dense mass matrix in place of a diagonal one")


unsuited = _jax.unsuited


def build(target: Target, options: Options) -> _jax.Chains:
    """Compile warm-up and sampling."""
    return _jax.Chains(target, options, _kernel)


def _kernel(density: _jax.Density, options: Options) -> tuple[_jax.WarmUp, _jax.Run]:
    import jax
    from numpyro.infer import NUTS

    nuts = NUTS(
        potential_fn=lambda x: -density(x),
        target_accept_prob=options.target_accept_prob,
        max_tree_depth=options.max_tree_depth,
        dense_mass=options.dense_mass,
    )

    def warm_up(key: Any, x: Any) -> tuple[Any, Any]:
        def step(_: Any, carry: Any) -> Any:
            state, n_grad = carry
            state = nuts.sample(state, (), {})
            return state, n_grad + state.num_steps

        state = nuts.init(key, options.tune, init_params=x)
        state, n_grad = jax.lax.fori_loop(0, options.tune, step, (state, 1))
        return state, n_grad

    def run(_: Any, state: Any) -> tuple[Any, dict[str, Any], Any]:
        def step(state: Any, _: Any) -> Any:
            state = nuts.sample(state, (), {})
            stats = {
                "diverging": state.diverging,
                "acceptance_rate": state.accept_prob,
                "n_steps": state.num_steps,
                "energy": state.energy,
            }
            return state, (state.z, stats)

        _, (values, stats) = jax.lax.scan(step, state, length=options.draws)
        # NumPyro tells no depth: a whole tree has this many steps.
        stats["reached_max_treedepth"] = stats["n_steps"] >= 2**options.max_tree_depth - 1
        return values, stats, stats["n_steps"].sum()

    return warm_up, run
