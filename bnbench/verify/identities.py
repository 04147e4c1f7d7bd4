"""Equalities between norms, whatever the data, each under the norm it is about."""

from collections.abc import Callable

import torch
from torch import nn

from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import IMAGES, NO_NOISE, VECTORS, Case, Options, build, inputs

Identity = Callable[[torch.dtype], Errors | None]

# With ε this small its place, inside the root or outside, makes no difference.
WITHOUT_EPS = {torch.float64: 1e-200, torch.float32: 1e-30}


def _equal_in_training(
    ours: tuple[str, Options], theirs: tuple[str, Options], dtype: torch.dtype, evaluation: bool = False
) -> Errors:
    """Two norms give the same outputs over ten steps; after them in evaluation too, where asked."""
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        first, second = (build(norm, Case(shape, options), dtype) for norm, options in (ours, theirs))
        with torch.no_grad():
            for parameter, other in zip(first.parameters(), second.parameters(), strict=True):
                parameter.copy_(other)
        for step in range(10):
            x = inputs(shape, dtype, step)
            errors.compare(first(x), second(x), f"input {shape}, step {step + 1}")
        if evaluation:
            first.eval(), second.eval()
            errors.compare(first(x), second(x), f"evaluation, input {shape}")
    return errors


def plain(norm: str, shape: tuple[int, ...], dtype: torch.dtype, **options: object) -> nn.Module:
    """The custom norm without γ and β."""
    return build(norm, Case(shape, dict(options), affine=False), dtype)


def group_of_all_is_layer(dtype: torch.dtype) -> Errors:
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        x = inputs(shape, dtype)
        errors.compare(plain("group", shape, dtype, num_groups=1)(x), plain("layer", shape, dtype)(x), shape)
    return errors


def group_of_one_is_instance(dtype: torch.dtype) -> Errors:
    shape, errors = (4, 6, 5, 5), Errors()
    x = inputs(shape, dtype)
    errors.compare(plain("group", shape, dtype, num_groups=6)(x), plain("instance", shape, dtype)(x), shape)
    return errors


def instance_of_one_image_is_batch(dtype: torch.dtype) -> Errors:
    shape, errors = (1, 6, 5, 5), Errors()
    x = inputs(shape, dtype)
    errors.compare(plain("instance", shape, dtype)(x), plain("batch", shape, dtype)(x), shape)
    return errors


def ignores_a_samples_scale(norm: str) -> Identity:
    """f(a x) = f(x) with an a of each sample's own, as ε → 0."""

    def identity(dtype: torch.dtype) -> Errors:
        errors = Errors()
        for shape in ((8, 6), (4, 6, 5, 5)):
            layer = build(norm, Case(shape, {"eps": WITHOUT_EPS[dtype]}), dtype)
            x = inputs(shape, dtype)
            a = torch.linspace(0.1, 50, shape[0], dtype=dtype).view(-1, *[1] * (len(shape) - 1))
            errors.compare(layer(a * x), layer(x), shape)
        return errors

    return identity


def rms_of_centered_is_layer(dtype: torch.dtype) -> Errors:
    errors = Errors()
    for shape in ((8, 6), (4, 6, 5, 5)):
        x = inputs(shape, dtype)
        centered = x - x.flatten(1).mean(1).view(-1, *[1] * (len(shape) - 1))
        errors.compare(plain("rms", shape, dtype, eps=1e-5)(centered), plain("layer", shape, dtype, eps=1e-5)(x), shape)
    return errors


def l1_of_a_gaussian_is_batch(dtype: torch.dtype) -> Errors:
    """√(π/2) E|x - μ| is σ for a Gaussian: here for 100,001 of its quantiles, to their sampling error."""
    errors = Errors()
    positions = torch.arange(1, 100_002, dtype=FLOAT64) / 100_002
    x = (3 * torch.special.ndtri(positions) + 2).to(dtype)[:, None]
    shape = tuple(x.shape)
    errors.compare(plain("l1_batch", shape, dtype, gaussian=True)(x), plain("batch", shape, dtype)(x), shape)
    return errors


def lp_of_two_is_batch(dtype: torch.dtype) -> Errors:
    eps = WITHOUT_EPS[dtype]
    return _equal_in_training(("lp_batch", {"p": 2, "eps": eps}), ("batch", {"eps": eps}), dtype)


