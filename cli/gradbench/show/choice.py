"""Which sampler was chosen, and why."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradbench import samplers
from gradbench.choose.choose import Choice, Standing
from gradbench.choose.entrants import FIRST
from gradbench.config.benchmark import Benchmark, SamplerEntry
from gradbench.measure.check_model import Examination
from gradbench.measure.result import COSTED
from gradbench.show.console import Column, bare_table, console, fitted, item, plural, significant
from gradbench.show.results import count, fastest, with_interval


def model(use: str, found: Examination, *, to_stderr: bool) -> None:
    """Print what there is to know of the model, in three lines."""
    to = _console(to_stderr=to_stderr)
    slope = found.gradient_s
    gradient = (
        "no gradient" if slope is None else f"{significant(1e6 * slope)} µs with its gradient"
    )
    check = found.check
    density = (
        f"density check: {check.n_points} points, fine"
        if check.is_passed
        else f"density check: {'; '.join(check.refused.values())}"
    )
    to.print(Text(use, style="bold"))
    for line in (
        f"{found.ndim} dimension{'' if found.ndim == 1 else 's'}",
        f"one log-density takes {significant(1e6 * found.logdensity_s)} µs, {gradient}",
        density,
    ):
        to.print(item(line))


def choice(found: Choice, benchmark: Benchmark, *, to_stderr: bool) -> None:
    """Print the standings, the verdict, and how to use what was chosen."""
    to = _console(to_stderr=to_stderr)
    to.print()
    columns = _columns(found)
    to.print(
        fitted(
            columns,
            lambda some: _table(found, some),
            to,
            expendable=sorted(columns, key=lambda column: column.rank)[:-3],
            head=lambda column: column.head,
        )
    )
    to.print()
    if found.is_interrupted:
        to.print(item("interrupted: this is the answer so far"))
    for line in _verdict(found):
        to.print(item(line))
    if found.winner is not None:
        _how(found, benchmark, to)


def nobody(found: Examination) -> None:
    """Print that no sampler suits the model, and why, to stderr."""
    to = console(sys.stderr)
    to.print("\nnone can be recommended: no installed sampler suits this model")
    reasons = {name: reason or "" for name, reason in found.unsuited.items()}
    reasons |= {name: f"not installed: {remedy}" for name, remedy in found.missing.items()}
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name in reasons if reasons[name] == reason)
        to.print(item(f"{names}: {reason}"))


def folder(path: Path) -> None:
    """Print where all runs are."""
    console(sys.stderr).print(f"results: {path}", soft_wrap=True)


def _console(*, to_stderr: bool) -> Console:
    return console(sys.stderr) if to_stderr else console()


def _columns(found: Choice) -> list[Column[Standing]]:
    return [
        Column("sampler", lambda one: one.sampler, 9, "left"),
        Column(
            f"s to {count(found.goal)}\nworst ESS",
            lambda one: with_interval(one.seconds),
            9,
        ),
        Column("compile\ns", lambda one: significant(one.compile_s), 3),
        Column("evals\n/ESS", lambda one: _number(one, "evaluations_per_ess"), 4),
        Column("R-hat", _rhat, 2),
        Column("round", lambda one: str(one.ended_in or "–"), 1),
        Column("outcome", lambda one: _outcome(one, found), 8, "left"),
    ]


def _table(found: Choice, columns: Sequence[Column[Standing]]) -> Table:
    table = bare_table()
    for column in columns:
        is_words = column.head == "outcome"
        table.add_column(column.head, justify=column.align, no_wrap=not is_words, vertical="bottom")
    for one in found.standings:
        style = "bold" if one.sampler == found.winner else "" if one.seconds else "dim"
        table.add_row(*(column.text(one) for column in columns), style=style)
    return table


def _outcome(one: Standing, found: Choice) -> str:
    if one.sampler == found.winner:
        return "recommended"
    if one.sampler in found.ties:
        return "can't be told from it"
    if one.status in {*COSTED, "not run"}:
        return one.ended or one.status
    return f"{one.status}; {one.ended}" if one.ended and one.status not in one.ended else one.status


def _number(one: Standing, column: str) -> str:
    return "–" if one.summary is None else significant(getattr(one.summary, column))


def _rhat(one: Standing) -> str:
    value = None if one.summary is None else one.summary.rhat_max
    return "–" if value is None else f"{value:.3f}"


def _verdict(found: Choice) -> Iterator[str]:
    if found.winner is None:
        yield "none can be recommended"
        yield from _why_none(found)
        return
    said = [
        f"{found.winner}: {with_interval(found.price)} s to {count(found.goal)} effective draws of"
        " the worst parameter, compile and warm-up included"
    ]
    if found.ties:
        said.append(f"{', '.join(found.ties)} can't be told from it")
    if found.behind is not None:
        rest = "the rest take" if found.ties else "the others take"
        said.append(f"{rest} at least {significant(found.behind)} times as long")
    yield "; ".join(said)
    yield (
        f"confirmed on {plural(found.n_fresh, 'fresh replicate')}"
        if found.n_fresh
        else "not confirmed: no time was left for fresh replicates, and a race flatters its winner"
    )
    if len(found.leads) > 1:
        yield fastest(found.leads, "")
    agreeing = [
        one.summary for one in found.standings if one.summary is not None and one.status in COSTED
    ]
    compared = [one for one in agreeing if one.sampler_difference_z is not None]
    if compared:
        z = max(one.sampler_difference_z or 0.0 for one in compared)
        yield f"{len(compared)} samplers agree: largest difference {z:.1f} standard errors"
    else:
        yield "no other sampler has runs that could be compared: nobody vouches for its draws"
    for one in found.standings:
        if one.status == "disagrees":
            yield f"{one.sampler}: disagrees: {one.reason}"


def _why_none(found: Choice) -> Iterator[str]:
    """Yield why nobody is recommended, each reason once, and what to try."""
    reasons: dict[str, list[str]] = {}
    for one in found.standings:
        status = one.ended if one.status in {"not run", *COSTED} else one.status
        said = f"{status}: {one.reason}" if one.reason and one.status not in COSTED else status
        reasons.setdefault(said or "it was not run", []).append(one.sampler)
    for said, names in reasons.items():
        yield f"{', '.join(names)}: {said}"
    statuses = {one.status for one in found.standings}
    if "disagrees" in statuses:
        yield (
            "try: longer runs (--budget), other starting points (init: of a config), or a form of"
            " the model in which the parameter that differs is easier to move"
        )
    elif statuses & {"not_converged", "diverged", "too_few_draws", "unreliable"}:
        yield (
            "try: a longer --budget, another parameterization of the parameters named (non-centred,"
            " standardized), stronger priors; is the posterior proper?"
        )
    else:
        yield "try: a longer --budget; gradbench check-model says what suits the model"


def _how(found: Choice, benchmark: Benchmark, to: Console) -> None:
    """Print the library's own call, and the config that measures it again."""
    assert found.winner is not None
    entry = benchmark.samplers[found.winner]
    if entry.use in samplers.names() and (call := samplers.load(entry.use).call):
        options = samplers.load(entry.use).options(**entry.options, draws=found.n_draws)
        to.print("\nto use it, with model as your pm.Model:\n")
        to.print(_indented(Template(call).substitute(options.model_dump())))
    to.print("\nto measure it again, and others beside it:\n")
    to.print(_indented(yaml.safe_dump(_config(found, benchmark), sort_keys=False)))


def _config(found: Choice, benchmark: Benchmark) -> Mapping[str, object]:
    (label, model), *_ = benchmark.models.items()
    named = [name for name in (found.winner, *found.ties) if name is not None]
    return {
        "name": label,
        "models": {label: model.model_dump(exclude_defaults=True)},
        "samplers": {
            name: _entry(benchmark.samplers[name], found.n_draws if name == found.winner else None)
            for name in named
        },
        "replicates": 5,
    }


def _entry(entry: SamplerEntry, draws: int | None) -> Mapping[str, object]:
    """Return a sampler as a config has it, without what has its default."""
    given = dict(entry.options)
    if entry.use in samplers.names():
        defaults = samplers.load(entry.use).options(**{"draws": FIRST, **given}).at_default
        given = {name: value for name, value in given.items() if name not in defaults}
    return {"use": entry.use, **given, **({} if draws is None else {"draws": draws})}


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())
