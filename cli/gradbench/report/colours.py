"""The colours of pages and pictures: each with its counterpart on a dark ground.

Series and text have a contrast of 3:1 at least with the paper that they are on, on both grounds;
what they tell apart is told by words, shapes or dashes as well.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour: its name in style sheets, on a light ground, and on a dark one."""

    name: str
    light: str
    dark: str


PAPER = Colour("paper", "#fffffe", "#14171c")
INK = Colour("ink", "#1c2128", "#e6e9ee")
MUTED = Colour("muted", "#5b6570", "#9ba6b2")
LINE = Colour("line", "#d9dee4", "#333a44")
BAND = Colour("band", "#e9eef6", "#222c3b")
ACCENT = Colour("accent", "#2458c5", "#82aaff")
SERIES = (
    ACCENT,
    Colour("series-2", "#b4530a", "#f2a65a"),
    Colour("series-3", "#1a7a4c", "#62c794"),
    Colour("series-4", "#8a3ab9", "#cf9cf2"),
    Colour("series-5", "#0b7285", "#5cc5d6"),
    Colour("series-6", "#b3265e", "#f48fb4"),
)
EVERY = (PAPER, INK, MUTED, LINE, BAND, *SERIES)
