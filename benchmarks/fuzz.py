"""Valid configs and their mutations: each is accepted by `bnbench run --dry-run`, or refused in the documented way.

    python benchmarks/fuzz.py                        10,000 cases in one process, then 200 commands; 10 minutes
    python benchmarks/fuzz.py --cases 300 --commands 0

A refusal has exit code 2, takes less than a second of CPU time and less than 300 MB, names its place (`file:line`, or
the option), and writes nothing. A case that breaks a promise is made as small as possible and printed.
"""

import argparse
import io
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import idle
import typer
from hypothesis import strategies as st

from bnbench.config.norms import NORMS
from bnbench.config.strict_yaml import dump

SECONDS = 1.0  # CPU time of a refusal
MEGABYTES = 300.0  # of all refusals of a process, above its imports
# Problems of a whole file, which have no line.
WITHOUT_LINE = r"is empty|is not a config|gives no name|… and \d+ more"
# Of a config that is right elsewhere: this machine has no such device, or too little memory. It names the arm.
OF_THIS_MACHINE = r"bnbench: [\w.,=-]+: (device|model): .+"
HINT = r"--set .*: (replaces the grid of|changes nothing).*"  # before a refusal
PLACE = r"bnbench: (this command asks for|(--set|--smoke) .*?: |{file}:\d+: |{file}: (?:" + WITHOUT_LINE + r")).*"

OTHER_TOOLS = (
    "defaults:\n  - model: resnet\n  - _self_\nhydra:\n  run:\n    dir: ./out/${now:%Y-%m-%d}\n",
    "class_name: BatchNormalization\nconfig:\n  momentum: 0.99\n  epsilon: 0.001\n  center: true\n",
    "on: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\n",
    "version: '3'\nservices:\n  web:\n    image: nginx\n    ports: ['80:80']\n",
    "learning_rate: 1.0e-3\nbatch_size: 32\nnum_epochs: 10\noptimizer: adam\nseed: 42\n",
    "trainer:\n  max_epochs: 3\n  accelerator: gpu\nmodel: !!python/object:model.Net {}\n",
    "base: &base {lr: 0.1}\ntrain:\n  <<: *base\n  epochs: 3\n",
    "[train]\nlr = 0.1\nepochs = 3\n",
    "<config><lr>0.1</lr></config>\n",
    "lr: 0.1,0.2,0.3\nmodel=mlp\n",
)


@dataclass(frozen=True)
class Case:
    """A config file and the overrides of a command."""

    contents: bytes
    overrides: tuple[str, ...] = ()


def _mapping(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def valid_configs() -> st.SearchStrategy[dict[str, Any]]:
    """Mappings that a config may have; some break a rule between keys."""
    rate = st.sampled_from([1e-3, 0.1, 1, 1e6])
    models = st.one_of(
        _mapping(
            {"type": st.just("mlp")},
            hidden=st.lists(st.sampled_from([1, 8, 100, 10_000]), max_size=4),
            activation=st.sampled_from(["relu", "none"]),
            bias=st.sampled_from([True, False, "auto"]),
            residual=st.booleans(),
        ),
        _mapping({"type": st.just("cnn")}, channels=st.lists(st.integers(1, 1_024), min_size=2, max_size=2)),
    )
    norms = _mapping(
        {"type": st.sampled_from(sorted(NORMS))},
        eps=st.sampled_from([1e-5, 0.1]),
        momentum=st.sampled_from([0.1, 0.9, None]),
        affine=st.booleans(),
    )
    optimizers = st.one_of(
        _mapping({"type": st.just("sgd"), "lr": rate}, momentum=st.sampled_from([0.0, 0.9])),
        _mapping({"type": st.just("adam")}, betas=st.just([0.9, 0.999]), weight_decay=st.sampled_from([0.0, 0.1])),
    )
    schedules = st.sampled_from([{"type": "cosine"}, {"type": "step", "epochs": [1]}, None])
    grids = st.sampled_from(
        [{"train.optimizer.lr": [0.1, 1]}, {"norm.eps": [0.1, 0.1]}, {"norm.type": ["none", "batch"], "seeds": [1]}]
    )
    data = _mapping(
        {"dataset": st.sampled_from(["mnist", "mnist5k", "kmnist"])},
        batch_size=st.sampled_from([1, 64, 70_000]),
        valid=st.sampled_from([None, 1, 5_000]),
        train_limit=st.sampled_from([None, 100]),
        drop_last=st.booleans(),
    )
    train = _mapping({"epochs": st.integers(1, 20), "optimizer": optimizers}, schedule=schedules)
    return _mapping(
        {"model": models, "train": train},
        name=st.sampled_from(["a", "a.b", "x" * 119]),
        norm=norms,
        data=data,
        seeds=st.sampled_from([3, "0..9", [0, 5]]),
        grid=grids,
        dtype=st.sampled_from(["float32", "float64"]),
        device=st.sampled_from(["cpu", "auto", "cuda", "mps"]),
    )


def _nested(depth: int, value: Any) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**18, 10**40, 2**63, -(10**400), 1e-320, 1e308, float("inf"), float("-inf")]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["batch", "mlp", "0,1", "0.1,0.2", "1e-3", "yes", "null", "~", "../x", "x" * 5_000, "0..9", "＝"]),
    st.builds(_nested, st.sampled_from([1, 5, 49, 60, 200]), st.just(1)),
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["type", "lr", "epsilon", "decay", "moving_momentum", "bs", "grid", "smoke", "name", "<<", "seed"]),
    st.sampled_from(["norm.eps", "x" * 3_000, "0", "nrom", "learning_rate", "momentun", "__class__"]),
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Each mapping or list in `data`, with each of its keys."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    return [*((data, key) for key in keys), *(place for key in keys for place in _places(data[key]))]


