"""BlackJAX's microcanonical Langevin Monte Carlo (Robnik et al. 2023), without adjustment."""

from typing import Any

from pydantic import Field

from gradbench.samplers import _jax
from gradbench.target.target import Target

SUMMARY = "BlackJAX: microcanonical Langevin Monte Carlo in JAX, unadjusted (a small bias)"
USES_GRADIENT = True
LIBRARIES = ("blackjax", "jax")
EXTRA = "jax"
DETUNED = {"desired_energy_var": 1e-7}

PER_STEP = 2  # gradients: the integrator of McLachlan evaluates two
FRACTION = 0.3  # of ``tune`` in each stage; with the third of a stage that follows, all of it


class Options(_jax.Options):
    """``blackjax.mclmc_find_L_and_step_size``'s options with its defaults.

    The tuning's stages have the library's proportions, and ``tune`` steps together.
    """

    tune: int = Field(3000, ge=100, description="steps of the tuning, not kept")
    draws: int = Field(10_000, ge=4, description="kept draws of each chain")
    desired_energy_var: float = Field(
        5e-4, gt=0, allow_inf_nan=False, description="variance of the energy, by dimension"
    )
    diagonal_preconditioning: bool = Field(True, description="scale each coordinate")


def unsuited(target: Target, options: Options) -> str | None:
    """Return why not: a direction in one dimension can't turn."""
    if target.ndim < 2:
        return "it needs two dimensions at least; use blackjax_nuts"
    return _jax.unsuited(target, options)


def build(target: Target, options: Options) -> _jax.Chains:
    """Compile tuning and sampling."""
    return _jax.Chains(target, options, _kernel)


def _kernel(density: _jax.Density, options: Options) -> tuple[_jax.WarmUp, _jax.Run]:
    import blackjax
    import jax

    def warm_up(key: Any, x: Any) -> tuple[Any, Any]:
        first, second = jax.random.split(key)
        state, tuned, n_steps = blackjax.mclmc_find_L_and_step_size(
            mclmc_kernel=blackjax.mcmc.mclmc.build_kernel(),
            num_steps=options.tune,
            state=blackjax.mcmc.mclmc.init(x, density, first),
            rng_key=second,
            logdensity_fn=density,
            frac_tune1=FRACTION,
            frac_tune2=FRACTION,
            frac_tune3=FRACTION,
            desired_energy_var=options.desired_energy_var,
            diagonal_preconditioning=options.diagonal_preconditioning,
        )
        return (state, tuned), 1 + PER_STEP * n_steps

    def run(key: Any, tuned: Any) -> tuple[Any, dict[str, Any], Any]:
        state, parameters = tuned
        mclmc = blackjax.mclmc(
            density,
            L=parameters.L,
            step_size=parameters.step_size,
            inverse_mass_matrix=parameters.inverse_mass_matrix,
        )

        def step(state: Any, key: Any) -> Any:
            state, info = mclmc.step(key, state)
            return state, (state.position, {"energy_error": info.energy_change})

        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)
        _, (values, stats) = jax.lax.scan(step, state, keys)
        return values, stats, PER_STEP * options.draws

    return warm_up, run
