"""What the papers state of a single norm: its gradients, schedule, noise and symmetries."""

import math

import torch
from torch import Tensor, nn

from bnbench import norms
from bnbench.norms import batch, noisy, renorm
from bnbench.verify.identities import WITHOUT_EPS, Identity, plain
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import IMAGES, VECTORS, Case, build, inputs, upstream


def published_gradients(dtype: torch.dtype) -> Errors:
    """The paper's backward pass (§3), line by line, against autograd's."""
    errors = Errors()
    for shape in (*VECTORS, *IMAGES):
        layer = build("batch", Case(shape), dtype)
        assert isinstance(layer.weight, Tensor) and isinstance(layer.bias, Tensor)
        x = inputs(shape, dtype).requires_grad_()
        dy = upstream(shape, dtype)
        (layer(x) * dy).sum().backward()
        v, g = (t.detach().double().transpose(0, 1).flatten(1) for t in (x, dy))  # (C, m)
        m, gamma, eps = v.shape[1], layer.weight.detach().double()[:, None], 1e-5
        mu, var = v.mean(1, keepdim=True), v.var(1, correction=0, keepdim=True)
        d_hat = g * gamma
        d_var = (d_hat * (v - mu) * -0.5 * (var + eps) ** -1.5).sum(1, keepdim=True)
        d_mu = (-d_hat / (var + eps).sqrt()).sum(1, keepdim=True) + d_var * (-2 * (v - mu)).mean(1, keepdim=True)
        dx = d_hat / (var + eps).sqrt() + d_var * 2 * (v - mu) / m + d_mu / m
        assert x.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
        errors.compare(x.grad.transpose(0, 1).flatten(1), dx, f"∂x of input {shape}")
        errors.compare(layer.weight.grad, (g * (v - mu) / (var + eps).sqrt()).sum(1), f"∂γ of input {shape}")
        errors.compare(layer.bias.grad, g.sum(1), f"∂β of input {shape}")
    return errors


def precise_statistics(dtype: torch.dtype) -> Errors:
    """Algorithm 2: plain means of the batches' μ and m/(m-1) σ², by a network that has stopped changing."""
    errors = Errors()
    torch_layer, ours = norms.NORMS["batch"]["builtin"](4), build("batch", Case((8, 4)), dtype)
    for layer in (ours, torch_layer.to(dtype)):
        weights = inputs((4, 4), dtype, 1)
        linear = nn.Linear(4, 4).to(dtype)
        with torch.no_grad():
            linear.weight.copy_(weights)
            linear.bias.zero_()
        model = nn.Sequential(linear, layer)
        batches = [inputs((size, 4), dtype, size) for size in (8, 16, 5)]
        for x in batches:
            model(x - 1)  # something to forget
        batch.precise_statistics(model, batches)
        outputs = [(x.double() @ weights.double().T) for x in batches]
        errors.compare(layer.get_buffer("running_mean"), torch.stack([o.mean(0) for o in outputs]).mean(0), "mean")
        errors.compare(layer.get_buffer("running_var"), torch.stack([o.var(0) for o in outputs]).mean(0), "variance")
        errors.require(bool(layer.momentum == 0.1), "momentum was not put back")
    return errors


def lp_of_infinity_reaches_one(dtype: torch.dtype) -> Errors:
    errors = Errors()
    for shape in (*VECTORS, *IMAGES):
        x_hat = plain("lp_batch", shape, dtype, p="inf", eps=WITHOUT_EPS[dtype])(inputs(shape, dtype))
        largest = x_hat.transpose(0, 1).flatten(1).abs().amax(1)
        errors.compare(largest, torch.ones_like(largest), shape)
    return errors


def pairs_ignore_scale_and_shift(dtype: torch.dtype) -> Errors:
    """x̂(a x + b) = x̂(x) for a > 0: S moves with x, and D ignores shifts and scales with x."""
    errors = Errors()
    for pair in ("mean_deviation", "median_mad", "midrange", "quantile"):
        for shape in ((9, 6), (3, 6, 5, 5)):
            layer = plain("generalized_batch", shape, dtype, pair=pair, eps=WITHOUT_EPS[dtype])
            x = inputs(shape, dtype)
            errors.compare(layer(4 * x + 8), layer(x), f"{pair}, {shape}")
    return errors


