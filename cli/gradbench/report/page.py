"""A report's page: one file, without anything from elsewhere, read as well without its script."""

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from gradbench import __version__
from gradbench.config import planning
from gradbench.gate.verdict import Comparison
from gradbench.gate.words import time_per_evaluation, times
from gradbench.records import to_plain
from gradbench.report import colours, pictures, render, tables
from gradbench.report.circumstances import circumstances
from gradbench.report.material import Material
from gradbench.report.picture import ONE_COLUMN, TWO_COLUMNS, Picture
from gradbench.report.pictures import ratios
from gradbench.report.sources import Source, letters, materials
from gradbench.report.tables import attribute, text
from gradbench.results.rows import Row
from gradbench.results.summary import Summary
from gradbench.show.comparison import sentences
from gradbench.show.console import significant
from gradbench.show.overview import standings
from gradbench.show.results import Section, count, sections, with_interval

# Of a cell, what is shown first; all other columns can be chosen.
FIRST = (
    "sampler", "replicate", "model", "status", "ms_per_ess", "evaluations_per_ess", "ess",
    "ess_worst", "worst_parameter", "rhat_max", "warmup_s", "sampling_s", "compile_s",
)  # fmt: skip
MOST_PICTURES = 240  # of a page: it is to open at once, and to be made in seconds
DIGITS = 6  # of the cells' numbers; results.csv has all of them


@dataclass(frozen=True, slots=True)
class Report:
    """What a page is made of.

    Attributes:
        sources: the runs, side by side.
        comparisons: verdicts, each with its ratios.
        title: of the page; None for the names of the benchmarks.
        only: the names of the pictures that are wanted; empty for all.
    """

    sources: Sequence[Source]
    comparisons: Sequence[Comparison] = ()
    title: str | None = None
    only: Collection[str] = ()

    def wants(self, name: str) -> bool:
        """Return whether a picture is wanted."""
        return not self.only or name in self.only

    @property
    def heading(self) -> str:
        """What stands above the page."""
        if self.title is not None:
            return self.title
        stored = [source.stored for source in self.sources if source.stored is not None]
        names = dict.fromkeys(run.benchmark.name for run in stored)
        return ", ".join(names) or "gradbench report"


def page(report: Report) -> str:
    """Return the page as HTML.

    Raises:
        LibraryError: what draws its pictures isn't installed.
    """
    render.require()
    made = materials(report.sources)
    said, most = _sentences(report.sources), MOST_PICTURES // max(1, len(made))
    body = [
        *(_standings(made) if len(made) > 1 else ()),
        *(
            _comparison(i, found, is_drawn=report.wants(ratios.NAME))
            for i, found in enumerate(report.comparisons)
        ),
        *(
            part
            for i, material in enumerate(made)
            for part in _model(i, material, said.get(material.model, []), report.only, most)
        ),
        *circumstances(report.sources),
    ]
    return document(report.heading, _top(report, made), body)


def document(heading: str, top: Iterable[str], body: Iterable[str]) -> str:
    """Return a page of these parts, with the style and the script that all pages have."""
    here = Path(__file__)
    style = _palette() + here.with_name("page.css").read_text(encoding="utf-8")
    script = here.with_name("page.js").read_text(encoding="utf-8")
    # Whatever labels and reasons say: no other script or style is run, and nothing is fetched.
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}';"
        f" script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{attribute(heading)}</title>",
            f"<style>{style}</style>",
            "<body>",
            *top,
            "<main>",
            *body,
            "</main>",
            f"<footer>Made by gradbench {text(__version__)}.</footer>",
            f"<script>{script}</script>",
            "</html>\n",
        ]
    )


