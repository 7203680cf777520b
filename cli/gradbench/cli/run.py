"""``gradbench run``."""

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from gradbench import config, execute, export, grid, report, store
from gradbench.cli import INTERRUPTED
from gradbench.show.plan import plan
from gradbench.show.progress import Display
from gradbench.show.results import outcome as show_outcome


@click.command("run")
@click.argument("source", metavar="CONFIG", required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@click.option("--only", multiple=True, metavar="LABEL", help="Run only this model or sampler.")
@click.option("--dry-run", is_flag=True, help="Print the cells; run nothing.")
@click.option("--resume", type=click.Path(path_type=Path), help="Finish the run in this folder.")
@click.option(
    "--results",
    "root",
    type=click.Path(path_type=Path),
    default="results",
    show_default=True,
    help="The run is kept here, in NAME/TIME/.",
)
@click.option("--csv", metavar="FILE", help="Write results.csv there too; - is stdout.")
@click.option("--json", metavar="FILE", help="Write the results as JSON; - is stdout.")
@click.option("--save-draws", is_flag=True, help="Keep every cell's draws as netCDF.")
@click.option("--skip-missing", is_flag=True, help="Leave out samplers that aren't installed.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    source: str | None,
    overrides: Sequence[str],
    only: Sequence[str],
    dry_run: bool,
    resume: Path | None,
    root: Path,
    csv: str | None,
    json: str | None,
    save_draws: bool,
    skip_missing: bool,
    quiet: bool,
) -> int:
    """Run CONFIG, a file or the name of a shipped one, and print what an ESS costs."""
    if (source is None) == (resume is None):
        raise click.UsageError("give a CONFIG to run, or --resume RESULTS to finish a run")
    if resume is not None and (overrides or only or dry_run or skip_missing):
        raise click.UsageError("--resume takes the config of the run it finishes")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if resume is not None:
        benchmark = store.read(resume).benchmark
        with Display(is_quiet=quiet) as display:
            outcome = execute.resume(resume, display, save_draws=save_draws)
    else:
        path = config.find(str(source))
        benchmark = config.only(config.load(str(source), overrides), only)
        if skip_missing:
            benchmark, remedies = config.installed(benchmark)
            for label, remedy in remedies.items():
                click.echo(f"left out, not installed: {label}: {remedy}", err=True)
        if dry_run:
            return plan(grid.cells(benchmark))
        with Display(is_quiet=quiet) as display:
            outcome = execute.start(benchmark, path.parent, root, display, save_draws=save_draws)
    show_outcome(outcome, benchmark, to_stderr="-" in (csv, json))
    for target, text in ((csv, export.to_csv), (json, export.to_json)):
        if target == "-":
            click.echo(text(outcome.found), nl=False)
        elif target:
            store.write(Path(target), text(outcome.found))
    if outcome.is_interrupted:
        return INTERRUPTED
    return int(report.is_failure(outcome.found))
