"""How often ``gradbench judge`` notices something in chains that are clean, and in others.

``python benchmarks/judge.py --files 400`` prints two tables of Markdown: false alarms of each rule
on clean chains, and what each rule catches of what was planted. See ``judge.md``. The tests
of these rules have their chains from here.
"""

import argparse
from collections.abc import Callable

import numpy as np

from gradbench.draws import FloatArray
from gradbench.elsewhere import notices

Made = Callable[[np.random.Generator], FloatArray]
Rule = Callable[[FloatArray], bool]

RULES: dict[str, Rule] = {
    "warm-up": lambda x: notices.has_trend(notices.scores_of(x), np.arange(len(x))),
    "pieces": lambda x: len(x) > 1 and notices.are_pieces(notices.scores_of(x)),
    "equal starts": notices.starts_equal,
    "lines": lambda x: notices.on_lines(x, 17),
    "lengths of steps": lambda x: notices.depend_on_each_other(notices.scores_of(x)),
}


def autoregressive(rng: np.random.Generator, shape: tuple[int, int, int], rho: float) -> FloatArray:
    """Return chains (chains, draws, n) of mean 0, sd 1 and this correlation of neighbours."""
    values = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        values[:, t] = rho * values[:, t - 1] + np.sqrt(1 - rho**2) * values[:, t]
    return values


def metropolis(rng: np.random.Generator, shape: tuple[int, int, int]) -> FloatArray:
    """Return chains of random-walk Metropolis on a standard normal, from exact draws."""
    n_chains, n_draws, n = shape
    values, x = np.empty(shape), rng.standard_normal((n_chains, n))
    for t in range(n_draws):
        y = x + 2.4 / np.sqrt(n) * rng.standard_normal((n_chains, n))
        log_ratio = 0.5 * (np.sum(x**2, axis=1) - np.sum(y**2, axis=1))
        x = np.where(np.log(rng.random(n_chains))[:, None] < log_ratio[:, None], y, x)
        values[:, t] = x
    return values


def ensemble(
    rng: np.random.Generator, shape: tuple[int, int, int], *, is_de: bool, thin: int
) -> FloatArray:
    """Return walkers of emcee on a standard normal, from exact draws."""
    import emcee

    n_walkers, n_draws, n = shape
    sampler = emcee.EnsembleSampler(
        n_walkers,
        n,
        lambda x: -0.5 * np.sum(x**2, axis=1),
        vectorize=True,
        moves=emcee.moves.DEMove() if is_de else emcee.moves.StretchMove(),
    )
    seeded = np.random.RandomState(int(rng.integers(2**31))).get_state()
    start = emcee.State(rng.standard_normal((n_walkers, n)), random_state=seeded)
    sampler.run_mcmc(start, n_draws * thin)
    return np.ascontiguousarray(np.swapaxes(sampler.get_chain(thin=thin), 0, 1))


def with_warmup(
    rng: np.random.Generator, shape: tuple[int, int, int], far: float, rho: float
) -> FloatArray:
    """Return chains that come from so many sds out, to either side."""
    n_chains, n_draws, n = shape
    way = far * rng.choice([-1, 1], (n_chains, 1, n)) * rho ** np.arange(n_draws)[:, None]
    return autoregressive(rng, shape, rho) + way


CLEAN: dict[str, Made] = {
    "independent, 4 × 1,000 × 10": lambda rng: rng.standard_normal((4, 1000, 10)),
    "antithetic (-0.4), 4 × 1,000 × 10": lambda rng: autoregressive(rng, (4, 1000, 10), -0.4),
    "correlated (0.9), 4 × 1,000 × 10": lambda rng: autoregressive(rng, (4, 1000, 10), 0.9),
    "correlated (0.9), 2 × 1,000 × 3": lambda rng: autoregressive(rng, (2, 1000, 3), 0.9),
    "correlated (0.5), 1 × 1,000 × 5": lambda rng: autoregressive(rng, (1, 1000, 5), 0.5),
    "antithetic (-0.4), 24 × 300 × 5": lambda rng: autoregressive(rng, (24, 300, 5), -0.4),
    "correlated (0.8), 24 × 500 × 5": lambda rng: autoregressive(rng, (24, 500, 5), 0.8),
    "heavy tails, 4 × 500 × 5": lambda rng: np.sinh(3 * autoregressive(rng, (4, 500, 5), 0.5)),
    "Metropolis, 8 × 1,000 × 3": lambda rng: metropolis(rng, (8, 1000, 3)),
    "independent, 4 × 200 × 1": lambda rng: rng.standard_normal((4, 200, 1)),
}

PLANTED: dict[str, tuple[str, Made]] = {
    "from 5 sd out, 4 × 1,000 × 5": ("warm-up", lambda r: with_warmup(r, (4, 1000, 5), 5, 0.9)),
    "from 20 sd out, 4 × 1,000 × 5": ("warm-up", lambda r: with_warmup(r, (4, 1000, 5), 20, 0.9)),
    "from 20 sd out, 1 × 1,000 × 5": ("warm-up", lambda r: with_warmup(r, (1, 1000, 5), 20, 0.9)),
    "4 pieces of Metropolis, 1,000 × 3 each": (
        "pieces",
        lambda r: metropolis(r, (1, 4000, 3)).reshape(4, 1000, 3),
    ),
    "2 pieces of Metropolis, 2,000 × 3 each": (
        "pieces",
        lambda r: metropolis(r, (1, 4000, 3)).reshape(2, 2000, 3),
    ),
    "4 pieces, correlated (0.8), 1,000 × 10 each": (
        "pieces",
        lambda r: autoregressive(r, (1, 4000, 10), 0.8).reshape(4, 1000, 10),
    ),
    "stretch moves, 24 × 300 × 5": (
        "lines",
        lambda r: ensemble(r, (24, 300, 5), is_de=False, thin=1),
    ),
    "differences, 24 × 300 × 5": ("lines", lambda r: ensemble(r, (24, 300, 5), is_de=True, thin=1)),
    "differences, 24 × 600 × 5": (
        "lengths of steps",
        lambda r: ensemble(r, (24, 600, 5), is_de=True, thin=1),
    ),
    "stretch moves, every 5th, 24 × 300 × 5": (
        "lengths of steps",
        lambda r: ensemble(r, (24, 300, 5), is_de=False, thin=5),
    ),
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    print("| clean chains | " + " | ".join(RULES) + " |\n|" + "---|" * (1 + len(RULES)))
    totals = dict.fromkeys(RULES, 0)
    for name, make in CLEAN.items():
        alarms = dict.fromkeys(RULES, 0)
        for _ in range(asked.files):
            values = make(rng)
            for rule, sees in RULES.items():
                alarms[rule] += bool(sees(values))
        totals = {rule: totals[rule] + n for rule, n in alarms.items()}
        print(f"| {name} | " + " | ".join(map(str, alarms.values())) + " |", flush=True)
    n = asked.files * len(CLEAN)
    shares = " | ".join(f"{total / n:.2%}" for total in totals.values())
    print(f"| all {n:,} | {shares} |\n")
    print("| planted | rule | caught |\n|---|---|---|")
    for name, (rule, make) in PLANTED.items():
        caught = sum(bool(RULES[rule](make(rng))) for _ in range(asked.planted))
        print(f"| {name} | {rule} | {caught} of {asked.planted} |", flush=True)


if __name__ == "__main__":
    main()