@st.composite
def _mutated(draw: st.DrawFn) -> Any:
    """A valid config with a few keys that are replaced, removed, renamed or added."""
    data = json.loads(json.dumps(draw(valid_configs())))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
        there, key = draw(st.sampled_from(_places(data)))
        how = draw(st.sampled_from(["replace", "remove", "rename", "add", "wrap"]))
        if how == "add" and isinstance(there, dict):
            there[draw(KEYS)] = draw(ODD)
        elif how == "rename" and isinstance(there, dict):
            there[draw(KEYS)] = there.pop(key)
        elif how == "remove":
            del there[key]
        else:
            there[key] = [there[key]] if how == "wrap" else draw(ODD)
        if not _places(data):
            break
    return data


def _written(data: Any, style: str) -> str:
    """As YAML in blocks, on one line, or as JSON."""
    if style == "json":
        return json.dumps(data)
    with suppress(Exception):  # PyYAML cannot write every text that it reads
        return dump(data)
    return json.dumps(data)


BITS = st.sampled_from(
    [*"\t\x00\x07\ufeff：，\u3000\xa0“\ud800é@`#|{}[]'\"\r\u2028\x85", ": ", "- ", "? ", "&a ", "*a", "!!int ", "!x ",
     "<<: {a: 1}\n", "---\n", "...\n", "%YAML 1.1\n", "a: &a [*a]\n", "a: &a {b: *a}\n", "name: a\nname: b\n",
     "[" * 500, "{a: " * 100, "x" * 9_000]
)  # fmt: skip


@st.composite
def _edited(draw: st.DrawFn, text: str) -> str:
    """The text with pieces inserted, cut out or repeated."""
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 3]))):
        place = draw(st.integers(0, len(text)))
        how = draw(st.sampled_from(["insert", "insert", "cut", "repeat", "end", "indent"]))
        end = min(len(text), place + draw(st.integers(1, 20)))
        if how == "insert":
            text = text[:place] + draw(BITS) + text[place:]
        elif how == "cut":
            text = text[:place] + text[end:]
        elif how == "repeat":
            text = text[:place] + text[place:end] * draw(st.sampled_from([2, 50, 5_000])) + text[end:]
        elif how == "end":
            text = text[:place]
        else:
            text = text.replace("\n", draw(st.sampled_from(["\n ", "\n\t", "\r\n", "\r", "\n\n"])))
    return text


