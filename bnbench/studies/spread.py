"""The spread of an effect over seeds, and whether it is what the claim declared. Numbers in, numbers out. No torch."""

import math
from collections.abc import Sequence
from typing import Any

from bnbench.studies.checks import more
from bnbench.studies.measures import step_of
from bnbench.studies.plan import Plan
from bnbench.studies.power import seeds_needed
from bnbench.studies.verdicts import Result

MUCH = 1.5  # times the declared spread; ten seeds show this by chance in 2 % of studies


def sd_of(values: Sequence[float]) -> float:
    """The standard deviation with n - 1; nan without values, 0 for a single one."""
    mean = math.fsum(values) / len(values) if values else math.nan
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))


def wider_than_declared(plan: Plan, result: Result) -> dict[str, Any] | None:
    """What was seen if the effect varied clearly more than the claim's `sd`: `sd`, and for a new study `use`, `seeds`.

    `sd`: as seen; of a ratio, of its natural log. `use`: the same with two digits. `seeds`: those that `use` needs;
    None if no number is enough. None where the spread is as declared, or where seeds are missing.
    """
    claim = result.claim
    values = [effect.value for effect in result.effects if effect is not None]
    if claim.sd is None or claim.delta is None or claim.kind == "exact" or claim.exploratory:
        return None
    if len(values) < len(result.effects) or (seen := sd_of(values)) <= MUCH * claim.sd:
        return None
    step = max(step_of(claim.measure, plan.of_arm(arm)) for arm in claim.arms)
    use = float(f"{seen:.2g}")
    seeds = seeds_needed(claim.kind, claim.delta, use, claim.expect, **more(claim, step))
    return {"sd": float(f"{seen:.4g}"), "use": use, "seeds": seeds}
