"""Runs that end with a verdict: as many replicates as it takes, no more.

Both ``check`` and ``ab`` look at their results after 8, 16, 32 … replicates and go on with the
cells that are not decided yet. ``decide`` is that procedure by itself; simulations call it with
numbers in place of samplers.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell, Key
from gradbench.gate import rule, sides
from gradbench.gate.compare import compare, differences
from gradbench.gate.rule import Look
from gradbench.gate.sides import Side
from gradbench.gate.verdict import Compared, Comparison, ordered
from gradbench.measure.runner import Runner
from gradbench.measure.slowdown import Planted
from gradbench.results import execute, store
from gradbench.results.execute import Display, Make
from gradbench.results.store import RunFolder

PER_PROCESS = 4  # replicates; memory layout moves a whole process by 2 to 3 %

Take = Callable[[Look, set[Key] | None], tuple[Side, Side]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, None where the run was interrupted before it, and the runs it rests on."""

    comparison: Comparison | None
    folders: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Variant:
    """One side of an A/B run.

    Attributes:
        name: of the side; stands in the name of its results folder.
        python: the interpreter of its workers.
        planted: what makes it dearer on purpose, by model and sampler.
        uses: what loads samplers on this side, by label, where it isn't what the config says.
    """

    name: str
    python: str = sys.executable
    planted: Mapping[Key, Planted] = field(default_factory=dict)
    uses: Mapping[str, str] = field(default_factory=dict)

    def of(self, benchmark: Benchmark) -> Benchmark:
        """Return what a benchmark is on this side."""
        entries = {
            label: entry.model_copy(update={"use": self.uses.get(label, entry.use)})
            for label, entry in benchmark.samplers.items()
        }
        return benchmark.model_copy(update={"samplers": entries})


def decide(take: Take, looks: Sequence[Look], *, is_paired: bool = False) -> Comparison:
    """Return the verdicts, each from the look at which it was reached.

    A cell that is fine goes on where its sampler seems to have lost a little on all its models.

    Args:
        take: gives both sides, with as many replicates as the look asks for of the cells named;
            None means all.
        looks: as ``rule.looks`` gives them.
        is_paired: as in ``compare``.
    """
    rows: dict[Key, Compared] = {}
    undecided: set[Key] | None = None
    for number, look in enumerate(looks):
        base, head = take(look, undecided)
        found = compare(base, head, look, is_paired=is_paired)
        rows |= {row.key: row for row in found.rows if undecided is None or row.key in undecided}
        suspects = {
            pool.sampler
            for pool in found.pooled
            if pool.evaluations.low > 1 and not pool.is_regressed
        }
        undecided = {
            key
            for key, row in rows.items()
            if row.verdict == "inconclusive" or (row.verdict == "fine" and key[1] in suspects)
        }
        if not look.is_last:
            if undecided:
                continue
            # A small loss on all models of a sampler is asked for with whatever level is left.
            rest = rule.LEVEL - sum(earlier.level for earlier in looks[:number])
            found = compare(base, head, replace(look, level=rest), is_paired=is_paired)
        return replace(found, rows=ordered(rows.values()))
    raise ValueError("no look is the last")


def rehearsed(base: Side, head: Side, *, is_paired: bool = False) -> Take:
    """Return a ``take`` that hands out replicates that are there already, as far as asked for.

    Of the base all are handed out, unless its replicates are paired with the head's.
    """
    n_taken: dict[Key, int] = {}

    def first(side: Side) -> Side:
        taken = {key: series.first(n_taken[key]) for key, series in side.series.items()}
        return replace(side, series=taken)

    def take(look: Look, undecided: set[Key] | None) -> tuple[Side, Side]:
        wanted = head.series if undecided is None else undecided
        n_taken.update(dict.fromkeys(wanted, look.n_replicates))
        return first(base) if is_paired else base, first(head)

    return take


def check(
    benchmark: Benchmark,
    root: Path,
    baseline: Side,
    display: Display,
    *,
    max_replicates: int = rule.LOOKS,
    make: Make = Runner,
) -> Judged:
    """Run a benchmark and judge it against a baseline.

    Args:
        benchmark: what to run; its ``replicates`` are not used.
        root: a results folder is made below it.
        baseline: what it is held against.
        display: is told what is under way.
        max_replicates: of one cell.
        make: makes what runs the cells.

    Raises:
        ModelError, SamplerError, ClusterError: the plan can't be run; nothing was written.
        LostError: the cluster was lost.
        SaveError: a result can't be written; those before it are kept.
    """
    benchmark = benchmark.model_copy(update={"replicates": max_replicates})
    cells = planning.cells(benchmark)
    other = _not_comparable(cells, baseline)
    cells = [cell for cell in cells if cell.key not in other.series]
    with make(benchmark, display) as runner:
        runner.preflight(cells)
        about = {"machine": runner.machine(), "models": execute.fingerprints(cells)}
        folder = store.create(root, benchmark, about)
        blocks = _Blocks(cells, display, size=max_replicates)

        def take(look: Look, undecided: set[Key] | None) -> tuple[Side, Side]:
            for block in blocks.until(look, undecided):
                for found in runner.run(block):
                    execute.keep(found, folder, display)
            head = _side(folder)
            return baseline, replace(head, series={**head.series, **other.series})

        return _judge(take, rule.looks(max_replicates), [folder], is_paired=False)


