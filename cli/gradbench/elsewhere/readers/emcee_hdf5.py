"""emcee's HDF5 backend: the walkers of one ensemble."""

from pathlib import Path

from gradbench.elsewhere.chains import Chain, Content
from gradbench.elsewhere.readers import _hdf5, _shared
from gradbench.errors import ChainsError
from gradbench.target.quantities import scalars

SUMMARY = "emcee's HDF5 backend"


def reads(path: Path, head: bytes) -> bool:
    """Return whether emcee's runs are in it."""
    try:
        return head.startswith(_hdf5.MAGIC) and bool(_hdf5.runs_of_emcee(path))
    except OSError:
        return False


def read(path: Path) -> Content:
    """Return the walkers of the run in a file."""
    from emcee.backends import HDFBackend

    runs = _hdf5.runs_of_emcee(path)
    if len(runs) > 1:
        raise ChainsError(
            f"{path}: holds several runs ({', '.join(runs)}); copy the one to be judged into a file"
            " of its own"
        )
    backend = HDFBackend(path, name=runs[0], read_only=True)
    if not backend.iteration:
        raise ChainsError(f"{path}: there are no draws in it")
    try:
        values, lp = backend.get_chain(), backend.get_log_prob()
    except (OSError, ValueError) as error:
        raise ChainsError(f"{path}: can't be read: {error}") from error
    draws = _shared.numeric(path, "chain", values)
    return Content(
        path=path,
        format="emcee's HDF5",
        names=tuple(scalars("x", draws.shape[2:])),
        chains=[Chain(draws[:, w], {"lp": lp[:, w]}) for w in range(draws.shape[1])],
        library="emcee",
        is_ensemble=True,
        index_from=0,
        digits=_shared.digits_of([values]),
        n_steps=int(backend.iteration),
    )
