"""``gradbench report``."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import click

from gradbench.cli.flags import ess_option
from gradbench.errors import ReportError, StoreError
from gradbench.gate import baseline, forms
from gradbench.report import files, pictures, render, sources
from gradbench.report.page import Report, page
from gradbench.report.picture import ONE_COLUMN, TWO_COLUMNS
from gradbench.results.execute import Outcome

WIDTHS = {"1": ONE_COLUMN, "2": TWO_COLUMNS}


@click.command("report")
@click.argument("names", metavar="RESULTS...", nargs=-1, required=True)
@click.option(
    "--output",
    metavar="PATH",
    help="The page, or the folder of pictures; - is stdout.  [default: report.html or report]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", *get_args(render.Form)]),
    default="html",
    show_default=True,
    help="A page, or a file for each picture with its numbers as CSV beside it.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Only this picture: {', '.join(pictures.NAMES)}.",
)
@click.option(
    "--columns",
    type=click.Choice([*WIDTHS]),
    default="2",
    show_default=True,
    help="How wide a picture's file is: 89 mm, one column of a paper, or 183 mm, two.",
)
@click.option("--title", metavar="TEXT", help="What stands above the page.")
@ess_option
def command(
    names: Sequence[str],
    output: str | None,
    form: str,
    only: Sequence[str],
    columns: str,
    title: str | None,
    ess: int,
) -> None:
    """Make a page of RESULTS with tables and pictures, which needs no network and no server.

    RESULTS are runs' folders, results.csv files, or verdicts that compare, check and ab wrote with
    --format json. Several runs are side by side where labels agree, and the others are compared
    with the first, which may be baseline:NAME.
    """
    pictures.require(only)
    place = Path(output or ("report.html" if form == "html" else "report"))
    if form == "html" and output != "-":
        files.require_file(place)
    if form != "html" and output == "-":
        raise ReportError(f"--format {form} writes a folder with several files; name one")
    report = _read(names, title, only, ess)
    if form != "html":
        n = files.write_pictures(place, report, cast("render.Form", form), WIDTHS[columns])
        click.echo(f"pictures: {n} in {place}", err=True)
    elif output == "-":
        click.echo(page(report), nl=False)
    else:
        files.write_page(place, page(report))
        click.echo(f"report: {place}", err=True)


def _read(names: Sequence[str], title: str | None, only: Sequence[str], ess: int) -> Report:
    """Return what the page is made of, of results in any form.

    Raises:
        StoreError: some can't be read, or there is nothing to show but a baseline.
    """
    runs, judged, compared = [], [], []
    for name in names:
        if name.startswith(baseline.PREFIX):
            compared.append(name)
        elif name.endswith(".json") and Path(name).is_file():
            judged += forms.from_json(Path(name))
        else:
            runs.append(sources.read(Path(name), ess))
            compared.append(runs[-1].name)
    if not runs and not judged:
        raise StoreError(f"{', '.join(names)}: a baseline has no cells to show; name a run, too")
    verdicts = sources.compared(map(baseline.side, compared)) if len(compared) > 1 else []
    return Report(runs, [*verdicts, *judged], title, only)


def require_page(place: str | None) -> None:
    """Raise where the page that a run is to have can't be made, before anything is run.

    Raises:
        LibraryError: what draws its pictures isn't installed.
        ReportError: it can't be written there.
    """
    if place is not None:
        render.require()
        files.require_file(Path(place))


def tell_page(place: str | None, outcome: Outcome, ess_goal: int) -> None:
    """Write a run's page, if one is wanted and there is anything in it.

    Raises:
        ReportError: it can't be written.
    """
    if place is not None and outcome.found:
        files.write_page(Path(place), page(Report([sources.read(outcome.folder, ess_goal)])))
        click.echo(f"report: {place}", err=True)
