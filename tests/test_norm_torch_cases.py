"""Our layers answer PyTorch's own cases of its norms; half precision, old state and second derivatives too."""

import copy
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn
from torch.testing._internal.common_modules import module_db  # private, and the only list of PyTorch's own cases

from bnbench.norms.batch import BatchNorm, precise_statistics
from bnbench.norms.ghost import GhostBatchNorm
from bnbench.norms.group import GroupNorm, InstanceNorm
from bnbench.norms.layer import LayerNorm, RMSNorm
from bnbench.norms.noisy import NoisyBatchNorm
from bnbench.norms.sync import SyncBatchNorm
from bnbench.norms.weight import builtin_weight_norm, custom_weight_norm
from bnbench.verify.subjects import SUBJECTS, Case, build, inputs

HALF = {torch.float16: 1e-3, torch.bfloat16: 8e-3}
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, **HALF}


def ours(module):
    """Our layer with the options and the state of PyTorch's `module`."""
    bias = getattr(module, "bias", None) is not None
    if isinstance(module, nn.GroupNorm):
        options = {"num_groups": module.num_groups, "affine": module.affine, "bias": bias or not module.affine}
        layer = GroupNorm(module.num_channels, eps=module.eps, **options)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        first, *spatial = module.normalized_shape
        options = {"eps": module.eps, "affine": module.elementwise_affine}
        layer = (
            RMSNorm(first, tuple(spatial), **options)
            if isinstance(module, nn.RMSNorm)
            else LayerNorm(first, tuple(spatial), bias=bias or not module.elementwise_affine, **options)
        )
    else:
        instance = "Instance" in type(module).__name__
        options = {name: getattr(module, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
        spatial = (1,) * int(type(module).__name__[-2])  # the number of them is what counts
        layer = (InstanceNorm if instance else BatchNorm)(
            module.num_features, spatial, bias=bias or not module.affine, **options
        )
    layer.load_state_dict(module.state_dict())
    return layer


def close(actual, expected, tolerance, what):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, what
    scale = expected.abs().max().item() if expected.numel() else 0
    torch.testing.assert_close(actual, expected, atol=tolerance * max(scale, 1), rtol=tolerance, msg=what)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_our_layers_answer_pytorchs_own_cases(dtype, capsys):
    count = 0
    for info in module_db:
        if "Norm" not in info.name or "LocalResponse" in info.name:
            continue
        for training in (True, False):
            torch.manual_seed(0)
            make = partial(info.module_inputs_func, info, "cpu", dtype, True, training)
            for case in make():
                module = info.module_cls(*case.constructor_input.args, **case.constructor_input.kwargs)
                with torch.no_grad():
                    for parameter in module.parameters():
                        parameter.normal_()
                module.to(dtype).train(training)
                layer = ours(module).to(dtype).train(training)
                x = case.forward_input.args[0]
                twin = x.detach().clone().requires_grad_()
                y, expected = layer(x), module(twin)
                what = f"{info.name} {case.desc} {dtype} training={training}"
                close(y, expected, TOLERANCES[dtype], what)
                weights = torch.randn_like(expected)
                (y * weights).sum().backward()
                (expected * weights).sum().backward()
                tolerance = TOLERANCES[dtype] * (20 if dtype not in HALF else 4)
                close(x.grad, twin.grad, tolerance, what)
                for name, buffer in module.named_buffers():
                    close(layer.get_buffer(name), buffer, TOLERANCES[dtype], f"{what} {name}")
                count += 1
    assert count
    with capsys.disabled():
        print(f"\n{count} cases of PyTorch's in {dtype}")


PAIRS = [
    (lambda: BatchNorm(4), lambda: nn.BatchNorm2d(4)),
    (lambda: LayerNorm(4, (3, 3)), lambda: nn.LayerNorm([4, 3, 3])),
    (lambda: InstanceNorm(4, (3, 3), affine=True, track_running_stats=True),
     lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    (lambda: GroupNorm(4, num_groups=2), lambda: nn.GroupNorm(2, 4)),
    (lambda: RMSNorm(4, (3, 3)), lambda: nn.RMSNorm([4, 3, 3])),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=["batch", "layer", "instance", "group", "rms"])
@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of PyTorch's RMS norm
def test_half_precision_is_pytorchs(pair, dtype, autocast):
    """Values up to 600, whose squares overflow in float16; under autocast the parameters stay in float32, and an input
    may be float32 too."""
    custom, builtin = (build().to(torch.float32 if autocast else dtype) for build in pair)
    torch.manual_seed(0)
    for mode, kind in product((True, False), (dtype, torch.float32) if autocast else (dtype,)):
        x = (600 * torch.rand(4, 4, 3, 3)).to(kind).requires_grad_()
        twin = x.detach().clone().requires_grad_()
        with torch.autocast("cpu", dtype=dtype, enabled=autocast):
            y, expected = custom.train(mode)(x), builtin.train(mode)(twin)
        if isinstance(builtin, nn.RMSNorm):  # PyTorch 2.6 returns the type of the weight, 2.14 the input's
            assert y.dtype == x.dtype
            expected = expected.to(x.dtype)
        close(y, expected, HALF[dtype], "output")
        weights = 100 * torch.randn_like(expected)
        (y * weights).sum().backward()
        (expected * weights).sum().backward()
        close(x.grad, twin.grad, 4 * HALF[dtype], "gradient")
    for name, buffer in builtin.named_buffers():
        close(custom.get_buffer(name), buffer, HALF[dtype], name)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_noise_in_half_precision_is_float32s(dtype):
    layer = NoisyBatchNorm(4, generator=torch.Generator().manual_seed(0)).to(dtype)
    twin = copy.deepcopy(layer).float()
    x = torch.tensor([[0.0], [600]], dtype=dtype).repeat(4, 4)  # its variance is infinite in float16
    close(layer(x), twin(x.float()).to(dtype), HALF[dtype], "output")


def test_weight_norm_of_large_half_weights_does_not_overflow():
    for dtype in HALF:
        layer = nn.Linear(2, 1, bias=False).to(dtype)
        with torch.no_grad():
            layer.weight.fill_(300)
        custom_weight_norm(layer)
        close(layer.weight, torch.full((1, 2), 300, dtype=dtype), HALF[dtype], "weight")


@pytest.mark.parametrize("version", [None, 1])
@pytest.mark.parametrize(
    "build",
    [lambda: BatchNorm(3), lambda: InstanceNorm(3, (2, 2), track_running_stats=True)],
    ids=["batch", "instance"],
)
def test_an_old_state_without_a_count_loads(build, version):
    state = build().state_dict()
    del state["num_batches_tracked"]
    state["running_mean"] = torch.full((3,), 5.0)
    if version is None:
        del state._metadata
    else:
        state._metadata[""]["version"] = version
    layer = build()
    layer.load_state_dict(state)
    assert layer.running_mean[0] == 5 and layer.num_batches_tracked == 0


def test_weight_norms_old_names_load():
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    custom_weight_norm(layer)
    builtin_weight_norm(other)
    old = {"bias": torch.ones(2), "weight_g": torch.full((2, 1), 2.0), "weight_v": torch.rand(2, 3)}
    for module in (layer, other, copy.deepcopy(layer)):
        module.load_state_dict(dict(old))
        torch.testing.assert_close(module.weight.norm(dim=1), torch.full((2,), 2.0))


@pytest.mark.parametrize("start", ["ones", "zeros"])
def test_reset_starts_where_batch_norm_started(start):
    layer = BatchNorm(3, running_var_init=start)
    layer(torch.randn(8, 3))
    layer.reset_running_stats()
    assert layer.num_batches_tracked == 0 and not layer.running_mean.any()
    assert (layer.running_var == (start == "ones")).all()


@pytest.mark.parametrize(
    "build",
    [BatchNorm, NoisyBatchNorm, SyncBatchNorm, partial(GhostBatchNorm, virtual_batch_size=4)],
    ids=["batch", "noisy", "sync", "ghost"],
)
def test_update_bn_finds_our_batch_norms(build):
    layer = build(3)
    model, batches = nn.Sequential(layer), [torch.randn(8, 3) for _ in range(3)]
    model(torch.randn(8, 3))
    torch.optim.swa_utils.update_bn(batches, model)
    torch.testing.assert_close(layer.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    assert layer.momentum == 0.1


@pytest.mark.parametrize("groups", [0, -2])
def test_no_groups_are_refused_in_words(groups):
    with pytest.raises(ValueError, match=f"num_groups must be at least 1; got {groups}"):
        GroupNorm(4, num_groups=groups)


@pytest.mark.parametrize("norm", SUBJECTS)
def test_second_derivatives(norm):
    """Of every norm, for its input, γ and β; its state is the same at each call."""
    for shape in ((6, 4), (2, 4, 2, 3)):
        if len(shape) not in map(len, SUBJECTS[norm].shapes):
            continue
        layer = build(norm, Case(shape, SUBJECTS[norm].options[0]))
        state = {name: value.clone() for name, value in layer.named_buffers()}
        names = [name for name, _ in layer.named_parameters()]

        def function(x, *parameters, layer=layer, state=state, names=names):
            buffers = {name: value.clone() for name, value in state.items()}
            return torch.func.functional_call(layer, {**dict(zip(names, parameters, strict=True)), **buffers}, (x,))

        leaves = [inputs(shape, torch.float64), *(p.detach().clone() for p in layer.parameters())]
        assert torch.autograd.gradgradcheck(function, [leaf.requires_grad_() for leaf in leaves], fast_mode=True)


def test_both_forms_of_precise_statistics_differ_where_batches_are_sorted_by_class():
    torch.manual_seed(0)
    classes = torch.arange(10).repeat_interleave(64)
    images = torch.randn(640, 4) + classes[:, None]
    found = {}
    for order in ("sorted", "shuffled"):
        x = images if order == "sorted" else images[torch.randperm(640)]
        for form in ("batches", "population"):
            for layer in (BatchNorm(4), nn.BatchNorm1d(4)):
                precise_statistics(nn.Sequential(layer), x.split([64] * 9 + [44, 20]), form)
                found[order, form, type(layer)] = layer.running_var
                assert layer.num_batches_tracked == 11 and layer.momentum == 0.1
    for kind in (BatchNorm, nn.BatchNorm1d):
        for order in ("sorted", "shuffled"):
            torch.testing.assert_close(found[order, "population", kind], images.var(0, correction=0))
        assert (found["sorted", "population", kind] > 7 * found["sorted", "batches", kind]).all()
        ratio = found["shuffled", "population", kind] / found["shuffled", "batches", kind]
        assert ((ratio - 1).abs() < 0.1).all()
