"""A run's table, and under it what it says in sentences."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench.config import planning
from gradbench.config.benchmark import Benchmark, Published
from gradbench.measure import statuses
from gradbench.results.contests import Contest, contests
from gradbench.results.curves import GOAL
from gradbench.results.execute import Outcome
from gradbench.results.growth import Growth, growths
from gradbench.results.rows import Row, are_apart, rows
from gradbench.results.summary import Summary, is_spread
from gradbench.results.times import Lead, leads
from gradbench.show.console import Column, bare_table, console, fitted, item, plural, significant
from gradbench.show.overview import overview
from gradbench.stats.interval import Interval

TIGHT = (
    0.1  # posterior sds: R-hat needs starts that are wider than the posterior (Gelman & Rubin 1992)
)
FEWEST = 3  # columns, however narrow the terminal is
MAX_CONTESTS = 4  # sentences about who is cheaper than whom
MAX_TABLES = 40  # models
ONE_BALL = frozenset({"map", "model"})  # inits that put all runs into one place


SAMPLER: Column[Row] = Column("sampler", lambda row: row.sampler, 9, "left")
EVALUATIONS: Column[Row] = Column("evals\n/ESS", lambda row: _estimate(row.evaluations_per_ess), 6)
COLUMNS: tuple[Column[Row], ...] = (
    Column("worst\nms/ESS", lambda row: _estimate(row.worst_ms_per_ess), 2),
    EVALUATIONS,
    Column("ESS", lambda row: significant(row.ess), 7),
    Column("warm-up +\nsampling s", lambda row: _phases(row.warmup_s, row.sampling_s), 1),
    # Whoever runs a model once pays it, and it may be a thousand times the sampling.
    Column("compile\ns", lambda row: significant(row.compile_s), 4),
    Column("R-hat", lambda row: _rhat(row.rhat), 5),
    Column("div.", lambda row: "–" if row.n_divergences is None else str(row.n_divergences), 3),
    Column("status", lambda row: _status(row), 8, "left"),  # noqa: PLW0108 - it stands below
)


@dataclass(frozen=True, slots=True)
class Section:
    """What is said of a model, all points of its sweep together.

    Attributes:
        title: the model's label.
        circumstances: how often it was run, and started from where.
        rows: of its table.
        lines: the sentences under it.
    """

    title: str
    circumstances: str
    rows: Sequence[Row]
    lines: Sequence[str]

    @property
    def columns(self) -> list[Column[Row]]:
        """All columns of its table."""
        is_apart = are_apart(self.rows)  # then evaluations come first
        return [
            *_points(self.rows),
            SAMPLER,
            *_costs(self.rows),
            *(column for column in COLUMNS if column is not EVALUATIONS or not is_apart),
            *_weighed(self.rows),
            *_errors(self.rows),
        ]

    @property
    def keys(self) -> set[str]:
        """The heads of those columns that tell its rows apart."""
        return {column.head for column in (*_points(self.rows), SAMPLER)}

    def table(self, columns: Sequence[Column[Row]]) -> Table:
        """Return its table with these columns."""
        return _render(self.rows, columns)


def sections(found: Sequence[Summary]) -> list[Section]:
    """Return a section for each model."""
    against, grown = contests(found), growths(found)
    made = []
    for label, group in groupby(rows(found), key=lambda row: planning.split(row.model)[0]):
        table = list(group)
        of_table = {row.model for row in table}
        lines = [
            *(_growth(growth) for growth in grown if growth.model == label),
            *_lines(
                table,
                [contest for contest in against if contest.model in of_table],
                [summary for summary in found if summary.model in of_table],
            ),
        ]
        title = label if len(of_table) > 1 else table[0].model
        made.append(Section(title, _circumstances(table), table, lines))
    return made


def results(
    found: Sequence[Summary], *, published: Published | None = None, to: Console | None = None
) -> None:
    """Print a table for each model, all points of its sweep in one, and under it sentences.

    Of more than ``MAX_TABLES`` models one table says how the samplers did on all of them.
    """
    to = to or console()
    if len({planning.split(summary.model)[0] for summary in found}) > MAX_TABLES:
        overview(rows(found), to)
        return
    for section in sections(found):
        to.print()
        to.print(
            Text(section.title, style="bold") + Text(f"  {section.circumstances}", style="dim")
        )
        to.print(_table(section, to))
        to.print()
        for line in section.lines:
            to.print(item(line))
    if published is not None:
        to.print(item(published_figures(published)))


def outcome(done: Outcome, benchmark: Benchmark, *, to_stderr: bool) -> None:
    """Print a run's table, to stderr where stdout carries data, and where its results are."""
    stderr = console(sys.stderr)
    results(done.found, published=benchmark.published, to=stderr if to_stderr else None)
    stderr.print(f"results: {done.folder}", soft_wrap=True)
    if done.is_interrupted:
        stderr.print(
            f"{done.lost or 'interrupted'}; finish it with: gradbench run --resume {done.folder}",
            soft_wrap=True,
        )


