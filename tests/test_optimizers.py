"""The optimizers take the steps of torch.optim, bit for bit, and resume from its checkpoints."""

import io
import os
import subprocess
import sys
from itertools import product

import pytest
import torch

from bnbench.training.optimizers import SGD, Adam

SHAPES = [(), (1,), (7,), (100, 33), (6, 1, 3, 3), (1_031,)]
DTYPES = [torch.float32, torch.float64]  # those of a config
STEPS = 40
CASES = [
    *(
        (SGD, torch.optim.SGD, {"lr": lr, "momentum": momentum, "weight_decay": decay})
        for lr, momentum, decay in product([0.1, 3e-4], [0.0, 0.5, 0.9], [0.0, 1e-4, 0.3])
    ),
    *(
        (Adam, torch.optim.Adam, {"lr": lr, "betas": betas, "weight_decay": decay})
        for lr, betas, decay in product(
            [1e-3, 0.1], [(0.9, 0.999), (0.0, 0.0), (0.0, 0.99), (0.5, 0.0), (0.999, 0.6)], [0.0, 1e-4, 0.3]
        )
    ),
]
NAMES = [f"{ours.__name__}-" + "-".join(str(value) for value in options.values()) for ours, _, options in CASES]


def parameters(dtype):
    draw = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=draw, dtype=dtype) for shape in SHAPES]
    values.append(torch.randn((5, 9), generator=draw, dtype=dtype).T)  # not contiguous
    return [torch.nn.Parameter(value) for value in values]


def step(optimizer, values, number):
    """One step by gradients that depend on the values, so that an error grows; the last parameter misses some."""
    draw = torch.Generator().manual_seed(1 + number)
    optimizer.zero_grad()
    for i, value in enumerate(values):
        noise = torch.randn(value.shape, generator=draw, dtype=value.dtype)
        if i < len(values) - 1 or number % 3:
            value.grad = torch.sin(value.detach()) + 10.0 ** (number % 7 - 3) * noise
    optimizer.step()


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize(("ours", "theirs", "options"), CASES, ids=NAMES)
def test_every_step_is_that_of_torch(ours, theirs, options, dtype):
    a, b = parameters(dtype), parameters(dtype)
    mine, reference = ours(a, **options), theirs(b, **options)
    for number in range(STEPS):
        step(mine, a, number)
        step(reference, b, number)
        assert same(a, b), f"step {number}"
    state, expected = mine.state_dict()["state"], reference.state_dict()["state"]
    assert state.keys() == (expected.keys() if options.get("momentum") != 0.0 else set())
    for number in state:
        assert state[number].keys() == expected[number].keys()
        assert same(*([torch.as_tensor(s[name]) for name in s] for s in (state[number], expected[number])))


@pytest.mark.parametrize("maker", ["ours", "theirs"])
@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize(("ours", "theirs", "options"), CASES[3::4], ids=NAMES[3::4])
def test_it_resumes_from_its_own_state_and_from_that_of_torch(ours, theirs, options, dtype, maker):
    """Older versions trained with torch.optim."""
    whole = parameters(dtype)
    optimizer = ours(whole, **options)
    for number in range(20):
        step(optimizer, whole, number)
    values = parameters(dtype)
    first = (ours if maker == "ours" else theirs)(values, **options)
    for number in range(10):
        step(first, values, number)
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    second = ours(values, **options)
    second.load_state_dict(torch.load(saved, weights_only=True))
    for number in range(10, 20):
        step(second, values, number)
    assert same(values, whole)


def test_what_is_loaded_is_a_copy():
    values = parameters(torch.float32)
    optimizer = Adam(values, lr=0.1)
    step(optimizer, values, 1)
    saved = {"state": {0: dict(optimizer.states[0])}}
    before = saved["state"][0]["exp_avg"].clone()
    other = Adam(parameters(torch.float32), lr=0.1)
    other.load_state_dict(saved)
    step(other, other.parameters, 2)
    assert torch.equal(saved["state"][0]["exp_avg"], before)


def test_a_run_imports_no_compiler(tiny, tmp_path, data_folder):
    """Two seconds and 900 modules in every process."""
    optimizers = "[{type: sgd, lr: 0.1, momentum: 0.9}, {type: adam}]"
    grid = f"{{train.optimizer: {optimizers}, norm: [{{type: batch}}, {{type: weight}}]}}"
    arguments = ["run", str(tiny), "--set", f"grid={grid}", "--jobs", "1"]
    arguments += ["--set", "train.epochs=1", "--out", str(tmp_path / "r"), "--quiet"]
    code = (
        "import sys; from bnbench.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print([name for name in ('torch._dynamo', 'torch._inductor') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "BNBENCH_DATA": str(data_folder)},
        check=False,
    )
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == "[]", result.stdout + result.stderr
