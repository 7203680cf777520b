"""``gradbench schema``."""

import json

import click

from gradbench.config import loading


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a config, for editors."""
    click.echo(json.dumps(loading.schema(), indent=2))
