"""Standard streams that may lose their reader: the command goes on, and what it says is dropped."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from gradbench.errors import SaveError

# A pipe whose reader has gone, a terminal that was closed, a socket that was.
GONE = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET})


class _Lasting:
    """A text stream that drops what is written once nobody reads it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Lead the stream into nothing, what it still holds too."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())
        os.close(nothing)
        if error.errno not in GONE:
            name = self._stream.name.strip("<>")
            raise SaveError(f"{name}: can't be written: {error.strerror}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting() -> Iterator[None]:
    """Let stdout and stderr outlive their readers, and hold any text.

    A write to them raises ``SaveError`` where it fails for another reason.
    """
    with ExitStack() as stack:
        # None is one that was closed before the program began.
        nothing = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(_lasting(sys.stdout or nothing)))
        stack.enter_context(redirect_stderr(_lasting(sys.stderr or nothing)))
        yield


def _lasting(stream: TextIO) -> TextIO:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # of a name that its encoding lacks
    return cast("TextIO", _Lasting(stream))
