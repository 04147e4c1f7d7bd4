"""A drawing in pixels: lines, areas, marks, words and boxes; and its SVG, for a page or as a file of its own.

A colour is a name of the palette, so that a page shows it in light and in dark, or #rrggbb. Numbers on the axes of the
drawing count from its upper left corner.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape

from bnbench.console import clean

Spot = tuple[float, float]
FONT = "Liberation Sans, Arial, Helvetica, DejaVu Sans, sans-serif"  # of a file; a page has its own


@dataclass(frozen=True)
class Line:
    """A line through the spots."""

    spots: Sequence[Spot]
    colour: str
    width: float = 1.0
    dash: str = ""  # as in SVG: "4 3"


@dataclass(frozen=True)
class Area:
    """A filled area within the spots."""

    spots: Sequence[Spot]
    colour: str
    opacity: float = 0.14


@dataclass(frozen=True)
class Mark:
    """A marker. `size` is about its diameter. Hollow marks are filled with the paper. `says` is shown on hover."""

    shape: str
    x: float
    y: float
    size: float
    colour: str
    hollow: bool = False
    opacity: float = 1.0
    says: str = ""


@dataclass(frozen=True)
class Words:
    """One line of text. `y` is its baseline. `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 14
    colour: str = "ink"
    anchor: str = "start"
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle. "none" leaves out its filling or its edge."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    edge: str = "none"


Part = Line | Area | Mark | Words | Box


@dataclass
class Drawing:
    """What is drawn, in order: later parts cover earlier ones."""

    width: float
    height: float
    parts: list[Part] = field(default_factory=list)

    def add(self, *parts: Part) -> None:
        self.parts += parts


def moved(part: Part, right: float, down: float) -> Part:
    """The same part elsewhere."""
    if isinstance(part, Line | Area):
        return replace(part, spots=[(x + right, y + down) for x, y in part.spots])
    return replace(part, x=part.x + right, y=part.y + down)


# The corners of each shape, for a size of 2; a circle has none.
SHAPES: dict[str, Sequence[Spot]] = {
    "circle": (),
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "up": ((0, -1.1), (1.1, 0.85), (-1.1, 0.85)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "down": ((0, 1.1), (1.1, -0.85), (-1.1, -0.85)),
    "left": ((-1.1, 0), (0.85, -1.1), (0.85, 1.1)),
    "right": ((1.1, 0), (-0.85, -1.1), (-0.85, 1.1)),
    "house": ((0, -1.1), (1, -0.2), (0.75, 1), (-0.75, 1), (-1, -0.2)),
    "flag": ((-1, -1), (1, -1), (0.2, 0), (1, 1), (-1, 1)),
}


def corners(mark: Mark) -> list[Spot]:
    """The corners of a mark where it stands; none for a circle."""
    return [(mark.x + mark.size / 2 * x, mark.y + mark.size / 2 * y) for x, y in SHAPES[mark.shape]]


# SVG.

Paint = Callable[..., str]  # fill="arm1", stroke="grid" → the attributes that paint an element so


def themed(**paints: str) -> str:
    """For a page: classes of its style sheet, f-NAME to fill and s-NAME to stroke."""
    classes = [f"{what[0]}-{colour}" for what, colour in paints.items() if not _is_plain(colour)]
    plain = [f'{what}="{colour}"' for what, colour in paints.items() if _is_plain(colour)]
    return " ".join([*([f'class="{" ".join(classes)}"'] if classes else []), *plain])


def _is_plain(colour: str) -> bool:
    return colour == "none" or colour.startswith("#")


def svg_parts(drawing: Drawing, paint: Paint = themed) -> Iterator[str]:
    """The elements inside of <svg>."""
    for part in drawing.parts:
        if isinstance(part, Line):
            dash = f' stroke-dasharray="{part.dash}"' if part.dash else ""
            yield (
                f'<path d="{_path(part.spots)}" {paint(fill="none", stroke=part.colour)}'
                f' stroke-width="{_n(part.width)}"{dash}/>'
            )
        elif isinstance(part, Area):
            yield f'<path d="{_path(part.spots)}Z" {paint(fill=part.colour)} opacity="{_n(part.opacity, 2)}"/>'
        elif isinstance(part, Mark):
            yield _mark(part, paint)
        elif isinstance(part, Box):
            size = f'width="{_n(part.width)}" height="{_n(part.height)}"'
            yield f'<rect x="{_n(part.x)}" y="{_n(part.y)}" {size} {paint(fill=part.colour, stroke=part.edge)}/>'
        else:
            yield _words(part, paint)


def _mark(mark: Mark, paint: Paint) -> str:
    paints = {"fill": "paper", "stroke": mark.colour} if mark.hollow else {"fill": mark.colour}
    fill = paint(**paints)
    look = fill if mark.opacity == 1 else f'{fill} opacity="{_n(mark.opacity, 2)}"'
    says = f"<title>{said(mark.says)}</title>" if mark.says else ""
    if mark.shape == "circle":
        head = f'circle cx="{_n(mark.x)}" cy="{_n(mark.y)}" r="{_n(mark.size / 2)}"'
        tag = "circle"
    else:
        head, tag = f'path d="{_path(corners(mark))}Z"', "path"
    return f"<{head} {look}>{says}</{tag}>" if says else f"<{head} {look}/>"


def _words(words: Words, paint: Paint) -> str:
    looks = [f'font-size="{_n(words.size)}"', paint(fill=words.colour)]
    if words.anchor != "start":
        looks.append(f'text-anchor="{words.anchor}"')
    if words.bold:
        looks.append('font-weight="700"')
    if words.italic:
        looks.append('font-style="italic"')
    return f'<text x="{_n(words.x)}" y="{_n(words.y)}" {" ".join(looks)}>{said(words.text)}</text>'


def said(text: str) -> str:
    """Text for SVG: control characters are shown, and markup is escaped."""
    return escape(clean(text), {'"': "&quot;"})


def _path(spots: Sequence[Spot]) -> str:
    return "M" + " ".join(f"{_n(x)},{_n(y)}" for x, y in spots)


def _n(value: float, digits: int = 1) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
    return "0" if text in ("-0", "") else text
