"""The colour and the marker of each arm: one for the whole page, alike in light and dark.

Every colour has a contrast of 4.5 with the paper, so that words can have it too. A test checks this, and that any two
differ in three simulated kinds of colour blindness. Colour never speaks alone: a name or a marker says the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Names of colours → their values in light and in dark.
COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#14171c"),
    "soft": ("#f4f5f7", "#1e232a"),
    "ink": ("#1c1f24", "#e9ecf0"),
    "quiet": ("#565d68", "#a7aeb9"),
    "grid": ("#e3e6ea", "#2d333c"),
    "rule": ("#c9cdd3", "#434a54"),
    "baseline": ("#3a3f47", "#d4d9e0"),
    "others": ("#6a727d", "#949ca8"),
}
SERIES: tuple[tuple[str, str], ...] = (
    ("#3b71af", "#668ebe"),
    ("#993efe", "#a265f7"),
    ("#cf237c", "#fe349a"),
    ("#016327", "#76f993"),
    ("#b20500", "#b76c61"),
    ("#661099", "#cc9afc"),
    ("#907217", "#c09714"),
    ("#710104", "#ef9f94"),
)
SHAPES = ("square", "up", "diamond", "down", "house", "right", "flag", "left")
MOST = 8  # arms with a colour of their own in one picture


@dataclass(frozen=True)
class Look:
    """How an arm is drawn."""

    colour: str
    shape: str = "circle"


BASELINE, OTHERS = Look("baseline"), Look("others")
ARMS = tuple(Look(f"arm{place}", shape) for place, shape in enumerate(SHAPES, start=1))


def chosen(pictures: Iterable[Sequence[str]]) -> list[dict[str, Look]]:
    """A look for each name of each picture. A name keeps its look from picture to picture.

    Each picture names at most MOST arms, the baseline apart. Beyond MOST names, a look is used again, but only in
    another picture.
    """
    page: dict[str, Look] = {}
    out = []
    for names in pictures:
        here: dict[str, Look] = {}
        for name in names:
            if name in page and page[name] not in here.values():
                here[name] = page[name]
        for name in names:
            if name not in here:
                free = [look for look in ARMS if look not in here.values()]
                unused = [look for look in free if look not in page.values()]
                here[name] = (unused or free)[0]
                page.setdefault(name, here[name])
        out.append(here)
    return out


def values(dark: bool = False) -> Mapping[str, str]:
    """Every colour of the palette by name."""
    series = {f"arm{place}": pair for place, pair in enumerate(SERIES, start=1)}
    return {name: pair[dark] for name, pair in {**COLOURS, **series}.items()}