def _table(section: Section, to: Console) -> Table:
    """Return the table with as many columns as the width has room for, the least needed dropped."""
    every = section.columns
    return fitted(
        every,
        section.table,
        to,
        expendable=sorted(every, key=lambda column: column.rank)[:-FEWEST],
        head=lambda column: column.head,
    )


def _points(found: Sequence[Row]) -> list[Column[Row]]:
    """Return a column with the sweep's parameters, if there are several points in the table."""
    if len({row.model for row in found}) == 1:
        return []
    names = ", ".join(name for name, _ in planning.split(found[0].model)[1])

    def values(row: Row) -> str:
        return ", ".join(value for _, value in planning.split(row.model)[1])

    return [Column(names, values, 9, "left")]


def _costs(found: Sequence[Row]) -> list[Column[Row]]:
    """Return the columns of the price and, where it was asked for, of the time to so much ESS."""
    timed = [Column("ms/ESS\n[95 % CI]", _price, 9)]
    if (goal := found[0].ess_goal) is not None:
        head = f"s to {count(goal)}\nworst ESS"
        timed += [Column(head, lambda row: with_interval(row.seconds_to_ess_goal), 5)]
    if not are_apart(found):
        return timed
    counted: Column[Row] = Column(
        "evals/ESS\n[95 % CI]", lambda row: with_interval(row.evaluations_per_ess), 10
    )
    return [counted, *(replace(column, rank=column.rank - 6) for column in timed)]


def _weighed(found: Sequence[Row]) -> list[Column[Row]]:
    """Return the columns that a measured evaluation is needed for, if any row has one."""
    if all(row.overhead is None for row in found):
        return []
    return [
        Column("equiv.\n/ESS", lambda row: _estimate(row.density_equivalents_per_ess), 1),
        Column("overhead", lambda row: significant(row.overhead), 0),
    ]


def _errors(found: Sequence[Row]) -> list[Column[Row]]:
    """Return the column of the work until the error stayed small, if any row's is known."""
    if all(row.evaluations_to_b2_goal is None for row in found):
        return []
    return [Column(f"evals to\nb² {GOAL:g}", _to_goal, -1)]


def _to_goal(row: Row) -> str:
    took = row.evaluations_to_b2_goal
    return "–" if took is None else "not reached" if math.isinf(took) else count(took)


def _render(found: Sequence[Row], columns: Sequence[Column[Row]]) -> Table:
    table = bare_table()
    for column in columns:
        table.add_column(column.head, justify=column.align, no_wrap=True, vertical="bottom")
    for above, row in zip((None, *found), found, strict=False):
        if above and (row.status == "approximate") != (above.status == "approximate"):
            table.add_section()
        is_shown = row.ms_per_ess is not None or row.status == "approximate" or row.is_elsewhere
        style = "" if is_shown else "dim"
        table.add_row(*(column.text(row) for column in columns), style=style)
    return table


def _circumstances(found: Sequence[Row]) -> str:
    found = [row for row in found if not row.is_elsewhere]
    if not found:
        return "  made elsewhere"
    n = max(row.n_replicates for row in found)
    start = {
        "uniform": "started from uniform(-2, 2) on the unconstrained scale",
        "bounds": "started uniformly in the model's bounds",
        "own": "started from the model's own points",
        "prior": "started from draws of the prior",
        "reference": "started from exact draws, so burn-in is not seen",
        "model": "started around the model's initial point",
        "map": "started around the mode",
    }[found[0].start]
    return f"{plural(n, 'replicate')}, {start}"