def _top(report: Report, made: Sequence[Material]) -> Iterator[str]:
    cells = [cell for material in made for cell in material.found]
    n_samplers = len({cell.sampler for cell in cells})
    n_models = len({cell.model for cell in cells})
    facts = {"model": n_models, "sampler": n_samplers, "cell": len(cells)}
    told = [s.stored.benchmark.description for s in report.sources if s.stored is not None]
    yield f"<header><h1>{text(report.heading)}</h1>"
    yield from (f"<p class=lede>{text(line)}</p>" for line in dict.fromkeys(told) if line)
    if cells:
        yield f"<p class=facts>{' · '.join(_many(n, noun) for noun, n in facts.items())}</p>"
    if len(report.sources) > 1:
        yield "<ul class=runs>"
        for source, letter in zip(report.sources, letters(report.sources), strict=True):
            yield f"<li><b>({letter})</b> {text(source.name)}</li>"
        yield "</ul>"
    yield "</header>"
    if len(made) > 1:
        yield '<nav aria-label="Models"><h2>At a glance</h2><ul>'
        for i, material in enumerate(made):
            yield f'<li><a href="#m{i}">{text(material.model)}</a> {text(_glance(material))}</li>'
        yield "</ul></nav>"


def _standings(made: Sequence[Material]) -> Iterator[str]:
    """Yield how each sampler did on all models."""
    heads = [
        tables.Head("sampler", is_number=False),
        tables.Head("priced on", is_number=True),
        tables.Head("cheapest on", is_number=True),
        tables.Head("times the\ncheapest", is_number=True),
        tables.Head("without a price", is_number=False),
    ]
    lines = [
        [
            one.sampler, str(one.n_priced), str(one.n_cheapest), significant(one.times),
            ", ".join(f"{status} {n}" for status, n in one.others),
        ]
        for one in standings([row for material in made for row in material.rows])
    ]  # fmt: skip
    n_models = len({row.model for material in made for row in material.rows})
    yield f'<section class=model aria-labelledby="all"><h2 id="all">Over all {n_models} models</h2>'
    yield (
        "<p class=facts>Prices are milliseconds per effective sample; times the cheapest is the"
        " median over the models on which a sampler has a price.</p>"
    )
    yield tables.table("All models", heads, lines, keys=[0])
    yield "</section>"


def _glance(material: Material) -> str:
    """Return who is the cheapest of a model's samplers, in a few words."""
    here = [row for row in material.rows if not row.is_elsewhere]
    priced = [row for row in here if row.ms_per_ess is not None]
    if not priced:
        return "no sampler has a price"
    best = min(priced, key=_price)
    return (
        f"cheapest: {material.label(best)}, {with_interval(best.ms_per_ess)} ms per effective"
        f" sample; {len(priced)} of {len(here)} have a price"
    )


def _price(row: Row) -> float:
    return float("inf") if row.ms_per_ess is None else row.ms_per_ess.estimate


def _sentences(sources: Sequence[Source]) -> dict[str, list[tuple[str, Section]]]:
    """Return what each run says of each model, its letter before it."""
    said: dict[str, list[tuple[str, Section]]] = {}
    for source, letter in zip(sources, letters(sources), strict=True):
        for section in sections(source.found):
            model = planning.split(section.title)[0]
            said.setdefault(model, []).append((letter, section))
    return said


def _model(
    i: int,
    material: Material,
    said: Sequence[tuple[str, Section]],
    only: Collection[str],
    most: int,
) -> Iterator[str]:
    yield f'<section class=model aria-labelledby="m{i}">'
    yield f'<h2 id="m{i}">{text(material.model)}</h2>'
    for letter, section in said:
        run = f"({letter}) " if letter else ""
        yield f"<p class=facts>{text(run + section.circumstances)}</p>"
        yield "<ul class=said>"
        yield from (f"<li>{text(line)}</li>" for line in section.lines)
        yield "</ul>"
    table = Section(material.model, "", material.rows, ())
    yield tables.of_section(table, f"{material.model}: all samplers")
    yield _cells(material)
    drawn = pictures.of_model(material, only)
    if some := drawn[:most]:
        yield "<div class=pictures>"
        yield from (figure(f"m{i}-{picture.name}", picture, material.model) for picture in some)
        yield "</div>"
    if rest := ", ".join(picture.name for picture in drawn[most:]):
        yield f"<p class=note>Left out of so large a page: {rest}; --only NAME asks for them.</p>"
    yield "</section>"


