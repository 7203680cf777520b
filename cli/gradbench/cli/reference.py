"""``gradbench reference``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from gradbench.cli import finish_on_signals
from gradbench.reference import kept_in
from gradbench.references import findings, long_run
from gradbench.references.long_run import CONFIRMING, ESTABLISHING, Order
from gradbench.show import reference as table
from gradbench.show.progress import Display


@click.command("reference")
@click.argument("model", metavar="MODEL")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Of the model.")
@click.option(
    "--samplers",
    default="",
    metavar="A,B",
    help="Two or more.  [default: gradient-based ones of two libraries]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="As for run: samplers.nutpie.target_accept=0.99.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=100),
    help="Of each chain.  [default: chosen from a first stretch]",
)
@click.option(
    "--max-draws",
    type=click.IntRange(min=1),
    default=long_run.MAX_DRAWS,
    show_default=True,
    help="Of each sampler, all chains together.",
)
@click.option(
    "--ess",
    type=click.IntRange(min=100),
    help="Demanded of every parameter."
    f"  [default: {ESTABLISHING.ess:.0f}; to check: {CONFIRMING.ess:.0f}]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 2), default=1, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to keep them.  [default: references/NAME.json beside the model]",
)
@click.option("--check", is_flag=True, help="Hold a fresh, shorter run against the reference.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    model: str,
    params: Sequence[str],
    samplers: str,
    settings: Sequence[str],
    draws: int | None,
    max_draws: int,
    ess: int | None,
    seed: int,
    output: Path | None,
    check: bool,
    quiet: bool,
) -> int:
    """Make reference moments of MODEL, a shipped one or a .py file, by a long run.

    Several samplers run until they agree in every mean and variance, and are worth enough
    effective draws. Where they don't, nothing is kept, and the exit code is 1.
    """
    finish_on_signals()
    demand = CONFIRMING if check else ESTABLISHING
    order = Order(
        model=model,
        params=params,
        samplers=[name.strip() for name in samplers.split(",") if name.strip()],
        settings=settings,
        draws=draws,
        max_draws=max_draws,
        seed=seed + check,  # a confirmation must not repeat the draws it confirms
        demand=demand if ess is None else replace(demand, ess=ess),
        confirms=check,
    )
    with Display(is_quiet=quiet) as display:
        found = long_run.run(order, display)
    if check:
        assert found.reference is not None
        confirmation = findings.confirm(found.findings, found.reference)
        table.confirmed(found.findings, confirmation)
        return int(bool(confirmation.unmet))
    place = output or kept_in(order.path)
    if not found.findings.unmet:
        long_run.keep(place, long_run.entry(order, found))
    table.established(found.findings, place)
    return int(bool(found.findings.unmet))
