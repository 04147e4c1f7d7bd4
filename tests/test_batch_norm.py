"""The custom batch norm is torch.nn.BatchNorm1d/2d: values, gradients, running statistics, state_dict."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bnbench.norms import NORMS
from bnbench.norms.batch import BatchNorm, batch_norm, builtin_batch_norm

SHAPES = [(8, 5), (64, 3), (4, 5, 6, 7), (1, 2, 3, 3)]
OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": None},
    {"momentum": 0.0},
    {"eps": 0.1},
    {"affine": False},
    {"track_running_stats": False},
    {"running_var_init": "zeros", "weight_init": "normal", "bias_init": "normal"},
    {"weight_init": "uniform"},
]


def pair(shape, options, dtype=torch.float64):
    """A custom and a builtin layer, made alike."""
    made = []
    for build in (BatchNorm, builtin_batch_norm):
        stream = torch.Generator().manual_seed(3)
        made.append(build(shape[1], shape[2:], generator=stream, **options).to(dtype))
    return made


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_equals_torch_over_a_hundred_steps(shape, options, dtype, tolerance):
    custom, builtin = pair(shape, options, dtype)
    torch.manual_seed(0)
    for _ in range(100):
        x = (3 * torch.randn(shape, dtype=dtype) + 2).requires_grad_()
        twin = x.detach().clone().requires_grad_()
        weights = torch.randn(shape, dtype=dtype)  # so that no gradient is zero by symmetry
        y, expected = custom(x), builtin(twin)
        assert_close(y, expected, atol=tolerance, rtol=tolerance)
        (y * weights).sum().backward()
        (expected * weights).sum().backward()
        # A gradient is a difference of sums: its scale is theirs.
        scale = max(1.0, float(twin.grad.abs().max()))
        assert_close(x.grad, twin.grad, atol=10 * tolerance * scale, rtol=tolerance)
        for name, buffer in builtin.named_buffers():
            assert_close(custom.get_buffer(name), buffer, atol=tolerance, rtol=tolerance)
    for name, parameter in builtin.named_parameters():
        assert_close(custom.get_parameter(name).grad, parameter.grad, atol=1e3 * tolerance, rtol=tolerance)
    custom.eval(), builtin.eval()
    assert_close(custom(x), builtin(x), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_by_finite_differences(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.randn(shape[1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *args: batch_norm(*args, 1e-5)[0], (x, weight, bias))


def test_the_tutorials_worked_example():
    """Five points of three features, 0 to 14: every column becomes -1.4142, -0.7071, 0, 0.7071, 1.4142."""
    x = torch.arange(15, dtype=torch.float32).view(5, 3)
    y, _, _ = batch_norm(x, torch.ones(3), torch.zeros(3), 1e-5)
    column = torch.tensor([-1.4142, -0.7071, 0.0, 0.7071, 1.4142])
    assert_close(y, column[:, None].expand(5, 3), atol=5e-5, rtol=0)


def test_the_tutorials_choices_are_its_own_formula():
    """moving = 0.1 * moving + 0.9 * batch, with the biased variance, from zero."""
    layer = BatchNorm(3, momentum=0.9, running_var="biased", running_var_init="zeros").double()
    mean, var = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for _ in range(5):
        x = torch.randn(7, 3, dtype=torch.float64)
        layer(x)
        mean = 0.1 * mean + 0.9 * x.mean(0)
        var = 0.1 * var + 0.9 * ((x - x.mean(0)) ** 2).mean(0)
    assert_close(layer.running_mean, mean)
    assert_close(layer.running_var, var)


def test_random_starts_are_those_asked_for():
    stream = torch.Generator().manual_seed(0)
    layer = BatchNorm(20_000, weight_init="normal", bias_init="normal", generator=stream)
    assert abs(layer.weight.mean().item()) < 0.03 and abs(layer.weight.std().item() - 1) < 0.03
    assert abs(layer.bias.mean().item()) < 0.03 and abs(layer.bias.std().item() - 1) < 0.03
    uniform = BatchNorm(20_000, weight_init="uniform", generator=stream).weight
    assert uniform.min() >= 0 and uniform.max() <= 1 and abs(uniform.mean().item() - 0.5) < 0.02


@pytest.mark.parametrize("options", OPTIONS[:6], ids=str)
def test_state_dict_goes_to_torch_and_back(options):
    custom, builtin = pair((8, 5), options)
    for _ in range(3):
        custom(torch.randn(8, 5, dtype=torch.float64))
    builtin.load_state_dict(custom.state_dict())
    again = BatchNorm(5, **options).double()
    again.load_state_dict(builtin.state_dict())
    x = torch.randn(8, 5, dtype=torch.float64)
    for layer in (custom, builtin, again):
        layer.eval()
    assert_close(builtin(x), custom(x), atol=1e-10, rtol=1e-10)
    assert torch.equal(again(x), custom(x))


def test_no_graph_is_kept_alive():
    layer = BatchNorm(3)
    for _ in range(3):
        layer(torch.randn(4, 3, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad and layer.running_mean.grad_fn is None
    assert not layer.running_var.requires_grad and layer.running_var.grad_fn is None
    copy.deepcopy(layer)  # raises where a buffer is part of a graph


def test_the_mode_comes_from_training_and_not_from_autograd():
    layer = BatchNorm(3)
    with torch.no_grad():
        layer(torch.randn(4, 3))
    assert layer.num_batches_tracked == 1
    layer.eval()
    layer(torch.randn(4, 3, requires_grad=True))
    assert layer.num_batches_tracked == 1


def test_an_evaluated_image_does_not_depend_on_the_others():
    layer = BatchNorm(3)
    for _ in range(5):
        layer(torch.randn(8, 3, 2, 2))
    layer.eval()
    x = torch.randn(6, 3, 2, 2)
    assert torch.equal(layer(x)[:1], layer(x[:1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_mean_with_a_small_deviation_stays_finite(dtype):
    layer = BatchNorm(4).to(dtype)
    x = (1_000 + 0.01 * torch.randn(64, 4, dtype=dtype)).requires_grad_()
    y = layer(x)
    y.square().sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all() and layer.running_var.isfinite().all()
    assert abs(y.detach().mean().item()) < 0.05
    assert 0.5 < y.detach().std().item() < 1.1  # ε = 1e-5 is a tenth of the variance, 1e-4


def test_a_constant_channel_gives_beta():
    layer = BatchNorm(2)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([3.0, -1.0]))
    assert torch.equal(layer(torch.full((4, 2), 7.0)), torch.tensor([[3.0, -1.0]]).expand(4, 2))


def test_one_value_per_channel_is_refused_and_changes_nothing():
    layer = BatchNorm(3)
    with pytest.raises(ValueError, match=r"more than one value per channel.*shape \(1, 3\) has one"):
        layer(torch.randn(1, 3))
    assert layer.num_batches_tracked == 0 and torch.equal(layer.running_var, torch.ones(3))
    layer(torch.randn(1, 3, 2, 2))  # an image has many
    layer.eval()
    layer(torch.randn(1, 3))  # and evaluation needs none


def test_another_number_of_channels_is_refused():
    for layer in (BatchNorm(1), BatchNorm(1).eval()):
        with pytest.raises(ValueError, match=r"1 channels got an input of shape \(4, 5\)"):
            layer(torch.randn(4, 5))
        assert layer.num_batches_tracked == 0


def test_weight_and_bias_count_apart():
    x, two = torch.randn(6, 2), torch.tensor([2.0, 3.0])
    x_hat, _, _ = batch_norm(x, None, None, 1e-5)
    assert torch.equal(batch_norm(x, two, None, 1e-5)[0], two * x_hat)
    assert torch.equal(batch_norm(x, None, two, 1e-5)[0], x_hat + two)


def test_a_wrong_option_is_a_type_error():
    for build in (BatchNorm, builtin_batch_norm):
        with pytest.raises(TypeError, match="momentun"):
            build(3, momentun=0.1)


def test_dtype_moves_everything():
    layer = BatchNorm(3).double()
    assert layer.running_mean.dtype == layer.weight.dtype == torch.float64
    assert layer.num_batches_tracked.dtype == torch.int64


def test_the_registry_offers_both():
    assert NORMS["batch"] == {"custom": BatchNorm, "builtin": builtin_batch_norm}
    assert isinstance(builtin_batch_norm(3), nn.BatchNorm1d)
    assert isinstance(builtin_batch_norm(3, (28, 28)), nn.BatchNorm2d)
