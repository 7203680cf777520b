"""``gradbench gradients``."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from gradbench import gradients, records
from gradbench import studies as claims
from gradbench.cli import finish_on_signals
from gradbench.cli.exports import exported
from gradbench.cli.flags import limits_of, results_option, source_options
from gradbench.config import loading
from gradbench.config.benchmark import Limits, ModelEntry
from gradbench.errors import ConfigError, GradbenchError, headline
from gradbench.measure.gradients import Comparison, compare, n_steps
from gradbench.measure.workers import Stopped, Workers
from gradbench.records import from_plain
from gradbench.results import gradients as kept
from gradbench.results.gradients import GradientRun
from gradbench.show import gradients as shown
from gradbench.show.progress import Display
from gradbench.studies import Finding


@click.command("gradients")
@click.argument("use", metavar="[MODEL]", required=False)
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Set a parameter.")
@source_options
@click.option("--sweep", metavar="KEY=A,B,...", help="Compare at each of these values.")
@click.option("--methods", metavar="A,B,...", help="Only these; all by default.")
@click.option(
    "--points", type=click.IntRange(1, 16), default=16, show_default=True, help="Compared at most."
)
@click.option("--timeout", default="5min", show_default=True, help="Of each method.")
@results_option("The comparison is kept here, in gradients-MODEL/TIME/.")
@click.option("--csv", metavar="FILE", help="Write a row for each method; - is stdout.")
@click.option("--json", metavar="FILE", help="Write all that was measured; - is stdout.")
@click.option("--optimize", is_flag=True, help="Compare ways to the mode as well.")
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
    optimize: bool,
    studies: bool,
    quiet: bool,
) -> int:
    """Compare ways to the gradient of MODEL's log-density: what each costs, how exact it is.

    MODEL is what check-model takes. Exit code 1 if a gradient is wrong or not finite, or the
    density itself is random or jumps; with --studies, if one can't be measured.
    """
    if (use is None) != studies:
        raise click.UsageError("give a MODEL to compare gradients of, or --studies")
    limits, names = limits_of("--timeout", timeout), _methods(methods)
    finish_on_signals()
    if use is None:
        return _studied(limits, is_quiet=quiet)
    entries = [
        loading.model(use, data=data, posteriordb=posteriordb, params=[*params, *point])
        for point in _points(sweep, params)
    ]
    with Workers(1, limits) as pool, Display(is_quiet=quiet) as display:
        display.planned(len(entries) * n_steps(names, is_optimized=optimize))
        ask = partial(
            compare,
            methods=names,
            n_points=points,
            timeout_s=limits.timeout_s,
            pool=pool,
            observer=display,
            is_optimized=optimize,
        )
        comparisons, ended = _compared(entries, ask)
        machine = pool.ask("machine") if comparisons else {}
    if comparisons:
        run = GradientRun(use, machine, comparisons)
        folder = kept.save(root, run)
        printed = exported((csv, lambda: kept.as_csv(run)), (json, lambda: records.to_json(run)))
        shown.gradients(run, to_stderr=bool(printed))
        click.echo(printed, nl=False)
        shown.folder(folder)
    if ended is not None:
        raise ended
    return int(run.is_failure)


def _compared(
    entries: Sequence[ModelEntry], ask: Callable[..., Comparison]
) -> tuple[list[Comparison], BaseException | None]:
    """Return the comparisons that were finished, or begun, and what ended them early, if so."""
    comparisons: list[Comparison] = []
    try:
        for entry in entries:
            comparisons.append(ask(entry.source(Path()), entry.params))
            if not comparisons[-1].is_complete:
                return comparisons, KeyboardInterrupt()
    except (KeyboardInterrupt, GradbenchError) as error:
        return comparisons, error
    return comparisons, None


def _studied(limits: Limits, *, is_quiet: bool) -> int:
    """Measure and print every study, each in a worker of its own; return the exit code."""
    n_failed = 0
    with Workers(1, limits) as pool, Display(is_quiet=is_quiet) as display:
        display.planned(len(claims.names()))
        for name in claims.names():
            display.doing(name)
            reason = claims.missing(name)
            findings: list[Finding] = []
            if reason is None:
                try:
                    told = pool.alone("study", name=name)
                    findings = [from_plain(Finding, each) for each in told]
                except Stopped as stopped:
                    reason, n_failed = headline(stopped.said), n_failed + 1
            shown.study(claims.load(name), findings, reason)
            display.finished()
    return int(n_failed > 0)


def _points(sweep: str | None, params: Sequence[str]) -> list[list[str]]:
    """Return the parameters at each point of a sweep, in words; one point where there is none.

    Raises:
        ConfigError: it isn't written as key=value,value, or --param has its key.
    """
    if sweep is None:
        return [[]]
    key, _, words = sweep.partition("=")
    values = [word.strip() for word in words.split(",")]
    if not (key and all(values)):
        raise ConfigError(f"--sweep {sweep}: write it as --sweep key=value,value,...")
    if key in {param.partition("=")[0] for param in params}:
        raise ConfigError(f"--sweep {key}: is set by --param too")
    return [[f"{key}={value}"] for value in values]


def _methods(words: str | None) -> list[str]:
    """Return the methods that are named, all of them where none is.

    Raises:
        MethodError: there is none of a name, or no name at all.
    """
    if words is None:
        return gradients.names()
    names = [word.strip() for word in words.split(",")]
    for name in names:
        gradients.load(name)
    return [*dict.fromkeys(names)]
