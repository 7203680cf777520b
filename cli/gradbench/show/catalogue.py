"""What there is to choose from, on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.text import Text

from gradbench.models import About
from gradbench.samplers import Offered
from gradbench.samplers._asked import Asked
from gradbench.show.console import console, table

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def samplers(found: Mapping[str, Asked], offered: Sequence[Offered]) -> None:
    """Print a line for each sampler, and under it its options with their defaults.

    Those that other packages offer stand below: their code isn't run for a list.
    """
    to = console()
    shown = table(("sampler", "gradients", "installed", "what it is, and its options"), ())
    for name, sampler in found.items():
        options = ", ".join(
            option if default == "" else f"{option}={default}"
            for option, _, default, _ in _options(sampler.schema)
        )
        about = Text(sampler.summary) + Text(f"\n{options}", style="dim")
        if sampler.remedy is not None:
            about += Text(f"\n{sampler.remedy}", style="bold")
        gradients = "yes" if sampler.uses_gradient else "no"
        shown.add_row(name, gradients, "no" if sampler.remedy else "yes", about)
    to.print(shown)
    to.print()
    if offered:
        others = table(("sampler of another package", "version"), ())
        for one in offered:
            others.add_row(one.use, one.version)
        to.print(others)
        to.print()
    to.print("gradbench list samplers NAME explains one sampler's options")


def sampler(use: str, found: Asked) -> None:
    """Print a sampler's options, and how it stands in a config."""
    to = console()
    gradients = "uses gradients" if found.uses_gradient else "uses no gradients"
    about = "; ".join(filter(None, (found.summary, gradients)))
    to.print(Text(use, style="bold") + Text(f"  {about}", style="dim"))
    if found.remedy is not None:
        to.print(Text(f"not installed: {found.remedy}"))
    to.print()
    shown = table(("option", "type", "default", "meaning"), ())
    shown.columns[0].no_wrap = True  # an option is typed as it stands
    example: dict[str, Any] = {"use": use}
    for option, kind, default, meaning in _options(found.schema):
        shown.add_row(option, kind, default or "required", meaning)
        if default == "" or option in {"tune", "draws"}:
            example[option] = yaml.safe_load(default) if default else 100
    to.print(shown)
    to.print()
    to.print(yaml.safe_dump({"samplers": {"mine": example}}, sort_keys=False).rstrip())


def models(found: Mapping[str, About]) -> None:
    """Print a line for each model."""
    shown = table(("model", "parameters", "what it is"), ())
    for name, about in found.items():
        parameters = ", ".join(f"{key}={value}" for key, value in about.parameters.items())
        shown.add_row(name, parameters, about.summary)
    console().print(shown)


def posteriors(found: Mapping[str, tuple[int, str]]) -> None:
    """Print a line for each posterior, with the dimension of its named parameters."""
    shown = table(("posterior", "what it is"), ("dimension",))
    for name, (ndim, title) in found.items():
        shown.add_row(name, title, str(ndim))
    console().print(shown)


def configs(found: Mapping[str, str]) -> None:
    """Print a line for each config."""
    shown = table(("config", "the question it asks"), ())
    for name, description in found.items():
        shown.add_row(name, description)
    console().print(shown)


def _options(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return each option's name, type with its range, default ("" where it has none), meaning."""
    found = []
    for name, field in schema["properties"].items():
        default = "" if "default" not in field else str(field["default"])
        found.append((name, _type(field), default, field.get("description", "")))
    return found


def _type(field: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in words, with its range."""
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if field.get("type") == "object":
        return "map of these to weights" if "propertyNames" in field else "map"
    words = "/".join(map(str, field["enum"])) if "enum" in field else str(field.get("type", ""))
    words = str(field.get("const", words))
    limits = [f"{sign} {field[key]:g}" for key, sign in BOUNDS.items() if key in field]
    return " ".join([words, ", ".join(limits)]).strip()
