"""``python -m gradbench``."""

from gradbench.cli import main

main()
