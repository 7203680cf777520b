"""The worker process: one model, one sampler, kept warm; names and numbers in and out.

A fork of the nursery, or started as ``python -m gradbench.measure.worker FD PARENT``, with its
thread pools already fixed in the environment. It answers one JSON request at a time; draws never
leave it, except into a file.
"""

import ctypes
import faulthandler
import hashlib
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradbench import compat, models, samplers, studies
from gradbench.config.planning import Cell
from gradbench.draws import Draws, FloatArray
from gradbench.errors import GradbenchError, SamplerError, first_line
from gradbench.measure import (
    ascent,
    check_sampler,
    density_check,
    gradient_cost,
    gradient_points,
    known,
    machine,
    saved,
    slowdown,
)
from gradbench.measure.bare import bare
from gradbench.measure.check_model import examine
from gradbench.measure.result import Measured
from gradbench.measure.slowdown import Planted
from gradbench.models import Source
from gradbench.records import from_plain, to_plain
from gradbench.sampler import Built, Options, Sampler
from gradbench.stats import diagnostics
from gradbench.stats.columns import Columns
from gradbench.stats.diagnostics import Roles
from gradbench.stats.running import Running, running
from gradbench.target.starts import Init
from gradbench.target.target import Target
from gradbench.timing import Duration, Stopwatch, Timing

TRIED_FIRST: tuple[Init, ...] = ("own", "prior")  # made by the model's file: mistakes cost no cell


