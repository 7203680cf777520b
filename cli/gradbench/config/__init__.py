"""YAML to a frozen benchmark, and that to the cells that are run."""
