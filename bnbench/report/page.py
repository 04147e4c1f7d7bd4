"""A comparison → one HTML page in a single file: tables, pictures, environment, configs, commands.

The page treats every value of a results file as text: it shows control characters and escapes HTML. The pictures
are SVG inside the page, and its style sheet colours them. No torch.
"""

import io
import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from textwrap import wrap
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnbench import __version__
from bnbench.analysis.arms import Arm, seed_ranges
from bnbench.analysis.compare import Comparison, Row, Table
from bnbench.config.strict_yaml import dump
from bnbench.console import clean, inert
from bnbench.errors import ResultsError
from bnbench.report import plots
from bnbench.report.cells import CUT
from bnbench.report.classes import by_class
from bnbench.report.columns import choose
from bnbench.report.plots import Key, Picture
from bnbench.report.sentences import summary
from bnbench.report.sweep_plots import pictures, swept_in
from bnbench.report.sweep_words import sentences, verdict
from bnbench.runs.format import Run, run_config

# Colours of the pictures → variables of the style sheet, with their values in light and dark.
COLOURS = {
    plots.INK: ("ink", plots.INK, "#e4e7eb"),
    plots.RULE: ("rule", plots.RULE, "#434a54"),
    plots.BASELINE: ("baseline", plots.BASELINE, "#d4d9e0"),
    **{
        light: (f"series{place}", light, dark)
        for place, (light, dark) in enumerate(zip(plots.SERIES, plots.SERIES_ON_DARK, strict=True), start=1)
    },
}
MOST = 30  # facts of the environment, and different values of each


def page(comparison: Comparison, options: Sequence[str] = ()) -> str:
    """The whole page. `options` are those of the command; the page prints them under “How to reproduce it”."""
    tables = comparison.tables
    arms = [row.arm for table in tables for row in table.rows]
    columns = [choose(table, None, only_changed=True) for table in tables]
    configs = list(_configs(arms))
    numbers = count(1)

    def inline(figure: Figure, title: str = "", text: str = "") -> Markup:
        return inline_svg(render(figure, "svg").decode(), f"f{next(numbers)}", title, text)

    with plots.style():
        html = (
            _templates()
            .get_template("report.html.j2")
            .render(
                groups=[_group(table, of, inline) for table, of in zip(tables, columns, strict=True)],
                cut=any(
                    column.cell(row).endswith(CUT)
                    for table, of in zip(tables, columns, strict=True)
                    for column in of.values()
                    for row in table.rows
                ),
                best=any("best" in of for of in columns),
                notes=[*map(str, comparison.notes)],
                environment=environment([run for arm in arms for run in (*arm.complete, *arm.diverged)]),
                configs=configs,
                commands=_commands(configs, options),
                version=__version__,
                colours=list(COLOURS.values()),
            )
        )
    return html.encode("utf-8", "backslashreplace").decode()  # a lone surrogate cannot be encoded


def files(tables: Sequence[Table]) -> Iterator[tuple[str, bytes]]:
    """File names and contents: each picture as SVG and PNG, with its title and legend."""
    for number, table in enumerate(tables, start=1):
        group = f"{number}-{'smoke-' if table.group.smoke else ''}{table.group.dataset}-{table.group.epochs}-epochs"
        places = count(1)
        drawn = [picture for sweep in swept_in(table) for picture in pictures(sweep)]
        for family in _families(table):
            drawn += [*(picture for _, curves in family.curves for picture in curves), *family.strips]
        for picture in drawn:
            name = f"{group}-{next(places):02}-{picture.name}"
            with plots.style():
                figure = standalone(picture, table.group.title())
                images = [(f"{name}.{form}", render(figure, form, "white")) for form in ("svg", "png")]
            yield from images


@dataclass(frozen=True)
class Family:
    """The pictures of arms that share a baseline. Curves show few arms at a time; strips show more."""

    baseline: str | None
    curves: list[tuple[list[Row], list[Picture]]]
    strips: list[Picture]


def _families(table: Table) -> Iterator[Family]:
    for rows in plots.families(table):
        parts = plots.cut(rows, plots.STRIPS)
        strips = [draw(part, table) for part in parts for draw in (plots.points, plots.differences)]
        yield Family(
            rows[0].baseline.label if rows[0].baseline else None,
            [(part, list(plots.curves(part))) for part in plots.cut(rows, plots.LINES)],
            [picture for picture in strips if picture],
        )


def _group(table: Table, columns: dict[str, Any], inline: Callable[..., Markup]) -> dict[str, Any]:
    def shown(picture: Picture) -> dict[str, Any]:
        return {"title": picture.title, "svg": inline(picture.draw(), picture.title, picture.text)}

    families = [
        {
            "baseline": family.baseline,
            "curves": [
                {
                    "legend": [(key, inline(swatch(key)) if key.look else "") for key in plots.keys(rows)],
                    "pictures": list(map(shown, drawn)),
                }
                for rows, drawn in family.curves
            ],
            "strips": list(map(shown, family.strips)),
        }
        for family in _families(table)
    ]
    return {
        "sweeps": [(list(map(shown, pictures(one))), [verdict(one), *sentences(one)]) for one in swept_in(table)],
        "title": table.group.title(),
        "sha256": table.group.dataset_sha256,
        "headings": {name: column.heading for name, column in columns.items()},
        "bodies": [
            [(row.is_baseline, {name: column.cell(row) for name, column in columns.items()}) for row in rows]
            for rows in plots.families(table)
        ],
        "sentences": summary(table),
        "families": families,
        "classes": by_class(table),
    }


