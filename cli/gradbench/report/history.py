"""A history's page: every course as a picture, what it says in sentences, and its numbers."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from gradbench.gate import steps
from gradbench.gate.course import Course
from gradbench.gate.history import COMMITS, ROOT, History
from gradbench.report import course, render, tables
from gradbench.report.page import document, figure
from gradbench.report.picture import Picture
from gradbench.report.tables import text
from gradbench.show.history import environment, sentences


def page(history: History, found: Sequence[Course], *, title: str | None, pinned: str = "") -> str:
    """Return the page as HTML.

    Args:
        history: of which.
        found: the courses that are shown.
        title: what stands above it; None for the folder's name.
        pinned: what every point was held against beside the one before it, or empty.

    Raises:
        LibraryError: what draws its pictures isn't installed.
    """
    render.require()
    folder = history.folder.resolve()
    # A folder of that name says nothing: what it is the history of is the one above.
    heading = title or f"History of {(folder.parent if folder.name == str(ROOT) else folder).name}"
    body = [
        part
        for i, (of, group) in enumerate(groupby(found, key=lambda one: (one.line, one.model)))
        for part in _section(f"h{i}", of, list(group), history, pinned)
    ]
    return document(heading, _top(heading, history), [*body, *_circumstances(history)])


def pictures(history: History, found: Sequence[Course]) -> list[Picture]:
    """Return the pictures of those courses that have a cost anywhere."""
    drawn = (course.picture(one, history.called) for one in found)
    return [picture for picture in drawn if picture is not None]


def _top(heading: str, history: History) -> Iterator[str]:
    yield f"<header><h1>{text(heading)}</h1>"
    facts = [_many(len(stops), line) for line, stops in history.lines.items()]
    facts.append(f"environments: {len(history.environments)}")
    yield f"<p class=facts>{text(' · '.join(facts))}</p>"
    yield (
        "<p>Evaluations per effective sample are the same on every machine; times compare within"
        " one environment only. Verdicts are the gate's, of each point against the one before it: a"
        " triangle that points up has regressed, one that points down improved, a hollow diamond is"
        " undecided. A dashed line with ▲ is a step that a search for change points found, which is"
        " no verdict.</p>"
    )
    if not steps.is_available():
        yield f"<p class=note>{text(steps.missing())}</p>"
    yield "</header>"


def _many(n: int, line: str) -> str:
    plural = "" if n == 1 else "s"
    return f"{n} commit{plural}" if line == COMMITS else f"{n} release{plural} of {line}"


def _section(
    place: str, of: tuple[str, str], found: Sequence[Course], history: History, pinned: str
) -> Iterator[str]:
    line, model = of
    yield f'<section class=model aria-labelledby="{place}"><h2 id="{place}">{text(model)}</h2>'
    yield f"<p class=facts>{text(line)}</p>"
    told = [(one, said) for one in found for said in sentences(one, history, pinned)]
    if told:
        yield "<ul class=said>"
        yield from (f"<li>{text(f'{one.sampler}: {said}')}</li>" for one, said in told)
        yield "</ul>"
    drawn = pictures(history, found)
    yield "<div class=pictures>"
    yield from (figure(f"{place}-{i}", picture, model) for i, picture in enumerate(drawn))
    yield "</div>"
    if bare := [one.sampler for one in found if not any(row.cost for row in one.rows)]:
        yield f"<p>Nowhere a cost: {text(', '.join(bare))}.</p>"
    yield "</section>"


def _circumstances(history: History) -> Iterator[str]:
    yield '<section class=model aria-labelledby="how"><h2 id="how">Circumstances</h2>'
    heads = [
        tables.Head("environment", is_number=False),
        tables.Head("what it is", is_number=False),
    ]
    lines = [[digits, environment(about)] for digits, about in history.environments.items()]
    yield tables.table("Environments", heads, lines, keys=[0])
    if history.aside:
        names = ", ".join(stop.point.name for stop in history.aside)
        yield f"<p>Not among the first parents of HEAD, so not shown: {text(names)}.</p>"
    yield "</section>"
