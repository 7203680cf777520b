"""The errors a user can meet, each with the exit code it ends the program with."""

import importlib
import re
from typing import Any

DISTRIBUTION = "gradbench-mcmc"  # on PyPI the name gradbench belongs to another project
MAX_HEADLINE = 400  # characters
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")  # ECMA-48


class GradbenchError(Exception):
    """A message for the user: what was read, where, and what is allowed instead."""

    exit_code = 2


class ConfigError(GradbenchError):
    """The configuration can't be used as written."""


class ModelError(GradbenchError):
    """A model file can't be loaded, built or compiled."""


class SamplerError(GradbenchError):
    """A sampler can't run with these options on this model."""


class MethodError(GradbenchError):
    """There is no such way to a gradient."""


class InterpreterError(GradbenchError):
    """Another Python can't run gradbench's workers."""


class StoreError(GradbenchError):
    """A results folder can't be read: it is missing, foreign, locked or damaged."""


class ChainsError(GradbenchError):
    """A file of chains can't be read, or holds none that can be judged."""


class SaveError(GradbenchError):
    """A finished result can't be written (a full disk, a read-only folder)."""

    exit_code = 1


class BudgetError(GradbenchError):
    """The time that was given isn't enough for an answer."""

    exit_code = 1


class LibraryError(GradbenchError):
    """A library that was asked for isn't installed."""


class ClusterError(GradbenchError):
    """A cluster can't be reached, or none of its workers can run the cells."""


class LostError(GradbenchError):
    """A cluster was lost while it ran cells; what was finished is kept."""

    exit_code = 1


class ReportError(GradbenchError):
    """A report can't be made as it was asked for."""


class LongRunError(GradbenchError):
    """A long run gave no moments that could be kept as a reference."""

    exit_code = 1


def pip_install(extra: str = "") -> str:
    """Return the command that installs gradbench, with an extra of it if one is named."""
    return f'pip install "{DISTRIBUTION}[{extra}]"' if extra else f"pip install {DISTRIBUTION}"


def library(module: str, need: str, extra: str) -> Any:
    """Return an optional library.

    Args:
        module: what is imported.
        need: what needs which library, in words.
        extra: of gradbench, that installs it.

    Raises:
        LibraryError: it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LibraryError(f"{need}, which is not installed: {pip_install(extra)}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def headline(message: str) -> str:
    """Return a message's first line that says something, without a terminal's colours.

    A line that ends in a colon goes on in the next. What a library adds below, such as a backtrace,
    is for those who look for its cause.
    """
    lines = (" ".join(line.split()) for line in ESCAPES.sub("", message).splitlines())
    found = ""
    for line in lines:
        if not re.search(r"\w", line):
            continue  # a rule, or nothing
        found = f"{found} {line}".lstrip()
        if not line.endswith(":"):
            break
    return found if len(found) <= MAX_HEADLINE else found[: MAX_HEADLINE - 1] + "…"


def did_you_mean(word: str, known: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
