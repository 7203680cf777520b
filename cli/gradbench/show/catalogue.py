"""What there is to choose from, on the terminal."""

from collections.abc import Mapping
from typing import Any

import yaml
from rich.text import Text

from gradbench import samplers as known
from gradbench.models import About
from gradbench.sampler import Options, Sampler
from gradbench.show.console import console, table

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def samplers(found: Mapping[str, Sampler]) -> None:
    """Print a line for each sampler, and under it its options with their defaults."""
    to = console()
    shown = table(("sampler", "gradients", "installed", "what it is, and its options"), ())
    for name, sampler in found.items():
        options = ", ".join(
            option if default == "" else f"{option}={default}"
            for option, _, default, _ in _options(sampler.options)
        )
        about = Text(sampler.summary) + Text(f"\n{options}", style="dim")
        remedy = known.remedy(name)
        if remedy is not None:
            about += Text(f"\n{remedy}", style="bold")
        gradients = "yes" if sampler.uses_gradient else "no"
        shown.add_row(name, gradients, "no" if remedy else "yes", about)
    to.print(shown)
    to.print()
    to.print("gradbench list samplers NAME explains one sampler's options")


def sampler(name: str, found: Sampler) -> None:
    """Print a sampler's options, and how it stands in a config."""
    to = console()
    gradients = "uses gradients" if found.uses_gradient else "uses no gradients"
    to.print(Text(name, style="bold") + Text(f"  {found.summary}; {gradients}", style="dim"))
    if (remedy := known.remedy(name)) is not None:
        to.print(Text(f"not installed: {remedy}"))
    to.print()
    shown = table(("option", "type", "default", "meaning"), ())
    shown.columns[0].no_wrap = True  # an option is typed as it stands
    example: dict[str, Any] = {"use": name}
    for option, kind, default, meaning in _options(found.options):
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


def _options(kind: type[Options]) -> list[tuple[str, str, str, str]]:
    """Return each option's name, type with its range, default ("" where it has none), meaning."""
    found = []
    for name, field in kind.model_json_schema()["properties"].items():
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
