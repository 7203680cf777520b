"""ArviZ's netCDF: an InferenceData of 0.x, a DataTree of 1.x, or gradbench's own saved draws."""

from pathlib import Path

from gradbench.elsewhere.chains import Content
from gradbench.elsewhere.readers import _arviz, _hdf5, emcee_hdf5
from gradbench.errors import ChainsError

SUMMARY = "ArviZ's netCDF"


def reads(path: Path, head: bytes) -> bool:
    """Return whether it is HDF5, on which netCDF 4 is built, and not emcee's."""
    return head.startswith(_hdf5.MAGIC) and not emcee_hdf5.reads(path, head)


def read(path: Path) -> Content:
    """Return the chains in a file."""
    import h5py

    try:
        with h5py.File(path, "r"):
            pass
    except OSError as error:
        raise ChainsError(f"{path}: is cut short, or damaged: {error}") from error
    return _arviz.read(path, "ArviZ netCDF", "h5netcdf")
