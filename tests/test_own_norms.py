"""Norms of one's own, from a file or an installed package: they train as any, and nothing else is changed for them."""

import json
import pickle
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import yaml
from conftest import REPOSITORY

import bnbench as package
from bnbench.config.norms import FINDERS
from bnbench.config.norms import NORMS as OPTIONS
from bnbench.errors import ConfigError
from bnbench.norms import NORMS, contract
from bnbench.plugins.options import known
from bnbench.plugins.source import snake_case

SCALE = """
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self, num_features, spatial=(), *, power: float = 1.0, affine: bool = True):
        super().__init__()
        self.power = power
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None

    def forward(self, x):
        y = x / (x.abs().flatten(1).mean(1).view(-1, *[1] * (x.dim() - 1)) + 1e-6) ** self.power
        return y if self.weight is None else y * self.weight.view(1, -1, *[1] * (x.dim() - 2))
"""
SAME = ("config.yaml", "metrics.csv", "mistakes.csv", "model.pt")


@pytest.fixture(autouse=True)
def shipped():
    """Nothing of a test's norms is left where the others are."""
    options, layers = set(OPTIONS), set(NORMS)
    yield
    assert set(OPTIONS) == options and not FINDERS, "known only while configs are read"
    for name in NORMS.keys() - layers:
        del NORMS[name]
    known.cache_clear()


