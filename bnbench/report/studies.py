"""What `bnbench study` prints: the verdicts of a study, and the list of all studies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from bnbench.studies.checks import check, power_of
from bnbench.studies.file import read_study
from bnbench.studies.outcome import read_outcome
from bnbench.studies.plan import make_plan

WIDTH = 100
RESULTS = Path("results/studies")


@dataclass(frozen=True)
class Entry:
    """One study of the list. `power` is the least of all its claims; None if no claim has one."""

    name: str
    question: str
    runs: int
    claims: int
    minutes: float
    power: float | None
    verdicts: Mapping[str, int] | None  # None: no outcome yet


def entry(path: Path) -> Entry:
    """Read one study for the list. Raises ConfigError."""
    plan = make_plan(read_study(path))
    check(plan)
    about = plan.study.about
    powers = [min(of) for claim in about.claims.values() if (of := power_of(plan, claim))]
    folder, verdicts = RESULTS / plan.study.name, None
    if (folder / "verdicts.json").exists():
        verdicts = dict(Counter(claim["verdict"] or "exploratory" for claim in read_outcome(folder)["claims"]))
    runs = sum(len(config.seeds) for config in plan.configs)
    least = round(min(powers), 3) if powers else None
    return Entry(plan.study.name, about.question, runs, len(about.claims), about.minutes, least, verdicts)


def list_lines(entries: Sequence[Entry]) -> list[str]:
    """The list as text."""
    widest = max((len(one.name) for one in entries), default=0)
    lines = []
    for one in entries:
        power = "–" if one.power is None else f"{100 * one.power:.0f} %"
        counts = "no outcome yet" if one.verdicts is None else ", ".join(f"{n} {of}" for of, n in one.verdicts.items())
        lines.append(f"{one.name:{widest}}  {one.minutes:>4g} min  {one.runs:>4} runs  power {power:>5}  {counts}")
        lines.append(f"{'':{widest}}  {one.question}")
    total = sum(one.minutes for one in entries)
    lines.append(
        f"{len(entries)} studies: {total:g} minutes of one core. Power: of the weakest claim, at the effect expected"
    )
    return lines


def refused_lines(refused: Mapping[str, str]) -> list[str]:
    """The studies that are refused, by name, with the first line of the message."""
    lines = []
    for name, message in refused.items():
        first, *rest = message.split("\n")
        lines.append(f"{name}  refused: {first}" + (f" (and {len(rest)} more)" if rest else ""))
    return lines


def verdict_lines(judged: Mapping[str, Any]) -> list[str]:
    """The verdicts of a study as text."""
    lines = [f"{judged['study']}: {judged['question']}", f"scope: {judged['scope']}; {judged['seeds']} seeds", ""]
    for claim in judged["claims"]:
        lines.append(f"{claim['name']}: {title(claim)}")
        lines += _wrapped(said(claim))
        lines += _wrapped(f"{claim['measure']}: {claim['shown']}, n {claim['n']}")
        rule = "no rule" if claim["delta"] is None else claim["rule"]
        lines += _wrapped(f"rule: {rule}. {sentence(claim)}")
        lines.append("")
    return lines[:-1]


def title(claim: Mapping[str, Any]) -> str:
    """SUPPORTED, or EXPLORATORY: NO VERDICT; of a claim about other networks, with a mark."""
    if claim["verdict"] is None:
        return "EXPLORATORY: NO VERDICT"
    return str(claim["verdict"]).upper() + (" HERE (transfer)" if claim["transfer"] else "")


def said(claim: Mapping[str, Any]) -> str:
    """The quotation, or the claim in other words, and its source."""
    quote = f"“{claim['quote']}”" if claim["quote"] else ""
    return " ".join(filter(None, [quote, claim["says"], f"({claim['source']})"]))


def sentence(claim: Mapping[str, Any]) -> str:
    """Why, as a sentence; of a tuned claim, with the best values; of a transfer, with what it does not say."""
    why = "" if claim["verdict"] is None else f"{claim['why'][0].upper()}{claim['why'][1:]}."
    if claim["best"]:
        why += f" Best: {', '.join(f'{arm} {value:g}' for arm, value in claim['best'].items())}."
    if claim["one_more_run"]:
        low, high = claim["one_more_run"]
        inside = "inside" if low <= claim["published"] <= high else "outside"
        why += f" The published {claim['published']:g} lies {inside} the 95 % interval of one more run,"
        why += f" [{low:.2f}, {high:.2f}]."
    if claim.get("spread"):
        why += f" {spread(claim)}"
    if claim["transfer"]:
        why += " The claim is about other networks, and this study cannot refute it there."
    return why.strip()


def spread(claim: Mapping[str, Any]) -> str:
    """That the effect varied more than the claim declared, and what a new study needs."""
    of = claim["spread"]
    needs = f"sd {of['use']:g} and {of['seeds']} seeds" if of["seeds"] else f"sd {of['use']:g} and a larger delta"
    return (
        f"The spread over seeds was {of['sd']:.3g}, more than the declared {claim['sd']:g},"
        f" so the power was lower than planned. For a new study: {needs}."
    )


def _wrapped(text: str) -> list[str]:
    return [f"  {line}" for line in wrap(text, WIDTH - 2)]
