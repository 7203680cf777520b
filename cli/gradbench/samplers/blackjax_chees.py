"""BlackJAX's ChEES-HMC (Hoffman, Radul & Sountsov 2021): many chains tune one trajectory length."""

from typing import Any

from pydantic import Field

from gradbench.samplers import _jax
from gradbench.target.target import Target

SUMMARY = "BlackJAX: ChEES-HMC in JAX, many chains that are tuned together"
USES_GRADIENT = True
LIBRARIES = ("blackjax", "jax", "optax")
EXTRA = "jax"
DETUNED = {"target_acceptance_rate": 0.99}


class Options(_jax.Options):
    """``blackjax.chees_adaptation``'s options with its defaults; Adam adapts the length."""

    tune: int = Field(500, ge=1, description="warm-up steps, not kept")
    draws: int = Field(200, ge=4, description="kept draws of each chain")
    chains: int = Field(32, ge=2, le=100_000, description="chains, in one program")
    target_acceptance_rate: float = Field(
        0.651, gt=0, lt=1, description="aimed acceptance rate in tuning"
    )
    step_size: float = Field(0.1, gt=0, allow_inf_nan=False, description="first step size")
    learning_rate: float = Field(
        0.025, gt=0, allow_inf_nan=False, description="of Adam, for the trajectory length"
    )
    max_leapfrog_steps: int = Field(1000, ge=1, description="of one trajectory")


unsuited = _jax.unsuited


def build(target: Target, options: Options) -> _jax.Chains:
    """Compile warm-up and sampling."""
    return _jax.Chains(target, options, _kernel, is_joint=True)


def _kernel(density: _jax.Density, options: Options) -> tuple[_jax.WarmUp, _jax.Run]:
    import blackjax
    import jax
    import optax

    adaptation = blackjax.chees_adaptation(
        density,
        options.chains,
        target_acceptance_rate=options.target_acceptance_rate,
        max_leapfrog_steps=options.max_leapfrog_steps,
        adaptation_info_fn=lambda _state, info, _adaptation: info.num_integration_steps,
    )
    lengths: dict[str, Any] = {}  # how a trajectory's length follows from what was tuned

    def warm_up(key: Any, x: Any) -> tuple[Any, Any]:
        (states, parameters), n_steps = adaptation.run(
            key,
            x,
            options.step_size,
            optax.adam(options.learning_rate),
            options.tune,
            max_sampling_steps=options.draws,
        )
        lengths.update({name: value for name, value in parameters.items() if callable(value)})
        tuned = {name: value for name, value in parameters.items() if name not in lengths}
        del tuned["inverse_mass_matrix"]
        return (states, tuned), options.chains + n_steps.sum()

    def run(key: Any, tuned: Any) -> tuple[Any, dict[str, Any], Any]:
        states, parameters = tuned
        # No mass matrix is estimated. The identity, as a constant, costs nothing: XLA folds it.
        identity = jax.numpy.ones(states.position.shape[-1])
        hmc = blackjax.dynamic_hmc(density, inverse_mass_matrix=identity, **parameters, **lengths)

        def step(states: Any, key: Any) -> Any:
            keys = jax.random.split(key, options.chains)
            states, info = jax.vmap(hmc.step)(keys, states)
            stats = {
                "diverging": info.is_divergent,
                "acceptance_rate": info.acceptance_rate,
                "n_steps": info.num_integration_steps,
                "energy": info.energy,
            }
            return states, (states.position, stats)

        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)
        _, (values, stats) = jax.lax.scan(step, states, keys)
        return values, stats, stats["n_steps"].sum()

    return warm_up, run
