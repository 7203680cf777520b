"""``gradbench schema``."""

import json

import click

from gradbench import config


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a config, for editors."""
    click.echo(json.dumps(config.schema(), indent=2))
