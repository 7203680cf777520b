"""What an adapter costs: sampling through gradbench over the library called directly, as ratios.

For each installed sampler, the same model, start, seed and lengths in both; the smallest of a few
runs each, in turn. ``same`` says whether the draws are identical, to the last bit or to rounding.
Compiling is left out on both sides, but for ``pm.sample_smc``, which compiles at every call.
``stan_nuts`` is compared with PyStan, which has a server, processes and JSON on the way, and runs
on Python 3.11 alone. Both have one thread, as a cell has. Names of samplers as arguments run those
only.
"""

import dataclasses
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gradbench import compat, models, samplers
from gradbench.measure import machine
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

N_RUNS = 5
SEED = 11
OPTIONS: dict[str, dict[str, Any]] = {
    "emcee": {"walkers": 64, "tune": 500, "draws": 1500},
    "zeus": {"walkers": 64, "tune": 50, "draws": 150},
    "dynesty": {"draws": 200},
    "pymc_slice": {"tune": 100, "draws": 400},
    "blackjax_mclmc": {"tune": 3000, "draws": 30_000},
    "blackjax_chees": {"draws": 3000},
    "blackjax_pathfinder": {"chains": 64, "tune": 2000},
}
CHAINS = "numpyro_nuts", "blackjax_nuts", "blackjax_mclmc", "nutpie"
LONG = {"tune": 1000, "draws": 5000}

Bare = Callable[[Target, Any, Any], tuple[float, Any]]
"""From target, options and start to seconds of sampling, and draws or None."""


@contextmanager
def clock() -> Iterator[list[float]]:
    """Yield a list that holds the wall seconds afterwards."""
    took: list[float] = []
    start = time.perf_counter()
    yield took
    took.append(time.perf_counter() - start)


def pymc_sample(step: Callable[[Any], Any]) -> Bare:
    """Return ``pm.sample`` with a step method; it tells itself how long its chains took."""

    def bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
        pm = compat.pymc()
        begun = target.named(start)
        with target.model:
            trace = pm.sample(
                options.draws,
                tune=options.tune,
                chains=len(start),
                cores=1,
                init="adapt_diag",
                step=step(start),
                random_seed=SEED,
                initvals=[
                    {rv.name: begun[rv.name][chain] for rv in target.model.free_RVs}
                    for chain in range(len(start))
                ],
                progressbar=False,
                compute_convergence_checks=False,
            )
        named = {rv.name: trace.posterior[rv.name].to_numpy() for rv in target.model.free_RVs}
        first = next(iter(named))
        return float(trace.posterior.attrs["sampling_time"]), {first: named[first]}

    return bare


def hmc(start: Any) -> Any:
    """Return PyMC's HMC with the mass matrix that ``pm.sample`` would start NUTS with."""
    from pymc.step_methods.hmc.quadpotential import QuadPotentialDiagAdapt

    ndim = start.shape[1]
    potential = QuadPotentialDiagAdapt(ndim, start.mean(axis=0), np.ones(ndim), 10)
    return compat.pymc().HamiltonianMC(potential=potential)


def emcee_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call emcee."""
    import emcee

    sampler = emcee.EnsembleSampler(*start.shape, target.logdensity_batch, vectorize=True)
    state = emcee.State(start, random_state=np.random.RandomState(SEED).get_state())
    with clock() as took:
        state = sampler.run_mcmc(state, options.tune, store=False)
        sampler.run_mcmc(state, options.draws)
    return took[0], np.swapaxes(sampler.get_chain(), 0, 1)


def zeus_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call zeus."""
    import random

    import zeus

    sampler = zeus.EnsembleSampler(
        *start.shape, target.logdensity_batch, vectorize=True, verbose=False
    )
    np.random.seed(SEED)  # noqa: NPY002
    random.seed(SEED)
    with clock() as took:
        sampler.run_mcmc(start, options.tune, progress=False)
        sampler.reset()
        sampler.run_mcmc(None, options.draws, progress=False)
    return took[0], np.swapaxes(sampler.get_chain(), 0, 1)


