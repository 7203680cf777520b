"""``gradbench run``."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import click

from gradbench.cli import INTERRUPTED, finish_on_signals
from gradbench.cli.clusters import cluster_options, maker
from gradbench.cli.exports import of_results, require_parquet, tell_parquet
from gradbench.cli.flags import ess_option, parquet_option, results_option
from gradbench.cli.report import require_page, tell_page
from gradbench.cluster.connection import Cluster
from gradbench.config import loading, planning
from gradbench.errors import ConfigError, did_you_mean
from gradbench.measure.result import UNFINISHED, Status
from gradbench.results import execute, store
from gradbench.results.summary import is_failure
from gradbench.show.plan import plan
from gradbench.show.progress import Display
from gradbench.show.results import outcome as show_outcome


@click.command("run")
@click.argument("source", metavar="CONFIG", required=False)
@click.option("--models", metavar="A,B,...", help="Instead of CONFIG: these models, ...")
@click.option("--samplers", metavar="A,B,...", help="... and these samplers, at their defaults.")
@click.option("--posteriordb", metavar="PATH", help="A copy of posteriordb, for --models.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--only", multiple=True, metavar="LABEL", help="Run only this model or sampler.")
@click.option("--dry-run", is_flag=True, help="Print the cells; run nothing.")
@click.option("--resume", type=click.Path(path_type=Path), help="Finish the run in this folder.")
@click.option(
    "--retry",
    multiple=True,
    metavar="STATUS,...",
    help="With --resume: run cells of these statuses again, such as crashed,timeout,failed.",
)
@results_option("The run is kept here, in NAME/TIME/.")
@click.option("--csv", metavar="FILE", help="Write results.csv there too; - is stdout.")
@click.option("--json", metavar="FILE", help="Write the results as JSON; - is stdout.")
@parquet_option
@click.option("--report", metavar="FILE", help="Make a page of the results there, with pictures.")
@click.option("--save-draws", is_flag=True, help="Keep every cell's draws as netCDF.")
@click.option("--skip-missing", is_flag=True, help="Leave out samplers that aren't installed.")
@ess_option
@cluster_options
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    source: str | None,
    models: str | None,
    samplers: str | None,
    posteriordb: str | None,
    overrides: Sequence[str],
    only: Sequence[str],
    dry_run: bool,
    resume: Path | None,
    retry: Sequence[str],
    root: Path,
    csv: str | None,
    json: str | None,
    parquet: Path | None,
    report: str | None,
    save_draws: bool,
    skip_missing: bool,
    ess: int,
    cluster: Cluster | None,
    quiet: bool,
) -> int:
    """Run CONFIG, a file or the name of a shipped one, and print what an ESS costs.

    Models and samplers are named as ``use`` of a config names them: --models posteriordb:*
    --samplers nutpie,emcee runs both on each posterior.
    """
    named = models is not None or samplers is not None
    if (source is not None) + (resume is not None) + named != 1:
        raise click.UsageError(
            "give a CONFIG to run, --models and --samplers, or --resume RESULTS to finish a run"
        )
    if named and (models is None or samplers is None):
        raise click.UsageError("--models needs --samplers, and they need --models")
    if posteriordb is not None and not named:
        raise click.UsageError("--posteriordb is for --models; a config has posteriordb: PATH")
    if resume is not None and (overrides or only or dry_run or skip_missing):
        raise click.UsageError("--resume takes the config of the run it finishes")
    if retry and resume is None:
        raise click.UsageError("--retry needs the run whose cells it runs again: --resume RESULTS")
    again = _statuses(retry)
    require_page(report)
    require_parquet(parquet)
    finish_on_signals()
    if resume is not None:
        benchmark = store.outline(resume).benchmark
        with Display(is_quiet=quiet) as display:
            outcome = execute.resume(
                resume,
                display,
                save_draws=save_draws,
                retry=again,
                ess_goal=ess,
                make=maker(cluster),
            )
    else:
        whole = (
            loading.load(source, overrides)
            if source is not None
            else loading.of_names(str(models), str(samplers), overrides, copy=posteriordb)
        )
        benchmark = loading.only(whole, only)
        if skip_missing:
            benchmark, remedies = loading.installed(benchmark)
            for label, remedy in remedies.items():
                click.echo(f"left out, not installed: {label}: {remedy}", err=True)
        if dry_run:
            return plan(planning.cells(benchmark))
        with Display(is_quiet=quiet) as display:
            outcome = execute.start(
                benchmark,
                root,
                display,
                save_draws=save_draws,
                ess_goal=ess,
                make=maker(cluster),
            )
    printed = of_results(outcome.found, csv, json)
    tell_parquet(parquet, outcome.found)
    show_outcome(outcome, benchmark, to_stderr=bool(printed))
    click.echo(printed, nl=False)
    tell_page(report, outcome, ess)
    if outcome.is_interrupted and not outcome.lost:
        return INTERRUPTED
    return int(outcome.is_interrupted or is_failure(outcome.found))


def _statuses(words: Sequence[str]) -> frozenset[Status]:
    """Return the statuses named, of cells that can be run again.

    Raises:
        ConfigError: a word is no status, or that of a cell that was measured.
    """
    known, again = get_args(Status), sorted(UNFINISHED | {"unsuited"})
    named = [status.strip() for word in words for status in word.split(",")]
    for status in named:
        if status not in known:
            hint = did_you_mean(status, again)
            raise ConfigError(f"--retry {status}: no such status{hint} (one of {', '.join(again)})")
        if status not in again:
            raise ConfigError(
                f"--retry {status}: a cell that was measured is kept, as the same seed gives the"
                f" same draws (one of {', '.join(again)})"
            )
    return frozenset(cast("list[Status]", named))
