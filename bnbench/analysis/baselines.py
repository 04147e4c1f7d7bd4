"""The baseline of each arm: the arm that the user names, or the most similar arm without a norm."""

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
    """The label of the arm that --baseline names. Raises ConfigError if no arm, or several, have that name."""
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

    None if there is no such arm, or if two are equally near; then a note says so. An arm without a complete
    run becomes a baseline only if no arm without a norm has one.
    """
    without = [arm for arm in arms if arm.config.get("norm.type") == "none"]
    without = [arm for arm in without if arm.complete] or [arm for arm in without if arm.diverged]
    settings = {id(arm): _settings(arm) for arm in arms}
    same: dict[str, list[Arm]] = defaultdict(list)  # most arms have a baseline with equal settings
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
    """The settings that do not belong to the norm."""
    return {key: value for key, value in arm.config.items() if not key.startswith("norm.")}


def _key(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