class Session:
    """What a worker holds between requests."""

    def __init__(self) -> None:
        self._target: Target | None = None
        self._built: Built | None = None
        self._options: Options | None = None
        self._given: Mapping[str, Any] = {}
        self._backend = ""
        self._versions: dict[str, str] = {}
        self._compiling = self._recompiling = Duration()

    def describe(self, cells: list[dict[str, Any]]) -> dict[str, Any]:
        """Load a model; return its dimension and why each of its cells can't be run, if so.

        What a cell's sampler raises when it is asked is apart, among ``faults``.
        """
        parsed = [Cell.from_json(cell) for cell in cells]
        first = parsed[0]
        loaded = _loaded(first)
        target = Target(*loaded, init=first.init, counted=first.parameters)
        target.require(first.init)
        complaints: list[str | None] = []
        faults: dict[str, str] = {}
        n_starts = 1
        for cell in parsed:
            sampler = _sampler(cell)
            options = sampler.options(**cell.options).fitted(target.ndim)
            n_starts = max(n_starts, options.n_starts)
            try:
                complaints.append(sampler.unsuited(target, options))
            except Exception as error:
                complaints.append(None)
                faults[cell.sampler] = f"unsuited(): {type(error).__name__}: {first_line(error)}"
        if first.init in TRIED_FIRST:
            tried = Target(*loaded, mode="FAST_COMPILE", init=first.init)
            tried.starts.find(first.init, np.random.default_rng(0), n_starts)
        return {"ndim": target.ndim, "complaints": complaints, "faults": faults}

    def shapes(self, cell: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of a cell's model, by name."""
        return Target(*_loaded(Cell.from_json(cell))).quantities.shapes

    def examine(self, source: dict[str, str | None], params: dict[str, Any]) -> dict[str, Any]:
        """Return what there is to say of a model on its own."""
        return dict(to_plain(examine(from_plain(Source, source), params)))

    def promises(self, cell: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what becomes of each promise of a cell's sampler, on the cell's model."""
        sampler = _sampler(parsed := Cell.from_json(cell))
        options = sampler.options(**parsed.options)
        return [to_plain(line) for line in check_sampler.promises(sampler, self.target, options)]

    def gradient_points(
        self, source: dict[str, str | None], params: dict[str, Any], n: int, timeout_s: float
    ) -> dict[str, Any]:
        """Return up to n points of a model, and what its gradient is there."""
        parsed = from_plain(Source, source)
        return dict(to_plain(gradient_points.points(parsed, params, n=n, timeout_s=timeout_s)))

    def gradient_cost(
        self,
        source: dict[str, str | None],
        params: dict[str, Any],
        method: str,
        at: list[list[float]],
    ) -> dict[str, Any]:
        """Return what a way to a model's gradient costs and gives, or why there is none."""
        found = gradient_cost.cost(from_plain(Source, source), params, method, np.array(at))
        if isinstance(found, str):
            return {"unsuited": found}
        cost, given = found
        return {"cost": to_plain(cost), "given": to_plain(given)}

    def ascend(
        self, source: dict[str, str | None], params: dict[str, Any], way: str
    ) -> dict[str, Any]:
        """Return where a way to a model's mode leads, and what it takes."""
        return dict(to_plain(ascent.ascend(from_plain(Source, source), params, way)))

    def study(self, name: str) -> list[dict[str, Any]]:
        """Return what a study finds."""
        return [to_plain(finding) for finding in studies.load(name).measure()]

    def know(
        self, source: dict[str, str | None], params: dict[str, Any], counted: list[str]
    ) -> dict[str, Any]:
        """Load a model that draws of elsewhere are of; return what it says of its parameters."""
        self._target = known.load(from_plain(Source, source), params, counted)
        return known.of(self._target).to_json()

    def log_densities(self, path: str, digits: int) -> dict[str, list[float]]:
        """Return the log-densities of the model that is known at the draws of a file."""
        return known.log_densities(self.target, Path(path), digits).to_json()

    def remedies(self, uses: list[str]) -> dict[str, str]:
        """Return what installs the samplers that can't be imported here, by name."""
        found = {use: samplers.remedy(use) for use in uses}
        return {use: remedy for use, remedy in found.items() if remedy is not None}

    def machine(self) -> dict[str, Any]:
        """Return what this worker runs on, and its versions."""
        return machine.describe()

    def build(
        self,
        cell: dict[str, Any],
        planted: dict[str, Any] | None = None,
        *,
        is_again: bool = False,
    ) -> dict[str, Any]:
        """Compile model and sampler, timed, and run a few untimed steps.

        What is compiled again, since another worker that had it was closed, is counted apart.
        """
        parsed, stopwatch = Cell.from_json(cell), Stopwatch()
        target, built, options = _compiled(parsed, Planted(**(planted or {})), stopwatch)
        start = target.initial(np.random.default_rng(0), options.n_starts)
        built.rehearse(start)
        # The first touch of memory is dear, on a virtual machine above all: have as much of it
        # mapped as the draws will take, or the first replicate alone would pay.
        np.ones((options.n_starts, options.tune + options.draws, target.ndim))
        self._target, self._built, self._options = target, built, options
        self._given = parsed.options
        self._backend = compat.backend_name(options.backend)
        self._versions = _versions(parsed)
        spent = stopwatch.timing.compile
        self._compiling, self._recompiling = (
            (Duration(), spent) if is_again else (spent, Duration())
        )
        return {}

    def points(self) -> list[list[float]]:
        """Return the points of the density check."""
        points: list[list[float]] = density_check.points(self.target).tolist()
        return points

    def probe(self, at: list[list[float]], *, with_target: bool) -> dict[str, Any]:
        """Return what the sampler's density, and the target's if asked, are at these points."""
        points = np.array(at)
        seen = density_check.probe(self.built, self.target if with_target else None, points)
        inside = np.flatnonzero(np.isfinite(seen.target_values or []))
        if len(inside):
            seen = replace(seen, bare=bare(self.target, points[inside[-1]]))
        return asdict(seen)

    def calibrate(self, cell: dict[str, Any], share: float) -> int:
        """Return the planted work that makes one evaluation longer by this share."""
        parsed, spent = Cell.from_json(cell), []
        for planted in (Planted(), Planted(work=slowdown.TRIAL)):
            target, built, options = _compiled(parsed, planted, Stopwatch())
            points = target.initial(np.random.default_rng(0), options.n_starts)
            spent.append(slowdown.call_s(built, points))
        return slowdown.work_for(share, *spent)

    def sample(self, cell: dict[str, Any], save: str | None) -> dict[str, Any]:
        """Run one cell; return what was measured. ``save`` names the file for its draws."""
        parsed = Cell.from_json(cell)
        if parsed.options != self._given:
            # A check of a sampler runs it at other lengths, on what was compiled.
            sampler = _sampler(parsed)
            self._options = sampler.options(**parsed.options).fitted(self.target.ndim)
            self._given = parsed.options
            self._built = sampler.build(self.target, self._options)
        assert self._options is not None
        load = machine.load()
        machine.start_peak_memory()
        rng = np.random.default_rng(parsed.start_seed)
        start = self.target.starts.find(parsed.init, rng, self._options.n_starts)
        stopwatch = Stopwatch()
        draws = self.built.sample(start.copy(), seed=parsed.seed, stopwatch=stopwatch)
        if not isinstance(draws, Draws):
            raise SamplerError(f"it returned a {type(draws).__name__}, not Draws")
        draws.require(self.target.ndim)
        if stopwatch.timing.sampling.wall_s == 0:
            raise SamplerError("it never started the phase 'sampling' on the stopwatch")
        measured = self._measure(
            draws,
            start,
            start_kind=self.target.starts.meaning(parsed.init),
            timing=replace(stopwatch.timing, compile=self._compiling),
            recompile_s=self._recompiling.wall_s or None,
            peak_memory_bytes=machine.peak_memory_bytes(),
            load=load,
        )
        self._compiling = self._recompiling = Duration()
        if save is not None:
            saved.write(Path(save), draws, self.target, parsed, measured)
        return measured.to_json()

    @property
    def target(self) -> Target:
        """The compiled target."""
        assert self._target is not None
        return self._target

    @property
    def built(self) -> Built:
        """The compiled sampler."""
        assert self._built is not None
        return self._built

    def _measure(
        self,
        draws: Draws,
        start: FloatArray,
        *,
        start_kind: str,
        timing: Timing,
        peak_memory_bytes: int,
        load: float,
        recompile_s: float | None = None,
    ) -> Measured:
        target, reference = self.target, self.target.reference
        n_chains, n_draws, _ = draws.values.shape
        frozen = diagnostics.is_frozen(draws.values, draws.groups)
        nonfinite = np.asarray(~np.isfinite(draws.values).all(axis=(0, 1)))
        found, followed = _diagnostics(draws, target)
        return Measured(
            timing=timing,
            evaluations=draws.evaluations,
            parameters=target.names,
            diagnostics=found,
            running=followed,
            reference=reference,
            reference_source=target.parameters.reference_source,
            n_chains=n_chains,
            n_draws=n_draws,
            is_ensemble=len(np.unique(draws.groups)) < n_chains,
            n_divergences=_count(draws, "diverging"),
            acceptance_rate=draws.acceptance_rate,
            peak_memory_bytes=peak_memory_bytes,
            fingerprint=_fingerprint(draws),
            backend=self._backend,
            thread_pools=machine.thread_pools(),
            load=load,
            is_approximate=draws.is_approximate,
            log_evidence=draws.log_evidence and draws.log_evidence[0],
            log_evidence_se=draws.log_evidence and draws.log_evidence[1],
            batch_form=target.density.batch_form,
            frozen=_first(frozen, target),
            nonfinite=_first(nonfinite, target),
            uncounted=target.parameters.uncounted,
            start=start_kind,
            start_span=_span(start, draws),
            is_weighted=draws.weights is not None,
            n_saturated=_count(draws, "reached_max_treedepth"),
            recompile_s=recompile_s,
            versions=self._versions,
        )


def _loaded(cell: Cell) -> models.Loaded:
    """Return a cell's model."""
    assert cell.source is not None, "only a cell that was planned is run"
    return models.load(cell.source, cell.params)


def _sampler(cell: Cell) -> Sampler:
    """Return a cell's sampler, from the file that it was planned with."""
    origin = cell.sampler_source
    return samplers.load(cell.sampler_use, "" if origin is None else origin.digest)


def _versions(cell: Cell) -> dict[str, str]:
    """Return the versions of what a sampler is from, and the beginning of its file's hash."""
    found = machine.versions(_sampler(cell).libraries)
    origin = cell.sampler_source
    if origin is None or origin.is_shipped:
        return found
    if origin.digest:
        return {Path(origin.use).name: origin.digest[:12], **found}
    # The environment under test may have another version than the one that planned.
    return {origin.distribution: metadata.version(origin.distribution), **found}


def _compiled(cell: Cell, planted: Planted, stopwatch: Stopwatch) -> tuple[Target, Built, Options]:
    """Load a model and compile it for a cell's sampler; only the compiling is timed."""
    sampler = _sampler(cell)
    options = sampler.options(**cell.options)
    if planted.is_detuned:
        options = options.model_copy(update=dict(sampler.detuned))
    loaded = _loaded(cell)
    slowdown.plant(loaded.model, planted)
    stopwatch.start("compile")
    mode = compat.mode(options.target_backend)
    target = Target(*loaded, init=cell.init, counted=cell.parameters, mode=mode)
    options = options.fitted(target.ndim)
    built = sampler.build(target, options)
    stopwatch.stop()
    return target, built, options


def _diagnostics(draws: Draws, target: Target) -> tuple[diagnostics.Diagnostics, Running | None]:
    """Return a run's diagnostics, and its running moments where it is a Markov chain's."""
    mean = None if target.reference is None else target.reference.mean
    of = target.parameters
    roles = Roles(of.is_free, of.is_candidate, of.may_tie)
    with closing(Columns(draws.values, target.constrain, len(target.names))) as values:
        if draws.weights is None:
            found = diagnostics.compute(values, draws.groups, reference_mean=mean, roles=roles)
            return found, None if draws.is_approximate else running(values, found)
        found = diagnostics.compute_weighted(
            values, draws.weights, draws.families, reference_mean=mean, roles=roles
        )
        return found, None


def _first(those: npt.NDArray[np.bool_], target: Target) -> str | None:
    """Return the name of the first of those coordinates, shape (ndim,); None for none."""
    return target.quantities.coordinates[int(np.argmax(those))] if those.any() else None


def _span(start: FloatArray, draws: Draws) -> float | None:
    """Return how far apart starting points (n, ndim) are, in sds of draws of chains, or None."""
    if len(start) == 1 or draws.weights is not None:
        return None
    spans = [
        np.ptp(start[:, i]) / sd
        for i in range(start.shape[1])
        if (sd := np.std(draws.values[..., i])) > 0 and np.isfinite(sd)
    ]
    return float(max(spans)) if spans else None


def _count(draws: Draws, stat: str) -> int | None:
    """Return for how many draws a statistic is true, None if the sampler doesn't report it."""
    values = draws.stats.get(stat)
    return None if values is None else int(np.count_nonzero(values))


def _fingerprint(draws: Draws) -> str:
    return hashlib.sha256(np.ascontiguousarray(draws.values).tobytes()).hexdigest()[:16]


def serve(connection: "Connection[Any, Any]") -> None:
    """Answer requests until the other side hangs up."""
    session = Session()
    answers: dict[str, Callable[..., Any]] = {
        name: getattr(session, name)
        for name in (
            "machine",
            "remedies",
            "describe",
            "shapes",
            "examine",
            "promises",
            "gradient_points",
            "gradient_cost",
            "know",
            "log_densities",
            "ascend",
            "study",
            "build",
            "points",
            "probe",
            "sample",
            "calibrate",
        )
    }
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            # Python's JSON has NaN and infinity, which tell one log-density from another.
            reply = json.dumps({"ok": answers[request["do"]](**request["with"])})
        except Exception as error:
            kind = type(error).__name__
            said = str(error) if isinstance(error, GradbenchError) else f"{kind}: {error}"
            details = traceback.format_exc()
            reply = json.dumps({"error": said, "kind": kind, "details": details})
        connection.send_bytes(reply.encode())


def prepare(parent: int) -> None:
    """Import what every worker needs and takes seconds; end with the process that has this id."""
    die_with(parent)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    import logging

    logging.disable(logging.WARNING)
    compat.pymc()


def die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent is killed."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


def main() -> None:
    """Serve on the file descriptor given first, for the parent process given second."""
    prepare(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