def _lines(found: Sequence[Row], against: Sequence[Contest], cells: Sequence[Summary]) -> list[str]:
    several = len({row.model for row in found}) > 1

    def at(model: str) -> str:
        return f" at {model[model.index('[') + 1 : -1]}" if several else ""

    # Of many only the next two and the dearest: the table has them all.
    told = against if len(against) <= MAX_CONTESTS else [*against[:2], against[-1]]
    lines = [_sentence(contest, at(contest.model)) for contest in told]
    lines += [fastest(order, at(model)) for model, order in leads(cells).items()]
    judged = [
        f"{row.sampler}{at(row.model)} {with_interval(row.calibration)}"
        for row in found
        if row.calibration
    ]
    if judged:
        lines.append(f"ESS claimed / ESS from errors against known moments: {'; '.join(judged)}")
    alone = [f"{row.sampler}{at(row.model)} {_lone(*row.lone_z)}" for row in found if row.lone_z]
    if alone:
        lines.append(
            "largest error of a known mean, in standard errors that the ESS claims:"
            f" {'; '.join(alone)}"
        )
    lines += _spent(found, cells, at)
    lines += _agreement(cells)
    lines += _warnings(found, at)
    evidence = [
        f"{row.sampler}{at(row.model)} {row.log_evidence[0]:.2f} ± {row.log_evidence[1]:.2f}"
        for row in found
        if row.log_evidence
    ]
    if evidence:
        lines.append(f"log evidence: {'; '.join(evidence)}")
    if any(row.status == "approximate" for row in found):
        lines.append(
            "approximations: seconds to reach their error, root mean square over parameters, in"
            " posterior sds; no draw of theirs is an effective sample"
        )
    lines += [
        f"{row.sampler}{at(row.model)}: all starting points lay within"
        f" {significant(row.start_span)} posterior sd of each other; what is far from them may not"
        " have been seen"
        for row in found
        if row.start_span is not None and row.start_span < TIGHT
    ]
    lines += _counted(cells)
    if here := [cell for cell in cells if not cell.is_elsewhere]:
        lines += _cluster(here)
        lines.append(_density(here))
    lines += [line for cell in cells if cell.is_elsewhere for line in _elsewhere(cell)]
    lines += [_reason(row, at(row.model)) for row in found if row.reason]
    return lines


def _warnings(found: Sequence[Row], at: Callable[[str], str]) -> list[str]:
    """Return what a row's number doesn't say, of all rows that have it in one line."""

    def named(rows: Sequence[tuple[Row, str]]) -> str:
        return "; ".join(f"{row.sampler}{at(row.model)}{said}" for row, said in rows)

    diverged = [
        (row, f" {share:.1%}")
        for row in found
        if (share := row.diverged or 0.0) > statuses.DIVERGENT and "diverged" not in row.reason
    ]
    saturated = [
        (row, f" {share:.1%}")
        for row in found
        if (share := row.saturated or 0.0) > statuses.SATURATED
    ]
    heavy = [(row, f" {row.heavy_tails}") for row in found if row.heavy_tails]
    alone = [(row, "") for row in found if row.ms_per_ess is not None and row.rhat is None]
    said = {
        "kept transitions that diverged": diverged,
        "trajectories at the maximum tree depth, where they are cut short": saturated,
        "tails too heavy for a variance, so no ESS of mean and square (Pareto k)": heavy,
        "one run, and no second to compare it with (replicates: 2 or more)": alone,
    }
    lines = [f"{what}: {named(rows)}" for what, rows in said.items() if rows]
    if any(row.ms_per_ess is not None and row.start in ONE_BALL for row in found):
        lines.append("all runs started in one ball: R-hat can't show modes that none reached")
    return lines


def _counted(cells: Sequence[Summary]) -> list[str]:
    """Return what was chosen to count, and what doesn't for another reason."""
    chosen = dict.fromkeys(cell.parameters for cell in cells if cell.parameters)
    uncounted = dict.fromkeys(cell.uncounted for cell in cells if cell.uncounted)
    return [
        *(f"what counts (parameters:): {patterns}" for patterns in chosen),
        *(f"not counted, unless parameters: names it: {quantities}" for quantities in uncounted),
    ]


