"""A pilot of a study: other seeds, and how much each effect varies from seed to seed. It shows no effect. No torch."""

from dataclasses import replace

from bnbench.errors import ConfigError
from bnbench.studies.file import StudyFile
from bnbench.studies.measures import Found
from bnbench.studies.plan import Plan
from bnbench.studies.spread import sd_of
from bnbench.studies.verdicts import judge_study

FEWEST = 3


def pilot_of(study: StudyFile, many: int) -> StudyFile:
    """The study with `many` other seeds: those after its largest. Raises ConfigError for fewer than three."""
    if many < FEWEST:
        raise ConfigError(f"--pilot {many}: a spread needs at least {FEWEST} seeds")
    first = max(study.about.seeds) + 1
    claims = {}
    for name, claim in study.about.claims.items():
        claims[name] = claim.model_copy(update={"looks": []})
        if claim.kind == "crossover":  # its second arm alone, for stable_sd
            alone = {"looks": [], "arms": claim.arms[1:], "kind": "superior", "exploratory": True}
            claims[f"{name}, {claim.arms[1]} alone"] = claim.model_copy(update=alone)
    about = study.about.model_copy(update={"seeds": list(range(first, first + many)), "claims": claims, "uses": []})
    return replace(study, about=about)


def pilot_lines(plan: Plan, found: Found) -> list[str]:
    """The standard deviation of each claim's effect, and not the effect: δ is chosen without it."""
    lines = []
    for result in judge_study(plan, found):
        values = [value.value for value in result.effects if value is not None]
        unit = "of the log" if result.claim.kind == "ratio" else result.claim.measure.unit
        lines.append(f"{result.name}: sd {sd_of(values):.3g} {unit}".rstrip() + f", from {len(values)} seeds")
    return [*lines, "pilot: no effects and no verdict, so that the margin is chosen without them"]
