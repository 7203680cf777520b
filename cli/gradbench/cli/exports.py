"""Results as text, to files or to stdout."""

from collections.abc import Callable
from pathlib import Path

from gradbench.results import store

Asked = tuple[str | None, Callable[[], str]]
"""Where a text is wanted, ``-`` for stdout and None for nowhere, and what makes it."""


def exported(*asked: Asked) -> str:
    """Write the files asked for, before anything is printed; return what stdout is to carry.

    Raises:
        SaveError: one can't be written.
    """
    printed = ""
    for place, form in asked:
        if place == "-":
            printed += form()
        elif place:
            store.write(Path(place), form())
    return printed