def _lone(z: float, allowed: float) -> str:
    return f"{z:.1f} (chance allows {allowed:.1f})" if z > allowed else f"{z:.1f}"


def _reason(row: Row, at: str) -> str:
    share = "" if row.n_status == row.n_replicates else f" in {row.n_status} of {row.n_replicates}"
    return f"{row.sampler}{at}: {row.status}{share}: {row.reason}"


def _spent(found: Sequence[Row], cells: Sequence[Summary], at: Callable[[str], str]) -> list[str]:
    """Return what evaluations weigh, and how much of the time is the density's own."""
    lines = []
    for model in dict.fromkeys(row.model for row in found):
        priced = [row for row in found if row.model == model and row.overhead is not None]
        first = next((cell for cell in cells if cell.model == model), None)
        if not priced or first is None or first.logdensity_s is None:
            continue
        weight = (
            ""
            if first.gradient_s is None
            else f"a gradient costs {significant(first.gradient_s / first.logdensity_s)}"
            " log-densities; "
        )
        factors = "; ".join(f"{row.sampler} {significant(row.overhead)}" for row in priced)
        lines.append(
            f"{weight}sampling takes so many times its bare evaluations{at(model)}: {factors}"
        )
    return lines


def _agreement(cells: Sequence[Summary]) -> list[str]:
    """Return how far apart the samplers are that agree, the pair that chance allows least."""
    compared = [
        (z / allowed, z, allowed)
        for cell in cells
        if (z := cell.sampler_difference_z) is not None
        and (allowed := cell.sampler_difference_allowed)
        and cell.status != "disagrees"
    ]
    if not compared:
        return []
    _, z, allowed = max(compared)
    return [
        f"samplers agree: largest difference of a mean or second moment {z:.1f} standard errors,"
        f" where chance allows {allowed:.1f}"
    ]


def fastest(order: Sequence[Lead], at: str) -> str:
    """Return who is the fastest to how many effective draws."""
    told = []
    for i, lead in enumerate(order):
        last = "from there on" if i else "to any number"
        until = last if math.isinf(lead.until) else f"up to about {count(lead.until)}"
        told.append(f"{' or '.join([lead.sampler, *lead.ties])} {until}")
    return (
        f"fastest{at} to so many effective draws of the worst parameter, compile and warm-up"
        f" included: {', '.join(told)}"
    )


def count(n: float) -> str:
    """Return a count with two significant digits at least, its thousands apart."""
    digits = max(0, math.floor(math.log10(n)) - 1)
    return f"{round(n, -digits) if n % 1 else n:,.0f}".replace(",", " ")


def _growth(growth: Growth) -> str:
    """Return how fast a sampler's cost grows, and what that rests on."""
    name = growth.parameter
    basis = [
        f"{name} {growth.smallest:g} … {growth.largest:g}",
        f"{growth.n_points} points"
        + (f", {growth.n_unreliable} of them unreliable" if growth.n_unreliable else ""),
    ]
    basis += [f"{growth.n_uncosted} without a cost left out"] if growth.n_uncosted else []
    said = ", ".join(
        f"{name}^{e.estimate:z.2f} [{e.low:z.2f}, {e.high:z.2f}] in {what}"
        for what, e in growth.exponents.items()
    )
    return f"cost of {growth.sampler} grows as {said} ({'; '.join(basis)})"


def _elsewhere(cell: Summary) -> list[str]:
    """Return what there is to know of chains that were made elsewhere."""
    facts = {
        "time": cell.time_source or "unknown",
        "evaluations": cell.evaluations_source or "unknown",
        "log-density": cell.lp_agreement or "not compared",
    }
    said = "; ".join(f"{name}: {fact}" for name, fact in facts.items())
    notices = cell.notices.split("; ") if cell.notices else []
    return [
        f"{cell.sampler}: made elsewhere ({cell.origin}); {said}",
        *(f"{cell.sampler}: {notice}" for notice in notices),
    ]


