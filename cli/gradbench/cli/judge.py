"""``gradbench judge``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from gradbench.cli.exports import of_results
from gradbench.cli.flags import source_options
from gradbench.elsewhere import into as beside
from gradbench.elsewhere.asked import Asked, Model, model_of
from gradbench.elsewhere.judge import judge
from gradbench.errors import ConfigError
from gradbench.results import store
from gradbench.results.summarize import summarize
from gradbench.results.summary import is_failure
from gradbench.show import results as table
from gradbench.show.console import console

SECONDS = click.FloatRange(min=0)
COUNT = click.IntRange(min=0)


@click.command("judge")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILES...", type=click.Path(path_type=Path)
)
@click.option("--model", "use", metavar="MODEL", help="What they are draws of, as in a config.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Set its parameter.")
@source_options
@click.option(
    "--parameters",
    multiple=True,
    metavar="NAME",
    help="What counts: names, with * and ?; ~NAME is left out.",
)
@click.option("--names", metavar="NAME,...", help="Name the columns of files that have no names.")
@click.option("--walkers", is_flag=True, help="A file's chains are walkers of one ensemble.")
@click.option("--compile-s", type=SECONDS, help="Seconds of compiling.")
@click.option("--warmup-s", type=SECONDS, help="Seconds of warm-up, of all chains.")
@click.option("--sampling-s", type=SECONDS, help="Seconds of sampling, of all chains.")
@click.option("--evaluations", type=COUNT, help="Log-density evaluations, warm-up included.")
@click.option("--gradients", type=COUNT, help="Gradient evaluations, warm-up included.")
@click.option("--reference-only", is_flag=True, help="No chain: only errors of known moments.")
@click.option("--label", metavar="NAME", help="What the row is called; the file's name if not.")
@click.option("--csv", metavar="FILE", help="Write the results as CSV; - is stdout.")
@click.option("--json", metavar="FILE", help="Write the results as JSON; - is stdout.")
@click.option(
    "--into",
    metavar="RESULTS",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Add a row to this run, whose model it is.",
)
def command(
    files: Sequence[Path],
    use: str | None,
    params: Sequence[str],
    data: str | None,
    posteriordb: str | None,
    parameters: Sequence[str],
    names: str | None,
    walkers: bool,
    compile_s: float | None,
    warmup_s: float | None,
    sampling_s: float | None,
    evaluations: int | None,
    gradients: int | None,
    reference_only: bool,
    label: str | None,
    csv: str | None,
    json: str | None,
    into: Path | None,
) -> int:
    """Judge the chains in FILES, made by any library in any language, as run judges its own.

    ArviZ netCDF and zarr, CmdStan CSV, emcee's HDF5, CSV or Parquet with a row for each draw, NumPy
    arrays, and gradbench's own saved draws. Several files are several chains.
    """
    if use is None and (params or data or posteriordb):
        raise ConfigError("--param, --data and --posteriordb are of a --model: name it")
    asked = Asked(
        label=label,
        parameters=tuple(parameters),
        names=names,
        are_walkers=walkers,
        is_reference_only=reference_only,
        compile_s=compile_s,
        warmup_s=warmup_s,
        sampling_s=sampling_s,
        n_logp=evaluations,
        n_grad=gradients,
    )
    if into is None:
        model = None if use is None else _model(use, params, data, posteriordb)
        results = judge(files, replace(asked, model=model))
        found = summarize(results, gates=asked.gates)
    else:
        stored = store.read(into)
        labels = {result.cell.model for result in stored.results}
        if use is None or use in labels:
            cell = beside.cell_of(stored, into, use)
        else:
            cell = beside.cell_of(stored, into, _model(use, params, data, posteriordb))
        within = replace(
            asked,
            model=beside.model_of(cell),
            parameters=asked.parameters or cell.parameters,
            gates=stored.benchmark.gates,
        )
        found = beside.add(into, judge(files, within), cell.model)
    printed = of_results(found, csv, json)
    table.results(found, to=console(sys.stderr) if printed else None)
    click.echo(printed, nl=False)
    return int(is_failure(found))


def _model(use: str, params: Sequence[str], data: str | None, posteriordb: str | None) -> Model:
    return model_of(use, params=params, data=data, database=posteriordb)