def environment(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Each recorded fact of the environment with its values, the most frequent first, with counts if they differ."""
    names = dict.fromkeys(name for run in runs for name in run.provenance)
    rows = []
    for name in list(names)[:MOST]:
        counts = Counter(_value(run.provenance.get(name)) for run in runs)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        values = [value if len(counts) == 1 else f"{value} ({n} of {len(runs)} runs)" for value, n in ordered[:MOST]]
        if len(ordered) > MOST:
            values.append(f"and {len(ordered) - MOST} more")
        rows.append((inert(name), values))
    return rows


def _value(value: Any) -> str:
    if value is None:
        return "not known"
    return inert(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class ConfigFile:
    """The config of one arm with all of its seeds, as `bnbench run` takes it. `text` is None if it is not known."""

    label: str
    name: str
    seeds: str
    text: str | None
    folder: str  # arms with the same name need different folders


def _configs(arms: Iterable[Arm]) -> Iterator[ConfigFile]:
    taken: set[str] = set()
    for arm in arms:
        again, copies = "", 1
        while arm.name + again in taken:
            copies += 1
            again = f"-{copies}"
        taken.add(arm.name + again)
        seeds = sorted({run.seed for run in arm.runs()})
        text = None
        if arm.config:  # empty if the config cannot be read
            try:
                text = dump({**run_config(arm.runs()[0].path), "seeds": seeds})
            except ResultsError:
                text = None
        yield ConfigFile(arm.label, f"{arm.name}{again}.yaml", seed_ranges(seeds), text, f"results{again}")


def _commands(configs: Iterable[ConfigFile], options: Sequence[str]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for config in configs:
        if config.text is not None:
            folders.setdefault(config.folder, []).append(config.name)
    runs = [["bnbench", "run", *names, "--out", folder] for folder, names in folders.items()]
    return [shlex.join(command) for command in (*runs, ["bnbench", "report", *folders, *options])]


def _templates() -> Environment:
    def plain(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)

    environment = Environment(
        loader=PackageLoader("bnbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str) -> Markup:
    """`text` that may break after the punctuation of a long name."""
    return Markup("<wbr>").join(re.split(r"(?<=[._,=])(?=.)", clean(text)))


# Pictures → SVG and PNG.


def render(figure: Figure, form: str, background: str = "none") -> bytes:
    """The file has no date and no version, so that the same picture gives the same bytes."""
    buffer = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None} if form == "svg" else {"Software": None}
    figure.savefig(buffer, format=form, metadata=nothing, dpi=200 if form == "png" else "figure", facecolor=background)
    return buffer.getvalue()


def inline_svg(text: str, prefix: str, title: str = "", description: str = "") -> Markup:
    """Matplotlib's SVG as a part of a page: with unique ids, colours of the style sheet, and a text alternative.

    Screen readers skip it if it has no title.
    """
    box = re.search(r'viewBox="[0-9. ]+"', text)
    assert box is not None
    body = text[text.index(">", box.end()) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"\n\s*", "\n", body)
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', body))
    body = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", body).replace("xlink:href", "href")
    body = re.sub(
        r"(?<=: )#[0-9a-f]{6}(?=[;\"])", lambda m: f"var(--{COLOURS[m[0]][0]})" if m[0] in COLOURS else m[0], body
    )
    if not title:
        return Markup(f'<svg {box[0]} aria-hidden="true">{body}')
    said = (escape(clean(text)) for text in (title, description))
    head = '<title id="{0}-t">{1}</title><desc id="{0}-d">{2}</desc>'.format(prefix, *said)
    return Markup(f'<svg {box[0]} role="img" aria-labelledby="{prefix}-t {prefix}-d">{head}{body}')


def swatch(key: Key) -> Figure:
    """A sample of a line, for a legend outside of the pictures."""
    figure = Figure((0.55, 0.16))
    line = Line2D([0.04, 0.5, 0.96], [0.5] * 3, **(key.look or {}), linewidth=1.6, markersize=4.4, markevery=[1])
    figure.add_artist(line)
    return figure


def standalone(picture: Picture, group: str) -> Figure:
    """The picture with its title, group and legend, for a file of its own."""
    figure = picture.draw()
    (axes,) = figure.axes
    width, height = figure.get_size_inches()
    title, under = wrap(picture.title, int(width * 15)), wrap(group, int(width * 15))
    above = 0.16 * len(title) + 0.15 * len(under) + 0.1
    below = 0.17 * len(picture.keys) + 0.05
    whole = height + above + below
    x, y, w, h = axes.get_position().bounds
    axes.set_position((x, (y * height + below) / whole, w, h * height / whole))
    figure.set_size_inches(width, whole)
    figure.text(0.1 / width, 1 - 0.07 / whole, "\n".join(title), va="top", fontsize=9)
    figure.text(0.1 / width, 1 - (0.1 + 0.16 * len(title)) / whole, "\n".join(under), va="top", fontsize=8)
    if picture.keys:
        handles = [
            Line2D([], [], **(key.look or {"linestyle": ""}), linewidth=1.4, markersize=3.6) for key in picture.keys
        ]
        labels = [plots.drawn(key.label, key.note) for key in picture.keys]
        figure.legend(handles, labels, loc="lower left", frameon=False, fontsize=8, labelspacing=0.25, handlelength=3.6)
    return figure
