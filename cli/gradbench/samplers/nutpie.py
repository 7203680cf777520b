"""nutpie's NUTS, in Rust, with a mass matrix from draws and gradients (Seyboldt et al. 2024)."""

import ctypes
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import Field

from gradbench import compat, sampler
from gradbench.draws import Draws, Evaluations, FloatArray
from gradbench.sampler import Backend
from gradbench.target.target import Target
from gradbench.timing import Stopwatch

SUMMARY = "nutpie: NUTS in Rust; diagonal or low-rank mass matrix, numba or JAX"
USES_GRADIENT = True
LIBRARIES = ("nutpie", "pyarrow", "numba")
EXTRA = "nutpie"
DETUNED = {"target_accept": 0.99}
CALL = """\
import nutpie

compiled = nutpie.compile_pymc_model(model)
idata = nutpie.sample(compiled, draws=$draws, tune=$tune, chains=$chains)
"""

STATS = {
    "diverging": "diverging",
    "acceptance_rate": "mean_tree_accept",
    "tree_depth": "depth",
    "n_steps": "n_steps",
    "energy": "energy",
}  # ArviZ's names, and nutpie's

Adaptation = Literal["diag", "draw_diag", "low_rank"]

OLDER: dict[Adaptation, dict[str, Any]] = {
    "diag": {},
    "draw_diag": {"use_grad_based_mass_matrix": False},
    "low_rank": {"low_rank_modified_mass_matrix": True},
}  # what releases before 0.16.9, the last for Python 3.11, call each adaptation


class Options(sampler.Options):
    """``nutpie.sample``'s options with its defaults, but for ``chains``."""

    # With less to tune than this, nutpie's adaptation stops with an assertion.
    tune: int = Field(400, ge=2, description="warm-up steps, not kept")
    backend: Literal["numba", "jax"] = Field("numba", description="what compiles the gradient")
    chains: int = Field(2, ge=1, le=1000, description="independent chains, one after another")
    adaptation: Adaptation = Field("diag", description="what the mass matrix is made from")
    target_accept: float = Field(0.8, gt=0, lt=1, description="aimed acceptance rate in tuning")
    maxdepth: int = Field(10, ge=1, le=20, description="doublings of a trajectory at most")

    @property
    def target_backend(self) -> Backend:
        """What else is compiled than nutpie's own functions, PyMC's default compiles."""
        return "default"


def build(target: Target, options: Options) -> "Nuts":
    """Compile the gradient and what expands draws, as ``nutpie.compile_pymc_model`` does."""
    return Nuts(target, options)


class Nuts(sampler.OfAnyLength[Options]):
    """NUTS on one target, ready to run."""

    def __init__(self, target: Target, options: Options) -> None:
        import nutpie

        super().__init__(options)
        self._ndim = target.ndim
        self._watch = _Watch()
        if options.backend == "jax":
            compat.jax_funcify()
        compiled = nutpie.compile_pymc_model(target.model, backend=options.backend)
        if options.backend == "numba":
            self._compiled, self._density = _watched_numba(compiled, self._watch)
            names = compiled.shape_info[0]
        else:
            self._compiled, self._density = _watched_jax(compiled, self._watch)
            names = [variable.name for variable in compiled._variables]
        # For JAX nutpie rebuilds the model, with its variables in another order.
        self._theirs = target.positions(name for name in names if name in target.variables)
        self._ours = np.argsort(self._theirs)
        self.gradient(np.zeros((1, target.ndim)))

    def logdensity(self, points: FloatArray) -> FloatArray:
        """Return the values nutpie itself gets, at points (n, ndim)."""
        return np.array([self._density(x)[0] for x in points[:, self._theirs]])

    def gradient(self, points: FloatArray) -> FloatArray:
        """Return the gradients nutpie itself gets, at points (n, ndim)."""
        theirs = points[:, self._theirs]
        gradients: FloatArray = np.array([self._density(x)[1] for x in theirs])[:, self._ours]
        return gradients

    def run(
        self,
        start: FloatArray,
        *,
        tune: int,
        draws: int,
        seed: int,
        stopwatch: Stopwatch,
    ) -> Draws:
        """Run the chains one after another from start (chains, ndim)."""
        import nutpie

        chains = len(start)
        compiled = self._started(start)
        self._watch.begin(tune, draws, chains, stopwatch)
        trace = nutpie.sample(
            compiled,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=1,
            seed=seed,
            target_accept=self._options.target_accept,
            maxdepth=self._options.maxdepth,
            store_unconstrained=True,
            progress_bar=False,
            return_raw_trace=True,
            **_adaptation(self._options.adaptation),
        )
        stopwatch.stop()
        return self._draws(trace.get_arrow_trace()[1], tune)

    def _started(self, start: FloatArray) -> Any:
        """Return the compiled model, whose chains start from these points."""

        def initial_point(_seed: int) -> FloatArray:
            point: FloatArray = start[self._watch.chain, self._theirs]
            return point

        field = "initial_point_func" if self._options.backend == "numba" else "_make_initial_points"
        return dataclasses.replace(self._compiled, **{field: initial_point})

    def _draws(self, chains: list[Any], tune: int) -> Draws:
        def stat(name: str) -> Any:
            return np.array([chain.column(name).to_numpy() for chain in chains])

        import pyarrow

        points = [
            np.asarray(pyarrow.array(chain.column("unconstrained_draw")).flatten())
            for chain in chains
        ]
        values = np.array(points).reshape(len(chains), -1, self._ndim)
        stats = {ours: stat(theirs)[:, tune:] for ours, theirs in STATS.items()}
        stats["reached_max_treedepth"] = stats["tree_depth"] >= self._options.maxdepth
        return Draws(
            values=values[:, tune:, self._ours],
            groups=np.arange(len(chains)),
            evaluations=Evaluations(
                n_grad_warmup=self._watch.n_warmup, n_grad_sampling=self._watch.n_sampling
            ),
            stats=stats,
            acceptance_rate=float(stats["acceptance_rate"].mean()),
        )


