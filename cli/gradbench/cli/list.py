"""``gradbench list``."""

from pathlib import Path

import click

from gradbench import models, posteriordb, samplers
from gradbench.config import loading
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
@click.option("--posteriordb", "database", metavar="PATH", help="List those of this copy instead.")
def models_(database: str | None) -> None:
    """List the shipped models, each with its parameters; or posteriors with reference draws."""
    if database is None:
        catalogue.models({name: models.about(name) for name in models.names()})
    else:
        catalogue.posteriors(posteriordb.about(posteriordb.home(database, Path())))


@command.command("configs")
def configs() -> None:
    """List the shipped configs: gradbench run takes their names."""
    catalogue.configs({name: loading.load(name).description for name in loading.names()})
