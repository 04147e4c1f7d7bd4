"""Which arm each arm is compared with: the one that is named, or the one without a norm that is most alike."""

import difflib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bnbench.analysis.arms import Arm
from bnbench.errors import ConfigError
from bnbench.runs.notes import Kind, Note

SHOWN = 5  # arms that a note names


def named(arms: Sequence[Arm], name: str) -> str:
    """The label of the arm that --baseline names. Raises ConfigError where that is none, or several."""
    found = {arm.label for arm in arms if name in (arm.label, arm.name)}
    if len(found) == 1:
        return found.pop()
    labels = sorted(found or {arm.label for arm in arms})
    if found:
        raise ConfigError(f"--baseline {name}: names {len(found)} arms; choose one of {', '.join(labels)}")
    close = difflib.get_close_matches(name, labels, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the arms are {', '.join(labels[:20])}"
    raise ConfigError(f"--baseline {name}: no such arm; {hint}")


def nearest(arms: Sequence[Arm], notes: list[Note]) -> list[Arm | None]:
    """For each arm, the arm without a norm that shares its kind of model and most of its other settings.

    None where there is none, or where two are equally near, which is noted. An arm of which no run is
    complete is a baseline only if no other is to be had.
    """
    without = [arm for arm in arms if arm.config.get("norm.type") == "none"]
    without = [arm for arm in without if arm.complete] or [arm for arm in without if arm.diverged]
    settings = {id(arm): _settings(arm) for arm in arms}
    same: dict[str, list[Arm]] = defaultdict(list)  # most arms have a baseline of the very same settings
    for arm in without:
        same[_key(settings[id(arm)])].append(arm)

    def distance(arm: Arm, other: Arm) -> int:
        a, b = settings[id(arm)], settings[id(other)]
        return sum(a.get(key) != b.get(key) for key in a.keys() | b.keys())

    baselines: list[Arm | None] = []
    torn: dict[tuple[str, str], list[str]] = defaultdict(list)
    for arm in arms:
        near = same.get(_key(settings[id(arm)]), [])
        if not near:
            alike = [other for other in without if other.config["model.type"] == arm.config.get("model.type")]
            distances = [distance(arm, other) for other in alike]
            near = [other for other, far in zip(alike, distances, strict=True) if far == min(distances)]
        if len(near) > 1:
            torn[near[0].label, near[1].label].append(arm.label)
        baselines.append(near[0] if len(near) == 1 else None)
    for (a, b), labels in torn.items():
        more = f", and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
        names = ", ".join(labels[:SHOWN])
        text = f"no baseline for {names}{more}: {a} and {b} are equally near; --baseline names one"
        notes.append(Note(Kind.BASELINE, text))
    return baselines


def _settings(arm: Arm) -> dict[str, Any]:
    """All but the norm's own."""
    return {key: value for key, value in arm.config.items() if not key.startswith("norm.")}


def _key(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