@pytest.fixture
def own(tmp_path):
    """Writes a file of norms: own(text) is its path, of SCALE by default."""

    def write(text=SCALE, name="own.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def train(bnbench, config, norms, *arguments, norm="{type: scale}"):
    return bnbench("run", config, "--norms", norms, "--set", f"norm={norm}", "--name", "mine", *arguments)


def test_it_trains_resumes_and_is_compared(bnbench, tiny, own):
    path = own()
    result = train(bnbench, tiny, path, "--seeds", "0..1", norm="{type: scale, power: 0.5}")
    assert result.exit_code == 0, result.stderr
    config = yaml.safe_load(Path("results/mine/seed-0/config.yaml").read_text())
    sha256 = config["norm"].pop("source_sha256")
    assert re.fullmatch("[0-9a-f]{64}", sha256)
    assert config["norm"] == {
        "type": "scale", "implementation": "custom", "placement": "before_activation", "power": 0.5, "affine": True,
    }  # fmt: skip
    again = bnbench("run", "results/mine/seed-0/config.yaml", "--norms", path)
    assert again.exit_code == 0 and "already complete" in again.stdout
    assert bnbench("run", tiny, "--set", "norm={type: none}", "--seeds", "0..1", "--name", "none").exit_code == 0
    path.unlink()
    compared = bnbench("compare", "results", "--format", "json")
    assert compared.exit_code == 0 and {"mine", "none"} == {
        arm["arm"] for group in json.loads(compared.stdout)["groups"] for arm in group["arms"]
    }


def test_a_norm_may_bring_its_own_activation(tiny, own):
    activating = SCALE.replace("nn.Module):\n", "nn.Module):\n    activates = True\n\n", 1)
    assert "activates" in activating
    none = ["norm={type: scale}", "model.activation=none"]
    assert package.load_config(tiny, set=none, norms=own(activating))
    with pytest.raises(ConfigError, match=r"model\.activation: scale brings its own"):
        package.load_config(tiny, set=none[:1], norms=own(activating))
    with pytest.raises(ConfigError, match=r"model\.activation: none needs a norm"):
        package.load_config(tiny, set=none, norms=own())


def test_the_code_is_part_of_the_digest(bnbench, tiny, own):
    digests = set()
    for text in (SCALE, SCALE, SCALE + "# changed\n"):
        (config,) = package.load_config(tiny, set=["norm={type: scale}"], norms=own(text))
        digests.add(config.digest())
    assert len(digests) == 2


def test_a_file_that_changed_is_another_arm(bnbench, tiny, own):
    assert train(bnbench, tiny, own()).exit_code == 0
    before = Path("results/mine/seed-0/run.json").read_bytes()
    changed = own(SCALE + "# changed\n")
    result = train(bnbench, tiny, changed)
    assert result.exit_code == 3 and "norm.source_sha256 is" in result.stderr
    result = bnbench("run", "results/mine/seed-0/config.yaml", "--norms", changed)
    assert result.exit_code == 2 and "norm.source_sha256: the config is of" in result.stderr
    result = bnbench("run", "results/mine/seed-0/config.yaml")
    assert result.exit_code == 2 and "norm.type: must be one of none, batch" in result.stderr
    assert "got 'scale'; a norm of your own needs --norms FILE" in result.stderr
    assert Path("results/mine/seed-0/run.json").read_bytes() == before


def test_runs_of_two_versions_are_compared_and_told_apart_without_the_file(bnbench, tiny, own):
    for name, text in (("first", SCALE), ("second", SCALE + "# changed\n")):
        assert train(bnbench, tiny, own(text), "--name", name, "--seeds", "0..1").exit_code == 0
    own("1 / 0  # a third version, which is never run")
    compared = bnbench("compare", "results", "--format", "json")
    arms = [arm["arm"] for group in json.loads(compared.stdout)["groups"] for arm in group["arms"]]
    assert compared.exit_code == 0 and arms == ["first", "second"]
    told = bnbench("diff", "results/first", "results/second")
    assert told.exit_code == 0 and "norm.source_sha256" in told.stdout
    shown = bnbench("show", "results/first/seed-0")
    assert shown.exit_code == 0 and "scale" in shown.stdout, shown.stderr
    refused = bnbench("run", "results/first/seed-0/config.yaml", "--norms", own(SCALE + "# changed\n"))
    assert refused.exit_code == 2 and "use the same code" in refused.stderr


def test_worker_processes_train_the_same_bytes(bnbench, tiny, own):
    for jobs in (1, 2):
        arguments = ("--seeds", "0..1", "--jobs", jobs, "--out", f"r{jobs}")
        assert train(bnbench, tiny, own(), *arguments).exit_code == 0
    for seed in (0, 1):
        for name in SAME:
            one, two = (Path(f"r{jobs}/mine/seed-{seed}/{name}").read_bytes() for jobs in (1, 2))
            assert one == two, name


def test_a_config_takes_its_norm_to_a_process_that_does_not_have_the_file(tiny, own, tmp_path):
    """As to a machine of a cluster."""
    path = own()
    (config,) = package.load_config(tiny, set=["norm={type: scale, power: 2.0}"], seeds=0, norms=path)
    (tmp_path / "config").write_bytes(pickle.dumps(config))
    path.unlink()
    code = """
import pickle, sys
from pathlib import Path
from bnbench.training.build import build_model
config = pickle.loads(Path(sys.argv[1]).read_bytes())
print(config.digest(), build_model(config).norm1.power)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "config"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == [config.digest(), "2.0"], done.stderr


def test_a_process_may_use_two_versions_of_a_file(tiny, own):
    """As in a notebook: a config keeps the code that it was read with."""
    from bnbench.training.build import build_model

    configs = [
        package.load_config(tiny, set=["norm={type: scale}"], seeds=0, norms=own(SCALE + f"\nclass_of = {n}\n"))[0]
        for n in (1, 2)
    ]
    one, two = (type(build_model(config).norm1) for config in configs)
    assert one.__name__ == two.__name__ == "Scale" and one is not two


def test_the_api_takes_the_file_for_one_call(tiny, own, tmp_path):
    (config,) = package.load_config(tiny, set=["norm={type: scale}"], seeds=0, norms=str(own()))
    (run,) = package.run(config, out=tmp_path / "r")
    assert run.status == "complete"
    with pytest.raises(ConfigError, match="must be one of none, batch"):
        package.load_config(tiny, set=["norm={type: scale}"])


NOISY = """
import torch
from torch import nn

class Drawn(nn.Module):
    def __init__(self, num_features, spatial=(), *, generator=None):
        super().__init__()
        self.register_buffer("shift", torch.rand(num_features, generator=generator))

    def forward(self, x):
        return x + self.shift.view(1, -1, *[1] * (x.dim() - 2))
"""


def test_it_gets_a_generator_of_its_own_where_it_takes_one(bnbench, tiny, own):
    for out in ("a", "b"):
        result = train(bnbench, tiny, own(NOISY), "--out", out, "--seeds", "0..1", norm="{type: drawn}")
        assert result.exit_code == 0, result.stderr
    shifts = [torch.load(f"{out}/mine/seed-{seed}/model.pt")["norm1.shift"] for out in "ab" for seed in (0, 1)]
    assert torch.equal(shifts[0], shifts[2]) and torch.equal(shifts[1], shifts[3])
    assert not torch.equal(shifts[0], shifts[1])


@pytest.mark.parametrize(
    ("norm", "problem"),
    [
        ("{type: scale, powr: 1.0}", "norm.powr: unknown key; did you mean power?"),
        ("{type: scale, power: high}", "norm.power: must be a number; got 'high'"),
        ("{type: scale, affine: 1}", "norm.affine: must be true or false; got 1"),
        ("{type: scale, power: .inf}", "norm.power: must be a finite number"),
        ("{type: scael}", "got 'scael'; did you mean scale?"),
    ],
)
def test_its_options_are_checked_like_any(bnbench, tiny, own, norm, problem):
    result = train(bnbench, tiny, own(), norm=norm)
    assert result.exit_code == 2 and problem in result.stderr
    assert not Path("results").exists()


def test_types_of_options(tiny, own):
    path = own("""
        from typing import Annotated, Literal
        from pydantic import Field
        from torch import nn

        def build(num_features, spatial, p: Literal[2, "inf"], *, at: Annotated[int, Field(ge=1)] = 1,
                  low: float | None = None, names: list[str] = [], generator=None):
            layer = nn.Identity()
            layer.options = p, at, low, names
            return layer

        NORMS = {"one": build}
        """)
    (config,) = package.load_config(tiny, set=["norm={type: one, p: inf, low: 1, names: [a]}"], norms=path)
    assert config.norm.options() == {"p": "inf", "at": 1, "low": 1.0, "names": ["a"]}
    for norm, problem in {
        "{type: one}": "norm.p: is required",
        "{type: one, p: 3}": "must be one of 2, inf; got 3",
        "{type: one, p: 2, at: 0}": "norm.at: must be greater than or equal to 1",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            package.load_config(tiny, set=[f"norm={norm}"], norms=path)


def layer(forward="return x", parameters="*, a: float = 1.0", init=""):
    return f"""import torch, numpy, random
from torch import nn

class Mine(nn.Module):
    def __init__(self, num_features, spatial, {parameters}):
        super().__init__()
        self.count = 0
        {init}

    def forward(self, x):
        {forward}
"""


CANNOT_BE_LOADED = {
    "import nothing_of_this_name": r"own.py:1: does not import: ModuleNotFoundError: No module named 'nothing_of",
    "x = 1\nx = (": r"own.py:2: does not import: SyntaxError: '\(' was never closed",
    "x = 1\n\n1 / 0": r"own.py:3: does not import: ZeroDivisionError: division by zero",
    "import sys\nsys.exit('no')": r"own.py:2: does not import: SystemExit: no",
    "x = 1": r"own.py:1: defines no norm; it needs an nn.Module",
    "from torch.nn import Identity": r"own.py:1: defines no norm",
    "from torch import nn\nclass A(nn.Module): pass\nclass B(nn.Module): pass": (
        r"own.py:3: defines 2 modules, A, B; say which is the norm, as in NORMS = \{'a': A\}"
    ),
    "from torch import nn\nclass Batch(nn.Module): pass": r"own.py:2: bnbench has a norm batch already",
    "from torch import nn\n\nNORMS = {'layer': nn.Identity}": r"own.py:3: bnbench has a norm layer already",
    "NORMS = {}": r"own.py:1: NORMS must map types to nn.Module classes",
    "from torch import nn\nNORMS = {'My-Norm': nn.Identity}": r"own.py:2: 'My-Norm' is not a norm's name",
    "from torch import nn\nclass Mine(nn.Module): pass": r"Mine must take num_features and spatial",
    layer().replace("spatial,", "eps=1e-5,"): r"own.py:5: Mine takes eps where spatial, a tuple, is given; write",
    layer().replace("spatial,", "eps: float,"): r"own.py:5: Mine takes eps where spatial, a tuple, is given; write",
    layer(parameters="*, a=1.0"): r"own.py:5: Mine: option a has no type; write it as in eps: float = 1e-5",
    layer(parameters="**options"): r"own.py:5: Mine takes \*\*options; name each option",
    layer(parameters="*, a: torch.Tensor = None"): r"own.py:5: Mine: option a has a type that no config has",
    layer(parameters="*, a: int = 1.5"): r"own.py:5: Mine: the default of option a is not a value that it may have",
    layer(parameters="*, placement: str = ''"): r"own.py:5: Mine: an option cannot be called placement",
    layer(parameters="*, model_dump: str = ''"): r"own.py:5: Mine: an option cannot be called model_dump",
    layer(parameters="*, a: 'Nothing' = 1"): r"own.py:5: Mine has a type that is not defined: name 'Nothing'",
    layer(init="raise ValueError('it takes\\nimages only')"): r"own.py:8: Mine refuses the config: it takes images on",
}
IS_NOT_A_NORM = {
    layer(
        "return x[0] / y"
    ): r"own.py:11: Mine raises NameError: name 'y' is not defined for an input of shape \(50, 8",
    layer("raise SystemExit"): r"own.py:11: Mine raises SystemExit",
    layer(
        "return x[:1]"
    ): r"own.py:10: Mine is not a norm: in training it returns shape \(1, 8\) for an input of shape",
    layer("return x if self.training else x.double()"): (
        r"own.py:10: Mine is not a norm: in evaluation it returns torch.float64 for an input of torch.float32"
    ),
    layer("return x.mul_(2)"): r"own.py:10: Mine is not a norm: in training it changes its input in place",
    layer("return None"): r"own.py:10: Mine is not a norm: in training it returns a NoneType, not a tensor",
    layer("return x / 0"): r"own.py:10: Mine is not a norm: in training it returns values that are not finite",
    layer("return x + torch.rand(1).to(x)"): r"own.py:10: .* draws from the global generator of torch; draw from the",
    layer("return x + float(numpy.random.rand())"): r"own.py:10: .* draws from the global generator of numpy.random",
    layer("return x + random.random()"): r"own.py:10: .* draws from the global generator of random",
    layer(init="self.linear = nn.Linear(2, 2)"): r"own.py:10: .* draws from the global generator of torch",
    layer("return x + float(numpy.random.default_rng().random())"): r"own.py:10: .* built twice alike, it gives two",
    layer("self.count += 1; return x * self.count"): r"own.py:10: .* its state_dict lacks some of its state",
    layer(
        "self.mean = 0.9 * self.mean + (self.w * x).mean(0); return x - self.mean",
        init="self.register_buffer('mean', torch.zeros(num_features)); self.w = nn.Parameter(torch.ones(num_features))",
    ): r"own.py:10: .* buffer mean holds the graph of a batch",
    "from torch import nn\nclass Mine(nn.Linear):\n    def __init__(self, num_features, spatial):\n"
    "        super().__init__(num_features, 2, bias=False)": r"own.py:3: Mine is not a norm: in training it returns",
    layer("self.mean = x.detach().mean(0); return x", init="self.register_buffer('mean', torch.zeros(()))"): (
        r"own.py:10: .* its state_dict does not fit a new layer: size mismatch for mean"
    ),
    # As PyTorch 2.6 loads a vector into a single value: without an error.
    layer(
        "self.mean = x.detach().mean(0); return x\n    def load_state_dict(self, state): pass",
        init="self.register_buffer('mean', torch.zeros(()))",
    ): r"own.py:10: .* does not fit a new layer: size mismatch for mean: \(\d+,.*\) after training, \(\) before",
    layer(init="raise KeyError('a')"): r"own.py:8: Mine raises KeyError: 'a'",
    "def build(num_features, spatial): return 3\nNORMS = {'mine': build}": r"own.py:1: .* is built as a int, not as an",
}


@pytest.mark.parametrize(
    ("text", "problem", "code"),
    [(text, problem, 2) for text, problem in CANNOT_BE_LOADED.items()]
    + [(text, problem, 1) for text, problem in IS_NOT_A_NORM.items()],
)
def test_what_is_wrong_is_one_sentence_with_file_and_line(bnbench, tiny, own, text, problem, code):
    result = train(bnbench, tiny, own(text), norm="{type: mine}")
    assert result.exit_code == code, result.stderr
    assert re.search(problem, result.stderr), result.stderr
    assert len(result.stderr.strip().split("\n")) == 1 and "Traceback" not in result.stderr
    assert not Path("results").exists()


LOOPS = {
    "while True: pass": r"own.py:1: takes longer than 0.3 s to import",
    layer("while True: pass"): r"own.py:11: Mine takes longer than 0.3 s for an input of shape \(50, 8\)",
    layer(init="while True: pass"): r"own.py:8: Mine takes longer than 0.3 s for an input",
}


@pytest.mark.parametrize(("text", "problem"), LOOPS.items(), ids=["import", "forward", "constructor"])
def test_a_loop_ends_before_training(bnbench, tiny, own, monkeypatch, text, problem):
    for module in ("source", "probe"):
        monkeypatch.setattr(f"bnbench.plugins.{module}.SECONDS", 0.3)
    test_what_is_wrong_is_one_sentence_with_file_and_line(bnbench, tiny, own, text, problem, 1)


def test_a_file_that_is_none_is_one_sentence(bnbench, tiny, tmp_path):
    (tmp_path / "zeros.py").write_bytes(b"\0")
    (tmp_path / "large.py").write_text("#" * 1_000_001)
    for name, problem in {
        "no.py": "no.py: no such file",
        ".": "is not a file of norms: it is not a regular file",
        "large.py": "it is larger than 1,000,000 bytes",
        "zeros.py": "zeros.py:1: does not import: SyntaxError",
    }.items():
        result = bnbench("run", tiny, "--norms", name)
        assert result.exit_code == 2 and problem in result.stderr, result.stderr


PACKAGE = {
    "their_norms/__init__.py": "",
    "their_norms/scale.py": SCALE,
    "their_norms/broken.py": "import nothing_of_this_name",
    "their_norms-1.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: their-norms\nVersion: 1.5\n",
    "their_norms-1.5.dist-info/entry_points.txt": (
        "[bnbench.norms]\n"
        "scale = their_norms.scale:Scale\nbroken = their_norms.broken:A\nbatch = their_norms.broken:B\n"
    ),
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with norms, as pip leaves it."""
    for name, text in PACKAGE.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "their_norms"]:
        del sys.modules[name]


