"""``gradbench show``."""

from pathlib import Path

import click

from gradbench.cli.flags import ess_option
from gradbench.errors import StoreError
from gradbench.results import export, gradients, store
from gradbench.results.curves import curves as curves_of
from gradbench.results.summarize import summarize
from gradbench.results.times import with_times
from gradbench.show import results as table
from gradbench.show.curves import curves as shown_curves
from gradbench.show.gradients import gradients as shown_gradients
from gradbench.show.plot import plot as drawn


@click.command("show")
@click.argument("results", type=click.Path(path_type=Path, exists=True))
@ess_option
@click.option("--curves", is_flag=True, help="Show the error against the cost, not the table.")
@click.option("--plot", is_flag=True, help="Draw the costs with their intervals, without a table.")
def command(results: Path, ess: int, curves: bool, plot: bool) -> None:
    """Print the table of RESULTS again: a run's folder, finished or not, or a results.csv."""
    if curves and plot:
        raise click.UsageError("give --curves or --plot, not both")
    if results.is_file():
        if curves:
            raise StoreError(f"{results}: a table has no curves; give the folder of the run")
        summaries = with_times(export.from_csv(results), ess)
        drawn(summaries) if plot else table.results(summaries)
        return
    if (compared := gradients.load(results)) is not None:
        shown_gradients(compared)
        return
    stored = store.read(results)
    found = summarize(stored.results, stored.checks, gates=stored.benchmark.gates, ess_goal=ess)
    if curves:
        shown_curves(curves_of(stored.results, found))
        return
    if plot:
        drawn(found)
        return
    table.results(found, published=stored.benchmark.published)
