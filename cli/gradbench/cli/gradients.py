"""``gradbench gradients``."""

from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from gradbench import gradients, records
from gradbench.cli import INTERRUPTED, finish_on_signals
from gradbench.cli.exports import exported
from gradbench.config import loading
from gradbench.config.benchmark import Limits
from gradbench.errors import ConfigError
from gradbench.measure.gradients import compare
from gradbench.measure.workers import Workers
from gradbench.results import gradients as kept
from gradbench.results.gradients import GradientRun
from gradbench.show import gradients as shown
from gradbench.show.progress import Display


@click.command("gradients")
@click.argument("use", metavar="[MODEL]", required=False)
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Set a parameter.")
@click.option("--data", metavar="FILE", help="A Stan program's data, as JSON.")
@click.option("--posteriordb", metavar="PATH", help="A copy of posteriordb.")
@click.option("--sweep", metavar="KEY=A,B,...", help="Compare at each of these values.")
@click.option("--methods", metavar="A,B,...", help="Only these; all by default.")
@click.option(
    "--points", type=click.IntRange(1, 16), default=16, show_default=True, help="Compared at most."
)
@click.option("--timeout", default="5min", show_default=True, help="Of each method.")
@click.option(
    "--results",
    "root",
    type=click.Path(path_type=Path),
    default="results",
    show_default=True,
    help="The comparison is kept here, in gradients-MODEL/TIME/.",
)
@click.option("--csv", metavar="FILE", help="Write a row for each method; - is stdout.")
@click.option("--json", metavar="FILE", help="Write all that was measured; - is stdout.")
@click.option("--studies", is_flag=True, help="Measure what texts claim instead; no MODEL.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    use: str | None,
    params: Sequence[str],
    data: str | None,
    posteriordb: str | None,
    sweep: str | None,
    methods: str | None,
    points: int,
    timeout: str,
    root: Path,
    csv: str | None,
    json: str | None,
    studies: bool,
    quiet: bool,
) -> int:
    """Compare ways to the gradient of MODEL's log-density: what each costs, how exact it is.

    MODEL is what check-model takes. Exit code 1 if a gradient is wrong or not finite, or the
    density itself is random or jumps.
    """
    if (use is None) != studies:
        raise click.UsageError("give a MODEL to compare gradients of, or --studies")
    finish_on_signals()
    if use is None:
        return shown.studies(is_quiet=quiet)
    entries = [
        loading.model(use, data=data, posteriordb=posteriordb, params=[*params, *point])
        for point in _points(sweep)
    ]
    names = _methods(methods)
    comparisons, is_interrupted = [], False
    with Workers(1, _limits(timeout)) as pool, Display(is_quiet=quiet) as display:
        display.planned(len(entries) * (len(names) + 1))
        try:
            machine = pool.ask("machine")
            for entry in entries:
                display.finished()
                comparisons.append(
                    compare(
                        entry.source(Path()),
                        entry.params,
                        names,
                        n_points=points,
                        pool=pool,
                        observer=display,
                    )
                )
        except KeyboardInterrupt:
            is_interrupted = True
    if not comparisons:
        return INTERRUPTED
    run = GradientRun(use, machine, comparisons)
    folder = kept.save(root, run)
    printed = exported((csv, lambda: kept.as_csv(run)), (json, lambda: records.to_json(run)))
    shown.gradients(run, folder, to_stderr=bool(printed))
    click.echo(printed, nl=False)
    return INTERRUPTED if is_interrupted else int(run.is_failure)


def _limits(timeout: str) -> Limits:
    """Return the limits of each method.

    Raises:
        ConfigError: the time isn't written as 90s or 10min.
    """
    try:
        return Limits.model_validate({"timeout": timeout})
    except ValidationError as error:
        raise ConfigError(f"--timeout {timeout}: must be a time such as 90s or 10min") from error


def _points(sweep: str | None) -> list[list[str]]:
    """Return the parameters at each point of a sweep, in words; one point where there is none.

    Raises:
        ConfigError: it isn't written as key=value,value.
    """
    if sweep is None:
        return [[]]
    key, equals, values = sweep.partition("=")
    if not (key and equals and values):
        raise ConfigError(f"--sweep {sweep}: write it as --sweep key=value,value,...")
    return [[f"{key}={value}"] for value in values.split(",")]


def _methods(words: str | None) -> list[str]:
    """Return the methods that are named, all of them where none is.

    Raises:
        MethodError: there is none of a name.
    """
    if words is None:
        return gradients.names()
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        gradients.load(name)
    return names
