"""The end of a page: what each run ran on, what was checked before, and how to run it again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gradbench.config import loading
from gradbench.report import tables
from gradbench.report.sources import Source, letters
from gradbench.report.tables import text
from gradbench.results.store import Stored
from gradbench.show.results import published_figures


def circumstances(sources: Sequence[Source]) -> Iterator[str]:
    """Yield the section that says of each run what it ran on, and how to run it again."""
    yield '<section class=model aria-labelledby="how"><h2 id="how">Circumstances</h2>'
    for source, letter in zip(sources, letters(sources), strict=True):
        run = f"({letter}) " if letter else ""
        yield f"<h3>{text(run + source.name)}</h3>"
        if source.stored is None:
            yield "<p>Only its table is known: no machine, no config, no density checks.</p>"
        else:
            yield from _of_run(source, source.stored, run)
    yield "</section>"


def _of_run(source: Source, stored: Stored, run: str) -> Iterator[str]:
    machine = dict(stored.machine)
    versions: Mapping[str, str] = machine.pop("versions", {})
    if published := stored.benchmark.published:
        yield f"<p>{text(published_figures(published))}</p>"
    again = f"gradbench run {shlex.quote(str(Path(source.name) / 'config.yaml'))}"
    yield f"<p>Run it again:</p><pre tabindex=0>{text(again)}</pre>"
    facts = {name.replace("_", " "): value for name, value in machine.items()}
    yield _list({**facts, **versions})
    yield from _checks(stored, run)
    yield (
        "<details><summary>The config, with all defaults</summary>"
        f"<pre tabindex=0>{text(loading.dump(stored.benchmark))}</pre></details>"
    )


def _list(facts: Mapping[str, object]) -> str:
    items = "".join(f"<div><dt>{text(k)}<dd>{text(v)}</div>" for k, v in facts.items())
    return f"<dl>{items}</dl>"


def _checks(stored: Stored, run: str) -> Iterator[str]:
    """Yield the density checks: what showed that all samplers had the same density."""
    if not stored.checks:
        yield "<p>No density check was made.</p>"
        return
    heads = [
        tables.Head(name, is_number)
        for name, is_number in (
            ("model", False), ("points", True), ("largest relative difference of values", True),
            ("of gradients", True), ("log-density s", True), ("gradient s", True),
            ("findings", False),
        )
    ]  # fmt: skip
    lines = [
        [
            check.model, str(check.n_points), tables.shown(check.value_error),
            tables.shown(check.gradient_error),
            tables.shown(check.bare and check.bare.logdensity_s),
            tables.shown(check.bare and check.bare.gradient_s),
            "; ".join([*check.findings, *dict.fromkeys(check.notes.values()),
                       *(f"{name}: {why}" for name, why in check.refused.items())]) or "none",
        ]
        for check in stored.checks
    ]  # fmt: skip
    yield "<h4>Density checks</h4>"
    yield tables.table(f"{run}Density checks", heads, lines, keys=[0])
