"""How costs grow along a sweep: points, the power law through them, and its band."""

from collections.abc import Sequence

from gradbench.report.forest import beside, panel_width
from gradbench.report.lines import Axis, lines
from gradbench.report.material import Material, bounds
from gradbench.report.picture import Drawn, Picture, Spec
from gradbench.results.growth import Law, laws

NAME = "growth"
COSTS = {
    "evaluations_per_ess": "evaluations per effective sample",
    "ms_per_ess": "ms per effective sample",
}


def picture(material: Material) -> Picture | None:
    """Return the growth of costs; None where no sampler has a power law."""
    grown = {column: laws(material.found, column) for column in COSTS}
    rows = [
        line
        for column, of_cost in grown.items()
        for law in of_cost
        for line in (*_points(law, column), *_fitted(law, column))
    ]
    if not rows:
        return None
    parameter = next(law.growth.parameter for of_cost in grown.values() for law in of_cost)

    def draw(width: int) -> Spec:
        inner = panel_width(len(COSTS), width, 0)
        return beside(
            [
                _panel(rows, column, title, parameter, inner)
                for column, title in COSTS.items()
                if grown[column]
            ],
            width,
        )

    return Picture(NAME, f"How costs grow with {parameter}", _reading(grown), rows, draw)


def _points(law: Law, column: str) -> list[Drawn]:
    return [
        {
            "label": law.growth.sampler, "cost": column, "is": "measured", "value": value,
            **bounds("paid", paid),
        }
        for value, paid in zip(law.values, law.costs, strict=True)
    ]  # fmt: skip


def _fitted(law: Law, column: str) -> list[Drawn]:
    return [
        {
            "label": law.growth.sampler, "cost": column, "is": "fitted", "value": value,
            "paid": paid, "paid_low": low, "paid_high": high,
        }
        for value, (paid, low, high) in zip(law.at.tolist(), law.fitted.T.tolist(), strict=True)
    ]  # fmt: skip


def _panel(rows: Sequence[Drawn], column: str, title: str, parameter: str, width: float) -> Spec:
    of_cost = [row for row in rows if row["cost"] == column]
    return lines(
        [row for row in of_cost if row["is"] == "fitted"],
        Axis("value", parameter),
        Axis("paid", title),
        width,
        is_banded=True,
        points=[row for row in of_cost if row["is"] == "measured"],
    )


def _reading(grown: dict[str, list[Law]]) -> str:
    told = []
    for law in grown["evaluations_per_ess"] or grown["ms_per_ess"]:
        growth = law.growth
        said = ", ".join(
            f"^{power.estimate:z.2f} [{power.low:z.2f}, {power.high:z.2f}] in {what}"
            for what, power in growth.exponents.items()
        )
        told.append(f"{growth.sampler} as {growth.parameter}{said}")
    return f"Costs grow: {'; '.join(told)}; points are measured, lines and bands fitted."
