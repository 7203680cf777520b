"""What a comparison says: a verdict for each model and sampler, and one exit code for all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gradbench.config.planning import Key
from gradbench.stats.interval import Interval

Verdict = Literal[
    "regressed",  # proven: it costs more
    "failed",  # it was fine; now it doesn't converge, is biased or crashes
    "missing",  # it was there, and is gone
    "not comparable",  # the two sides don't ask the same question
    "inconclusive",  # a slowdown of 10 % is neither proven nor ruled out
    "traded",  # one factor got worse, the product did not
    "improved",  # proven: it costs less
    "advisory",  # too noisy to be judged
    "fine",  # a slowdown of 10 % is ruled out
    "identical",  # the very same draws
    "new",  # it was not there before
]  # in the order they are shown in
ORDER: tuple[Verdict, ...] = get_args(Verdict)
QUIET: tuple[Verdict, ...] = ("advisory", "fine", "identical", "new")  # need no attention
LOUD = tuple(verdict for verdict in ORDER if verdict not in QUIET)

REGRESSION, NOT_COMPARED, INCONCLUSIVE = 3, 4, 5  # exit codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The verdict on one model and sampler. Ratios are head over base: above 1 costs more.

    Attributes:
        reason: the verdict in words, with the figures it rests on.
        base, head: evaluations per effective sample, medians over replicates.
        n_base, n_head: replicates that have a cost.
        evaluations: ratio of evaluations per effective sample, with its 95 % interval.
        time: ratio of CPU time per evaluation, likewise.
        is_time_judged: whether ``time`` counts; otherwise it is only shown.
        cost: ratio of the product, or of the evaluations alone where time isn't judged.
        n_identical: seeds with the same draws on both sides.
        catches: the smallest ratio of cost that so many replicates would have caught.
        n_needed: replicates a side that would catch a slowdown of 10 %.
        lost: what is proven worse: "evaluations", "time", "worst" (a parameter), "unconverged".
    """

    model: str
    sampler: str
    verdict: Verdict
    reason: str
    base: float | None = None
    head: float | None = None
    n_base: int = 0
    n_head: int = 0
    evaluations: Interval | None = None
    time: Interval | None = None
    is_time_judged: bool = False
    cost: Interval | None = None
    n_identical: int = 0
    catches: float | None = None
    n_needed: int | None = None
    lost: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Model and sampler."""
        return self.model, self.sampler

    @property
    def name(self) -> str:
        """The sampler and the model in words."""
        return f"{self.sampler} on {self.model}"


@dataclass(frozen=True, slots=True)
class Pooled:
    """One sampler over its models: a small loss everywhere shows here first."""

    sampler: str
    n_models: int
    evaluations: Interval
    is_regressed: bool

    @property
    def name(self) -> str:
        """The sampler and its models in words."""
        return f"{self.sampler} over {self.n_models} models"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All verdicts on a head against a base, those that matter first."""

    base: str
    head: str
    rows: Sequence[Compared]
    pooled: Sequence[Pooled] = ()
    notes: Sequence[str] = ()

    def having(self, *verdicts: Verdict) -> list[Compared]:
        """Return the rows with one of these verdicts."""
        return [row for row in self.rows if row.verdict in verdicts]

    @property
    def regressions(self) -> list[str]:
        """What is proven to cost more, in words."""
        slower = [pool.name for pool in self.pooled if pool.is_regressed]
        return [row.name for row in self.having("regressed")] + slower

    @property
    def sentence(self) -> str:
        """The verdict on the whole."""
        counts = [f"{len(found)} {verdict}" for verdict in ORDER if (found := self.having(verdict))]
        if self.regressions:
            first, *others = self.regressions
            more = f" and {len(others)} more" if others else ""
            said = f"Regressed: {first}{more}"
        elif self.having("failed"):
            said = "No regression proven, but some that worked do not any more"
        elif self.having("missing", "not comparable"):
            said = "No regression proven, but not everything could be compared"
        elif self.having("inconclusive"):
            said = "No regression proven, and not all ruled out"
        else:
            said = "No regression"
        return f"{said} ({', '.join(counts)})."


def ordered(rows: Iterable[Compared]) -> list[Compared]:
    """Return rows in the order they are shown in: the gravest first, then the dearest."""

    def place(row: Compared) -> tuple[int, float]:
        return ORDER.index(row.verdict), 0.0 if row.cost is None else -row.cost.estimate

    return sorted(rows, key=place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What fails a build beside a regression.

    Attributes:
        allow_missing: forgive what is missing or not comparable; never what failed.
        strict: don't forgive what is inconclusive.
    """

    allow_missing: bool = False
    strict: bool = False

    def fails(self, verdict: Verdict) -> bool:
        """Return whether a row with this verdict fails the build."""
        wrong = {"regressed", "failed"}
        wrong |= set() if self.allow_missing else {"missing", "not comparable"}
        wrong |= {"inconclusive"} if self.strict else set()
        return verdict in wrong

    def exit_code(self, found: Iterable[Comparison]) -> int:
        """Return 3 for a regression, 4 for what failed or can't be compared, 5 inconclusive, or 0.

        The first of these that holds of any comparison.
        """
        found = list(found)
        wrong = {row.verdict for each in found for row in each.rows if self.fails(row.verdict)}
        if any(comparison.regressions for comparison in found):
            return REGRESSION
        if wrong - {"inconclusive"}:
            return NOT_COMPARED
        return INCONCLUSIVE if wrong else 0
