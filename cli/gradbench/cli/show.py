"""``gradbench show``."""

from collections.abc import Sequence
from pathlib import Path

import click

from gradbench.cli.exports import require_parquet, tell_parquet
from gradbench.cli.flags import ess_option, parquet_option
from gradbench.errors import StoreError
from gradbench.results import export, gradients, store, tables
from gradbench.results.curves import curves as curves_of
from gradbench.results.summary import only as named
from gradbench.results.times import with_times
from gradbench.show import results as table
from gradbench.show.curves import curves as shown_curves
from gradbench.show.gradients import gradients as shown_gradients
from gradbench.show.plot import plot as shown_costs


@click.command("show")
@click.argument("results", type=click.Path(path_type=Path, exists=True))
@ess_option
@click.option("--only", multiple=True, metavar="LABEL", help="Show only this model or sampler.")
@click.option("--curves", is_flag=True, help="Show the error against the cost, not the table.")
@click.option("--plot", is_flag=True, help="Draw the costs with their intervals, without a table.")
@parquet_option
def command(
    results: Path, ess: int, only: Sequence[str], curves: bool, plot: bool, parquet: Path | None
) -> None:
    """Print the table of RESULTS again: a run's folder, finished or not, or a results.csv."""
    if curves and plot:
        raise click.UsageError("give --curves or --plot, not both")
    require_parquet(parquet)
    if results.is_file():
        if curves:
            raise StoreError(f"{results}: a table has no curves; give the folder of the run")
        summaries = named(with_times(export.from_csv(results), ess), only)
        tell_parquet(parquet, summaries)
        shown_costs(summaries) if plot else table.results(summaries)
        return
    if (compared := gradients.load(results)) is not None:
        if parquet is not None:
            raise StoreError(f"{results}: compares gradients, not samplers: it has no results.csv")
        shown_gradients(compared)
        return
    run = store.outline(results)
    every = tables.summaries(run, ess)
    found = named(every, only)
    tell_parquet(parquet, found)
    if curves:
        cells = [cell for model in run.cells for cell in run.results(model)]
        wanted = {(summary.model, summary.sampler) for summary in found}
        drawn = curves_of(cells, every)
        shown_curves([curve for curve in drawn if (curve.model, curve.sampler) in wanted])
        return
    if plot:
        shown_costs(found)
        return
    table.results(found, published=run.benchmark.published)