def ab(
    benchmark: Benchmark,
    root: Path,
    variants: tuple[Variant, Variant],
    display: Display,
    *,
    max_replicates: int = rule.LOOKS,
    looks: Sequence[Look] | None = None,
) -> Judged:
    """Run a benchmark on two variants by turns, and judge the second against the first.

    Cell by cell the two go A B, B A, A B …, so that both see the same machine; after every four
    replicates both get new processes. Arguments are as in ``check``; ``looks`` replaces those up to
    ``max_replicates``.

    Raises:
        ModelError, SamplerError: the plan can't be run on one side; nothing was written.
        SaveError: a result can't be written; those before it are kept.
    """
    looks = looks or rule.looks(max_replicates)
    benchmark = benchmark.model_copy(update={"replicates": looks[-1].n_replicates})
    cells = planning.cells(benchmark)
    with ExitStack() as stack:
        runners, folders, plans = [], [], []
        for variant in variants:
            runner = Runner(benchmark, display, python=variant.python, planted=variant.planted)
            runners.append(stack.enter_context(runner))
            plans.append({cell.place: cell for cell in planning.cells(variant.of(benchmark))})
            runner.preflight([cell for cell in plans[-1].values() if cell.replicate == 0])
        for variant, runner in zip(variants, runners, strict=True):
            about = {"machine": runner.machine(), "models": execute.fingerprints(cells)}
            name = f"{benchmark.name}-{variant.name}"
            named = variant.of(benchmark).model_copy(update={"name": name})
            folders.append(store.create(root, named, about))
        blocks = _Blocks(cells, display, size=PER_PROCESS, n_sides=2)

        def take(look: Look, undecided: set[Key] | None) -> tuple[Side, Side]:
            for block in blocks.until(look, undecided):
                both = [[plan[cell.place] for cell in block] for plan in plans]
                _by_turns(runners, folders, both, display)
            first, second = map(_side, folders)
            return first, second

        return _judge(take, looks, folders, is_paired=True)


def _judge(
    take: Take, looks: Sequence[Look], folders: Sequence[RunFolder], *, is_paired: bool
) -> Judged:
    comparison = None
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(store.locked(folder))
        with suppress(KeyboardInterrupt):
            comparison = decide(take, looks, is_paired=is_paired)
        for folder in folders:
            execute.tabulate(folder)
    return Judged(comparison, [folder.path for folder in folders])


class _Blocks:
    """The cells still to be run, a few replicates of all cells at a time."""

    def __init__(
        self, cells: Sequence[Cell], display: Display, *, size: int, n_sides: int = 1
    ) -> None:
        self._cells = cells
        self._display = display
        self._size = size
        self._n_sides = n_sides
        self._n_done = 0

    def until(self, look: Look, undecided: set[Key] | None) -> Iterator[list[Cell]]:
        """Yield the blocks up to a look, of the cells named; None means all."""
        wanted = [c for c in self._cells if undecided is None or c.key in undecided]
        new = [c for c in wanted if self._n_done <= c.replicate < look.n_replicates]
        self._display.planned(self._n_sides * len(new))
        while self._n_done < look.n_replicates:
            end = min(self._n_done + self._size, look.n_replicates)
            yield [cell for cell in new if self._n_done <= cell.replicate < end]
            self._n_done = end


def _by_turns(
    runners: Sequence[Runner],
    folders: Sequence[RunFolder],
    blocks: Sequence[Sequence[Cell]],
    display: Display,
) -> None:
    """Run a block on both sides, each its own form of it, cell by cell: A B, B A, A B and so on."""
    runs = [
        (runner.run(block), folder)
        for runner, folder, block in zip(runners, folders, blocks, strict=True)
    ]
    for turn in cycle((runs, runs[::-1])):
        n_found = 0
        for run, folder in turn:
            for found in run:
                execute.keep(found, folder, display)
                n_found += 1
                break
        if n_found == 0:
            return


def _side(folder: RunFolder) -> Side:
    return sides.of_folder(str(folder.path))


def _not_comparable(cells: Sequence[Cell], base: Side) -> Side:
    """Return, without a replicate, the cells that ask another question than the base does."""
    planned = sides.planned(cells)
    others = {
        key: series
        for key, series in planned.series.items()
        if key in base.series and any(differences(base.series[key], series))
    }
    return replace(planned, series=others)
