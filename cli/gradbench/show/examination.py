"""What ``gradbench check-model`` found."""

from collections.abc import Mapping

from rich.text import Text

from gradbench.measure.check_model import Examination, Offer
from gradbench.show.console import console, item, plural, significant, table
from gradbench.target.batch import Form

BATCH_FORMS: Mapping[Form, str] = {
    "vectorized": "vectorized",
    "loop": "a loop in compiled code",
    "python loop": "a Python loop, one call for each point",
}


def examination(use: str, found: Examination) -> None:
    """Print a model's parameters, its checks, what an evaluation takes, and what suits it."""
    to = console()
    about = f"  {plural(found.ndim, 'dimension')}, compiled in {significant(found.compile_s)} s"
    to.print(Text(use, style="bold") + Text(about, style="dim"))
    to.print()
    shown = table(("parameter", "shape", "transform", "counts"), ())
    for parameter in found.parameters:
        transform = "computed" if parameter.transform is None else parameter.transform or "–"
        shape = " × ".join(map(str, parameter.shape)) or "–"
        counts = f"no: {parameter.uncounted}" if parameter.uncounted else "yes"
        shown.add_row(parameter.name, shape, transform, counts)
    to.print(shown)
    to.print()
    for line in _findings(found):
        to.print(item(line))
    to.print()
    shown = table(("samplers", "suit it"), ())
    answers = {
        name: f"no: {reason}" if reason else "yes" for name, reason in found.unsuited.items()
    }
    answers |= {name: f"not installed: {remedy}" for name, remedy in found.missing.items()}
    for answer in sorted(set(answers.values()), key=lambda answer: (answer != "yes", answer)):
        names = ", ".join(name for name in answers if answers[name] == answer)
        shown.add_row(names, Text(answer))
    to.print(shown)


def _findings(found: Examination) -> list[str]:
    check = found.check
    lines = [f"log-density: {significant(1e6 * found.logdensity_s)} µs of CPU each"]
    if found.gradient_s is None:
        lines.append("gradient: none; only samplers that need none suit it")
        lines += map(_offer, found.offers)
    else:
        lines.append(f"with gradient: {significant(1e6 * found.gradient_s)} µs of CPU each")
    lines.append(f"many points at once: {BATCH_FORMS[found.batch_form]}")
    lines += [f"refused: {reason}" for reason in check.refused.values()]
    if check.is_passed:
        agreeing = f"many points at once agree with one by one, to {_relative(check.value_error)}"
        if check.gradient_error is not None:
            agreeing += (
                f"; the gradient agrees with finite differences, to"
                f" {_relative(check.gradient_error)}"
            )
        beyond = f", {check.n_outside} outside the support" if check.n_outside else ""
        lines.append(f"checked at {check.n_points} points{beyond}: {agreeing}")
    lines += [f"note: {note}" for note in (*check.findings, *check.notes.values())]
    if found.starts[:1] == ("uniform",):
        lines.append("starting points: init: uniform finds some")
    else:
        lines.append(
            "starting points: init: uniform finds none; set init to " + " or ".join(found.starts)
        )
    if found.narrowest is not None and found.widest is not None:
        lines.append(
            f"warning: along {found.narrowest.name} the density is about"
            f" {found.narrowest.scale:.0e} wide, along {found.widest.name}"
            f" {found.widest.scale:.0e}: samplers start at scale 1 and adapt slowly or never; write"
            " the model in standardized parameters, or in other units, and start it with init:"
            " prior, model or own"
        )
    if found.reference is None:
        lines.append("reference: none, so a run's accuracy columns stay empty")
    else:
        lines.append(f"reference: {found.reference}")
    return lines


def _offer(offer: Offer) -> str:
    """Return what a library could do for a function without a gradient."""
    name = f'gradient="{offer.library}"'
    if offer.cost is None:
        return f"{name} would not give it one: {offer.reason}"
    return (
        f"{name} would give it one, at the cost of {significant(offer.cost)} log-densities with the"
        " value: add it to LogDensity"
    )


def _relative(error: float | None) -> str:
    return "–" if error is None else f"{max(error, 1e-16):.0e}"