def test_a_package_brings_norms(bnbench, tiny, installed):
    result = bnbench("run", tiny, "--set", "norm={type: scale, power: 0.5}", "--name", "mine")
    assert result.exit_code == 0, result.stderr
    norm = yaml.safe_load(Path("results/mine/seed-0/config.yaml").read_text())["norm"]
    assert (norm["source_package"], norm["source_version"]) == ("their-norms", "1.5")
    assert re.fullmatch("[0-9a-f]{64}", norm["source_sha256"]) and norm["power"] == 0.5
    (config,) = package.load_config("results/mine/seed-0/config.yaml")
    assert config.norm.options() == {"power": 0.5, "affine": True}
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_package_is_imported_only_where_a_config_names_its_norm(bnbench, tiny, installed):
    assert bnbench("run", tiny, "--name", "none").exit_code == 0  # their norm called batch is not ours
    assert bnbench("compare", "results").exit_code == 0
    assert "their_norms" not in sys.modules
    assert bnbench("run", tiny, "--set", "norm={type: scale}", "--name", "mine").exit_code == 0
    assert sys.modules.pop("their_norms.scale")
    assert bnbench("compare", "results").exit_code == 0
    assert "their_norms.scale" not in sys.modules, "what reads imports no norm"
    result = bnbench("run", tiny, "--set", "norm={type: broken}")
    assert result.exit_code == 2
    assert "norm broken of their-norms 1.5 does not import: ModuleNotFoundError" in result.stderr


