"""The confusion matrix and the accuracy by class: counted by hand, in `show` and in the report."""

import json

import numpy as np
import pytest
from handmade import change, make_config, make_run

from bnbench.analysis.confusion import confusion
from bnbench.config.catalog import DATASETS
from bnbench.data import datasets
from bnbench.errors import ResultsError
from bnbench.runs.format import read_run

ROWS = "image,label,predicted\n0,7,1\n1,7,1\n5,2,7\n9,4,9\n"


@pytest.fixture
def run(tmp_path):
    """A run on 10,000 test images of MNIST with four mistakes."""
    path = make_run(tmp_path / "r", "a", 0, [0.5, 1 - 4 / 10_000], mistakes=[0, 1, 5, 9], config=make_config())
    (path / "mistakes.csv").write_text(ROWS)
    return path


def test_the_counts_are_those_of_the_file(run):
    found = confusion([read_run(run)])
    expected = np.zeros((10, 10))
    expected[7, 1], expected[2, 7], expected[4, 9] = 2, 1, 1
    assert (found.wrong == expected).all()
    assert found.counts.sum() == 10_000 and found.counts[7, 7] == 1_028 - 2 and found.counts[1, 1] == 1_135
    assert found.accuracy[7] == pytest.approx(1 - 2 / 1_028) and found.accuracy[0] == 1.0


def test_an_arm_has_the_means_of_its_runs(run, tmp_path):
    other = make_run(tmp_path / "r", "a", 1, [0.5, 1 - 1 / 10_000], mistakes=[3])
    (other / "mistakes.csv").write_text("image,label,predicted\n3,7,1\n")
    found = confusion([read_run(run), read_run(other)])
    assert found.wrong[7, 1] == 1.5 and found.wrong[2, 7] == 0.5 and found.counts.sum() == 10_000


def test_show_prints_the_matrix(bnbench, run):
    out = bnbench("show", run).stdout
    assert "a row for each class, a column for each prediction" in out
    (seven,) = [line.split() for line in out.split("\n") if line.split()[:1] == ["7"]]
    assert seven == ["7", "2", "1026", "99.81"]
    value = json.loads(bnbench("show", run, "--format", "json").stdout)
    assert value["confusion"][2][7] == 1 and value["class_accuracy"][4] == pytest.approx(1 - 1 / 982)


def test_some_of_the_test_images_have_a_matrix_and_no_accuracy_by_class(bnbench, tmp_path):
    split = {"train_images": 60_000, "valid_images": 100, "valid_from": "test", "held_out": 0}
    path = make_run(tmp_path / "r", "a", 0, [0.5, 0.98], mistakes=[1, 2], split=split, config=make_config())
    (path / "mistakes.csv").write_text("image,label,predicted\n1,7,1\n2,7,1\n")
    assert confusion([read_run(path)]).accuracy is None
    assert "The number of test images of each class is not known" in bnbench("show", path).stdout


def test_the_report_has_both_for_every_arm(bnbench, run, tmp_path):
    for name in ("none", "batch"):
        for seed in range(2):
            make_run(tmp_path / "r", name, seed, [0.5, 0.6, 0.9], config=make_config(name), mistakes=range(1_000))
    assert bnbench("report", tmp_path / "r").exit_code == 0
    text = (tmp_path / "report.html").read_text()
    assert text.count("<summary>Confusion matrix of") == 3
    assert "Mistakes by class" in text and "99.81" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [("0,7,1\n", "0,7,7\n"), ("image,label", "picture,label"), ("9,4,9\n", ""), ("5,2,7", "5,2,x")],
)
def test_a_file_that_does_not_fit_is_named(bnbench, run, old, new):
    change(run / "mistakes.csv", old, new)
    with pytest.raises(ResultsError, match=r"mistakes\.csv: has|mistakes\.csv: is"):
        confusion([read_run(run)])
    result = bnbench("show", run)
    assert result.exit_code == 0 and "mistakes.csv" in result.stderr and "each prediction" not in result.stdout


def test_the_images_of_each_class_are_counted_right(mnist5k):
    assert tuple(np.bincount(mnist5k.test_labels)) == DATASETS["mnist5k"].test_classes
    for row in DATASETS.values():
        assert sum(row.test_classes) == row.test_images and len(row.test_classes) == row.classes


@pytest.mark.full_mnist
def test_the_digits_of_mnist_are_counted_right(mnist_dir, tmp_path):
    import shutil

    shutil.copytree(mnist_dir / "MNIST", tmp_path / "MNIST")
    labels = datasets.load("mnist", tmp_path)[0].test_labels
    assert tuple(np.bincount(labels)) == DATASETS["mnist"].test_classes
