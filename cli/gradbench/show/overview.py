"""A run of many models in one table: how each sampler did on all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.text import Text

from gradbench.results.rows import Row
from gradbench.show.console import item, significant, table

MAX_STATUSES = 3  # that are named of a sampler


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sampler did on the models of a run.

    Attributes:
        sampler: its label.
        n_priced: models on which it has a price.
        n_cheapest: of those, on which nobody else's is lower.
        times: its price over the lowest one, the median over those models; NaN without any.
        others: the statuses of the models on which it has none, the commonest first.
    """

    sampler: str
    n_priced: int
    n_cheapest: int
    times: float
    others: Sequence[tuple[str, int]]


def overview(found: Sequence[Row], to: Console) -> None:
    """Print how each sampler did, who is the cheapest on most models first."""
    n_models = len({row.model for row in found})
    shown = table(["sampler"], ["priced on", "cheapest on", "times the\ncheapest"])
    shown.add_column("without a price", vertical="bottom", overflow="fold")
    for one in standings(found):
        others = ", ".join(f"{status} {n}" for status, n in one.others[:MAX_STATUSES])
        shown.add_row(
            one.sampler, str(one.n_priced), str(one.n_cheapest), significant(one.times), others
        )
    to.print()
    to.print(Text(f"{n_models} models", style="bold"))
    to.print(shown)
    to.print()
    to.print(
        item(
            "the price is milliseconds per effective sample; times the cheapest: the median over"
            " the models on which a sampler has a price"
        )
    )
    to.print(item("one model's table: gradbench show RESULTS --only MODEL; all: results.csv"))


def standings(found: Sequence[Row]) -> list[Standing]:
    """Return how each sampler did, who is the cheapest on most models first."""
    lowest: dict[str, float] = {}
    prices: dict[str, dict[str, float]] = {}
    others: dict[str, Counter[str]] = {}
    for row in found:
        of_sampler = prices.setdefault(row.sampler, {})
        counted = others.setdefault(row.sampler, Counter())
        if row.ms_per_ess is None or row.is_elsewhere:
            counted[row.status] += 1
            continue
        price = of_sampler[row.model] = row.ms_per_ess.estimate
        lowest[row.model] = min(price, lowest.get(row.model, price))
    made = [
        Standing(
            sampler=sampler,
            n_priced=len(of_one),
            n_cheapest=sum(price == lowest[model] for model, price in of_one.items()),
            times=_median([price / lowest[model] for model, price in of_one.items()]),
            others=others[sampler].most_common(),
        )
        for sampler, of_one in prices.items()
    ]
    return sorted(made, key=lambda one: (-one.n_cheapest, -one.n_priced, one.times))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