def test_the_file_comes_before_a_package(tiny, installed, own):
    (config,) = package.load_config(tiny, set=["norm={type: scale}"], norms=own())
    assert config.norm.source.code is not None


def test_the_template_keeps_the_contract_and_trains(bnbench, tiny):
    made = bnbench("norms", "new", "my_norm")
    assert made.exit_code == 0 and "bnbench norms test my_norm.py" in made.stdout
    tested = bnbench("norms", "test", "my_norm.py")
    assert tested.exit_code == 0, tested.stderr
    assert len(tested.stdout.splitlines()) == 2 * len(contract.PROMISES)
    result = bnbench("run", tiny, "--norms", "my_norm.py", "--set", "norm={type: my_norm}", "--name", "mine")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("name", "problem"),
    [("batch", "has a norm batch already"), ("My", "'My' is not a norm's name"), ("true", "is not a norm's name"),
     ("../a", "is not a norm's name"), ("there", "there.py: exists already")],
)  # fmt: skip
def test_new_refuses(bnbench, tmp_path, name, problem):
    (tmp_path / "there.py").write_text("mine")
    result = bnbench("norms", "new", name)
    assert result.exit_code == 2 and problem in result.stderr
    assert (tmp_path / "there.py").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_the_contract_names_what_is_broken(bnbench, own):
    path = own(layer("return x - x.mean(0) + x.detach()"))
    result = bnbench("norms", "test", path)
    assert result.exit_code == 1 and "not every promise is kept" in result.stderr
    assert result.stdout.count("FAILED") == 2 and "depends on the others of its batch" in result.stdout
    result = bnbench("norms", "test", path, "--set", "b=1")
    assert result.exit_code == 2 and "own.py: norm mine: b: the norm has no such option" in result.stderr
    result = bnbench("norms", "test", own(layer(parameters="*, a: int")))
    assert result.exit_code == 2 and "a: is required and missing; give it by --set" in result.stderr
    result = bnbench("norms", "test", own(layer("return x / y")))
    assert result.exit_code == 1 and "not every promise is kept" in result.stderr
    assert result.stdout.count("NameError") == 2 and result.stdout.count("the next promises: the same error") == 2


