"""BlackJAX's NUTS (Cabezas et al. 2024) after Stan's window adaptation, on JAX."""

from typing import Any

from pydantic import Field

from gradbench.samplers import _jax
from gradbench.target.target import Target

SUMMARY = "BlackJAX: NUTS in JAX, diagonal or dense mass matrix"
USES_GRADIENT = True
LIBRARIES = ("blackjax", "jax")
EXTRA = "jax"
DETUNED = {"target_acceptance_rate": 0.99}
CALL = """\
import blackjax
import jax
import numpy as np
from pymc.sampling.jax import get_jaxified_logp

logp = get_jaxified_logp(model)
start = [np.asarray(value, dtype=float) for value in model.initial_point().values()]


def chain(key):
    warm_up = blackjax.window_adaptation(blackjax.nuts, logp)
    (state, adapted), _ = warm_up.run(key, start, num_steps=$tune)
    kernel = blackjax.nuts(logp, **adapted)

    def step(state, key):
        state, _ = kernel.step(key, state)
        return state, state.position

    return jax.lax.scan(step, state, jax.random.split(key, $draws))[1]


draws = [jax.jit(chain)(key) for key in jax.random.split(jax.random.key(1), $chains)]
"""


class Options(_jax.Options):
    """``blackjax.window_adaptation``'s and ``blackjax.nuts``' options with their defaults."""

    target_acceptance_rate: float = Field(
        0.8, gt=0, lt=1, description="aimed acceptance rate in tuning"
    )
    max_num_doublings: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")
    is_mass_matrix_diagonal: bool = Field(True, description="diagonal mass matrix, or dense")


unsuited = _jax.unsuited


def build(target: Target, options: Options) -> _jax.Chains:
    """Compile warm-up and sampling."""
    return _jax.Chains(target, options, _kernel)


def _kernel(density: _jax.Density, options: Options) -> tuple[_jax.WarmUp, _jax.Run]:
    import blackjax
    import jax

    adaptation = blackjax.window_adaptation(
        blackjax.nuts,
        density,
        is_mass_matrix_diagonal=options.is_mass_matrix_diagonal,
        target_acceptance_rate=options.target_acceptance_rate,
        adaptation_info_fn=lambda _state, info, _adaptation: info.num_integration_steps,
        max_num_doublings=options.max_num_doublings,
    )

    def warm_up(key: Any, x: Any) -> tuple[Any, Any]:
        (state, parameters), n_steps = adaptation.run(key, x, num_steps=options.tune)
        tuned = parameters["step_size"], parameters["inverse_mass_matrix"]
        return (state, *tuned), 1 + n_steps.sum()

    def run(key: Any, tuned: Any) -> tuple[Any, dict[str, Any], Any]:
        state, step_size, inverse_mass_matrix = tuned
        nuts = blackjax.nuts(
            density, step_size, inverse_mass_matrix, max_num_doublings=options.max_num_doublings
        )

        def step(state: Any, key: Any) -> Any:
            state, info = nuts.step(key, state)
            stats = {
                "diverging": info.is_divergent,
                "acceptance_rate": info.acceptance_rate,
                "tree_depth": info.num_trajectory_expansions,
                "n_steps": info.num_integration_steps,
                "energy": info.energy,
            }
            return state, (state.position, stats)

        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)
        _, (values, stats) = jax.lax.scan(step, state, keys)
        stats["reached_max_treedepth"] = stats["tree_depth"] >= options.max_num_doublings
        return values, stats, stats["n_steps"].sum()

    return warm_up, run