def nutpie_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call nutpie, its starting points ours."""
    import nutpie

    rest = iter(start)
    compiled = dataclasses.replace(
        nutpie.compile_pymc_model(target.model), initial_point_func=lambda _seed: next(rest).copy()
    )
    with clock() as took:
        trace = nutpie.sample(
            compiled, draws=options.draws, tune=options.tune, chains=len(start), cores=1, seed=SEED,
            store_unconstrained=True, progress_bar=False, return_raw_trace=True,
        )  # fmt: skip
    import pyarrow

    points = [
        np.asarray(pyarrow.array(chain.column("unconstrained_draw")).flatten())
        for chain in trace.get_arrow_trace()[1]
    ]
    values = np.array(points).reshape(len(start), -1, target.ndim)
    return took[0], values[:, options.tune :]


def numpyro_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call NumPyro's MCMC, once to compile and once for the clock."""
    import jax
    from numpyro.infer import MCMC, NUTS

    jax.config.update("jax_enable_x64", True)
    density = target.jax_logdensity

    def run(key: Any, x: Any) -> Any:
        kernel = NUTS(potential_fn=lambda x: -density(x))
        mcmc = MCMC(kernel, num_warmup=options.tune, num_samples=options.draws, progress_bar=False)
        mcmc.run(key, init_params=x)
        return mcmc.get_samples()

    # Alone it compiles anew at every call; within jit it rounds differently. Draws are compared
    # with the one, time with the other.
    compiled = jax.jit(run)
    spent, values = 0.0, []
    for chain, x in enumerate(start):
        key = jax.random.fold_in(jax.random.key(SEED), chain)
        drawn = run(key, jax.numpy.asarray(x))
        jax.block_until_ready(compiled(key, x))
        with clock() as took:
            jax.block_until_ready(compiled(key, x))
        spent += took[0]
        values.append(np.asarray(drawn))
    return spent, np.array(values)


def blackjax_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call BlackJAX as its documentation does: window adaptation, then a scan."""
    import blackjax
    import jax

    jax.config.update("jax_enable_x64", True)
    density = target.jax_logdensity
    adaptation = blackjax.window_adaptation(blackjax.nuts, density)

    @jax.jit  # type: ignore[untyped-decorator]
    def warm_up(key: Any, x: Any) -> Any:
        return adaptation.run(key, x, num_steps=options.tune)[0]

    @jax.jit  # type: ignore[untyped-decorator]
    def run(key: Any, state: Any, parameters: Any) -> Any:
        nuts = blackjax.nuts(density, **parameters)
        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)

        def step(state: Any, key: Any) -> Any:
            state, info = nuts.step(key, state)
            return state, (state.position, info)

        return jax.lax.scan(step, state, keys)[1]

    spent, values = 0.0, []
    for chain, x in enumerate(start):
        key = jax.random.fold_in(jax.random.key(SEED), chain)
        if chain == 0:
            jax.block_until_ready(run(key, *warm_up(key, x)))
        with clock() as took:
            state, parameters = warm_up(key, x)
            drawn, _ = jax.block_until_ready(run(key, state, parameters))
        spent += took[0]
        values.append(np.asarray(drawn))
    return spent, np.array(values)


def mclmc_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call BlackJAX's MCLMC as its documentation does: tune, then a scan."""
    import blackjax
    import jax

    jax.config.update("jax_enable_x64", True)
    density = target.jax_logdensity

    def run(key: Any, x: Any) -> Any:
        first, second = jax.random.split(key)
        state, tuned, _ = blackjax.mclmc_find_L_and_step_size(
            mclmc_kernel=blackjax.mcmc.mclmc.build_kernel(), num_steps=options.tune,
            state=blackjax.mcmc.mclmc.init(x, density, first), rng_key=second,
            logdensity_fn=density, frac_tune1=0.3, frac_tune2=0.3, frac_tune3=0.3,
        )  # fmt: skip
        mclmc = blackjax.mclmc(
            density, L=tuned.L, step_size=tuned.step_size,
            inverse_mass_matrix=tuned.inverse_mass_matrix,
        )  # fmt: skip

        def step(state: Any, key: Any) -> Any:
            state, _ = mclmc.step(key, state)
            return state, state.position

        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)
        return jax.lax.scan(step, state, keys)[1]

    return _jitted(run, start)


