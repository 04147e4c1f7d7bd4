"""The studies' section of the HTML report: each claim, its verdict, and the picture that shows why. No torch.

The pictures are images inside the page, so that nothing in the file of a picture can run.
"""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from bnbench.console import clean
from bnbench.files import read_bounded
from bnbench.report.page import Section
from bnbench.report.studies import said, sentence, title
from bnbench.report.study_page import VERDICTS, alt, verdict
from bnbench.studies.outcome import read_outcome

MAX_BYTES = 5_000_000  # of a picture
PLACES = ("verdicts.json", "*/verdicts.json", "studies/*/verdicts.json")  # below a path of the command


def study_sections(paths: Sequence[Path]) -> list[Section]:
    """The section of all studies whose outcome is at or below the paths; none if there is no outcome.

    Raises ConfigError where an outcome was edited by hand.
    """
    folders = sorted({found.parent for path in paths for place in PLACES for found in path.glob(place)})
    judged = [(read_outcome(folder), folder) for folder in folders]
    if not judged:
        return []
    counts = Counter(verdict(claim) for of, _ in judged for claim in of["claims"])
    counted = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    parts = [Markup("<h2>Studies</h2><p>{}.</p>").format(f"Published claims, judged by the runs: {counted}")]
    for of, folder in judged:
        parts.append(_study(of, folder))
    return [Section("Studies", Markup("\n").join(parts))]


def _study(of: Mapping[str, Any], folder: Path) -> Markup:
    claims = Markup("\n").join(_claims(of))
    heading = Markup("<h3>{}</h3><p>Scope: {}; {} seeds.</p>").format(
        clean(f"{of['study']}: {of['question']}"), clean(of["scope"]), of["seeds"]
    )
    return Markup("{}\n{}\n<ul>{}</ul>").format(heading, _picture(of, folder), claims)


def _claims(of: Mapping[str, Any]) -> Iterator[Markup]:
    for claim in of["claims"]:
        yield Markup("<li><b>{}</b>: {} {}: {}, n {}. Rule: {}. {}</li>").format(
            title(claim).lower(),
            clean(said(claim)),
            clean(claim["measure"]),
            claim["shown"],
            claim["n"],
            clean(claim["rule"]),
            clean(sentence(claim)),
        )


def _picture(of: Mapping[str, Any], folder: Path) -> Markup:
    try:
        data = base64.b64encode(read_bounded(folder / "figure.svg", MAX_BYTES)).decode()
    except (OSError, ValueError):
        return Markup("")
    text = escape(clean(alt(of["claims"])))
    style = "max-width:100%;height:auto"
    return Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" style="{}">').format(data, text, style)