class _Watch:
    """Counts gradients and draws as nutpie asks for them, and marks where each phase ends.

    nutpie tells neither how many gradients its first step sizes cost nor when warm-up was over.
    The two counts lie in memory that compiled code writes to.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(3, dtype=np.int64)  # gradients, draws, draws at the phase's end

    def begin(self, tune: int, draws: int, chains: int, stopwatch: Stopwatch) -> None:
        """Start the first chain's warm-up."""
        self._lengths, self._chains, self._stopwatch = (tune, draws), chains, stopwatch
        self.chain = self.n_warmup = self.n_sampling = self._seen = 0
        self._is_kept = False
        self.counts[:] = 0, 0, tune
        stopwatch.start("warmup")

    def passed(self) -> None:
        """End a phase: warm-up, or a chain's kept draws."""
        spent, self._seen = int(self.counts[0]) - self._seen, int(self.counts[0])
        if self._is_kept:
            self.n_sampling += spent
            self.chain += 1
        else:
            self.n_warmup += spent
        self._is_kept = not self._is_kept
        if self.chain < self._chains:
            self._stopwatch.start("sampling" if self._is_kept else "warmup")
            self.counts[2] += self._lengths[self._is_kept]


def _adaptation(name: Adaptation) -> dict[str, Any]:
    import nutpie

    if "adaptation" in inspect.signature(nutpie.sample).parameters:
        return {"adaptation": name}
    return OLDER[name]


def _watched_numba(compiled: Any, watch: _Watch) -> tuple[Any, Callable[[FloatArray], Any]]:
    """Return the model with its two compiled functions watched, and its density for Python."""
    import numba
    from nutpie.compile_pymc import address_as_void_pointer

    at = watch.counts.ctypes.data
    density = _as_ctypes(compiled.compiled_logp_func)
    expand = _as_ctypes(compiled.compiled_expand_func)
    passed = ctypes.CFUNCTYPE(None)(watch.passed)

    @numba.cfunc(compiled.compiled_logp_func._sig)
    def counted(ndim, x, gradient, value, data):  # type: ignore[no-untyped-def]
        numba.carray(address_as_void_pointer(at), 3, dtype=np.int64)[0] += 1
        return density(ndim, x, gradient, value, data)

    @numba.cfunc(compiled.compiled_expand_func._sig)
    def noted(ndim, n_expanded, x, expanded, data):  # type: ignore[no-untyped-def]
        counts = numba.carray(address_as_void_pointer(at), 3, dtype=np.int64)
        counts[1] += 1
        if counts[1] == counts[2]:
            passed()
        return expand(ndim, n_expanded, x, expanded, data)

    def value_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        pointer = ctypes.POINTER(ctypes.c_double)
        value, gradient, point = np.full(1, np.nan), np.empty_like(x), np.ascontiguousarray(x)
        arrays = [array.ctypes.data_as(pointer) for array in (point, gradient, value)]
        failed = density(len(x), *arrays, compiled.user_data.ctypes.data)
        return (-np.inf if failed else float(value[0])), gradient

    # The functions called by address must outlive the model that holds those addresses.
    counted.inner, noted.inner = density, (expand, passed)
    return (
        dataclasses.replace(compiled, compiled_logp_func=counted, compiled_expand_func=noted),
        value_and_gradient,
    )


def _as_ctypes(function: Any) -> Any:
    """Return a numba C callback as a function that Python and compiled code can both call."""
    from numba import types

    kinds: dict[Any, Any] = {
        types.uint64: ctypes.c_uint64,
        types.CPointer(types.float64): ctypes.POINTER(ctypes.c_double),
        types.voidptr: ctypes.c_void_p,
    }
    arguments = [kinds[kind] for kind in function._sig.args]
    return ctypes.CFUNCTYPE(ctypes.c_int64, *arguments)(function.address)


def _watched_jax(compiled: Any, watch: _Watch) -> tuple[Any, Callable[[FloatArray], Any]]:
    """Return the model with its two functions in Python watched, and its density."""
    make_density, make_expand = compiled._make_logp_func, compiled._make_expand_func

    def make_counted() -> Callable[..., Any]:
        density = make_density()

        def counted(x: FloatArray, **data: Any) -> Any:
            watch.counts[0] += 1
            return density(x, **data)

        return counted

    def make_noted(*seeds: int) -> Callable[..., Any]:
        expand = make_expand(*seeds)

        def noted(x: FloatArray, **data: Any) -> Any:
            watch.counts[1] += 1
            if watch.counts[1] == watch.counts[2]:
                watch.passed()
            return expand(x, **data)

        return noted

    density = make_density()
    return (
        dataclasses.replace(compiled, _make_logp_func=make_counted, _make_expand_func=make_noted),
        lambda x: density(x, **compiled._shared_data),
    )
