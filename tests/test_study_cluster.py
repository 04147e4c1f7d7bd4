"""A study repeated in two processes, and on a Dask cluster, has the outcome of one process."""

import shutil

import pytest
from test_cluster import start  # noqa: F401  # a fixture
from test_study_command import bytes_of, mine  # noqa: F401  # a fixture


@pytest.mark.slow
def test_processes_and_a_cluster_give_the_outcome_of_one_process(bnbench, mine, start):  # noqa: F811
    assert bnbench("study", "mine", "-q", "--jobs", 1).exit_code == 0
    first = bytes_of(mine)
    for options in (("--jobs", 2), ("--cluster", start(2).address)):
        shutil.rmtree(mine)
        done = bnbench("study", "mine", "-q", *options)
        assert done.exit_code == 0, done.stderr
        assert bytes_of(mine) == first
