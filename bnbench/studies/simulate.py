"""The judge is judged: how often each rule gives a false verdict, and the right one, if the truth is known.

    judge_the_judge(quick=True)     a Row for each scene of scenes.py, in less than a minute

Random numbers depend on the scene alone, so the same command gives the same table.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnbench.analysis.power import POWER
from bnbench.studies.power import Power
from bnbench.studies.rules import Kind, Verdict
from bnbench.studies.scenes import Scene, Truth, scenes

STUDIES, QUICK = 20_000, 1_000
SLOW = 4  # scenes with images have this many times fewer studies
MOST_FALSE = 0.05
ERRORS = 3.0  # a rate may miss its promise by so many standard errors


@dataclass(frozen=True)
class Row:
    """What came out for one scene: shares of studies, each of `studies`.

    false_supported: the claim is just false, and called supported. false_contradicted: just true, and called
    contradicted. supported, contradicted: at the truths for which the power is promised.
    """

    kind: Kind
    situation: str
    n: str
    delta: float
    studies: int
    false_supported: float
    false_contradicted: float
    supported: float
    contradicted: float
    promised: Power | None
    hidden: bool

    @property
    def kept(self) -> bool:
        """Whether the promises hold: at most 5 % of each error, and 80 % power, or less where seeds are lost."""
        if self.hidden:
            return True
        errors = max(self.false_supported, self.false_contradicted)
        if errors > MOST_FALSE + ERRORS * self.error(MOST_FALSE):
            return False
        if self.promised is None:
            return True
        least = [min(promise, POWER) for promise in self.promised]
        found = (self.supported, self.contradicted)
        return all(share >= low - ERRORS * self.error(low) for share, low in zip(found, least, strict=True))

    def error(self, share: float) -> float:
        """The standard error of a share."""
        return math.sqrt(share * (1 - share) / self.studies)


def judge_the_judge(quick: bool, tell: Callable[[str], None] = lambda text: None) -> list[Row]:
    """Play every scene. `tell` hears the name of each scene before it starts."""
    rows = []
    for scene in scenes():
        tell(f"{scene.kind}: {scene.situation}")
        rows.append(play(scene, (QUICK if quick else STUDIES) // (SLOW if scene.slow else 1)))
    return rows


def play(scene: Scene, studies: int) -> Row:
    """The rates of one scene, each from this number of simulated studies."""

    def rate(wanted: Verdict, truth: Truth) -> float:
        return shares(scene, truth, studies).get(wanted, 0.0)

    at_margin = shares(scene, scene.just_false, studies)
    same = scene.just_true == scene.just_false
    return Row(
        scene.kind,
        scene.situation,
        scene.n,
        scene.delta,
        studies,
        at_margin.get("supported", 0.0),
        (at_margin if same else shares(scene, scene.just_true, studies)).get("contradicted", 0.0),
        rate("supported", scene.expected),
        rate("contradicted", scene.wrong),
        scene.promised,
        scene.hidden,
    )


def shares(scene: Scene, truth: Truth, studies: int) -> dict[Verdict, float]:
    """How often each verdict comes out."""
    rng = np.random.default_rng(zlib.crc32(f"{scene.kind} {scene.situation} {truth}".encode()))
    verdicts = [scene.play(rng, truth) for _ in range(studies)]
    return {verdict: verdicts.count(verdict) / studies for verdict in set(verdicts)}
