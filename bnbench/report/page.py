"""A comparison → one HTML page in a single file: a section for each sweep and each baseline, then what is folded.

The page treats every value of a results file as text: it shows control characters and escapes HTML. The pictures
are SVG inside the page, and its style sheet colours them. There is no script. No torch.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bnbench import __version__
from bnbench.analysis.compare import Comparison, Row
from bnbench.analysis.measures import CURVES
from bnbench.analysis.sweep import Sweep
from bnbench.console import clean
from bnbench.report import facts, plots, seeds, verdict
from bnbench.report.charts.drawing import svg_parts
from bnbench.report.charts.palette import Look, values
from bnbench.report.classes import by_class
from bnbench.report.family import Chapter, Family, chapters
from bnbench.report.page_table import by_value, others, results
from bnbench.report.picture import Picture
from bnbench.report.sentences import summary
from bnbench.report.sweep_curves import each_value
from bnbench.report.sweep_plots import looked, parts, pictures
from bnbench.report.sweep_words import measured, sentences

WIDTHS = {"wide": 1120, "medium": 760, "narrow": 358}  # three drawings of each picture; the page shows one
LATER = "train_loss"  # drawn large beside the metric that was asked for


@dataclass(frozen=True)
class Section:
    """A part of the page: its words in the list of contents, and its HTML, whose headings begin at level 2."""

    title: str
    html: Markup


def page(comparison: Comparison, options: Sequence[str] = (), sections: Sequence[Section] = ()) -> str:
    """The whole page. `options` are those of the command; the page prints them under “How to reproduce it”.

    `sections` come after those of the comparison.
    """
    tables = comparison.tables
    arms = [row.arm for table in tables for row in table.rows]
    files = list(facts.configs(arms))
    templates = _templates()
    found = [*(section for chapter in chapters(tables) for section in _sections(chapter, templates)), *sections]
    html = templates.get_template("report.html.j2").render(
        sections=found,
        best=any(row.best for table in tables for row in table.rows),
        notes=[*map(str, comparison.notes)],
        environment=facts.environment([run for arm in arms for run in (*arm.complete, *arm.diverged)]),
        configs=files,
        commands=facts.commands(files, options),
        version=__version__,
        themes=(values(), values(dark=True)),
    )
    return html.encode("utf-8", "backslashreplace").decode()  # a lone surrogate cannot be encoded


def _sections(chapter: Chapter, templates: Environment) -> Iterator[Section]:
    many = f", {chapter.table.group.epochs} epochs"
    for one, looks in chapter.sweeps:
        inside = chapter.inside if one is chapter.sweeps[-1][0] else []
        html = templates.get_template("sweep.html.j2").render(_sweep(one, looks, inside))
        yield Section(f"Sweep of {' and '.join(axis.name for axis in one.axes)}{many}", Markup(html))
    for family in chapter.families:
        html = templates.get_template("family.html.j2").render(_family(family))
        against = f"Against {family.baseline.label}" if family.baseline else "Without a baseline"
        yield Section(f"{against}{many}", Markup(html))


def _sweep(one: Sweep, looks: Sequence[dict[str, Look]], inside: Sequence[Family]) -> dict[str, Any]:
    looked_at = [named for part, of in zip(parts(one), looks, strict=True) for named in looked(part, of)]
    said = verdict.of_sweep(one, [coloured_name(look, name) for name, look in looked_at])
    names = f"{measured(one)}, by {' and '.join(axis.key for axis in one.axes)}"
    return {
        "eyebrow": f"{one.group.title()} · {names}",
        "headline": said or " ".join(sentences(one)[: min(2, len(one.lines))]) or names,
        "figures": [shown(picture) for picture in pictures(one, looks)],
        "by_value": by_value(one) if len(one.axes) == 1 else None,
        "sentences": sentences(one)[0 if said else min(2, len(one.lines)) :],
        "each": [shown(picture) for picture in each_value(one, looks)],
        "inside": [_parts(family) for family in inside],
    }


def _family(family: Family) -> dict[str, Any]:
    """What the section of a family shows, in the order of the page."""
    table, metric = family.table, family.table.question.metric
    metric = metric if metric in CURVES else "valid_accuracy"
    lead, of_seeds = plots.lead(family), seeds.seeds(family)
    curves: list[Picture | None] = []
    if family.others:
        curves.append(plots.small(family, family.first, f"the {len(family.first) - 1} most different"))
        more, seconds = [], []
    else:
        ratio = None if metric == LATER else plots.ratio(family)
        large = [metric] if ratio else list(dict.fromkeys([metric, LATER]))
        curves += [*plots.curves(family, metrics=large), ratio]
        more = [*plots.curves(family, metrics=[name for name in CURVES if name not in large])]
        seconds = [*plots.curves(family, "seconds", [metric])]
    return {
        **_parts(family),
        "lead": shown(first) if (first := lead or of_seeds) else None,
        "seeds": shown(of_seeds) if lead and of_seeds else None,
        "curves": [shown(one) for one in curves if one],
        "more": list(map(shown, more)),
        "seconds": list(map(shown, seconds)),
        "others": _others(family),
        "sha256": table.group.dataset_sha256,
        "classes": by_class(table),
    }


def _parts(family: Family) -> dict[str, Any]:
    """The words and the tables of a family."""
    table = family.table

    def name(row: Row) -> Markup:
        return coloured_name(family.look(row.arm), family.name(row.arm))

    against = f" · against {family.baseline.label}" if family.baseline else ""
    return {
        "eyebrow": f"{table.group.title()}{against}",
        "headline": verdict.headline(table, name),
        "details": verdict.details(table, name),
        "results": results(family, family.first),
        "rest": others(family, table.rows),
        "sentences": summary(table),
    }


def coloured_name(look: Look, name: str) -> Markup:
    """The name of an arm in its colour."""
    return Markup('<span class="c-{}">{}</span>').format(look.colour, clean(name))


def _others(family: Family) -> dict[str, Any] | None:
    """The arms that do not come first, of many."""
    if not family.others:
        return None
    small = plots.small(family, family.others, "the other arms")
    names = [family.name(row.arm) for row in family.others]
    return {
        "names": names,
        "table": results(family, family.others),
        "figure": shown(small) if small else None,
    }


def shown(picture: Picture) -> dict[str, Any]:
    """A picture for the page: its words, and its drawings."""
    drawings = {name: picture.draw(width) for name, width in WIDTHS.items()}
    return {
        "title": picture.title,
        "about": picture.about,
        "text": picture.text,
        "drawings": {
            name: (f"{drawing.width:.0f} {drawing.height:.0f}", Markup("\n".join(svg_parts(drawing))))
            for name, drawing in drawings.items()
        },
    }


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
    numbers = count(1)
    environment.globals["new_id"] = lambda: f"i{next(numbers)}"
    return environment


def _breakable(text: str) -> Markup:
    """`text` that may break after the punctuation of a long name."""
    return Markup("<wbr>").join(re.split(r"(?<=[._,=])(?=.)", clean(text)))
