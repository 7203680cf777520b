"""Draws of computed quantities, made row by row and read column by column, in bounded memory."""

from collections.abc import Callable
from tempfile import SpooledTemporaryFile

import numpy as np

from gradbench.draws import FloatArray
from gradbench.errors import SaveError

HELD_BYTES = 256 * 2**20  # in memory, or as much as the draws themselves; beyond that, on disk
TILE_BYTES = 32 * 2**20  # of quantities made at a time


class Columns:
    """The values of n scalars over all draws, (chains, draws, n): ``columns[:, :, 3:7]``.

    Every draw is evaluated once. What doesn't fit in memory lies in a temporary file, in tiles of
    some draws, each scalar by scalar, so that one scalar is read without the others.

    Args:
        draws: shape (chains, draws, ndim).
        evaluate: (m, ndim) to (m, n).
        n: scalars.

    Raises:
        SaveError: the temporary folder has no room for them.
    """

    def __init__(
        self, draws: FloatArray, evaluate: Callable[[FloatArray], FloatArray], n: int
    ) -> None:
        n_chains, n_draws, ndim = draws.shape
        self.shape = (n_chains, n_draws, n)
        self._n_points = n_chains * n_draws
        self._n_together = max(1, TILE_BYTES // (8 * max(1, n)))
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by close()
            max_size=max(HELD_BYTES, draws.nbytes)
        )
        points = draws.reshape(-1, ndim)
        for first in range(0, self._n_points, self._n_together):
            self._write(evaluate(points[first : first + self._n_together]))

    def _write(self, rows: FloatArray) -> None:
        try:
            self._file.write(np.ascontiguousarray(rows.T).tobytes())
        except OSError as error:
            self.close()
            n = self.shape[2]
            size = 8 * n * self._n_points / 2**30
            raise SaveError(
                f"the temporary folder has no room for the draws of {n:,} quantities"
                f" ({size:.1f} GiB): {error.strerror}; choose fewer with parameters:, or set TMPDIR"
            ) from error

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def __getitem__(self, at: tuple[slice, slice, slice]) -> FloatArray:
        """Return some scalars, neighbours, over all draws: (chains, draws, k)."""
        n_chains, n_draws, n = self.shape
        first, last, _ = at[2].indices(n)
        found = np.empty((last - first, self._n_points))
        for start in range(0, self._n_points, self._n_together):
            stop = min(start + self._n_together, self._n_points)
            self._file.seek(8 * (start * n + first * (stop - start)))
            held = self._file.read(8 * (last - first) * (stop - start))
            found[:, start:stop] = np.frombuffer(held).reshape(last - first, stop - start)
        return np.moveaxis(found.reshape(-1, n_chains, n_draws), 0, 2)
