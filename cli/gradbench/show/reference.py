"""A long run's moments on the terminal, and whether they are kept."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gradbench.draws import FloatArray
from gradbench.references.findings import Confirmation, Findings
from gradbench.show.console import console, item, significant, table

MAX_ROWS = 40  # parameters; of more, those that differ most


def established(found: Findings, kept_in: Path | None, *, to: Console | None = None) -> None:
    """Print the moments, how far samplers are apart, and where they are kept, if they are."""
    to = to or console()
    apart = "samplers apart, s.e.\nmean, variance"
    _moments(found, found.apart, found.allowed, apart, to)
    if not found.unmet:
        samplers, largest = " and ".join(found.pools), found.apart.max()
        chance = f"where chance allows {found.allowed:.1f}"
        to.print(item(f"{samplers} agree: at most {largest:.1f} standard errors apart, {chance}"))
    _lines(found, to)
    _verdict(found.unmet, "nothing is kept", f"kept in {kept_in}", to)


def confirmed(found: Findings, confirmation: Confirmation, *, to: Console | None = None) -> None:
    """Print a fresh run's moments, how far it is off the reference, and the verdict."""
    to = to or console()
    head = "off the reference, s.e.\nmean, variance"
    _moments(found, confirmation.off, confirmation.allowed, head, to)
    _lines(found, to)
    _verdict(confirmation.unmet, "not confirmed", "the reference is confirmed", to)


def _moments(found: Findings, z: FloatArray, allowed: float, head: str, to: Console) -> None:
    whole = found.whole
    shown = table(("parameter",), ("mean", "±", "sd", "R-hat", "ESS", head))
    worst = z.max(axis=0)
    order = sorted(range(len(worst)), key=lambda i: -worst[i])[:MAX_ROWS]
    for i in sorted(order):
        is_fine = worst[i] <= allowed and whole.ess[i] >= found.demand.ess
        shown.add_row(
            found.parameters[i],
            _to_error(whole.mean[i], whole.mean_se[i]),
            significant(whole.mean_se[i]),
            significant(whole.sd[i]),
            f"{whole.rhat[i]:.4f}",
            significant(whole.ess[i]),
            f"{z[0, i]:.1f}, {z[1, i]:.1f}",
            style="" if is_fine else "yellow",
        )
    if len(worst) > MAX_ROWS:
        shown.caption = f"and {len(worst) - MAX_ROWS} more, which differ less"
        shown.caption_justify = "left"
    to.print(shown)
    to.print()


def _lines(found: Findings, to: Console) -> None:
    for sampler, pool in found.pools.items():
        share = f"{pool.n_divergences:,} of {pool.n_draws:,}".replace(",", " ")
        to.print(item(f"{sampler}: {pool.n_chains} chains, {share} transitions diverged"))


def _verdict(unmet: Sequence[str], bad: str, good: str, to: Console) -> None:
    for sentence in unmet:
        to.print(item(sentence))
    style = "bold red" if unmet else "bold green"
    to.print(Text(bad if unmet else good, style=style), soft_wrap=True)


def _to_error(value: float, error: float) -> str:
    """Return a number to the second digit of its error."""
    decimals = 1 - math.floor(math.log10(error)) if 0 < error < math.inf else 3
    return f"{value:.{max(0, decimals)}f}"
