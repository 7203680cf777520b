"""Specifications to SVG, PNG and PDF, without a browser."""

import re
from typing import Any, Literal

from gradbench.errors import library
from gradbench.records import to_plain
from gradbench.report.colours import EVERY, INK, LINE, MUTED
from gradbench.report.picture import Spec

Form = Literal["svg", "png", "pdf"]

FONT = "Helvetica, Arial, sans-serif"
PNG_SCALE = 300 / 96  # pixels for one of CSS: 300 to the inch
POINT = 72 / 96  # of a pixel: an inch has 96 pixels of CSS, and 72 points

SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
# Of a tag, what the page says of all of it, or what says nothing.
IDLE = re.compile(
    r' (?:font-family|pointer-events|class|xmlns:xlink|version|role|aria-[a-z]+)="[^"]*"'
    r'| opacity="1"'
)
UNSEEN = re.compile(r'<path(?: d="[^"]*"| transform="[^"]*"| display="none")*/>|<g></g>')
# Marks that follow each other and differ in nothing but their place: a row of ticks, a cloud.
DOTS = re.compile(
    r'<path transform="translate\([^)]*\)" d="M([\d.]+),0A\1,\1[^"]*" (fill="[^"]*"[^>]*)/>'
    r'(?:<path transform="translate\([^)]*\)" d="M\1,0A\1,\1[^"]*" \2/>){3,}'
)
PATHS = re.compile(r'<path d="[^"]*"([^>]*)/>(?:<path d="[^"]*"\1/>)+')

STYLE: dict[str, Any] = {
    "aria": False,  # the page describes a picture as a whole, and has its numbers in a table
    "font": FONT,
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": LINE.light,
        "labelColor": MUTED.light,
        "labelFontSize": 11,
        "labelPadding": 6,
        "titleColor": MUTED.light,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    "axisY": {"labelColor": INK.light, "titleAnchor": "end", "titleAngle": 0},
    "header": {
        "labelColor": INK.light,
        "labelFontSize": 11,
        "labelFontWeight": 600,
        "labelPadding": 4,
        "title": None,
    },
    "text": {"fontSize": 11, "color": INK.light},
    "rule": {"color": INK.light},
}


def require() -> Any:
    """Return the library that draws.

    Raises:
        LibraryError: it isn't installed.
    """
    return library("vl_convert", "pictures need vl-convert-python", "report")


def svg_for_page(spec: Spec) -> str:
    """Return an SVG whose colours are those of the page that it is in, light or dark.

    It has no ground, no fonts and no size of its own.
    """
    svg: str = require().vegalite_to_svg(_styled(spec, background=None), allowed_base_urls=[])
    svg = re.sub(r"<[^>]*>", lambda tag: _tag_for_page(tag[0]), svg)
    svg = UNSEEN.sub("", svg)
    return PATHS.sub(_one_path, DOTS.sub(_dots, svg))


def file(spec: Spec, form: Form) -> bytes:
    """Return the file of a picture on white, for papers: in millimetres as wide as it is drawn."""
    library, styled = require(), _styled(spec, background="white")
    if form == "png":
        png: bytes = library.vegalite_to_png(styled, scale=PNG_SCALE, allowed_base_urls=[])
        return png
    svg: str = library.vegalite_to_svg(styled, allowed_base_urls=[])
    if form == "svg":
        return svg.encode()
    pdf: bytes = library.svg_to_pdf(SIZE.sub(_in_points, svg, count=1))
    return pdf


def _styled(spec: Spec, *, background: str | None) -> Spec:
    schema = "https://vega.github.io/schema/vega-lite/v5.json"
    whole: Spec = to_plain({"$schema": schema, "background": background, "config": STYLE, **spec})
    return whole


def _in_points(size: re.Match[str]) -> str:
    width, height = (POINT * float(pixels) for pixels in size.groups())
    return f'width="{width:g}" height="{height:g}"'


def _tag_for_page(tag: str) -> str:
    """Return a tag of an SVG with the page's colours and fonts, and without what says nothing.

    One decimal is left of a number: no eye sees more, and pages are smaller.
    """
    for colour in EVERY:
        tag = tag.replace(f'"{colour.light}"', f'"var(--{colour.name})"')
    tag = IDLE.sub("", tag)
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.1f}", tag)


def _dots(marks: re.Match[str]) -> str:
    """Return equal filled circles as one path: lines of no length, whose round ends are dots."""
    at = "".join(f"M{place}h0" for place in re.findall(r"translate\(([^)]*)\)", marks[0]))
    if " stroke=" in marks[2]:
        return marks[0]
    fill, opacity = (re.search(f'{name}="([^"]*)"', marks[2]) for name in ("fill", "opacity"))
    seen = f' opacity="{opacity[1]}"' if opacity else ""
    look = f'stroke="{fill[1] if fill else "none"}" stroke-width="{2 * float(marks[1]):g}"'
    return f'<path d="{at}" {look} stroke-linecap="round"{seen}/>'


def _one_path(paths: re.Match[str]) -> str:
    """Return paths that look the same as one."""
    joined = "".join(re.findall(r' d="([^"]*)"', paths[0]))
    return f'<path d="{joined}"{paths[1]}/>'
