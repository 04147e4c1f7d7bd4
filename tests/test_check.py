"""`bnbench check` names the mistakes of layers as students write them, and accuses none that is right.

The files in check_examples/ are not the mutants' code. Each wrong one says in its first line what is wrong.
"""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from test_verify_mutants import MUTANTS

from bnbench import norms
from bnbench.check import child, load
from bnbench.check.words import SENTENCES

EXAMPLES = Path(__file__).parent / "check_examples"
WRONG = sorted((EXAMPLES / "wrong").glob("*.py"))
RIGHT = sorted((EXAMPLES / "right").glob("*.py"))
HEAD = "import torch\nfrom torch import nn\n"
LAYER = """
class Norm(nn.Module):
    def __init__(self, num_features):
        super().__init__()

    def forward(self, x):
        {body}
"""
GOOD = "return torch.nn.functional.batch_norm(x, None, None, training=True)"


@pytest.fixture(autouse=True)
def _leave_no_modules(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "check_examples" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def judge(path, against="batch"):
    """In this process: faster than in one of its own."""
    return child._check(path.resolve(), None, against, 60.0)


def mistakes(report):
    return {mistake["name"] for mistake in report["mistakes"]}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_each_mistake_is_named_and_no_other(path):
    expected = set(re.match(r"# (?:held out; )?expect: (.+)", path.read_text())[1].split(", "))
    report = judge(path)
    assert mistakes(report) == expected and not report["differs"] and not report["right"]


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_none_that_is_right_is_accused(path):
    report = judge(path)
    assert report["right"] and not report["mistakes"] and not report["differs"]
    assert any("training output" in part for part in report["parts"])


# The mutants of verify → what check calls them.
MUTANT_NAMES = {
    "biased where unbiased belongs": "biased",
    "unbiased where biased belongs": "unbiased output",
    "momentum swapped": "two weights",  # the mean's alone
    "eps outside the root": "eps outside",
    "eps left out": "no eps",
    "eps left out of the evaluation": "no eps",
    "evaluation by the batch": "evaluates the batch",
    "evaluation changes the averages": "changes in evaluation",
    "no gradient through the variance": "no variance gradient",
    "no gradient through the mean": "no mean gradient",
    "buffers not saved": "no buffers",
    "buffers are plain attributes": "no buffers",
    "the averages keep the graph": "graph",
    "channel axis wrong": "raises",  # its own code refuses such statistics
    "E[x²] - E[x]²": "large mean",
    "the mean is not subtracted": "not centered",
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANT_NAMES)
def test_the_mutants_of_verify_are_named(mutant, tmp_path):
    module, old, new, *_ = MUTANTS[mutant]
    source = (Path(norms.__file__).parent / f"{module}.py").read_text()
    assert old in source
    path = tmp_path / "mutant.py"
    path.write_text(source.replace(old, new))
    assert MUTANT_NAMES[mutant] in mistakes(judge(path))


def test_there_are_enough_examples_and_they_show_the_mistakes_that_people_ask_about():
    assert len(WRONG) >= 15 and len(RIGHT) >= 10
    shown = {name for path in WRONG for name in path.read_text().split("\n")[0].split("expect: ")[1].split(", ")}
    assert shown <= set(SENTENCES)
    asked = {
        "biased",
        "old weight",
        "eps outside",
        "no variance gradient",
        "wrong axis",
        "one mean",
        "swapped",
        "graph",
    }
    assert asked | {"evaluates the batch", "not the root", "never updated", "no buffers"} <= shown


def test_conventions_are_told_apart_from_mistakes():
    (tutorial,) = judge(EXAMPLES / "right" / "from_the_tutorial.py")["conventions"]
    assert tutorial.startswith("the tutorial's moving average")
    keras = judge(EXAMPLES / "right" / "keras_names.py")["conventions"]
    assert any("0.99 is the weight of the old value, as in Keras" in text for text in keras)


def test_what_a_function_lacks_is_not_offered_and_what_it_prints_is_kept(capsys):
    report = judge(EXAMPLES / "right" / "from_the_note.py")
    assert {"γ", "β", "gradients", "evaluation"} <= set(report["not_offered"])
    assert any("judged on a copy" in note for note in report["notes"])


@pytest.mark.parametrize("against", ["layer", "group", "instance", "rms"])
def test_other_norms_are_held_against_their_own_reference(against, tmp_path):
    bodies = {
        "layer": "return torch.nn.functional.layer_norm(x, x.shape[1:])",
        "group": "return torch.nn.functional.group_norm(x, 2)",
        "instance": "return torch.nn.functional.instance_norm(x)",
        "rms": "return torch.nn.functional.rms_norm(x, x.shape[1:])",
    }
    for kind, body in bodies.items():
        path = tmp_path / f"{kind}.py"
        path.write_text(HEAD + LAYER.format(body=body))
        assert judge(path, against).get("right", False) == (kind == against), kind


def test_a_mistake_that_is_none_of_the_known_is_shown_by_its_numbers(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(HEAD + LAYER.format(body="return torch.tanh(x)"))
    report = judge(path)
    assert not report["right"] and "the reference" in report["differs"][0] and "training output" in report["differs"][0]


@pytest.fixture
def here(monkeypatch):
    """Let the command check in this process, which has imported torch. Its own process: the tests without this."""

    def in_a_process(file, name, against, seconds):
        return child._check(file.resolve(), name or None, against, seconds) | {"printed": ""}

    monkeypatch.setattr("bnbench.check._in_a_process", in_a_process)


def command(bnbench, tmp_path, text, *options, name="my_norm.py"):
    (tmp_path / name).write_text(text)
    return bnbench("check", name, *options)


def test_the_command_says_in_words_what_is_wrong(bnbench, here):
    result = bnbench("check", EXAMPLES / "wrong" / "biased_running_variance.py")
    assert result.exit_code == 1
    assert "Your running variance is biased: it lacks m/(m-1)" in result.stdout
    assert "1 mistake" in result.stderr


def test_the_command_is_content_with_a_right_one(bnbench, tmp_path):
    text = HEAD + "print('hello from the file')\n" + LAYER.format(body=GOOD)
    result = command(bnbench, tmp_path, text, "--format", "json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["right"] and report["schema_version"] == 1 and report["printed"] == "hello from the file\n"
    assert [path.name for path in tmp_path.iterdir()] == ["my_norm.py"], "something is written"


BAD = {
    "no import": ("import no_such_package\n", 2, "my_norm.py:1: cannot be imported: ModuleNotFoundError"),
    "no syntax": ("x = (\n", 2, "my_norm.py:1: cannot be imported: SyntaxError"),
    "exit": ("import sys\nsys.exit(0)\n", 2, "my_norm.py:2: cannot be imported: SystemExit"),
    "no norm": ("x = 3\n", 2, "defines no norm"),
    "two norms": (HEAD + (LAYER + LAYER.replace("Norm(", "Other(")).format(body=GOOD), 2, "choose one, as in my_norm"),
    "another signature": ("def bn(x, eps, gamma):\n    return x\n", 2, "return bn(x, eps=..., gamma=gamma) and check"),
    "raises": (HEAD + LAYER.format(body="raise KeyError('a\\nb')"), 1, "my_norm.py:9: KeyError"),
    "raises in evaluation": (
        HEAD + LAYER.format(body=f"assert self.training; {GOOD}"), 1, "in evaluation, my_norm.py:9: AssertionError"),
    "raises for large numbers": (
        HEAD + LAYER.format(body=f"assert x.max() < 500; {GOOD}"), 1, "my_norm.py:9: AssertionError"),
    "another shape": (HEAD + LAYER.format(body="return x[:1]"), 1, "the shape (1, 6) for an input of (12, 6)"),
    "another dtype": (HEAD + LAYER.format(body=f"x = x.float(); {GOOD}"), 1, "float32 for float64"),
    "nothing": (HEAD + LAYER.format(body="pass"), 1, "nothing (None), not a tensor"),
    "in place": (HEAD + LAYER.format(body=f"x.mul_(1.5); {GOOD}"), 1, "changes its input (my_norm.py:9)"),
    "torch draws": (HEAD + LAYER.format(body=f"torch.rand(1); {GOOD}"), 1, "global generator (torch's, my_norm.py:9)"),
    "numpy draws": (
        "import numpy\n" + HEAD + LAYER.format(body=f"numpy.random.rand(); {GOOD}"), 1, "numpy's, my_norm.py:10"),
    "random draws": ("import random\n" + HEAD + LAYER.format(body=f"random.random(); {GOOD}"), 1, "random's, my_norm"),
    "a loop": (HEAD + LAYER.format(body="while True: pass"), 1, "my_norm.py:9: takes longer than 0.5 s"),
    "a loop at import": ("while True:\n    pass\n", 1, "takes longer than 0.5 s"),
    "ends the process": (
        "import os\n" + HEAD + LAYER.format(body="os._exit(0)"), 1, "ended the process that checked it"),
}  # fmt: skip


@pytest.mark.parametrize("case", ["a loop", "ends the process"])
def test_bad_files_end_in_a_sentence_of_the_command(case, bnbench, tmp_path):
    text, code, sentence = BAD[case]
    result = command(bnbench, tmp_path, text, "--time-limit", "0.5")
    assert result.exit_code == code and sentence in result.stderr, result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("case", ["no import", "another signature", "a loop at import"])
def test_and_in_one_process(case, bnbench, here, tmp_path):
    test_bad_files_end_in_a_sentence_of_the_command(case, bnbench, tmp_path)


@pytest.mark.parametrize(
    ("parameters", "end"),
    [("x", ""), ("x, bias, weight", " * weight + bias"), ("x, eps", "")],
    ids=["of x alone", "in another order", "with another parameter"],
)
def test_the_function_that_a_message_proposes_is_right_where_this_one_is(parameters, end, tmp_path):
    path = tmp_path / "my_norm.py"
    text = f"def bn({parameters}):\n    return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt(){end}\n"
    path.write_text(text)
    with pytest.raises(load.CannotLoad) as said:
        load.load(path.resolve(), None)
    proposed, name = re.search(r"add (def .*) and check my_norm.py:(\w+)$", str(said.value)).groups()
    path.write_text(f"{text}{proposed}\n")
    assert child._check(path.resolve(), name, "batch", 60.0)["right"]


@pytest.mark.parametrize("case", [case for case in BAD if "loop" not in case and case != "ends the process"])
def test_bad_files_get_a_sentence_with_file_and_line(case, tmp_path):
    text, code, sentence = BAD[case]
    path = tmp_path / "my_norm.py"
    path.write_text(text)
    report = judge(path)
    said = report["cannot_load"] if code == 2 else json.dumps(report, ensure_ascii=False)
    if code == 1:
        details = [f"{mistake['sentence']} ({mistake['detail']})" for mistake in report["mistakes"]]
        said, right = "; ".join(details), report["right"]
        assert not right
    assert sentence in said and "\n" not in said


def test_what_is_not_there_is_usage(bnbench, here, tmp_path):
    assert bnbench("check", "nothing.py").exit_code == 2
    result = command(bnbench, tmp_path, HEAD + LAYER.format(body=GOOD), name="a.py")
    assert result.exit_code == 0
    result = bnbench("check", "a.py:Missing")
    assert result.exit_code == 2 and "a.py: defines no Missing; it defines Norm" in result.stderr


def test_the_generators_and_threads_of_a_caller_are_its_own():
    state = torch.random.get_rng_state()
    judge(RIGHT[0])
    assert torch.equal(torch.random.get_rng_state(), state)
