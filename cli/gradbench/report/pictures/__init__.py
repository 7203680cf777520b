"""The pictures of a run, a file each, in the order in which a page has them."""

from collections.abc import Callable, Collection

from gradbench.errors import ReportError, did_you_mean
from gradbench.report.material import Material
from gradbench.report.picture import Picture
from gradbench.report.pictures import (
    cost,
    error,
    growth,
    honesty,
    pairs,
    parameters,
    ranks,
    ratios,
    times,
    traces,
    where,
)

OF_A_MODEL: dict[str, Callable[[Material], Picture | None]] = {
    module.NAME: module.picture
    for module in (
        cost, where, times, error, honesty, parameters, growth, ranks, traces, pairs
    )
}  # fmt: skip
NAMES = (*OF_A_MODEL, ratios.NAME)


def require(names: Collection[str]) -> None:
    """Raise ``ReportError`` where a name is no picture's."""
    for name in names:
        if name not in NAMES:
            hint = did_you_mean(name, [*NAMES])
            raise ReportError(
                f"--only {name}: no such picture{hint} (there are: {', '.join(NAMES)})"
            )


def of_model(material: Material, only: Collection[str] = ()) -> list[Picture]:
    """Return the pictures that a model's material holds.

    Args:
        material: of the model.
        only: the names of those that are wanted; empty for all.
    """
    wanted = (make for name, make in OF_A_MODEL.items() if not only or name in only)
    return [picture for make in wanted if (picture := make(material)) is not None]