def generalized_mean_and_deviation_is_batch(dtype: torch.dtype) -> Errors:
    ours: tuple[str, Options] = ("generalized_batch", {"pair": "mean_deviation"})
    return _equal_in_training(ours, ("batch", {"running_var": "biased"}), dtype, evaluation=True)


def half_quantile_is_median(dtype: torch.dtype) -> Errors:
    """CVaR_½ - mean = E|x - median|: with an odd m, where the median is one value, the two pairs are one."""
    errors = Errors()
    for shape in ((9, 6), (3, 6, 5, 5)):
        x = inputs(shape, dtype)
        quantile = plain("generalized_batch", shape, dtype, pair="quantile", alpha=0.5)
        median = plain("generalized_batch", shape, dtype, pair="median_mad")
        errors.compare(quantile(x), median(x), shape)
    return errors


def renorm_of_one_and_zero_is_batch(dtype: torch.dtype) -> Errors:
    limits = {"r_max": 1.0, "d_max": 0.0, "warmup_steps": 0, "r_max_steps": 0, "d_max_steps": 0}
    return _equal_in_training(("batch_renorm", limits), ("batch", {}), dtype)


def unclipped_renorm_is_its_evaluation(dtype: torch.dtype) -> Errors:
    """Without limits, training outputs are evaluation's by the running statistics from before the step."""
    errors = Errors()
    free = {"r_max": 1e6, "d_max": 1e6, "warmup_steps": 0, "r_max_steps": 0, "d_max_steps": 0, "momentum": 0.1}
    for shape in ((8, 6), (4, 6, 5, 5)):
        layer = build("batch_renorm", Case(shape, free), dtype)
        for step in range(10):
            x = inputs(shape, dtype, step)
            expected = layer.eval()(x)
            errors.compare(layer.train()(x), expected, f"{shape}, step {step + 1}")
    return errors


def ghost_of_the_whole_is_batch(dtype: torch.dtype) -> Errors:
    # 8 images of vectors and 4 of images are one part.
    return _equal_in_training(("ghost_batch", {"virtual_batch_size": 8}), ("batch", {}), dtype, evaluation=True)


def noise_off_is_batch(dtype: torch.dtype) -> Errors:
    return _equal_in_training(("noisy_batch", dict(NO_NOISE)), ("batch", {}), dtype, evaluation=True)


def sync_without_group_is_batch(dtype: torch.dtype) -> Errors:
    return _equal_in_training(("sync_batch", {}), ("batch", {}), dtype, evaluation=True)


def halves_make_batch(dtype: torch.dtype) -> Errors:
    """variance_only(mean_only(x)) = batch(x) before γ and β."""
    errors = Errors()
    for shape in (*VECTORS, *IMAGES):
        x = inputs(shape, dtype)
        centered = plain("mean_only_batch", shape, dtype)(x)
        whole = plain("batch", shape, dtype)(x)
        errors.compare(plain("variance_only_batch", shape, dtype)(centered), whole, shape)
    return errors


IDENTITIES: dict[str, dict[str, Identity]] = {
    "layer": {"ignores a scale": ignores_a_samples_scale("layer")},
    "instance": {"one image is batch": instance_of_one_image_is_batch},
    "group": {"group(1) is layer": group_of_all_is_layer, "group(C) is instance": group_of_one_is_instance},
    "rms": {"ignores a scale": ignores_a_samples_scale("rms"), "of x - μ is layer": rms_of_centered_is_layer},
    "l1_batch": {"Gaussian is batch": l1_of_a_gaussian_is_batch},
    "lp_batch": {"p = 2 is batch": lp_of_two_is_batch},
    "generalized_batch": {
        "(mean, σ) is batch": generalized_mean_and_deviation_is_batch,
        "α = ½ is median": half_quantile_is_median,
    },
    "batch_renorm": {
        "(1, 0) is batch": renorm_of_one_and_zero_is_batch,
        "unclipped": unclipped_renorm_is_its_evaluation,
    },
    "ghost_batch": {"of all is batch": ghost_of_the_whole_is_batch},
    "noisy_batch": {"noise off is batch": noise_off_is_batch},
    "sync_batch": {"alone is batch": sync_without_group_is_batch},
    "mean_only_batch": {"halves make batch": halves_make_batch},
    "variance_only_batch": {"halves make batch": halves_make_batch},
}

TOLERANCES = {"Gaussian is batch": {FLOAT64: 1e-4, FLOAT32: 1e-4}}  # the sampling error of the quantiles