def quantile_pair_is_asymmetric(dtype: torch.dtype) -> Errors:
    """Of -x the quantile pair gives something else than -x̂, and the symmetric pairs give just that."""
    errors = Errors()
    for pair in ("mean_deviation", "median_mad", "midrange", "quantile"):
        layer = plain("generalized_batch", (9, 6), dtype, pair=pair)
        x = inputs((9, 6), dtype)
        if pair == "quantile":
            errors.require(bool(((layer(-x) + layer(x)).abs() > 0.1).any()), "the quantile pair is symmetric")
        else:
            errors.compare(layer(-x), -layer(x), pair)
    return errors


def renorm_schedule(dtype: torch.dtype) -> Errors:
    """The paper's: r_max 1 until step 5,000, 3 from 40,000 on; d_max 0 until 5,000, 5 from 25,000 on."""
    errors = Errors()
    layer = build("batch_renorm", Case((8, 4)), dtype)
    assert isinstance(layer, renorm.BatchRenorm)
    expected = {0: (1, 0), 5_000: (1, 0), 15_000: (1 + 2 * 10 / 35, 2.5), 25_000: (1 + 2 * 20 / 35, 5), 40_000: (3, 5)}
    for step, limits in (expected | {10**6: (3, 5)}).items():
        layer.num_batches_tracked.fill_(step)
        errors.compare(torch.stack(layer.limits()), torch.tensor(limits, dtype=torch.float64), f"step {step:,}")
    return errors


def keras_rule(dtype: torch.dtype) -> Errors:
    """Keras's renorm=True with renorm_clipping={rmin, rmax, dmax}, from running statistics that make it clip.

    Keras's own rmin defaults to 0; the paper's is 1 / rmax, which is what is held here.
    """
    errors = Errors()
    rmax, dmax = 1.5, 0.5
    options = {"r_max": rmax, "d_max": dmax, "warmup_steps": 0, "r_max_steps": 0, "d_max_steps": 0}
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer = build("batch_renorm", Case(shape, options, affine=False), dtype)
        moving_mean, moving_std = (torch.linspace(start, end, 6, dtype=dtype) for start, end in ((1, 4), (1, 6)))
        layer.get_buffer("running_mean").copy_(moving_mean)
        layer.get_buffer("running_std").copy_(moving_std)
        x = inputs(shape, dtype)
        over = [0, 2, 3][: len(shape) - 1]
        std, mean = torch.std_mean(x, over, correction=0)
        std = (std.square() + 1e-5).sqrt()
        r = (std / moving_std).clip(1 / rmax, rmax)
        d = ((mean - moving_mean) / moving_std).clip(-dmax, dmax)
        mean, std, r, d = (t.view(1, -1, *[1] * (len(shape) - 2)) for t in (mean, std, r, d))
        errors.compare(layer(x), (x - mean) / std * r + d, shape)
    return errors


def no_gradient_through_r_and_d(dtype: torch.dtype) -> Errors:
    """∂x with r and d held constant, as Algorithm 1 has it."""
    errors = Errors()
    options = {"r_max": 1e6, "d_max": 1e6, "warmup_steps": 0, "r_max_steps": 0, "d_max_steps": 0}
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer = build("batch_renorm", Case(shape, options, affine=False), dtype)
        gradients: list[Tensor | None] = []
        for _ in range(2):
            x = inputs(shape, dtype).requires_grad_()
            if gradients:
                values = x.transpose(0, 1).flatten(1)
                mean, std = values.mean(1), (values.var(1, correction=0) + 1e-5).sqrt()
                r, d = std.detach(), mean.detach()  # the running statistics are 1 and 0
                x_hat = (values - mean[:, None]) / std[:, None] * r[:, None] + d[:, None]
                y = x_hat.view(shape[1], shape[0], *shape[2:]).transpose(0, 1)
            else:
                y = layer(x)
            (y * upstream(shape, dtype)).sum().backward()  # type: ignore[no-untyped-call]
            gradients.append(x.grad)
        ours, expected = gradients
        assert ours is not None and expected is not None
        errors.compare(ours, expected, shape)
    return errors


