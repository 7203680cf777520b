"""The report's page: whole in itself, the same without its script, harmless whatever labels hold.

What a browser does with it is tried in Debian's chromium, without a window, and held against
axe-core's rules where the environment variable AXE_CORE names its axe.min.js; ``.ci/run`` brings
both.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gradbench.cli import main
from gradbench.report.page import Report, page
from gradbench.results import export
from tests.made_up import replace_workers, source
from tests.test_golden import GOLDEN
from tests.test_whole import EVERY

pytest.importorskip("vl_convert", reason="the extra report is not installed")

HOSTILE = (
    "<script>document.title='hit'</script>",
    "\"onload=\"document.title='hit'",
    "</script><img src=x onerror=\"document.title='hit'\">",
    "<!-- סמפלר --><style>*{display:none}</style>",
    "x" * 300,
    "javascript:alert(1) & \u202ereversed",
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
AXE = Path(os.environ.get("AXE_CORE", "missing"))


def hostile() -> Report:
    """Return a report in which every text that a user gives is an attack."""
    runs = [
        source(*HOSTILE, model=HOSTILE[0], name=HOSTILE[1]),
        source(HOSTILE[3], model=HOSTILE[2], name=HOSTILE[4]),
    ]
    spoilt = [
        replace(run, found=[replace(s, reason=HOSTILE[2], notices=HOSTILE[0]) for s in run.found])
        for run in runs
    ]
    return Report(spoilt, title=HOSTILE[0])


class Parsed(HTMLParser):
    """What a page's tags are, and what they refer to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_refers_to_nothing_outside() -> None:
    """No address but within itself; no style or handler in its tags."""
    html = page(Report([source("nuts", "emcee")]))
    found = Parsed(html)
    places = [value for name, value in found.attributes if name in {"href", "src", "xlink:href"}]
    assert all((place or "").startswith(("#", "data:,")) for place in places)
    assert not any(name == "style" or name.startswith("on") for name, _ in found.attributes)
    addresses = set(re.findall(r"https?://[^\"' ]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_a_page_says_what_the_run_says() -> None:
    """The sentences under the table, every picture's reading, and how to run it again."""
    html = page(Report([source("nuts", "emcee")]))
    text = " ".join(Parsed(html).text.split())
    assert "no clear difference in time between nuts and emcee" in text
    assert "density check: 16 points" in text
    assert "For one effective sample nuts takes 3.80 [2.96, 4.87] and emcee" in text
    assert "gradbench run run/config.yaml" in text
    assert "pymc6.0.0" in text


def test_every_column_can_be_chosen() -> None:
    """All columns of results.csv that have a number are in the page, with it."""
    run = source("nuts")
    html = page(Report([run]))
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    columns = json.loads(data)["columns"]
    plain = json.loads(export.to_json(run.found))
    assert {*columns} == {name for name in plain[0] if any(p[name] is not None for p in plain)}
    assert columns["ms_per_ess"] == pytest.approx([p["ms_per_ess"] for p in plain], rel=1e-5)
    assert columns["sampler"] == "nuts"  # the same in all


def test_hostile_text_is_text() -> None:
    """It is shown as it is: no tag, no script and no attribute comes of it."""
    two = Report([source("nuts"), source("סמפלר", model="other")], only=["cost"])
    calm, spoilt = Parsed(page(two)), Parsed(page(replace(hostile(), only=["cost", "error"])))
    assert {*spoilt.tags} <= {*calm.tags}
    assert spoilt.tags.count("script") == 1 + 2  # the page's own, and the cells of each model
    assert "onload" not in {name for name, _ in spoilt.attributes}
    assert HOSTILE[0] in spoilt.text


def test_a_title_is_what_was_asked_for() -> None:
    """Above the page and in the browser's window."""
    html = page(Report([source("nuts")], title="Which <one>?"))
    assert "<title>Which &lt;one&gt;?</title>" in html
    assert "<h1>Which &lt;one&gt;?</h1>" in html


def test_a_large_page_has_fewer_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model's first ones, and the names of those that are left out."""
    monkeypatch.setattr("gradbench.report.page.MOST_PICTURES", 2)
    text = Parsed(page(Report([source("nuts"), source("nuts", model="other")]))).text
    assert text.count("What one effective sample costs") == 2
    assert text.count("Left out of so large a page: where, times") == 2


@pytest.mark.parametrize("version", GOLDEN)
def test_older_runs_have_a_page(version: int, tmp_path: Path) -> None:
    """Whatever version wrote them."""
    run("report", GOLDEN[version], "--only", "cost", "--output", tmp_path / "page.html")
    assert "emcee" in (tmp_path / "page.html").read_text()


def test_a_table_has_a_page(tmp_path: Path) -> None:
    """A results.csv has its table and its pictures, and says that it is no more than that."""
    (tmp_path / "results.csv").write_text(export.to_csv(source("nuts", "emcee").found))
    run("report", tmp_path / "results.csv", "--output", tmp_path / "page.html")
    text = Parsed((tmp_path / "page.html").read_text()).text
    assert "For one effective sample" in text
    assert "Only its table is known" in text


def run(*words: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert (end.value.code or 0) == code


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run that has a sampler for every status, and its page beside it."""
    place = tmp_path_factory.mktemp("whole")
    labels = "\n".join(f"  {label}: {{use: pymc_nuts}}" for label in EVERY)
    with pytest.MonkeyPatch.context() as patch:
        replace_workers(patch)
        patch.chdir(place)
        Path("all.yaml").write_text(
            "name: all\nmodels:\n  normal: {use: gaussian, params: {dim: 2}}\n"
            f"samplers:\n{labels}\nreplicates: 3\nseed: 1\n"
        )
        run("run", "all.yaml", "--quiet", "--report", "run.html", code=1)
    return place


@pytest.fixture
def folder(whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of that run, in a folder that is the current one and can be written to."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (made,) = Path("results/all").iterdir()
    return made


def test_a_run_makes_its_page_at_once(folder: Path) -> None:
    """``run --report`` makes what ``report`` makes of the folder, every status in it."""
    run("report", folder, "--output", "report.html")
    made = Path("report.html").read_text()
    assert made == Path("run.html").read_text()
    assert all(status in made for status in EVERY)


def test_verdicts_have_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two runs, and of what compare wrote as JSON."""
    shutil.copytree(folder, "other")
    run("compare", folder, "other", "--format", "json", "--output", "verdict.json")
    run("report", "verdict.json", "--output", "verdict.html")
    run("report", folder, "other", "--output", "both.html", "--only", "ratios")
    for name in ("verdict.html", "both.html"):
        assert "evaluations per effective sample, after / before" in Path(name).read_text()
    assert "ok (B)" in Path("both.html").read_text()
    run("baseline", "save", folder, "main")
    run("report", "baseline:main", folder, "--output", "main.html", "--only", "ratios")
    assert "From baseline:main to" in Path("main.html").read_text()
    run("report", "baseline:main", code=2)
    capsys.readouterr()
    run("report", "verdict.json", "--output", "-")
    assert capsys.readouterr().out == Path("verdict.html").read_text()


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no run": (["nothing-here"], "not a results folder"),
    "a folder": (["RUN", "--output", "."], "is a folder"),
    "no folder": (["RUN", "--output", "no/page.html"], "there is no folder no"),
    "not writable": (["RUN", "--output", "/proc/page.html"], "can't be written"),
    "not a folder": (["RUN", "--format", "svg", "--output", "all.yaml"], "can't be written"),
    "no picture": (["RUN", "--only", "cots"], "did you mean 'cost'"),
    "nothing": (["RUN", "--only", "growth", "--format", "svg"], "nothing to draw"),
    "no folder to name": (["RUN", "--format", "svg", "--output", "-"], "writes a folder"),
    "no baseline": (["baseline:none"], "none"),
    "no verdicts": (["bad.json"], "not verdicts"),
    "no results": (["empty.csv"], "no results in it"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_in_a_line(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, no traceback."""
    words, said = MISTAKES[name]
    Path("bad.json").write_text("{}")
    Path("empty.csv").write_text("")
    capsys.readouterr()
    run("report", *(folder if word == "RUN" else word for word in words), code=2)
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_a_missing_library_is_told_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that installs it, exit code 2, and nothing run."""
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    capsys.readouterr()
    for words in (
        ("report", folder), ("run", "all.yaml", "--report", "x.html", "--quiet")
    ):  # fmt: skip
        run(*words, code=2)
        assert 'pip install "gradbench-mcmc[report]"' in capsys.readouterr().err
    assert len([*folder.parent.iterdir()]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("n_samplers", "limit"), [(20, 1.5e6), (200, 5e6)])
def test_pages_stay_small(n_samplers: int, limit: float) -> None:
    """100 cells below 1.5 MB, 1,000 below 5 MB."""
    made = source(*(f"sampler_{i}" for i in range(n_samplers)), replicates=5)
    assert len(page(Report([made])).encode()) < limit


# -- in a browser ----------------------------------------------------------------------------

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return Debian's chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as made:
        started = made.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page of two models, and one of hostile text."""
    folder = tmp_path_factory.mktemp("pages")
    two = Report([source("nuts", "emcee", "broken"), source("nuts", "emcee", model="other")])
    for name, report in (("calm", two), ("hostile", hostile())):
        (folder / f"{name}.html").write_text(page(report))
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    """Open a page; whatever it fetches or complains of fails the test."""
    asked: list[str] = []
    contexts = []

    def open_page(name: str, width: int = 1000, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("console", lambda message: asked.append(message.text))
        shown.on("pageerror", lambda error: asked.append(str(error)))
        shown.goto(pages[name].as_uri())
        asked.remove(pages[name].as_uri())
        return shown

    yield open_page
    assert not [url for url in asked if not url.startswith("data:,")]
    for context in contexts:
        with suppress(Exception):
            context.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calm", "hostile"])
@pytest.mark.parametrize("width", [360, 1000, 1600])
def test_no_page_scrolls_sideways(opened: Open, name: str, width: int) -> None:
    """From a phone to a wide screen, whatever labels are: tables scroll in boxes of their own."""
    shown = opened(name, width)
    for details in ("", "document.querySelectorAll('details').forEach(d => d.open = true)"):
        shown.evaluate(details or "0")
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not shown.evaluate(wide)
    kinds = ("narrow", "wide") if width == 360 else ("wide", "narrow")
    is_shown = [shown.locator(f"svg.{kind}").first.is_visible() for kind in kinds]
    assert is_shown == [True, False]


@pytest.mark.slow
def test_hostile_text_does_nothing(opened: Open) -> None:
    """No script of it is run and nothing is hidden: it stands there."""
    shown = opened("hostile")
    shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert shown.title() == HOSTILE[0]
    assert shown.locator("img").count() == 0
    assert shown.get_by_role("heading", level=1).inner_text() == HOSTILE[0]


@pytest.mark.slow
def test_tables_are_sorted_by_click_and_by_key(opened: Open) -> None:
    """The head says which way; a second time turns it round."""
    shown = opened("calm")
    table = shown.locator("details.cells table").first
    shown.locator("details.cells summary").first.click()
    head = table.get_by_role("columnheader", name="replicate")
    button = head.get_by_role("button")

    def column() -> list[str]:
        place = head.evaluate("head => head.cellIndex")
        return [row.split("\t")[place] for row in table.locator("tbody tr").all_inner_texts()]

    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    button.focus()
    shown.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)


@pytest.mark.slow
def test_columns_are_chosen(opened: Open) -> None:
    """Any column of results.csv, by its box, from the keyboard, too."""
    shown = opened("calm")
    shown.locator("details.cells summary").first.click()
    table = shown.locator("details.cells table").first
    box = shown.get_by_role("checkbox", name="fingerprint", exact=True)
    box.focus()
    shown.keyboard.press("Space")
    assert table.get_by_role("columnheader", name="fingerprint").is_visible()
    assert "ab1" in table.inner_text()
    box.uncheck()
    assert table.get_by_role("columnheader", name="fingerprint").count() == 0


@pytest.mark.slow
def test_light_and_dark_are_as_the_system_has_them(opened: Open) -> None:
    """Ground, text and pictures change together."""
    look = """() => [getComputedStyle(document.documentElement).backgroundColor,
        getComputedStyle(document.querySelector('svg.wide text')).fill]"""
    light = opened("calm", color_scheme="light").evaluate(look)
    dark = opened("calm", color_scheme="dark").evaluate(look)
    assert light[0] == "rgb(255, 255, 254)"
    assert dark[0] == "rgb(20, 23, 28)"
    assert light[1] != dark[1]


@pytest.mark.slow
def test_it_is_read_without_a_script(opened: Open) -> None:
    """Sentences, tables and pictures are there."""
    shown = opened("calm", java_script_enabled=False)
    assert shown.get_by_text("no clear difference in time").first.is_visible()
    assert shown.locator("figure svg.wide").first.is_visible()
    assert shown.locator("th button").count() == 0


@pytest.mark.slow
def test_it_prints(opened: Open) -> None:
    """As a PDF of several pages, light even where the screen is dark."""
    shown = opened("calm", color_scheme="dark")
    pdf = shown.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    shown.emulate_media(media="print")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert shown.evaluate(ground) == "rgb(255, 255, 254)"


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="AXE_CORE names no axe.min.js (npm: axe-core)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["calm", "hostile"])
def test_everybody_can_use_it(opened: Open, name: str, scheme: str) -> None:
    """Of axe-core's rules none that is serious or critical is broken."""
    shown = opened(name, color_scheme=scheme, bypass_csp=True)
    shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    shown.evaluate(AXE.read_text())
    found = shown.evaluate("axe.run()")["violations"]
    grave = [v for v in found if v["impact"] in {"serious", "critical"}]
    assert not grave, [(v["id"], v["nodes"][0]["html"][:200]) for v in grave]
