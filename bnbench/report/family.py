"""A baseline and the arms compared with it; their short names and colours; and the sweeps among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bnbench.analysis.arms import Arm
from bnbench.analysis.compare import Row, Table
from bnbench.analysis.sweep import Sweep
from bnbench.report.charts.palette import BASELINE, MOST, OTHERS, Look, chosen
from bnbench.report.names import short_names
from bnbench.report.sweep_plots import coloured, looked, parts, swept_in


@dataclass(frozen=True)
class Family:
    """The rows of one baseline, as a table of their own.

    `first` has the baseline and the arms with the largest differences, `others` the rest: both from ahead to behind.
    """

    table: Table
    first: list[Row]
    others: list[Row]
    looks: dict[str, Look]  # by label

    @property
    def baseline(self) -> Arm | None:
        return self.table.rows[0].baseline

    @property
    def names(self) -> dict[str, str]:
        """The short name of each label."""
        return short_names(row.arm.label for row in self.table.rows)

    def name(self, arm: Arm) -> str:
        return self.names[arm.label]

    def look(self, arm: Arm) -> Look:
        return self.looks[arm.label]


@dataclass(frozen=True)
class Chapter:
    """The sweeps and the families of one table. `inside` are the families whose arms all stand in the sweeps."""

    table: Table
    sweeps: list[tuple[Sweep, list[dict[str, Look]]]]  # with the looks of the lines of each picture
    families: list[Family]
    inside: list[Family]


def most_different(rows: Sequence[Row], most: int) -> list[Row]:
    """The `most` arms with the largest differences, in the order of the rows; without the baseline."""
    arms = [row for row in rows if not row.is_baseline]
    ranked = sorted(arms, key=lambda row: -abs(row.difference.mean) if row.difference else 1.0)
    chosen = {id(row) for row in ranked[:most]}
    return [row for row in arms if id(row) in chosen]


def chapters(tables: Sequence[Table]) -> list[Chapter]:
    """All tables. An arm, and another one with the same short name, has one look in all pictures."""
    cut = []  # of each table: its sweeps, its families beside them, and its families inside of them
    for table in tables:
        sweeps = swept_in(table)
        there = {id(point.arm): point.place for one in sweeps for line in one.lines for point in line.points.values()}
        families = [(part, *_first(part)) for part in _parts(table)]
        inside = [family for family in families if all(id(row.arm) in there for row in family[0].rows)]
        inside.sort(key=lambda family: there[id(family[0].rows[0].arm)])
        cut.append((table, sweeps, [family for family in families if family not in inside], inside))
    wanted = []  # the names of each picture, in the order of the page
    for _, sweeps, families, _ in cut:
        wanted += [coloured(part) for one in sweeps for part in parts(one)]
        wanted += [_names(part, [row for row in first if not row.is_baseline]) for part, first, _ in families]
    looks = iter(chosen(wanted))
    out = []
    for table, sweeps, families, inside in cut:
        shown = [(one, [next(looks) for _ in parts(one)]) for one in sweeps]
        found = [_family(part, first, others, next(looks)) for part, first, others in families]
        of_arms = dict(_of_lines(shown))
        within = [
            Family(*one, {row.arm.label: of_arms.get(row.arm.label, OTHERS) for row in one[0].rows}) for one in inside
        ]
        out.append(Chapter(table, shown, found, within))
    return out


def _of_lines(sweeps: Sequence[tuple[Sweep, list[dict[str, Look]]]]) -> Iterator[tuple[str, Look]]:
    """The label of each arm in the sweeps, with the look of its line."""
    for one, looks in sweeps:
        for part, of in zip(parts(one), looks, strict=True):
            for line, (_, look) in zip(part.lines, looked(part, of), strict=True):
                yield from ((point.arm.label, look) for point in line.points.values())


def _names(part: Table, rows: Sequence[Row]) -> list[str]:
    names = short_names(row.arm.label for row in part.rows)
    return [names[row.arm.label] for row in rows]


def _family(part: Table, first: list[Row], others: list[Row], looks: dict[str, Look]) -> Family:
    names = short_names(row.arm.label for row in part.rows)
    of = {row.arm.label: looks.get(names[row.arm.label], OTHERS) for row in part.rows}
    for row in others:
        of[row.arm.label] = OTHERS
    return Family(part, first, others, {**of, **{row.arm.label: BASELINE for row in part.rows if row.is_baseline}})


def _parts(table: Table) -> Iterator[Table]:
    """The rows that share a baseline, the baseline first."""
    part: list[Row] = []
    for row in table.rows:
        if part and part[0].baseline is not row.baseline:
            yield Table(table.group, table.question, part)
            part = []
        part.append(row)
    if part:
        yield Table(table.group, table.question, part)


def _first(table: Table) -> tuple[list[Row], list[Row]]:
    """The baseline and the MOST arms that differ most from it; then the other arms."""
    arms = [row for row in table.rows if not row.is_baseline]
    those = {id(row) for row in most_different(table.rows, MOST)}
    sign = 1 if table.question.measure.lower_is_better else -1
    ordered = sorted(arms, key=lambda row: (row.difference is None, row.difference and sign * row.difference.mean))
    baseline = [row for row in table.rows if row.is_baseline]
    return [*baseline, *(row for row in ordered if id(row) in those)], [row for row in ordered if id(row) not in those]
