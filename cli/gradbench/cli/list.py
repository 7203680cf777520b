"""``gradbench list``."""

from pathlib import Path

import click

from gradbench import models, posteriordb, samplers
from gradbench.config import loading
from gradbench.errors import DISTRIBUTION
from gradbench.samplers._asked import ask
from gradbench.show import catalogue


@click.group("list")
def command() -> None:
    """List what there is: samplers, models, configs."""


@command.command("samplers")
@click.argument("name", required=False)
def samplers_(name: str | None) -> None:
    """List the samplers; with NAME, or ./my_sampler.py, one's options and an example."""
    if name is None:
        sources = {
            known: samplers.find(f"{DISTRIBUTION}:{known}", Path()) for known in samplers.names()
        }
        found = {known: ask(source) for known, source in sources.items()}
        catalogue.samplers(found, samplers.offered())
    else:
        source = samplers.find(name, Path())
        catalogue.sampler(name if source.digest else source.use, ask(source))


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