def test_the_contract_waits_once_for_a_loop(bnbench, own, monkeypatch):
    monkeypatch.setattr("bnbench.plugins.probe.SECONDS", 0.3)
    result = bnbench("norms", "test", own(layer("while True: pass")))
    assert result.exit_code == 1 and "not every promise is kept" in result.stderr
    assert "own.py:11: Mine takes longer than 0.3 s" in result.stdout and len(result.stdout.splitlines()) == 1


def test_a_norm_may_refuse_images_or_vectors_but_not_both(bnbench, own):
    path = own(layer(init="if spatial: raise ValueError('it takes vectors')"))
    result = bnbench("norms", "test", path)
    assert result.exit_code == 0 and "refused  mine, images" in result.stdout
    result = bnbench("norms", "test", own(layer(init="raise ValueError('no')")))
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("name", "type_"), [("MyNorm", "my_norm"), ("RMSNorm", "rms_norm"), ("L1Norm", "l1_norm"), ("Scale", "scale")]
)
def test_the_type_is_the_snake_case_name(name, type_):
    assert snake_case(name) == type_


class Wrong(torch.nn.Module):
    """Breaks one promise of the contract, by `how`."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        y = x * self.weight
        return {
            "no gradient of its parameter": x,
            "no gradient of its input": x.detach() * self.weight,
            "memory of its input": y if x.is_contiguous() else y + 1,
            "channels_last": y + int(x.dim() == 4 and x.stride(1) == 1),
        }[self.how]


@pytest.mark.parametrize(
    ("how", "promise", "problem"),
    [
        ("no gradient of its parameter", contract.gradients, "weight gets no gradient"),
        ("no gradient of its input", contract.gradients, "its input gets no gradient"),
        ("memory of its input", contract.strides, "the same values in another memory layout"),
        ("channels_last", contract.strides, "the same values in another memory layout"),
    ],
)
def test_each_promise_can_be_broken(how, promise, problem):
    """The others are broken by the files above."""
    with pytest.raises(contract.Broken, match=problem):
        promise(lambda: Wrong(how), torch.ones(4, 3, 2, 2))


def test_a_killed_run_goes_on_with_the_same_file_only(bnbench, tiny, own, monkeypatch):
    """It ends as the run that was not stopped."""
    from bnbench.runs.write import RunWriter

    norm = "{type: counting}"
    text = """
    import torch
    from torch import nn

    class Counting(nn.Module):
        def __init__(self, num_features, spatial=()):
            super().__init__()
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, x):
            if self.training:
                self.steps += 1
            return x / (1 + 0.1 * self.steps.to(x.dtype))
    """
    assert train(bnbench, tiny, own(text), "--out", "whole", norm=norm).exit_code == 0
    add = RunWriter.add

    def killed(self, row, checkpoint):
        add(self, row, checkpoint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "add", killed)
        stopped = train(bnbench, tiny, own(text), norm=norm)
    assert stopped.exit_code == 130, stopped.stderr
    changed = train(bnbench, tiny, own(text + "\n    # changed"), norm=norm)
    assert changed.exit_code == 3 and "norm.source_sha256 is" in changed.stderr
    resumed = train(bnbench, tiny, own(text), norm=norm)
    assert resumed.exit_code == 0 and "resumes after epoch 1/2" in resumed.stderr
    for name in SAME:
        assert Path(f"results/mine/seed-0/{name}").read_bytes() == Path(f"whole/mine/seed-0/{name}").read_bytes(), name


def test_it_stays_where_mnist5k_stands_in_for_mnist(tiny, own):
    from bnbench.launch.prepare import on_mnist5k

    (config,) = package.load_config(tiny, set=["norm={type: scale}", "data.dataset=mnist"], norms=own())
    assert on_mnist5k(config).norm == config.norm


def test_the_commands_of_the_documentation_work(bnbench, tmp_path):
    """From the template to the comparison, as docs/own-norms.md has it, with fewer seeds."""
    section = (REPOSITORY / "docs" / "own-norms.md").read_text()
    commands = section.partition("```sh\n")[2].partition("```")[0].strip().split("\n")
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    assert len(commands) == 5
    for command in commands:
        name, *arguments = shlex.split(command.replace("--seeds 0..4", "--seeds 0..1"))
        result = bnbench(*arguments)
        assert name == "bnbench" and result.exit_code == 0, result.stderr
    assert {"mlp_my_norm", "mlp_none", "mlp_layer"} <= set(re.split(r"[\s,]+", result.stdout))
