"""HDF5, in which both ArviZ and emcee keep their draws."""

from pathlib import Path

MAGIC = b"\x89HDF\r\n\x1a\n"


def runs_of_emcee(path: Path) -> list[str]:
    """Return the names under which emcee's backend keeps runs in an HDF5 file.

    Raises:
        OSError: it is damaged.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return [
            name
            for name, group in file.items()
            if isinstance(group, h5py.Group) and "chain" in group and "iteration" in group.attrs
        ]
