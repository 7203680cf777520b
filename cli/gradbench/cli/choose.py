"""``gradbench choose``."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from gradbench import records, samplers
from gradbench.choose.choose import Chooser
from gradbench.choose.entrants import entered, planned, under_one_label
from gradbench.choose.race import Field, Found
from gradbench.cli import INTERRUPTED, finish_on_signals
from gradbench.cli.exports import exported
from gradbench.cli.flags import ess_option, limits_of, results_option, source_options
from gradbench.config import loading, planning
from gradbench.errors import SamplerError
from gradbench.measure import machine, runner
from gradbench.measure.check_model import Examination
from gradbench.measure.density_check import DensityCheck
from gradbench.measure.result import CellResult
from gradbench.measure.runner import Runner
from gradbench.results import execute, store
from gradbench.results.store import RunFolder
from gradbench.show import choice as shown
from gradbench.show.progress import Display

# One of each kind that most models have, so that there is an answer soon.
FIRST = ("nutpie", "pymc_nuts", "emcee", "numpyro_nuts")
# Those that can't be cut short, then those that ask for tuning on each problem, then
# approximations, which have no price.
LAST = (
    "pymc_smc",
    "dynesty",
    "pymc_hmc",
    "blackjax_chees",
    "blackjax_mclmc",
    "blackjax_pathfinder",
    "pymc_advi",
    "stan_advi",
)


@click.command("choose")
@click.argument("use", metavar="MODEL")
@click.option("--budget", default="5min", show_default=True, help="Wall time for all of it.")
@ess_option
@click.option(
    "--samplers", "names", metavar="A,B,...", help="Only these; by default all that suit."
)
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Set a parameter.")
@source_options
@results_option("All runs are kept here, in choose-MODEL/TIME/.")
@click.option("--json", metavar="FILE", help="Write the choice as JSON; - is stdout.")
@click.option("--save-draws", is_flag=True, help="Keep every run's draws as netCDF.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    use: str,
    budget: str,
    ess: int,
    names: str | None,
    params: Sequence[str],
    data: str | None,
    posteriordb: str | None,
    root: Path,
    json: str | None,
    save_draws: bool,
    quiet: bool,
) -> int:
    """Choose a sampler for MODEL: a shipped name, ./my_model.py, ./model.stan or posteriordb:NAME.

    Races all samplers that suit it in rounds of longer and longer runs, drops who is proven slower,
    asks whether those left agree, and confirms the winner on fresh replicates. Exit code 0 with a
    recommendation, 1 without.
    """
    started = time.monotonic()
    limits = limits_of("--budget", budget)
    entry = loading.model(use, data=data, posteriordb=posteriordb, params=params)
    finish_on_signals()
    with Display(is_quiet=quiet) as display:
        display.doing("looking at the model")
        found = runner.examine(entry.source(Path()), entry.params, limits)
    shown.model(use, found, to_stderr=json == "-")
    uses = _uses(names, found)
    if not uses:
        shown.nobody(found)
        return 1
    benchmark = planned(Path(use.rpartition(":")[2]).stem, entry, uses, found, limits)
    entrants = entered(benchmark)
    firsts = [under_one_label(entrant.cells[0], entrant.sampler) for entrant in entrants]
    with Display(is_quiet=quiet) as display, Runner(benchmark, display) as running:
        running.until = started + limits.timeout_s
        running.preflight(firsts, must_suit="any")
        models = execute.fingerprints(firsts)
        about = {"machine": machine.describe(), "models": models, "is_race": True}
        folder = store.create(root, benchmark, about)
        keeper = _Keeper(folder)
        with store.locked(folder):
            field = Field(running, entrants, ess, keeper.keep, folder.draws if save_draws else None)
            chosen = Chooser(
                field, budget_s=limits.timeout_s, gates=benchmark.gates, started=started
            ).run()
            execute.tabulate(folder, ess)
    printed = exported((json, lambda: records.to_json(chosen)))
    shown.choice(chosen, benchmark, to_stderr=bool(printed))
    shown.folder(folder.path)
    click.echo(printed, nl=False)
    if chosen.is_interrupted:
        return INTERRUPTED
    return int(chosen.winner is None)


class _Keeper:
    """Writes what was found; the density checks of one model are one."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._check: DensityCheck | None = None

    def keep(self, found: Found) -> None:
        if isinstance(found, DensityCheck):
            found = found if self._check is None else self._check.joined(found)
            self._check = found
        execute.keep(found, self._folder, execute.Silent())
        if isinstance(found, CellResult):
            plain, _ = planning.split(found.cell.sampler)
            drawn = self._folder.path / "draws" / f"{under_one_label(found.cell, plain).id}.nc"
            if drawn.exists():
                drawn.replace(drawn.with_name(f"{found.cell.id}.nc"))


def _uses(names: str | None, found: Examination) -> list[str]:
    """Return the samplers that take part: those named, or all that are installed and suit.

    Raises:
        SamplerError: one that was named isn't there, or doesn't suit the model.
    """
    if names is None:
        suited = [name for name, reason in found.unsuited.items() if reason is None]
        middle = [name for name in suited if name not in {*FIRST, *LAST}]
        return [name for name in (*FIRST, *middle, *LAST) if name in suited]
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name in found.missing:
            raise SamplerError(f"--samplers {name}: not installed: {found.missing[name]}")
        if reason := found.unsuited.get(name):
            raise SamplerError(f"--samplers {name}: does not suit this model: {reason}")
        samplers.find(name, Path())
    return asked
