"""The starting points of a model, of every kind, and why none is found."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np

from gradbench.draws import FloatArray
from gradbench.errors import ModelError, first_line
from gradbench.logdensity import LogDensity
from gradbench.reference import Reference
from gradbench.stan import UNCONSTRAINED
from gradbench.target.density import UNIFORM_RADIUS, CompiledDensity
from gradbench.target.quantities import Quantities
from gradbench.target.search import MAX_TRIES, Search, search, search_around

Init = Literal["uniform", "reference", "model", "map", "own", "prior"]

MODEL_JITTER = 1.0  # pm.sample's jitter+adapt_diag: uniform(-1, 1) around the initial point
MAP_JITTER = 0.1  # a ball around the mode, as emcee's users start
N_TRIED = 8  # starting points that tell what varies, what is a whole number, where runs can start
MAX_TERMS = 4  # named in a message
OTHER_WAYS: tuple[Init, ...] = ("own", "model", "prior", "reference")  # where uniform finds none


class Starts:
    """Where runs of a model start, on the unconstrained space.

    Args:
        density: the model's.
        quantities: of the same model.
        own: makes starting points of the model's own, as ``models.Loaded`` has it, or None.
        reference: what is known of its posterior, or None.
        function: the plain function that the model was made from, or None.
        init: the kind of its run's starting points, or None where there is no run.
    """

    def __init__(
        self,
        density: CompiledDensity,
        quantities: Quantities,
        *,
        own: Callable[..., Any] | None = None,
        reference: Reference | None = None,
        function: LogDensity | None = None,
        init: Init | None = None,
    ) -> None:
        self._density = density
        self._model = density.model
        self._quantities = quantities
        self._own_initial = own
        self._reference = reference
        self._function = function
        self._init = init

    def initial(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n points (n, ndim) for all that is no cell's run: checks, the untimed first steps.

        They are those of ``init: uniform`` wherever it finds any, whatever a run starts from, so
        that they are the same in every run; else those of the run's own ``init``, or of the first
        other way that finds some where that isn't known.

        Raises:
            ModelError: no point with a finite log-density was found.
        """
        for init in self.ways:
            if (found := self._search(init, rng, n)).is_successful:
                return found.points
        return self.find(self._init or "uniform", rng, n)

    def find(self, init: Init, rng: np.random.Generator, n: int) -> FloatArray:
        """Return n starting points (n, ndim) of the named kind.

        Raises:
            ModelError: no finite point was found, or the model can't start in this way.
        """
        self.require(init)
        found = self._search(init, rng, n)
        if not found.is_successful:
            raise ModelError(self._no_start(init, found))
        return found.points

    def require(self, init: Init) -> None:
        """Raise what a run would, where that can be told without compiling a density.

        Raises:
            ModelError: the model can't draw from its reference or its prior, or gives no points.
        """
        if (lacking := self._lacks_way(init)) is not None:
            raise ModelError(f"init: {init} {lacking}")

    @cached_property
    def ways(self) -> tuple[Init, ...]:
        """The kinds of starting points that ``initial`` tries, in this order."""
        others = OTHER_WAYS if self._init in {None, "map"} else (self._init,)
        known = [init for init in others if self._lacks_way(init) is None and init != "uniform"]
        # Tried with a seed of its own: which points a check has must not depend on how many were
        # asked for before.
        return ("uniform", *known) if self._works("uniform") or not known else tuple(known)

    def meaning(self, init: Init) -> str:
        """Return what a kind of starting points is here: ``uniform`` may be in ``bounds``."""
        is_bounded = self._function is not None and self._function.bounds is not None
        return "bounds" if init == "uniform" and is_bounded else init

    @property
    def improper(self) -> list[str]:
        """The names of the variables whose prior is flat on an unbounded range.

        There are none where a plain function comes with its prior.
        """
        if self._function is not None and self._function.prior_transform is not None:
            return []
        return [rv.name for rv in self._model.free_RVs if "flat" in str(rv.owner.op.name)]

    def _lacks_way(self, init: Init) -> str | None:
        """Return why runs can't start in this way, or None, as far as nothing need be compiled."""
        if init == "reference" and (self._reference is None or self._reference.draw is None):
            return (
                "needs exact draws, and this model has none; give its reference() a draw function,"
                " or use init: uniform"
            )
        if init == "own" and self._own_initial is None:
            return (
                "needs the model's own starting points, and it gives none; give its file a function"
                " initial(rng, n), or use init: uniform"
            )
        if init == "prior" and (names := self.improper):
            shown = "the Stan program" if names == [UNCONSTRAINED] else ", ".join(names)
            return (
                f"needs a prior to draw from, and that of {shown} is improper or not told; give"
                " proper priors (a plain function: bounds or prior_transform), or use init:"
                " uniform"
            )
        return None

    def _search(self, init: Init, rng: np.random.Generator, n: int) -> Search:
        """Return what a search for n points of this kind, which the model has, found."""
        evaluate = self._density.logdensity_batch
        if init == "model":
            return search_around(self._density.own_point, MODEL_JITTER, n, evaluate, rng=rng)
        if init == "map":
            return search_around(self._posterior_mode, MAP_JITTER, n, evaluate, rng=rng)
        if init == "reference":
            assert self._reference is not None
            assert self._reference.draw is not None
            points = self._quantities.unconstrain(self._reference.draw(rng, n))
            return Search(points, np.zeros(n, dtype=np.bool_), n, n)
        propose = {"own": self._own, "prior": self._from_prior}.get(init, self._uniform)
        return search(lambda k: propose(rng, k), n, evaluate)

    def _uniform(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return points uniform in the bounds of the model's function, else in (-2, 2)."""
        points = rng.uniform(-UNIFORM_RADIUS, UNIFORM_RADIUS, (n, self._density.ndim))
        if self._function is None or self._function.bounds is None:
            return points
        return self.of_function(self._function.inside(points, radius=UNIFORM_RADIUS))

    def of_function(self, x: FloatArray) -> FloatArray:
        """Return points of a plain function, (n, ndim), on the unconstrained space."""
        assert self._function is not None
        if not self._function.transform:
            return x
        return self._quantities.unconstrain(self._function.named(x))

    def _own(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return the points that the model itself gives.

        Raises:
            ModelError: they are not n points, or not of this model.
        """
        assert self._own_initial is not None
        given, ndim = self._own_initial(rng, n), self._density.ndim
        if isinstance(given, Mapping):
            return self._own_named(given, n)
        try:
            points = np.array(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"initial() must return points, an array ({n}, {ndim}), or a map of names to"
                f" values, not {type(given).__name__}"
            ) from error
        if points.shape != (n, ndim):
            raise ModelError(
                f"initial(rng, {n}) returned an array of shape {points.shape}; it must return"
                f" an array of shape ({n}, {ndim})"
            )
        self._refuse_nonfinite(points, "it must give finite values")
        return points

    def _own_named(self, given: Mapping[str, Any], n: int) -> FloatArray:
        shapes = self._quantities.shapes
        known = {name: shapes[name] for name in self._quantities.free}
        if missing := [name for name in known if name not in given]:
            raise ModelError(f"initial() lacks {', '.join(missing)}, of {', '.join(known)}")
        if unknown := [name for name in given if name not in shapes]:
            raise ModelError(
                f"initial() names {', '.join(map(str, unknown))};"
                f" the model's parameters are {', '.join(known)}"
            )
        values = {}
        for name, shape in known.items():
            values[name] = np.array(given[name], dtype=np.float64)
            if values[name].shape != (n, *shape):
                raise ModelError(
                    f"initial(rng, {n}) returned {name} of shape {values[name].shape}; it must be"
                    f" {(n, *shape)}: {n} values"
                )
            if not np.isfinite(values[name]).all():
                raise ModelError(f"initial() gives NaN or infinity for {name}")
        points = self._quantities.unconstrain(values)
        self._refuse_nonfinite(points, "its value is outside its range")
        return points

    def _refuse_nonfinite(self, points: FloatArray, why: str) -> None:
        for name in self._density.variables:
            if not np.isfinite(points[:, self._density.positions([name])]).all():
                raise ModelError(f"initial() gives NaN or infinity for {name}: {why}")

    def _from_prior(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return draws from the prior, potentials left aside."""
        from pymc.pytensorf import reseed_rngs

        if self._function is not None and self._function.prior_transform is not None:
            return self.of_function(self._function.from_prior(rng, n))

        try:
            draw, generators = self._prior
            reseed_rngs(generators, int(rng.integers(2**63)))
            return np.array([draw() for _ in range(n)])
        except (NotImplementedError, ValueError) as error:
            raise ModelError(
                f"init: prior can't draw from the model's prior: {first_line(error)}"
            ) from error

    @cached_property
    def _prior(self) -> tuple[Callable[[], FloatArray], list[Any]]:
        """The function that draws an unconstrained point from the prior, and its generators."""
        import pytensor.tensor as pt
        from pymc.pytensorf import collect_default_updates
        from pymc.pytensorf import compile as pymc_compile

        flat = pt.concatenate([value.ravel() for value in self._density.transformed])
        # One mode for all backends, so that all samplers start from the same draws.
        draw = pymc_compile([], flat, mode="FAST_COMPILE")
        return draw, [*collect_default_updates(outputs=[flat])]

    def _no_start(self, init: Init, found: Search) -> str:
        """Return why a search found nothing, which terms of the density are to blame, what helps.

        Every other way that the model has is tried.
        """
        lines = [
            f"no starting point with a finite log-density in {MAX_TRIES} tries:"
            f" {found.n_finite:,} of the {found.n_tried:,} points that init: {init} tried had one"
        ]
        if terms := self._nonfinite_terms(found.points[found.is_outside]):
            shown = [f"{name} is {what}" for name, what in [*terms.items()][:MAX_TERMS]]
            lines.append(", ".join(shown) + (", …" if len(terms) > MAX_TERMS else ""))
        ways: tuple[Init, ...] = ("uniform", *OTHER_WAYS, "map")
        works = [way for way in ways if way != init and self._works(way)]
        if works:
            lines.append("it can start with " + " or ".join(f"init: {way}" for way in works))
        else:
            remedy = "its file a function initial(rng, n)"
            if self._function is not None:
                remedy = "LogDensity the argument initial or bounds"
            lines.append(f"no other init finds one: check the model's support, or give {remedy}")
        return "; ".join(lines)

    def _works(self, init: Init) -> bool:
        if self._lacks_way(init) is not None:
            return False
        try:
            found = self._search(init, np.random.default_rng(0), N_TRIED)
        except ModelError:
            if init == "uniform":
                raise  # a density of +inf, the only reason here, is none anywhere
            return False
        except Exception:  # whatever a model's own code raises: it is no way to start
            return False
        values = self._density.logdensity_batch(found.points)
        return found.is_successful and bool(np.isfinite(values).all())

    def _nonfinite_terms(self, points: FloatArray) -> dict[str, str]:
        """Return the terms of the density that aren't finite at these points, and what they are."""
        from pymc.pytensorf import compile as pymc_compile

        from gradbench.target.from_function import POTENTIAL

        model, points = self._model, points[:N_TRIED]
        factors = [*model.free_RVs, *model.observed_RVs, *model.potentials]
        flat, terms = self._density.joined([term.sum() for term in model.logp(sum=False)])
        evaluate = pymc_compile([flat], terms, mode="FAST_COMPILE", on_unused_input="ignore")
        seen = np.array([evaluate(x) for x in points])
        told = {}
        for factor, values in zip(factors, seen.T, strict=True):
            name = factor.name
            if name == POTENTIAL:
                name = "the Stan program" if self._function is None else "the function"
            kinds = {"NaN": np.isnan(values).any(), "-inf": np.isneginf(values).any()}
            if any(kinds.values()):
                told[name] = " and ".join(kind for kind, is_met in kinds.items() if is_met)
        return told

    @cached_property
    def _posterior_mode(self) -> FloatArray:
        """The mode, from the model's own point or, where that is outside the support, another."""
        density, start = self._density, self._density.own_point
        if not np.isfinite(density.logdensity(start)):
            ways: tuple[Init, ...] = ("uniform", *OTHER_WAYS)
            for way in ways:
                if self._works(way):
                    (start,) = self._search(way, np.random.default_rng(0), 1).points
                    break
        mode = density.ascended(start)
        return mode if np.isfinite(density.logdensity(mode)) else start
