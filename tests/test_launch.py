"""The launcher with a mock place to train: what it plans, tells and does with every outcome, and no training."""

import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from bnbench.config.load import load_config
from bnbench.errors import Interrupted
from bnbench.launch.execute import Places, execute
from bnbench.launch.progress import Progress
from bnbench.launch.run_one import Outcome
from bnbench.signals import Stop
from bnbench.training.events import Measurement, Started
from tests.handmade import make_run


@dataclass
class MockPlace:
    """Ends each job as `ends` says, by seed, in the order of `ends`; an exception is raised in its place."""

    ends: dict[int, str | BaseException]
    asked: list[list[int]] = field(default_factory=list)

    def __call__(self, jobs, prepared, report):
        self.asked.append([job.config.seed for job in jobs])
        by_seed = {job.config.seed: job for job in jobs}
        for seed, end in self.ends.items():
            if seed not in by_seed:
                continue
            job = by_seed[seed]
            report(job.number, Started(0))
            report(job.number, Measurement(0, "gradient", 1.0))  # whoever shows the runs may leave it out
            if isinstance(end, BaseException):
                raise end
            reason = None if end in ("complete", "diverged") else f"seed {seed} is {end}"
            yield job.number, Outcome(job.config, job.folder, end, trained=True, reason=reason)


@pytest.fixture
def launch(tiny, tmp_path, data_folder):
    """launch(place) executes four seeds of the tiny config at a place; it gives outcomes and what was said."""

    def launched(place, **options):
        config = load_config(tiny, ["seeds=[0, 1, 2, 3]"])
        places = Places(fail_fast=options.pop("fail_fast", False))
        with Progress(quiet=True) as progress:
            return execute(
                [config], tmp_path / "results", data_folder, force=False, places=places, progress=progress, place=place
            )

    return launched


def ends(outcomes):
    return [(outcome.config.seed, outcome.status) for outcome in outcomes]


def test_outcomes_come_in_the_order_of_the_command_whatever_ends_first(launch):
    place = MockPlace({3: "complete", 1: "failed", 0: "diverged", 2: "complete"})
    assert ends(launch(place)) == [(0, "diverged"), (1, "failed"), (2, "complete"), (3, "complete")]
    assert place.asked == [[0, 1, 2, 3]]


def test_complete_runs_are_not_sent_to_the_place(launch, tiny, tmp_path):
    make_run(tmp_path / "results", "tiny", 2, [0.5, 0.6], config=load_config(tiny).model_dump(mode="json"))
    place = MockPlace(dict.fromkeys(range(4), "complete"))
    assert [outcome.trained for outcome in launch(place)] == [True, True, False, True]
    assert place.asked == [[0, 1, 3]]


def test_fail_fast_asks_for_no_more(launch):
    place = MockPlace({0: "complete", 1: "failed", 2: "complete", 3: "complete"})
    assert ends(launch(place, fail_fast=True)) == [(0, "complete"), (1, "failed")]


def test_a_run_that_another_command_left_is_asked_for_again(launch):
    """A held run whose holder is gone, unfinished, is trained by this command."""
    place = MockPlace({0: "complete", 1: "held", 2: "complete", 3: "complete"})

    def then_free(jobs, prepared, report):
        yield from place(jobs, prepared, report)
        place.ends[1] = "complete"

    assert ends(launch(then_free)) == [(seed, "complete") for seed in range(4)]
    assert place.asked == [[0, 1, 2, 3], [1]]


def test_a_stop_says_how_many_are_complete(launch):
    with pytest.raises(Interrupted) as stopped:
        launch(MockPlace({0: "complete", 1: Stop(2)}))
    assert stopped.value.exit_code == 130
    assert str(stopped.value).startswith("stopped by Ctrl-C. 1 of 4 runs are complete")


@pytest.mark.parametrize("options", [["--dry-run"], ["--seeds", "0"]], ids=["dry run", "complete runs"])
def test_no_torch_where_nothing_is_trained(bnbench, tiny, tmp_path, data_folder, options):
    assert bnbench("run", tiny, "--out", "results").exit_code == 0
    code = f"""
import sys
from bnbench.cli import app
arguments = ["run", "tiny.yaml", "--set", "device=auto", "--name", "tiny", "--out", "results", *{options!r}]
app(arguments, standalone_mode=False)
print(sorted({{"torch", "torchvision", "mlxtend", "numpy"}} & sys.modules.keys()))
"""
    environment = {**os.environ, "BNBENCH_DATA": str(data_folder), "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    told, modules = result.stdout.splitlines()
    assert "already complete" in told
    assert modules == "[]", result.stderr