def _laughs(levels: int, width: int) -> str:
    """Aliases of aliases: width to the power of levels values."""
    rows = [f"a0: &a0 [{', '.join('1' * width)}]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(rows) + "\n"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A config file, as it should be or mutated, with at most two overrides."""
    kind = draw(st.sampled_from(["config"] * 10 + ["other tool", "laughs", "bytes", "large"]))
    if kind == "bytes":
        return Case(draw(st.binary(max_size=200)))
    if kind == "large":
        piece = draw(
            st.sampled_from(["[", "{", "- ", "a", "a: 1\n", " ", "\n", "#", "'", '"', "&a ", "1, ", "? ", "é"])
        )
        start = draw(st.sampled_from(["", "a: ", "a: [", "a:\n  ", "a: |\n  "]))
        return Case((start + piece * draw(st.sampled_from([1_000, 20_000, 200_000]))).encode())
    if kind == "other tool":
        text = draw(st.sampled_from(OTHER_TOOLS))
    elif kind == "laughs":
        text = _laughs(draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    else:
        text = _written(draw(_mutated()), draw(st.sampled_from(["yaml", "yaml", "json"])))
    encoding = draw(st.sampled_from(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp037"]))
    contents = draw(_edited(text)).encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    key = st.one_of(st.sampled_from(["train.optimizer.lr", "norm", "norm.type", "grid", "seeds", "a.b"]), KEYS)
    value = st.one_of(st.sampled_from(["1", "0.1,0.2", "[1", "{type: none}", "{}", "batch", "", "=", "&a [*a]"]), BITS)
    override = st.one_of(st.builds("{}={}".format, key, value), st.text(max_size=20))
    chosen = draw(st.sampled_from([0, 0, 0, 1, 2]))
    return Case(contents, tuple(_argument(draw(override)) for _ in range(chosen)))


def _argument(text: str) -> str:
    """Text that a shell can pass: no NUL and no lone surrogate."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


Command = Callable[[list[str]], Outcome]


@cache
def _application() -> Any:
    """The command line, built once: it takes longer than most cases."""
    from bnbench.cli import app

    return typer.main.get_command(app)


def in_process(arguments: list[str]) -> Outcome:
    """The command in this process. Raises what the command did not catch."""
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            _application().main(arguments, prog_name="bnbench")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Outcome(code, stdout.getvalue(), stderr.getvalue())


def by_command(arguments: list[str]) -> Outcome:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "bnbench", *arguments]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=600, check=False)
    return Outcome(result.returncode, result.stdout, result.stderr)


def check(case: Case, folder: Path, command: Command = in_process) -> str:
    """What a dry run does with a case: "accepted" or "refused". Raises AssertionError if a promise is broken."""
    file = folder / "c.yaml"
    file.write_bytes(case.contents)
    overrides = [word for override in case.overrides for word in ("--set", override)]
    arguments = ["run", str(file), *overrides, "--out", str(folder / "r"), "--data-dir", str(folder / "d"), "--dry-run"]
    start = cpu_seconds()
    outcome = command(arguments)
    seconds = cpu_seconds() - start
    assert sorted(path.name for path in folder.iterdir()) == ["c.yaml"], "it left something behind"
    assert "Traceback" not in outcome.stderr and outcome.code in (0, 2), (outcome.code, outcome.stderr)
    if outcome.code == 0:
        assert outcome.stdout, "it would do nothing"
        return "accepted"
    assert command is not in_process or seconds < SECONDS, f"refused after {seconds:.1f} s"
    assert len(outcome.stderr) < 100_000, "a refusal of more than 100 kB"
    place = PLACE.replace("{file}", re.escape(str(file)))
    for line in filter(None, outcome.stderr.split("\n")):
        assert any(re.fullmatch(form, line) for form in (place, OF_THIS_MACHINE, HINT)), f"without a place: {line}"
    return "refused"


def cpu_seconds() -> float:
    return time.process_time()


def peak_mb() -> float:
    """The largest resident set of this process so far, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def fuzz(number: int, seed: int, command: Command = in_process, counts: Counter[str] | None = None) -> Counter[str]:
    """Check that many cases; return how many were accepted and refused, and keep `counts` up to date.

    Raises AssertionError with the least case that breaks a promise.
    """
    counts = Counter() if counts is None else counts

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(cases())
    def every_case(case: Case) -> None:
        with tempfile.TemporaryDirectory() as folder:
            counts[check(case, Path(folder), command)] += 1

    every_case()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="in one process")
    parser.add_argument("--commands", type=int, default=200, help="each a process of its own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"
    idle.watch()
    fuzz(20, arguments.seed)  # imports what the command needs
    for number, command, name in ((arguments.cases, in_process, "cases"), (arguments.commands, by_command, "commands")):
        if number:
            memory, start, cpu = peak_mb(), time.perf_counter(), cpu_seconds()
            counts: Counter[str] = Counter()
            with suppress(KeyboardInterrupt):  # Ctrl-C: the cases so far
                fuzz(number, arguments.seed, command, counts)
            more = peak_mb() - memory
            print(
                f"{counts.total():,} {name}: {counts['accepted']:,} accepted, {counts['refused']:,} refused;"
                f" {time.perf_counter() - start:.0f} s, {cpu_seconds() - cpu:.0f} s of CPU time in this process,"
                f" {more:.0f} MB above the imports"
            )
            assert more < MEGABYTES, "it took too much memory"


if __name__ == "__main__":
    main()
