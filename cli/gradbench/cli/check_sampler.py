"""``gradbench check-sampler``."""

from collections.abc import Sequence

import click

from gradbench.config import loading
from gradbench.results.check_sampler import FULL, QUICK, check
from gradbench.show import contract as shown
from gradbench.show.progress import Display


@click.command("check-sampler")
@click.argument("use", metavar="SAMPLER")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Run it on this instead.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Set an option.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all seeds.")
@click.option("--quick", "is_quick", is_flag=True, help="Fewer replicates, for a first look.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    use: str,
    models: Sequence[str],
    options: Sequence[str],
    seed: int,
    is_quick: bool,
    quiet: bool,
) -> int:
    """Check SAMPLER: ./my_sampler.py, package:name or a shipped name.

    A line for each promise: the density it samples, what it counts, seeds, draws, phases, and
    whether means and second moments are right on four models that know them. Exit code 1 if a line
    fails.
    """
    with Display(is_quiet=quiet) as display:
        found = check(
            use,
            display,
            options=loading.values(options, "--option"),
            models=models,
            seed=seed,
            effort=QUICK if is_quick else FULL,
        )
    shown.contract(found)
    return int(not found.is_passed)
