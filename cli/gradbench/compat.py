"""Every difference between pymc 5 / arviz 0.x and pymc 6 / arviz 1.x, and PyMC's inner loop."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench.draws import FloatArray


def arviz() -> Any:
    """Return the arviz module, imported without the announcement that 0.x makes of 1.0."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="arviz")
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        import arviz
    return arviz


def mcse_mean(draws: FloatArray) -> float:
    """Return the Monte Carlo standard error of the mean of draws (chains, draws)."""
    return float(np.squeeze(arviz().mcse(draws, method="mean")))  # 0.x: an array of one


def pymc() -> Any:
    """Return the pymc module, imported quietly: it imports arviz."""
    arviz()
    import pymc

    return pymc


class OwnGradient:
    """The base, beside PyTensor's, of an Op that says itself how it is differentiated.

    The Op defines ``pullback(inputs, outputs, cotangents)``, as PyTensor 3 calls it, and ``jax()``,
    which returns the function that JAX traces in its place, with the same derivative by JAX.
    """

    def L_op(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:  # noqa: N802
        """Return ``pullback`` by the name that PyTensor 2 calls."""
        return self.pullback(inputs, outputs, cotangents)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        """Return the cotangents of the inputs, as graphs."""
        raise NotImplementedError

    def jax(self) -> Any:
        """Return the function of JAX arrays that does what the Op does."""
        raise NotImplementedError


def jax_funcify() -> Any:
    """Return PyTensor's conversion to JAX, which from now on knows every ``OwnGradient``."""
    from pytensor.link.jax.dispatch import jax_funcify

    jax_funcify.register(OwnGradient, lambda op, **_: op.jax())
    return jax_funcify


def if_else() -> Any:
    """Return the class of PyTensor's lazy ``ifelse``."""
    try:
        from pytensor.conditional.op import IfElse
    except ImportError:  # PyTensor 2
        from pytensor.ifelse import IfElse
    return IfElse


def indexing_ops() -> list[Any]:
    """Return the classes of PyTensor's Ops that read or write parts of an array."""
    from pytensor.tensor import subtensor

    names = ["Subtensor", "IncSubtensor", "AdvancedSubtensor", "AdvancedIncSubtensor"]
    only_in_2 = ["AdvancedSubtensor1", "AdvancedIncSubtensor1"]
    return [vars(subtensor)[name] for name in [*names, *only_in_2] if name in vars(subtensor)]


def linear_algebra() -> Mapping[str, Any]:
    """Return the classes of PyTensor's Ops of linear algebra by name, among others."""
    from pytensor.tensor import linalg

    if hasattr(linalg, "Cholesky"):
        return {**vars(linalg)}
    from pytensor.tensor import nlinalg, slinalg  # PyTensor 2

    return {**vars(nlinalg), **vars(slinalg)}


def axis_and_parts(join: Any, inputs: Sequence[Any]) -> tuple[int, Sequence[Any]]:
    """Return along which axis PyTensor's ``Join`` puts together which of its inputs."""
    if hasattr(join, "axis"):
        return join.axis, inputs
    axis, *parts = inputs  # PyTensor 2
    return int(axis), parts


def mode(backend: str) -> Any:
    """Return the PyTensor mode of a backend, None for what a PyMC user gets by default."""
    from pytensor.compile.mode import get_mode

    if backend == "default":
        return None
    if backend == "jax":
        jax_funcify()
    return get_mode({"c": "CVM", "numba": "NUMBA", "jax": "JAX"}[backend])


def backend_name(backend: str) -> str:
    """Return the backend that ``default`` means on this machine: c, numba, jax or python."""
    import pytensor
    from pytensor.compile.mode import get_default_mode

    if backend != "default":
        return backend
    linker = type(get_default_mode().linker).__name__.removesuffix("Linker").lower()
    if linker == "vm":
        return "c" if pytensor.config.cxx else "python"
    return linker


def pushed_forward(flat: Any, logp: Any) -> tuple[Any, Any]:
    """Return a tangent's symbol and the slope of a graph along it, by forward mode.

    Checks are taken out first: they change no value, and have no forward rule.

    Raises:
        NotImplementedError: an operation has none.
    """
    import pytensor.tensor as pt
    from pytensor.graph.fg import FunctionGraph
    from pytensor.raise_op import CheckAndRaise

    graph = FunctionGraph(outputs=[logp], clone=True, copy_inputs=False)
    for node in graph.toposort():
        if isinstance(node.op, CheckAndRaise):
            graph.replace(node.outputs[0], node.inputs[0])
    (plain,) = graph.outputs
    tangent = pt.dvector("tangent")
    try:
        from pytensor.gradient import pushforward
    except ImportError:  # PyTensor 2
        from pytensor.gradient import Rop

        return tangent, Rop(plain, flat, tangent, use_op_rop_implementation=True)
    return tangent, pushforward(plain, flat, tangent, use_op_pushforward=True)


def iter_chain(
    step: Any,
    start: Mapping[str, FloatArray],
    *,
    trace: Any,
    chain: int,
    tune: int,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[Any]:
    """Yield once per step of one chain, recording it in ``trace``: the loop inside ``pm.sample``.

    ``pm.sample`` itself would compile the trace and the starting points anew at every call and
    convert the draws afterwards. A test asserts that both give the same draws.
    """
    from pymc.sampling.mcmc import _iter_sample

    return iter(
        _iter_sample(
            draws=tune + draws,
            step=step,
            start=dict(start),
            trace=trace,
            chain=chain,
            tune=tune,
            rng=rng,
        )
    )


def spawn_generators(seed: int, n: int) -> tuple[list[np.random.Generator], list[int]]:
    """Return n generators, one per chain, and n integer seeds, made as ``pm.sample`` makes them."""
    from pymc.util import get_random_generator

    generators = get_random_generator(seed).spawn(n)
    return generators, [int(generator.integers(2**30)) for generator in generators]


def save_draws(
    path: Path,
    named: Mapping[str, FloatArray],
    stats: Mapping[str, npt.NDArray[np.generic]],
    attributes: Mapping[str, str],
    *,
    dims: Mapping[str, Sequence[str | None]] | None = None,
    coords: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write draws as netCDF that ``arviz.from_netcdf`` (0.x) and ``xarray.open_datatree`` read.

    Args:
        path: the file to write.
        named: constrained draws by parameter, each (chains, draws, *shape).
        stats: sample statistics, each (chains, draws).
        attributes: written to the posterior group.
        dims: names of the axes of a parameter, by parameter; None for an axis without.
        coords: labels along an axis, by its name.
    """
    import xarray

    dims, coords = dims or {}, coords or {}
    n_chains, n_draws = _shape(named)[:2]
    for group, arrays in (("posterior", named), ("sample_stats", stats)):
        axes = {
            name: _dimensions(name, array.ndim, dims.get(name)) for name, array in arrays.items()
        }
        used = {axis for each in axes.values() for axis in each}
        labels = {axis: _labels(coords[axis]) for axis in used & coords.keys()}
        data = xarray.Dataset(
            {name: (axes[name], array) for name, array in arrays.items()},
            coords={"chain": np.arange(n_chains), "draw": np.arange(n_draws), **labels},
            attrs=dict(attributes),
        )
        data.to_netcdf(
            path, group=group, mode="w" if group == "posterior" else "a", engine="h5netcdf"
        )


def load_draws(path: Path) -> Any:
    """Return draws that ``save_draws`` wrote, in memory: InferenceData (0.x) or DataTree (1.x)."""
    found = arviz().from_netcdf(path, engine="h5netcdf")
    found.load()
    found.close()
    return found


KEPT = ("posterior", "sample_stats", "warmup_sample_stats")  # of ArviZ's groups, what is judged


def groups_of(draws: Any) -> dict[str, Any] | None:
    """Return the datasets of an ArviZ object by group, as ``open_groups``; None where it is none.

    A lone dataset of xarray is a posterior.
    """
    import xarray

    if isinstance(draws, xarray.Dataset):
        return {"/": draws}
    if isinstance(draws, xarray.DataTree):
        held = {name: draws[name].to_dataset() for name in KEPT if name in draws.children}
        return {"/": draws.to_dataset(), **held}
    if type(draws).__name__ != "InferenceData":  # ArviZ 0.x, which only who made it imports
        return None
    held = {name: draws[name] for name in KEPT if name in draws.groups()}
    return {"/": xarray.Dataset(attrs=draws.attrs), **held}


def open_groups(path: Path, *, engine: str) -> dict[str, Any]:
    """Return the datasets of a file that ArviZ 0.x or 1.x wrote, by group; ``/`` is the root.

    Both have one group for each, whatever stands above them in memory.

    Args:
        path: netCDF or zarr.
        engine: xarray's name of what reads it.

    Raises:
        OSError, ValueError: it is damaged.
    """
    import xarray

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr's metadata that isn't consolidated
        for group in ("/", *KEPT):
            try:
                with xarray.open_dataset(path, group=group, engine=engine) as data:
                    found[group] = data.load()
            except (FileNotFoundError, KeyError, OSError):
                if group == "/":
                    raise
    return found


def _dimensions(name: str, ndim: int, own: Sequence[str | None] | None) -> tuple[str, ...]:
    """Return the names of a parameter's axes: its own, and ArviZ's where it has none."""
    axes = own if own is not None and len(own) == ndim - 2 else [None] * (ndim - 2)
    return ("chain", "draw", *(axis or f"{name}_dim_{i}" for i, axis in enumerate(axes)))


def _labels(labels: Sequence[Any]) -> npt.NDArray[Any]:
    """Return labels as netCDF has them: what is neither number, time nor text, as text."""
    array = np.asarray(labels)
    if array.dtype.kind in "biufM" and array.ndim == 1:
        return array
    return np.array([str(label) for label in labels])


def _shape(named: Mapping[str, FloatArray]) -> tuple[int, ...]:
    return next(iter(named.values())).shape