def chees_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call BlackJAX's ChEES-HMC, and keep of each draw what gradbench keeps."""
    import blackjax
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    density = target.jax_logdensity

    def run(key: Any, x: Any) -> Any:
        adaptation = blackjax.chees_adaptation(density, options.chains)
        (states, parameters), _ = adaptation.run(
            key, x, options.step_size, optax.adam(options.learning_rate), options.tune,
            max_sampling_steps=options.draws,
        )  # fmt: skip
        hmc = blackjax.dynamic_hmc(density, **parameters)

        def step(states: Any, key: Any) -> Any:
            states, info = jax.vmap(hmc.step)(jax.random.split(key, options.chains), states)
            kept = info.is_divergent, info.acceptance_rate, info.num_integration_steps, info.energy
            return states, (states.position, *kept)

        keys = jax.random.split(jax.random.fold_in(key, 1), options.draws)
        return jax.lax.scan(step, states, keys)[1]

    took, values = _jitted(run, start[None])
    return took, values[0].swapaxes(0, 1)


def pathfinder_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call BlackJAX's multi-path Pathfinder."""
    import jax
    from blackjax.vi import multipathfinder

    jax.config.update("jax_enable_x64", True)
    density = target.jax_logdensity

    @jax.jit  # type: ignore[untyped-decorator]
    def run(x: Any) -> Any:
        key = jax.random.key(SEED)
        algorithm = multipathfinder.as_top_level_api(density)
        state, _ = algorithm.init(key, x, options.tune)
        return algorithm.sample(jax.random.fold_in(key, 1), state, options.draws)

    jax.block_until_ready(run(start))
    with clock() as took:
        values = jax.block_until_ready(run(start))
    return took[0], np.asarray(values)[None]


def _jitted(run: Callable[[Any, Any], Any], starts: Any) -> tuple[float, Any]:
    """Return the seconds of a compiled function, over its starts, and what it returns first."""
    import jax

    compiled = jax.jit(run)
    spent, values = 0.0, []
    for chain, x in enumerate(starts):
        key = jax.random.fold_in(jax.random.key(SEED), chain)
        if chain == 0:
            jax.block_until_ready(compiled(key, x))
        with clock() as took:
            drawn = jax.block_until_ready(compiled(key, x))
        spent += took[0]
        values.append(np.asarray(jax.tree.leaves(drawn)[0]))
    return spent, np.array(values)


def dynesty_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:  # noqa: ARG001
    """Call dynesty on the same map and likelihood."""
    import dynesty

    from gradbench.samplers import _prior

    prior = _prior.of(target)
    with clock() as took:
        sampler = dynesty.NestedSampler(
            prior.loglikelihood, prior.transform, target.ndim, nlive=options.draws,
            rstate=np.random.default_rng(SEED),
        )  # fmt: skip
        sampler.run_nested(print_progress=False)
    return took[0], np.asarray(sampler.results.samples)[None]


def advi_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:  # noqa: ARG001
    """Call the step that ``pm.fit`` compiles at every call, as often as it would."""
    pm = compat.pymc()
    with target.model:
        step = pm.ADVI(random_seed=SEED).objective.step_function(score=True)
    step()
    with clock() as took:
        losses = np.array([step() for _ in range(options.tune)])
    assert np.isfinite(losses).all()
    return took[0], None


def smc_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:  # noqa: ARG001
    """Call ``pm.sample_smc``, which compiles at every call."""
    pm = compat.pymc()
    with clock() as took, target.model:
        pm.sample_smc(
            options.draws, chains=options.chains, cores=1, random_seed=SEED, progressbar=False,
            compute_convergence_checks=False,
        )  # fmt: skip
    return took[0], None


