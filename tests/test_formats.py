"""The formats: one exporter for each; in a terminal of any width, the table and the answer come first."""

import io
from typing import get_args

import pytest
from rich.console import Console

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.report.columns import choose
from bnbench.report.formats import EXPORTERS, Format, show
from bnbench.report.formats.text import folded
from bnbench.report.formats.view import Block, View
from bnbench.report.tables import print_epochs, print_tables

RESULTS = "results/reference"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch, pytestconfig):
    monkeypatch.chdir(pytestconfig.rootpath)


def printed(print_it, width):
    out = io.StringIO()
    print_it(Console(file=out, width=width, color_system=None, markup=False))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def comparison(paths, width, **question):
    answer = compare(collect(paths), Question(**question))
    shown = [(table, choose(table, None), table) for table in answer.tables]
    return printed(lambda console: print_tables(shown, [], "table", console), width)


@pytest.fixture
def paths(pytestconfig):
    return sorted((pytestconfig.rootpath / RESULTS).glob("mlp*"))


def test_every_format_has_an_exporter():
    assert list(EXPORTERS) == list(get_args(Format))
    view = View(lambda: {"a": 1}, lambda: [{"a": 1}], lambda: [Block("t", ["arm", "x"], [["a", "1"]], ["So."])])
    shown = {form: printed(lambda console, form=form: show(view, form, console), 80) for form in EXPORTERS}
    assert shown["json"] == ["{", '  "a": 1', "}"] and shown["csv"] == ["a", "1"]
    assert shown["markdown"] == ["**t**", "", "| arm | x |", "| --- | ---: |", "| a | 1 |", "", "- So.", ""]
    assert shown["latex"][:2] == ["% t", r"\begin{tabular}{lr}"] and "% So." in shown["latex"]
    assert shown["table"] == ["t", "arm  x", "──────", "a    1", "", "So.", ""]


def test_at_80_columns_the_table_and_the_verdict_come_first(paths):
    lines = comparison(paths, 80)
    assert max(map(len, lines)) <= 80
    assert lines[1].split("  ")[0] == "arm" and "difference" in lines[1] and lines[1].endswith(" p")
    assert lines[8] == "" and lines[9].startswith("Different: ")  # five arms, then the verdict
    left_out = next(place for place, line in enumerate(lines) if line.startswith("Not shown, for want of room: "))
    assert "To choose: --columns wins,best,…" in " ".join(lines[left_out : left_out + 3])
    assert not any("best epoch" in line for line in lines)  # the legend explains what is shown
    assert any("best epoch" in line for line in comparison(paths, 300))


def test_the_answer_of_same_follows_the_difference_and_is_short_where_there_is_no_room(paths):
    lines = comparison(paths, 80, same=0.003)
    assert "difference  same within 0.3?" in lines[1]
    (unknown,) = [line for line in lines if line.startswith("mlp_bn_batch_stats")]
    assert "unknown" in unknown and "seeds would decide" not in unknown
    (unknown,) = [line for line in comparison(paths, 300, same=0.003) if line.startswith("mlp_bn_batch_stats")]
    assert "unknown (about 60 seeds would decide)" in unknown


def test_an_asked_for_column_without_room_follows_below(paths):
    lines = comparison(paths, 62, target=0.97, same=0.003)
    headings = [line for line in lines if line.startswith("arm ")]
    assert "difference" in headings[0] and "same within" in headings[1] and "reached 97.00 %" in headings[2]
    verdict = next(place for place, line in enumerate(lines) if line.startswith("Different: "))
    assert lines.index(headings[0]) < verdict < lines.index(headings[1])


def test_where_many_intervals_are_over_seeds_alone_a_mark_says_so(pytestconfig):
    path = pytestconfig.rootpath / "results" / "norms"
    paths = [path / name for name in ("cnn_none", "cnn_scaled_weight_standardization", "mlp_none", "mlp_batch")]
    lines = comparison(paths, 80)
    assert max(map(len, lines)) <= 80
    assert "†: over seeds alone." in lines and not any("over seeds  " in line for line in lines)
    assert "too few seeds" in next(line for line in lines if line.startswith("cnn_scaled"))


@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [
        ("mlp_bn,norm.momentum=0.1", 16, ["mlp_bn,norm.", "momentum=0.1"]),
        ("mlp_bn,norm.momentum=0.1", 23, ["mlp_bn,norm.momentum=", "0.1"]),
        ("a,train.optimizer.lr=1e-05", 8, ["a,train.", "optimize", "r.lr=", "1e-05"]),
        ("short", 16, ["short"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
    ],
)
def test_a_name_is_never_parted_inside_a_number(name, width, lines):
    assert folded(name, width).split("\n") == lines


@pytest.mark.parametrize("width", [40, 80, 200])
def test_each_epoch_has_one_number_a_column(paths, width):
    runs = collect(paths)
    lines = printed(lambda console: print_epochs(runs, [], "table", console), width)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.strip()[:1].isdigit() and "." in line]
    arms = {40: 1, 80: 2, 200: 5}[width]
    assert len(rows) == 10 * -(-5 // arms) and len(rows[0]) == 1 + 5 * arms
    assert all(cell.replace(".", "").isdigit() for row in rows for cell in row)