def evaluates_without_noise(dtype: torch.dtype) -> Errors:
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer, quiet = build("noisy_batch", Case(shape), dtype), build("batch", Case(shape), dtype)
        quiet.load_state_dict(layer.state_dict())
        x = inputs(shape, dtype)
        errors.require(not torch.allclose(layer(x), quiet(x), atol=0.1), f"no noise in training: {shape}")
        errors.compare(layer.eval()(x), quiet.eval()(x), shape)
    return errors


def noise_is_applied(dtype: torch.dtype) -> Errors:
    """Training gives s · batch_norm(x) + m with the noise of its seed and step, new in every step."""
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer, quiet = build("noisy_batch", Case(shape), dtype), build("batch", Case(shape), dtype)
        assert isinstance(layer, noisy.NoisyBatchNorm)
        quiet.load_state_dict(layer.state_dict())
        x, outputs = inputs(shape, dtype), []
        for step in (1, 2):
            stream = torch.Generator().manual_seed(layer.seed + step)
            s, m = noisy.noise(x, 0.5, 1.25, 0.1, 0.1, stream)
            outputs.append(layer(x))
            errors.compare(outputs[-1], s * quiet(x) + m, f"{shape}, step {step}")
        errors.require(not torch.allclose(outputs[0], outputs[1], atol=0.01), f"the same noise again: {shape}")
    return errors


def noise_is_as_published(dtype: torch.dtype) -> Errors:
    """Moments of the noise of Algorithm 1 on 3,000 units of 1,000 values, to 3 % of the noise's own scale."""
    errors = Errors()
    y = torch.zeros(1_000, 3_000, dtype=dtype)
    s, m = noisy.noise(y, 0.5, 1.25, 0.1, 0.1, torch.Generator().manual_seed(0))
    unit_m, unit_s = m.mean(0), s.mean(0)
    uniform = 1 / math.sqrt(12)
    for what, actual, expected, scale in (
        ("μ_j has mean 0", unit_m.mean(), 0.0, 0.5),
        ("μ_j is uniform on ±0.5", unit_m.std(), uniform, uniform),
        ("σ_j has mean 1.125", unit_s.mean() - 1, 0.125, 0.125),
        ("σ_j is uniform on 1 to 1.25", unit_s.std(), 0.25 * uniform, 0.25 * uniform),
        ("m_ij is uniform on μ_j ± 0.1", (m - unit_m).std(), 0.2 * uniform, 0.2 * uniform),
        ("s_ij has deviation 0.1", (s - unit_s).std(), 0.1, 0.1),
        ("s_ij is normal", ((s - unit_s).abs() < 0.1).double().mean(), math.erf(math.sqrt(0.5)), 1.0),
        ("m_ij stays within 0.1", (m - unit_m).abs().max(), 0.1, 0.5),
        ("σ_j stays above 1", unit_s.min().clamp(max=1), 1.0, 1.0),
    ):
        errors.compare(actual, torch.tensor(expected), what, scale=scale)
    return errors


PUBLISHED: dict[str, dict[str, Identity]] = {
    "batch": {"published gradients": published_gradients, "precise statistics": precise_statistics},
    "lp_batch": {"p = ∞ reaches 1": lp_of_infinity_reaches_one},
    "generalized_batch": {"x̂(ax + b) = x̂(x)": pairs_ignore_scale_and_shift, "symmetry": quantile_pair_is_asymmetric},
    "batch_renorm": {
        "Keras's rule": keras_rule,
        "schedule": renorm_schedule,
        "r, d are constants": no_gradient_through_r_and_d,
    },
    "noisy_batch": {
        "noise applied": noise_is_applied,
        "evaluates without": evaluates_without_noise,
        "noise as published": noise_is_as_published,
    },
}

TOLERANCES = {"noise as published": {FLOAT64: 0.03, FLOAT32: 0.03}}  # of sampled moments
