"""Wins: in how many pairs an arm is better than its baseline."""

from bnbench.analysis.compare import Question, Row, by_seed
from bnbench.analysis.statistics import common_seeds


def wins(row: Row, question: Question) -> tuple[int, int] | None:
    """The pairs that the arm wins, and all pairs. A tie is no win. None if the difference is not paired."""
    if row.baseline is None or row.is_baseline or row.difference is None or not row.difference.paired:
        return None
    arm, other = by_seed(row.arm, question), by_seed(row.baseline, question)
    sign = -1 if question.measure.lower_is_better else 1
    gaps = [sign * (arm[seed] - other[seed]) for seed in common_seeds(arm, other)]
    return sum(gap > 0 for gap in gaps), len(gaps)