def stan_bare(target: Target, options: Any, start: Any) -> tuple[float, Any]:
    """Call PyStan: a request to its server, a process for each chain, draws as JSON."""
    import stan  # type: ignore[import-untyped,import-not-found,unused-ignore]

    assert target.stan_program is not None
    program = target.stan_program
    # PyStan compiles into the folder it is called in, and, given a seed, would take a second run's
    # draws from its cache.
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        posterior = stan.build(program.code, data=dict(program.data))
    named = target.named(start)
    inits = [
        {rv.name: named[rv.name][i].tolist() for rv in target.model.free_RVs}
        for i in range(len(start))
    ]
    with clock() as took:
        posterior.sample(
            num_chains=len(start), num_warmup=options.tune, num_samples=options.draws, init=inits
        )
    return took[0], None


BARE: dict[str, Bare] = {
    "pymc_nuts": pymc_sample(lambda _: None),
    "pymc_hmc": pymc_sample(hmc),
    "pymc_metropolis": pymc_sample(lambda _: compat.pymc().Metropolis()),
    "pymc_demetropolis_z": pymc_sample(lambda _: compat.pymc().DEMetropolisZ()),
    "pymc_slice": pymc_sample(lambda _: compat.pymc().Slice()),
    "pymc_smc": smc_bare,
    "pymc_advi": advi_bare,
    "emcee": emcee_bare,
    "zeus": zeus_bare,
    "nutpie": nutpie_bare,
    "numpyro_nuts": numpyro_bare,
    "blackjax_nuts": blackjax_bare,
    "blackjax_mclmc": mclmc_bare,
    "blackjax_chees": chees_bare,
    "blackjax_pathfinder": pathfinder_bare,
    "dynesty": dynesty_bare,
    "stan_nuts": stan_bare,
}


def is_same(ours: Any, theirs: Any, target: Target) -> str:
    """Return whether draws are identical, the same up to rounding, or not."""
    if theirs is None:
        return "–"
    if isinstance(theirs, dict):
        ((name, theirs),) = theirs.items()
        ours = target.named(ours)[name]
    if ours.shape != theirs.shape:
        return "no"
    if np.array_equal(ours, theirs):
        return "identical"
    return "to rounding" if np.allclose(ours, theirs, rtol=1e-6, atol=1e-9) else "no"


def main() -> None:
    """Print a line for each sampler."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    compat.pymc()
    print(f"{'sampler':22} {'ours / library':>14}  {'library s':>9}  draws")
    for name in sys.argv[1:] or samplers.names():
        if samplers.remedy(name) is not None or name not in BARE:
            print(f"{name:22} {samplers.remedy(name) or 'no library to compare with':>14}")
            continue
        target = Target(*models.load(models.find("eight_schools", Path()), {}))
        sampler = samplers.load(name)
        options = sampler.options(**OPTIONS.get(name, LONG if name in CHAINS else {}))
        built = sampler.build(target, options)
        start = target.initial(np.random.default_rng(0), options.n_starts)
        ours, theirs, same = [], [], ""
        try:
            for _ in range(N_RUNS):
                stopwatch = Stopwatch()
                draws = built.sample(start, seed=SEED, stopwatch=stopwatch)
                spent = stopwatch.timing.warmup + stopwatch.timing.sampling
                ours.append(spent.wall_s)
                took, values = BARE[name](target, options, start)
                theirs.append(took)
                same = is_same(draws.values, values, target)
        except (ImportError, ValueError) as error:
            print(f"{name:22} the library doesn't run here: {error}")
            continue
        print(f"{name:22} {min(ours) / min(theirs):14.2f}  {min(theirs):9.3f}  {same}", flush=True)


if __name__ == "__main__":
    as_in_a_cell = machine.environment(threads=1)
    if os.environ != as_in_a_cell:
        os.execve(sys.executable, [sys.executable, *sys.argv], as_in_a_cell)
    main()
