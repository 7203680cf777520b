"""Round numbers along an axis."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

REACH = 10.0  # times beyond all estimates
PADDING = 0.06  # of the axis, on either side of what is drawn


def log_domain(values: Iterable[float | None], *, least: float = 1.5) -> tuple[float, float]:
    """Return bounds around positive values, with some room; of none (0.1, 10).

    Args:
        values: what is drawn; None, zero and what isn't finite are left aside.
        least: how many times the lower bound the upper one is at least.
    """
    known = [math.log(v) for v in values if v is not None and v > 0 and math.isfinite(v)]
    if not known:
        return 0.1, 10.0
    low, high = min(known), max(known)
    room = max(PADDING * (high - low), (math.log(least) - (high - low)) / 2)
    return math.exp(low - room), math.exp(high + room)


def reaching(estimates: Sequence[float], bounds: Iterable[float]) -> list[float]:
    """Return what an axis is to hold: estimates, and bounds of intervals as far as ``REACH``.

    An interval of two replicates may go on for many powers of ten, and would leave no room for
    anything else: it is cut off.
    """
    if not estimates:
        return [*bounds]
    low, high = min(estimates) / REACH, max(estimates) * REACH
    return [*estimates, *(min(max(bound, low), high) for bound in bounds)]


def log_ticks(domain: tuple[float, float], most: int = 6) -> list[float]:
    """Return round numbers for a logarithmic axis: as many as fit, ``most`` at most."""
    low, high = domain
    choices = _choices(low, high)
    within = [[tick for tick in ticks if low <= tick <= high] for ticks in choices]
    some = [ticks for ticks in within if len(ticks) >= 2]
    fitting = (ticks for ticks in some if len(ticks) <= most)
    return next(fitting, min(some, key=len, default=[])[:: max(1, most - 1)])


def _choices(low: float, high: float) -> Iterator[Sequence[float]]:
    """Yield sets of ticks, the closest ones first."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for power, multiple in ((p, m) for p in range(first - 2, last + 1) for m in (1, 2, 5)):
        step = multiple * 10.0**power
        if high / low < 5 and high / step < 1000:
            count = range(math.ceil(low / step), math.floor(high / step) + 1)
            yield [round(i * step, 12) for i in count]
    decades = range(first, last + 1)
    for multiples in ((1, 2, 5), (1, 3)):
        yield [*chain.from_iterable([m * 10.0**p for m in multiples] for p in decades)]
    for every in range(1, len(decades) + 1):
        yield [10.0**p for p in decades if p % every == 0]