def _sentence(contest: Contest, at: str) -> str:
    fewer = (
        f"{contest.best} needs {with_interval(contest.evaluations)} times fewer evaluations than"
        f" {contest.other}{at}"
    )
    if contest.is_spread:
        if contest.time is None:
            return f"{fewer}; they have no block in common for their times"
        return f"{fewer}, and {with_interval(contest.time)} times less time within blocks"
    if contest.time is None:
        return f"{fewer}, which was made elsewhere: its time isn't compared"
    if contest.time.low <= 1 <= contest.time.high:
        return (
            f"no clear difference in time between {contest.best} and {contest.other}{at}:"
            f" {with_interval(contest.time)} times"
        )
    return (
        f"{contest.best} is {with_interval(contest.time)} times cheaper than {contest.other}{at}"
        f" in time, {with_interval(contest.evaluations)} times in evaluations"
    )


def _cluster(cells: Sequence[Summary]) -> list[str]:
    """Return where cells ran that ran on a cluster, and what that says of their times."""
    blocks = {cell.block for cell in cells if cell.block is not None}
    if not blocks:
        return []
    n_machines = len({cell.host for cell in cells if cell.host is not None})
    ran = f"ran on a cluster, in {plural(len(blocks), 'block')} on {plural(n_machines, 'machine')}"
    lines = [ran]
    if is_spread(cells):
        lines = [
            f"{ran}: times of one are not those of another, so evaluations come first, and times"
            " are compared within blocks only"
        ]
    timed = [cell for cell in cells if cell.sampling_s is not None]
    if busy := [n for cell in timed if (n := cell.co_run) is not None and n > cell.threads]:
        lines.append(
            f"co-run: while {len(busy)} of {len(timed)} cells ran, others did on the same machine,"
            f" {max(busy)} at a time at most: they share its memory, and take longer than alone"
        )
    other = {cell.other_versions for cell in cells if cell.other_versions}
    return [*lines, *(f"some cells ran with other versions: {said}" for said in sorted(other))]


def _density(cells: Sequence[Summary]) -> str:
    """Return the outcome of the density checks of the models in a table."""
    firsts = {cell.model: cell for cell in reversed(cells)}.values()
    checked = [first for first in firsts if first.density_n_points is not None]
    if not checked:
        return "density check: not made"
    n_points = sum(first.density_n_points or 0 for first in checked)
    values = [first.density_value_error for first in checked]
    slopes = [e for first in checked if (e := first.density_gradient_error) is not None]
    known = [value for value in values if value is not None]
    differences = (
        f"density check: {n_points} points, largest relative difference of values"
        f" {f'{max(known):.0e}' if len(known) == len(values) else 'not finite'}"
        + (f", of gradients {max(slopes):.0e}" if slopes else "")
    )
    noted: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.density_note:
            noted.setdefault(cell.density_note, {})[cell.sampler] = None
    notes = [f"{note} ({', '.join(samplers)})" for note, samplers in noted.items()]
    findings = [
        first.density_findings + (f" ({first.model})" if len(checked) > 1 else "")
        for first in checked
        if first.density_findings
    ]
    return "; ".join([differences, *notes, *findings])


def published_figures(published: Published) -> str:
    """Return figures printed elsewhere, in a sentence."""
    figures = dict(published.ms_per_ess)
    said = ", ".join(f"{sampler} {value:g}" for sampler, value in figures.items())
    ratio = max(figures.values()) / min(figures.values())
    return f"published: {said} ms/ESS, ratio {ratio:.0f} ({published.source})"


def with_interval(interval: Interval | None) -> str:
    """Return an estimate with its bounds, where it has any, three digits each."""
    if interval is None:
        return "–"
    if math.isnan(interval.low):
        return significant(interval.estimate)
    low, high = significant(interval.low), significant(interval.high)
    return f"{significant(interval.estimate)} [{low}, {high}]"


def _price(row: Row) -> str:
    if row.status != "approximate":
        return with_interval(row.ms_per_ess)
    spent = significant((row.warmup_s or 0.0) + (row.sampling_s or 0.0))
    return f"{spent} s to {'?' if row.error_sd is None else significant(row.error_sd)} sd"


def _status(row: Row) -> str:
    is_partial = 0 < row.n_uncosted < row.n_replicates
    return f"{row.status} {row.n_uncosted}/{row.n_replicates}" if is_partial else row.status


def _estimate(interval: Interval | None) -> str:
    return "–" if interval is None else significant(interval.estimate)


def _phases(*spent_s: float | None) -> str:
    return "–" if None in spent_s else "+".join(map(significant, spent_s))


def _rhat(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
