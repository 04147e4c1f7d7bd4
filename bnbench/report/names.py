"""Short names for pictures and sentences: without what all names of a picture share."""

import re
from collections.abc import Iterable
from itertools import takewhile


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """mlp_no_bn, mlp_bn, mlp_bn,norm.momentum=0.1 → no_bn, bn, bn momentum=0.1; each label with its short name."""
    labels = list(dict.fromkeys(labels))
    start = shared(labels)
    out = {label: label[len(start) :] for label in labels}
    shorter = {label: re.sub(r",(?:\w+\.)*(\w+=)", r" \1", name) for label, name in out.items()}
    return shorter if len(set(shorter.values())) == len(labels) else out


def shared(labels: Iterable[str]) -> str:
    """What all labels start with, up to a _ or a -: mlp_. Empty for one label."""
    labels = list(labels)
    names = [re.split(r"[,=#]", label)[0] for label in labels]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in same)
    start = start[: 1 + max(start.rfind("_"), start.rfind("-"))]
    return "" if len(labels) < 2 or any(label == start for label in labels) else start
