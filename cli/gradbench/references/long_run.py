"""Reference moments by a long run: how much is run, and what is kept of it beside the model."""

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gradbench import models, samplers
from gradbench.config import loading, planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell
from gradbench.draws import FloatArray
from gradbench.errors import LongRunError, ModelError, SamplerError, StoreError
from gradbench.measure.result import CellResult, Measured, counted
from gradbench.measure.runner import Runner
from gradbench.references import findings
from gradbench.references.findings import Demand, Findings
from gradbench.results import pooled, store
from gradbench.results.execute import Display
from gradbench.results.pooled import Pooled
from gradbench.target.parameters import ReferenceMoments
from gradbench.target.quantities import scalars

SUITED: Mapping[str, Mapping[str, Any]] = {
    "nutpie": {"target_accept": 0.95},
    "numpyro_nuts": {"target_accept_prob": 0.95},
    "pymc_nuts": {"target_accept": 0.95},
    "blackjax_nuts": {"target_acceptance_rate": 0.95},
    "stan_nuts": {"delta": 0.95},
}  # each of another library, with steps smaller than its default's, so that few diverge
N_SAMPLERS = 2
CHAINS = 4  # of each run
TUNE = 2000
FIRST = 1000  # draws of each chain from which the length of the others is chosen
MARGIN = 1.2  # more draws than a first stretch's ESS asks for, itself uncertain by a tenth
ROUND = 500  # draws; lengths are multiples of it
MAX_DRAWS = 2_000_000  # of one sampler, all chains together
MAX_NUMBERS = 2 * 10**7  # held by one run, draws times parameters: about 1 GB with all copies
TIMEOUT = "6h"
ESTABLISHING = Demand()
CONFIRMING = Demand(rhat=1.01, ess=5_000, divergences=1e-3)  # tells 0.06 sd at four s.e.


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Attributes:
        model: a shipped model's name, or the path of a .py file.
        params: ``key=value`` each, of the model.
        samplers: names; none for the first two of ``SUITED`` that are installed.
        settings: ``key=value`` each, of the benchmark that is made, as ``run --set`` takes them.
        draws: of each chain; None to choose from a first stretch.
        max_draws: of each sampler at most, all chains together.
        seed: all others come from it.
        demand: what must be met.
        confirms: whether the model's own reference is what the run is held against.
    """

    model: str
    params: Sequence[str] = ()
    samplers: Sequence[str] = ()
    settings: Sequence[str] = ()
    draws: int | None = None
    max_draws: int = MAX_DRAWS
    seed: int = 1
    demand: Demand = ESTABLISHING
    confirms: bool = False

    @property
    def path(self) -> Path:
        """The model's file.

        Raises:
            ModelError: there is none.
        """
        return models.find(self.model, Path()).path

    @property
    def command(self) -> str:
        """The command that gives this order."""
        words = ["gradbench", "reference", self.model]
        words += [word for given in self.params for word in ("--param", given)]
        words += ["--samplers", ",".join(self.samplers)] if self.samplers else []
        words += [word for given in self.settings for word in ("--set", given)]
        words += [] if self.draws is None else ["--draws", str(self.draws)]
        for flag, value, usual in (
            ("--max-draws", self.max_draws, MAX_DRAWS),
            ("--ess", self.demand.ess, ESTABLISHING.ess),
        ):
            words += [] if value == usual else [flag, f"{value:.0f}"]
        return shlex.join([*words, "--seed", str(self.seed)])


@dataclass(frozen=True, slots=True)
class Established:
    """What a long run gave.

    Attributes:
        findings: its numbers, and which demands are not met.
        reference: what the model itself says of its moments, or None.
        params: all of the model's parameters, with defaults.
        shapes: of every parameter on the constrained space, by name.
        versions: of Python and of the packages in it.
    """

    findings: Findings
    reference: ReferenceMoments | None
    params: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    versions: Mapping[str, str]


def benchmark(order: Order) -> Benchmark:
    """Return the benchmark that is run, one replicate of a first stretch.

    Raises:
        ConfigError, ModelError, SamplerError: the order can't be carried out.
    """
    params = loading.model(order.model, params=order.params).params
    chosen = order.samplers or _installed()
    if len(set(chosen)) < N_SAMPLERS:
        raise SamplerError(
            f"a reference needs {N_SAMPLERS} samplers that agree, not {', '.join(chosen) or 'none'}"
        )
    for name in chosen:
        if "chains" not in samplers.load(name).options.model_fields:
            raise SamplerError(
                f"{name}: has no independent chains, so its R-hat would say nothing;"
                f" choose from {', '.join(SUITED)}"
            )
    stretch = {"chains": CHAINS, "tune": TUNE, "draws": FIRST}
    plain = {
        "name": "reference",
        "models": {order.path.stem: {"use": str(order.path), "params": params}},
        "samplers": {name: {"use": name, **stretch, **SUITED.get(name, {})} for name in chosen},
        "replicates": 1,
        "seed": order.seed,
        "limits": {"timeout": TIMEOUT},
    }
    document = yaml.safe_dump(plain, sort_keys=False)
    return loading.read(document, "reference", Path(), order.settings)


def run(order: Order, display: Display) -> Established:
    """Run until each sampler has its share of the effective draws, or may draw no more.

    A first stretch, thrown away, tells how many draws an effective one takes.

    Raises:
        ConfigError, ModelError, SamplerError: the order can't be carried out; there is no
            reference to confirm.
        LongRunError: a sampler gave nothing, or would need more draws than are allowed.
    """
    made = benchmark(order)
    first = planning.cells(made)
    params = models.resolved(order.path, first[0].params)
    with Runner(made, display) as runner:
        runner.preflight(first, must_suit="all")
        shapes, machine = runner.shapes(first[0]), runner.machine()
        lengths = {}
        for cell, measured in _measured(runner, first, display):
            if order.confirms and measured.reference is None:
                raise ModelError(
                    f"{order.path}: the model has no reference for these parameters: make it with"
                    f" {Order(order.model, order.params).command}, and let reference() return"
                    " stored(__file__, ...)"
                )
            lengths[cell.sampler] = length(cell.sampler, measured, order, len(first))
        runs = _counted(long_runs(runner, made, lengths, order, display))
    measured = next(iter(runs.values()))[0]
    return Established(
        findings=findings.pooled_findings(runs, order.demand),
        reference=measured.reference,
        params=params,
        shapes=shapes,
        versions={"python": machine["python"], **machine["versions"]},
    )


def _counted(runs: Mapping[str, Sequence[Measured]]) -> dict[str, list[Measured]]:
    """Return the runs with only those parameters that count in all of them."""
    every = iter(counted([run for of_one in runs.values() for run in of_one]))
    return {sampler: list(islice(every, len(of_one))) for sampler, of_one in runs.items()}


def long_runs(
    runner: Runner,
    made: Benchmark,
    lengths: Mapping[str, tuple[int, int]],
    order: Order,
    display: Display,
) -> dict[str, list[Measured]]:
    """Return each sampler's runs: as many as planned, and more while their ESS falls short.

    Args:
        runner: runs them.
        made: the benchmark, its ``replicates`` not used.
        lengths: by sampler, the draws of each chain, and how many runs are planned.
        order: says how many draws are allowed, and what ESS is demanded.
        display: is told what is under way.

    Raises:
        LongRunError: a run gave nothing.
    """
    share = order.demand.ess / len(lengths)
    wanted = {sampler: n for sampler, (_, n) in lengths.items()}
    runs: dict[str, list[Measured]] = {sampler: [] for sampler in lengths}
    while any(len(runs[sampler]) < n for sampler, n in wanted.items()):
        every = planning.cells(made.model_copy(update={"replicates": max(wanted.values())}))
        todo = [
            replace(cell, options={**cell.options, "draws": lengths[cell.sampler][0]})
            for cell in every
            if len(runs[cell.sampler]) <= cell.replicate < wanted[cell.sampler]
        ]
        for cell, measured in _measured(runner, todo, display):
            runs[cell.sampler].append(measured)
        for sampler, done in runs.items():
            ess = float(np.min(pooled.of_sampler(counted(done)).ess))
            most = max(len(done), order.max_draws // (done[0].n_chains * done[0].n_draws))
            if ess < share:
                wanted[sampler] = min(most, math.ceil(MARGIN * len(done) * share / max(1.0, ess)))
    return runs


def _measured(
    runner: Runner, cells: Sequence[Cell], display: Display
) -> Iterator[tuple[Cell, Measured]]:
    """Yield what each cell gave, of what counts.

    Raises:
        LongRunError: one gave nothing.
    """
    display.planned(len(cells))
    for found in runner.run(cells):
        if not isinstance(found, CellResult):
            continue
        if found.measured is None or found.status in {"frozen", "nonfinite", "approximate"}:
            advice = "; give fewer --draws" if found.status == "out_of_memory" else ""
            reason = found.reason or "its draws are not the posterior's"
            raise LongRunError(f"{found.cell.sampler}: {found.status}: {reason}{advice}")
        display.finished()
        (measured,) = counted([found.measured])
        if not measured.parameters:
            raise LongRunError(f"{found.cell.sampler}: {found.reason}")
        yield found.cell, measured


def length(sampler: str, first: Measured, order: Order, n_samplers: int) -> tuple[int, int]:
    """Return how many draws each chain takes, and how many runs, two at least.

    Args:
        sampler: its name.
        first: its first stretch.
        order: says what ESS is demanded, and how many draws are allowed.
        n_samplers: that share the ESS.

    Raises:
        LongRunError: more draws would be needed than are allowed.
    """
    found = pooled.of_sampler([first])
    worst = int(np.argmin(found.ess))
    share = order.demand.ess / n_samplers
    total = math.ceil(MARGIN * share * found.n_draws / max(1.0, found.ess[worst]))
    if total > order.max_draws:
        raise LongRunError(
            f"{sampler}: {found.n_draws:,} draws are worth {found.ess[worst]:.0f} of"
            f" {first.parameters[worst]}, so {total:,} would be needed where {order.max_draws:,}"
            " are allowed: allow more (--max-draws), or write the model with another"
            " parameterization"
        )
    most = MAX_NUMBERS // (first.n_chains * len(first.parameters))
    even = ROUND * math.ceil(total / (2 * first.n_chains) / ROUND)
    draws = order.draws or max(ROUND, min(even, most // ROUND * ROUND))
    return draws, max(2, math.ceil(total / (first.n_chains * draws)))


def _installed() -> list[str]:
    """Return the first suited samplers that are installed.

    Raises:
        SamplerError: there are too few.
    """
    lacking = {name: remedy for name in SUITED if (remedy := samplers.remedy(name))}
    found = [name for name in SUITED if name not in lacking]
    if len(found) < N_SAMPLERS:
        raise SamplerError(
            f"a reference needs {N_SAMPLERS} samplers that agree, and only {', '.join(found)} is"
            f" installed: {'; '.join(dict.fromkeys(lacking.values()))}"
        )
    return found[:N_SAMPLERS]


# -- what is kept ----------------------------------------------------------------------------


def entry(order: Order, found: Established) -> dict[str, Any]:
    """Return what is kept of a long run: plain data, the numbers as exact as their errors."""
    whole = found.findings.whole
    return {
        "params": dict(found.params),
        "source": _source(found.findings.pools),
        "made": datetime.now(UTC).date().isoformat(),
        "command": replace(order, samplers=list(found.findings.pools)).command,
        "versions": _versions(found),
        "rhat": round(float(whole.rhat.max()), 5),
        "ess": int(whole.ess.min()),
        "divergences": whole.n_divergences,
        "moments": moments(found.findings, found.shapes),
    }


def moments(findings: Findings, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, Any]]:
    """Return the moments by parameter and kind: numbers, or nested lists of them.

    What never varies has no moments: None in a list, and a parameter that never does is left out.
    """
    whole = findings.whole
    sd_se = whole.variance_se / (2 * whole.sd)
    columns = {
        "mean": [_rounded(*pair) for pair in zip(whole.mean, whole.mean_se, strict=True)],
        "sd": [_rounded(*pair) for pair in zip(whole.sd, sd_se, strict=True)],
        "square_sd": _significant(whole.square_sd, 4),
        "mean_se": _significant(whole.mean_se, 3),
        "variance_se": _significant(whole.variance_se, 3),
    }
    at = {parameter: i for i, parameter in enumerate(findings.parameters)}
    kept = {}
    for name, shape in shapes.items():
        places = [at.get(scalar) for scalar in scalars(name, shape)]
        if any(place is not None for place in places):
            kept[name] = {
                kind: _nested([None if i is None else column[i] for i in places], shape)
                for kind, column in columns.items()
            }
    return kept


def keep(path: Path, kept: Mapping[str, Any]) -> None:
    """Write an entry into a file of references, in place of one with the same parameters.

    Raises:
        StoreError: the file that is there is not one of references.
        SaveError: it can't be written; it is as it was.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        at = [one["params"] for one in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a list of references: {error}; move it away") from error
    wanted = json.loads(json.dumps(kept["params"]))  # a tuple is a list there
    if wanted in at:
        entries[at.index(wanted)] = kept
    else:
        entries.append(kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write(path, text(entries) + "\n")


def text(plain: Any, indent: str = "") -> str:
    """Return plain data as JSON that reads well in a diff: a line for each array of numbers."""
    inner = indent + "  "
    if isinstance(plain, dict) and any(isinstance(value, dict | list) for value in plain.values()):
        lines = [f"{json.dumps(key)}: {text(value, inner)}" for key, value in plain.items()]
    elif isinstance(plain, list) and any(isinstance(value, dict | list) for value in plain):
        lines = [text(value, inner) for value in plain]
    else:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    opening, closing = "{}" if isinstance(plain, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}{closing}"


def _source(pools: Mapping[str, Pooled]) -> str:
    return " and ".join(
        f"{sampler}, {found.n_chains} chains of {found.n_draws // found.n_chains:,} draws"
        for sampler, found in pools.items()
    )


def _versions(found: Established) -> dict[str, str]:
    """Return the versions of what made the draws."""
    libraries = {lib for name in found.findings.pools for lib in samplers.load(name).libraries}
    makers = {"python", "gradbench", "numpy", "pymc", "pytensor", *libraries}
    return {name: version for name, version in found.versions.items() if name in makers}


def _rounded(value: float, error: float) -> float:
    """Return a number to a hundredth of its error's first digit: rounding adds nothing to it."""
    return round(float(value), 2 - math.floor(math.log10(error)))


def _significant(values: FloatArray, n_digits: int) -> list[float]:
    return [float(f"{value:.{n_digits}g}") for value in values]


def _nested(values: list[Any], shape: tuple[int, ...]) -> Any:
    """Return a flat list as nested ones of a shape, and as its only element for none."""
    if not shape:
        return values[0]
    size = len(values) // shape[0] if shape[0] else 0
    return [_nested(values[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]
