"""``gradbench list``."""

import click

from gradbench import config, models, samplers
from gradbench.show import catalogue


@click.group("list")
def command() -> None:
    """List what there is: samplers, models, configs."""


@command.command("samplers")
@click.argument("name", required=False)
def samplers_(name: str | None) -> None:
    """List the samplers; with NAME, one sampler's options and an example."""
    if name is None:
        catalogue.samplers({known: samplers.load(known) for known in samplers.names()})
    else:
        catalogue.sampler(name, samplers.load(name))


@command.command("models")
def models_() -> None:
    """List the shipped models, each with its parameters."""
    catalogue.models({name: models.about(name) for name in models.names()})


@command.command("configs")
def configs() -> None:
    """List the shipped configs: gradbench run takes their names."""
    catalogue.configs({name: config.load(name).description for name in config.names()})
