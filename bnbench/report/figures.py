"""The pictures of the report as files: SVG in light colours, and PNG."""

import io
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from bnbench.analysis.compare import Table
from bnbench.report.charts import words
from bnbench.report.charts.drawing import FONT, Area, Box, Drawing, Line, Mark, Words, corners, moved, said, svg_parts
from bnbench.report.charts.palette import values
from bnbench.report.family import Chapter, chapters
from bnbench.report.picture import Picture
from bnbench.report.plots import curves, lead, ratio, small
from bnbench.report.seeds import seeds
from bnbench.report.sweep_plots import pictures

WIDE = 1120
MARGIN = 24
DPI = 200  # of PNG, where 100 pixels of the drawing are an inch


def files(tables: Sequence[Table]) -> Iterator[tuple[str, bytes]]:
    """File names and contents: each picture as SVG and PNG, with its title."""
    for number, chapter in enumerate(chapters(tables), start=1):
        table = chapter.table
        group = f"{number}-{'smoke-' if table.group.smoke else ''}{table.group.dataset}-{table.group.epochs}-epochs"
        places = count(1)
        for picture in _pictures(chapter):
            name = f"{group}-{next(places):02}-{picture.name}"
            drawing = titled(picture, table.group.title())
            yield f"{name}.svg", svg_file(drawing, picture).encode()
            yield f"{name}.png", png(drawing)


def _pictures(chapter: Chapter) -> Iterator[Picture]:
    for one, looks in chapter.sweeps:
        yield from pictures(one, looks)
    for family in [*chapter.families, *chapter.inside]:
        found = [lead(family), seeds(family), *curves(family), ratio(family)]
        if family.others:
            found += [
                small(family, family.first, "the most different"),
                small(family, family.others, "the others"),
            ]
        yield from (picture for picture in found if picture)


def titled(picture: Picture, group: str) -> Drawing:
    """The picture with its title, its group and what is drawn above it, and a margin around it."""
    drawing = picture.draw(WIDE)
    out = Drawing(drawing.width + 2 * MARGIN, 0)
    out.add(Box(0, 0, out.width, 0, "paper"))
    top = float(MARGIN)
    for text, size, bold in ((picture.title, 20, True), (group, 14, False), (picture.about, 14, False)):
        for line in words.lines(text, size, WIDE, bold=bold, most=4):
            top += 1.25 * size
            out.add(Words(MARGIN, top, line, size, "ink" if bold else "quiet", bold=bold))
    top += 24
    out.add(*(moved(part, MARGIN, top) for part in drawing.parts))
    out.height = top + drawing.height + MARGIN
    out.parts[0] = Box(0, 0, out.width, out.height, "paper")
    return out


def _plain(**paints: str) -> str:
    light = values()
    return " ".join(f'{what}="{light.get(colour, colour)}"' for what, colour in paints.items())


def svg_file(drawing: Drawing, picture: Picture) -> str:
    """An SVG file with its text alternative. It has no date and no version: the same picture gives the same bytes."""
    size = f"{drawing.width:.0f} {drawing.height:.0f}"
    wide, tall = size.split()
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{wide}" height="{tall}"'
    head += f' font-family="{FONT}" stroke-linejoin="round" role="img">'
    says = [f"<{tag}>{said(text)}</{tag}>" for tag, text in (("title", picture.title), ("desc", picture.text))]
    return "\n".join([head, *says, *svg_parts(drawing, _plain), "</svg>", ""])


def png(drawing: Drawing) -> bytes:
    """A PNG of the same drawing, by matplotlib, which is imported only here. No pyplot, which keeps global state."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Polygon, Rectangle

    light = values()

    def colour(name: str) -> str:
        return light.get(name, name)

    settings = {**matplotlib.rcParamsDefault, "font.family": ["DejaVu Sans"], "text.parse_math": False}
    with matplotlib.rc_context({key: settings[key] for key in settings if not key.startswith("backend")}):
        figure = Figure((drawing.width / 100, drawing.height / 100))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, drawing.width), ylim=(drawing.height, 0))
        axes.set_axis_off()
        point = 0.72  # points of a pixel
        for order, part in enumerate(drawing.parts):
            if isinstance(part, Line):
                x, y = zip(*part.spots, strict=True)
                dash = (0, tuple(float(n) / part.width for n in part.dash.split())) if part.dash else "-"
                axes.plot(x, y, color=colour(part.colour), linewidth=point * part.width, linestyle=dash, zorder=order)
            elif isinstance(part, Area):
                axes.add_patch(Polygon(part.spots, fc=colour(part.colour), alpha=part.opacity, lw=0, zorder=order))
            elif isinstance(part, Mark):
                edge: dict[str, Any] = {
                    "fc": colour("paper" if part.hollow else part.colour),
                    "alpha": part.opacity,
                    "zorder": order,
                }
                edge |= {"ec": colour(part.colour), "lw": 1.5 * point if part.hollow else 0}
                there = corners(part)
                axes.add_patch(Polygon(there, **edge) if there else Circle((part.x, part.y), part.size / 2, **edge))
            elif isinstance(part, Box):
                looks: dict[str, Any] = {
                    "fc": colour(part.colour),
                    "ec": colour(part.edge),
                    "lw": point,
                    "zorder": order,
                }
                axes.add_patch(Rectangle((part.x, part.y), part.width, part.height, **looks))
            else:
                text = "".join(c if c.isprintable() else "?" for c in part.text)
                anchor = {"start": "left", "middle": "center", "end": "right"}[part.anchor]
                style: dict[str, Any] = {
                    "weight": "bold" if part.bold else "normal",
                    "style": "italic" if part.italic else "normal",
                }
                # A little smaller, because DejaVu Sans is wider than the fonts of a page.
                axes.text(
                    part.x,
                    part.y,
                    text,
                    color=colour(part.colour),
                    size=0.9 * point * part.size,
                    ha=anchor,
                    zorder=order,
                    **style,
                )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
