"""The verdict page: every claim of every study, with its verdict, in markdown. No torch.

All verdicts have the same room: a row of the table, and a paragraph below.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnbench.report.studies import said, sentence
from bnbench.studies.file import files
from bnbench.studies.outcome import read_outcome

VERDICTS = ("supported", "contradicted", "inconclusive", "exploratory")


def verdict_page(studies: Path, outcomes: Path) -> Iterator[str]:
    """The lines of the page. Raises ConfigError where an outcome was edited by hand."""
    names = [path.stem for path in files(studies)]
    judged = [read_outcome(outcomes / name) for name in names if (outcomes / name / "verdicts.json").exists()]
    costs = {of["study"]: _cost(outcomes / of["study"]) for of in judged}
    claims = [(of, claim) for of in judged for claim in of["claims"]]
    counts = Counter(verdict(claim) for _, claim in claims)
    counted = ", ".join(f"{counts[name]} {name}" for name in VERDICTS)
    yield from ["", f"{len(claims)} claims of {len(judged)} studies: {counted}. The runs of these studies took"]
    yield f"{sum(costs.values()):,.0f} minutes of one core, half of that on two cores."
    if waiting := [name for name in names if name not in costs]:
        yield f"Not run yet: {', '.join(f'`{name}`' for name in waiting)}."
    yield ""
    yield "| study | claim | verdict | effect, 95 % interval | δ | n | minutes |"
    yield "| --- | --- | --- | --- | --- | ---: | ---: |"
    for of, claim in claims:
        name = f"[{of['study']}](#{of['study']})"
        cells = [name, claim["name"].replace("_", " "), _marked(claim), claim["shown"], claim["rule"], str(claim["n"])]
        yield "| " + " | ".join([*cells, f"{costs[of['study']]:.1f}"]) + " |"
    for of in judged:
        yield from _section(of, costs[of["study"]])


def verdict(claim: Mapping[str, Any]) -> str:
    return claim["verdict"] or "exploratory"


def _marked(claim: Mapping[str, Any]) -> str:
    return f"**{verdict(claim)}**" + (" (transfer)" if claim["transfer"] else "")


def _cost(folder: Path) -> float:
    try:
        return float(json.loads((folder / "cost.json").read_text())["core_minutes"])
    except (OSError, ValueError, KeyError):
        return 0.0


def _section(of: Mapping[str, Any], minutes: float) -> Iterator[str]:
    folder = f"studies/{of['study']}"
    yield from ["", f"## {of['study']}", "", of["question"]]
    yield f"Scope: {of['scope']}; {of['seeds']} seeds, {of['runs']} runs, {minutes:.1f} minutes."
    yield f"Files: [study]({folder}/study.yaml), [runs]({folder}/runs.csv), [verdicts]({folder}/verdicts.json)."
    yield from ["", f"![{alt(of['claims'])}]({folder}/figure.svg)", ""]
    for claim in of["claims"]:
        yield f"- {_marked(claim)}, {claim['name'].replace('_', ' ')}: {said(claim)}"
        yield f"  {claim['measure']}: {claim['shown']}, n {claim['n']}, the interval over {claim['interval_over']}."
        yield f"  Rule: {claim['rule']}. {_power(claim)}{sentence(claim)}".rstrip()


def alt(claims: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{claim['name']}: {claim['shown']}, {verdict(claim)}" for claim in claims)


def _power(claim: Mapping[str, Any]) -> str:
    """What the n allows."""
    if claim["power"] is None:
        return ""
    shares = [f"{100 * claim['power'][key]:.0f} %" for key in ("supported", "contradicted")]
    return (
        f"With an sd of {claim['sd']:g} ({claim['sd_from']}), these seeds support the expected effect in {shares[0]} of"
        f" studies, and contradict a claim that is wrong in {shares[1]}. "
    )