def figure(place: str, picture: Picture, of: str) -> str:
    """Return a picture in both widths, the sentence that it shows, and its numbers."""
    drawn = []
    for kind, width in (("wide", TWO_COLUMNS), ("narrow", ONE_COLUMN)):
        svg = render.svg_for_page(picture.draw(width))
        named = (
            f'<svg class={kind} role="img" aria-labelledby="{place}" aria-describedby="{place}-d"'
        )
        drawn.append(svg.replace("<svg", named, 1))
    return (
        f'<figure><h3 id="{place}">{text(picture.title)}</h3>'
        f'<figcaption id="{place}-d">{text(picture.reading)}</figcaption>'
        f"{''.join(drawn)}"
        f"<details><summary>The numbers drawn</summary>"
        f"{tables.of_picture(picture, f'{of}: {picture.title}: the numbers drawn')}"
        "</details></figure>"
    )


def _cells(material: Material) -> str:
    """Return all cells of a model: some columns as a table, all of them for who chooses others."""
    cells, plain = material.found, to_plain(material.found)
    known = {
        field.name: [_rounded(cell[field.name]) for cell in plain]
        for field in fields(Summary)
        if any(cell[field.name] is not None for cell in plain)
    }
    columns = [name for name in FIRST if name in known]
    if not material.is_swept:
        columns.remove("model")
    # What is the same in all cells is there once.
    every = {name: v[0] if v.count(v[0]) == len(v) else v for name, v in known.items()}
    data = json.dumps({"shown": columns, "n": len(cells), "columns": every}, ensure_ascii=False)
    return (
        f"<details class=cells><summary>All {_many(len(cells), 'cell')}, with any column of"
        " results.csv</summary>"
        f"{tables.of_cells(cells, columns, f'{material.model}: all cells')}"
        f'<script type="application/json">{_harmless(data)}</script></details>'
    )


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _harmless(data: str) -> str:
    """Return JSON in which nothing ends a script or begins a comment."""
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _comparison(i: int, found: Comparison, *, is_drawn: bool) -> str:
    """Return the verdicts of a comparison, and its ratios as a picture."""
    picture = ratios.picture(found) if is_drawn else None
    heads = [
        tables.Head(name, is_number)
        for name, is_number in (
            ("verdict", False), ("model", False), ("sampler", False),
            ("evaluations/ESS before", True), ("after", True), ("ratio [95 % CI]", True),
            ("time per evaluation [95 % CI]", True), ("replicates", True),
        )
    ]  # fmt: skip
    lines = [
        [
            row.verdict, row.model, row.sampler, significant(row.base), significant(row.head),
            times(row.evaluations), time_per_evaluation(row), f"{row.n_base}, {row.n_head}",
        ]
        for row in found.rows
    ]  # fmt: skip
    said = [*sentences(found), *found.notes]
    return "\n".join(
        [
            f'<section class=model aria-labelledby="v{i}">',
            f'<h2 id="v{i}">{text(found.sentence)}</h2>',
            f"<p class=facts>{text(found.base)} → {text(found.head)}</p>",
            "<ul class=said>",
            *(f"<li>{text(line)}</li>" for line in said),
            "</ul>",
            tables.table(f"{found.base} to {found.head}", heads, lines, keys=[1, 2]),
            "<div class=pictures>",
            "" if picture is None else figure(f"v{i}-ratios", picture, found.head),
            "</div></section>",
        ]
    )


def _many(n: int, noun: str) -> str:
    return f"{count(n)} {noun}{'' if n == 1 else 's'}"


def _palette() -> str:
    """Return the colours as variables, light ones and, where they are asked for, dark ones."""
    light, dark = (
        "".join(f"--{colour.name}:{getattr(colour, ground)};" for colour in colours.EVERY)
        for ground in ("light", "dark")
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}"
