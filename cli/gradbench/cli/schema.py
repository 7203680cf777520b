"""``gradbench schema``."""

import json

import click

from gradbench.config.benchmark import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a config, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
