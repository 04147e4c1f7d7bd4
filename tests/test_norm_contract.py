"""What every norm in the registry promises. A new one joins by itself: its options are those of its shipped config."""

import ast
import copy
import inspect
import re
from contextlib import suppress

import pytest
import torch
import yaml
from conftest import REPOSITORY, required_options
from torch import nn

from bnbench import verify
from bnbench.config import norms as normconfig
from bnbench.config.load import load_config
from bnbench.config.norms.base import NoNormConfig
from bnbench.errors import ConfigError
from bnbench.models.networks import hidden_layers
from bnbench.norms import NORMS, WEIGHT_NORMS, build, contract
from bnbench.training.experiment import build_model

CASES = [(norm, implementation) for norm, built in NORMS.items() for implementation in built]
WEIGHT_CASES = [(norm, implementation) for norm, built in WEIGHT_NORMS.items() for implementation in built]
SHAPES = {"mlp": (8, 100), "cnn": (8, 6, 5, 5)}


def configs(norm):
    """A norm's configs by model, where it is defined: the shipped ones, or where none is, those of its defaults."""
    folder = REPOSITORY / "configs" / "norms"
    paths = {model: folder / f"{model}_{norm}.yaml" for model in SHAPES}
    found = {model: load_config(path) for model, path in paths.items() if path.exists()}
    for model in () if found else SHAPES:
        with suppress(ConfigError):
            settings = yaml.safe_dump({"type": norm, **required_options(norm)})
            found[model] = load_config(folder / f"{model}_none.yaml", [f"norm={settings}"])
    assert found, f"{norm} is defined in no network"
    return found


def builders(norm, implementation):
    """What builds the norm for each input that its configs say it takes, with that input."""
    for model, config in configs(norm).items():
        shape = SHAPES[model]

        def build_it(shape=shape, options=config.norm.options()):  # noqa: B008
            stream = torch.Generator().manual_seed(5)
            return build(norm, implementation, shape[1], shape[2:], stream, **options)

        yield build_it, 3 * torch.randn(shape, generator=torch.Generator().manual_seed(6)) + 2


def layers(norm, implementation):
    """The norm for each input that its configs say it takes, with that input."""
    return ((build_it(), x) for build_it, x in builders(norm, implementation))


@pytest.mark.parametrize(("norm", "implementation"), CASES)
def test_features_come_first_and_options_by_name_only(norm, implementation):
    parameters = list(inspect.signature(NORMS[norm][implementation]).parameters.values())
    assert [p.name for p in parameters[:2]] == ["num_features", "spatial"] and parameters[1].default == ()
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[2:])
    with pytest.raises(TypeError, match="epsilon"):
        NORMS[norm][implementation](6, (5, 5), epsilon=0.1)


@pytest.mark.parametrize(("norm", "implementation"), CASES)
def test_the_config_offers_the_options_with_the_same_defaults(norm, implementation):
    model = normconfig.NORMS[norm]
    parameters = inspect.signature(NORMS[norm][implementation]).parameters
    # `bias` is for layers built in Python: a new key in every config would change the digests of stored runs.
    options = {
        name: p.default
        for name, p in parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in ("generator", "bias")
    }
    given = required_options(norm)
    assert given.keys() == {name for name, default in options.items() if default is inspect.Parameter.empty}
    settings = model.model_validate({"type": norm, **given}).options()
    expected = {name: given.get(name, default) for name, default in options.items()}
    for name in expected.keys() - settings.keys():  # a later key is left out where it has its default
        assert expected.pop(name) == model.model_fields[name].default
    assert settings == expected
    assert implementation in re.findall(r"'(\w+)'", str(model.model_fields["implementation"].annotation))


def test_every_norm_has_options_and_a_layer_or_weights():
    """Two registries, of which the configs' is read without torch, name the same norms."""
    assert set(normconfig.NORMS) == {"none", *NORMS, *WEIGHT_NORMS}
    for norm, options in normconfig.NORMS.items():
        where = "weights" if norm in WEIGHT_NORMS else "activations" if norm in NORMS else "nothing"
        assert options.changes == where


@pytest.mark.parametrize("norm", sorted(verify.names()))
def test_every_norm_with_a_reference_has_a_config_and_checks(norm):
    """A norm may come without a reference; one that is verified is shown, too."""
    assert (REPOSITORY / "configs" / "norms" / f"cnn_{norm}.yaml").exists()
    assert len(list(verify._checks(norm))) >= 7


@pytest.mark.parametrize("norm", NORMS)
def test_its_docstring_gives_the_formulas_and_its_module_the_source(norm):
    layer = NORMS[norm]["custom"]
    text = inspect.getdoc(layer)
    assert "Training" in text and "valuation" in text and "Raises:" in text, "both formulas and what is refused"
    assert "running" in text, "what is averaged, or that nothing is"
    module = ast.get_docstring(ast.parse(inspect.getsource(inspect.getmodule(layer))))
    assert "arXiv:" in module or norm == "sync_batch"


@pytest.mark.parametrize("promise", contract.PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize(("norm", "implementation"), CASES)
def test_it_keeps_what_every_norm_promises(norm, implementation, promise):
    for build_it, x in builders(norm, implementation):
        promise(build_it, x)


@pytest.mark.parametrize(("norm", "implementation"), CASES)
def test_the_state_dict_is_all_of_its_state(norm, implementation):
    for (layer, x), (other, _) in zip(layers(norm, implementation), layers(norm, implementation), strict=True):
        for _ in range(3):
            layer(x + torch.randn_like(x))
        other.load_state_dict(layer.state_dict())
        layer(x), other(x)
        assert all(torch.equal(a, b) for a, b in zip(layer.buffers(), other.buffers(), strict=True))
        copy.deepcopy(layer)


@pytest.mark.parametrize("norm", NORMS)
def test_reset_running_stats_forgets_all_batches(norm):
    for (layer, x), (new, _) in zip(layers(norm, "custom"), layers(norm, "custom"), strict=True):
        if list(layer.buffers()):
            layer(x)
            layer.reset_running_stats()
        assert all(torch.equal(a, b) for a, b in zip(layer.buffers(), new.buffers(), strict=True))


@pytest.mark.parametrize("norm", NORMS)
def test_another_number_of_channels_is_refused(norm):
    for layer, x in layers(norm, "custom"):
        before = [buffer.clone() for buffer in layer.buffers()]
        for mode in (True, False):
            with pytest.raises(ValueError, match=rf"got an input of shape \(8, {x.shape[1] - 1}"):
                layer.train(mode)(x[:, 1:])
        assert all(torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))


@pytest.mark.parametrize("norm", NORMS)
def test_an_empty_batch_leaves_no_trace(norm):
    for layer, x in layers(norm, "custom"):
        before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        try:
            assert layer(x[:0]).shape == x[:0].shape
        except ValueError as error:
            assert "has none" in str(error)
        assert layer.eval()(x[:0]).shape == x[:0].shape
        before.pop("num_batches_tracked", None)  # PyTorch's batch norm counts an empty batch
        assert all(torch.equal(value, layer.get_buffer(name)) for name, value in before.items())


@pytest.mark.parametrize("norm", NORMS)
def test_the_config_knows_whether_it_cancels_a_bias(norm):
    """`bias: auto` drops the bias before just those norms whose training output does not change with it."""
    for layer, x in layers(norm, "custom"):
        shift = torch.randn(x.shape[1]).view(1, -1, *[1] * (x.dim() - 2))
        if norm == "batch_renorm":
            layer.num_batches_tracked.zero_()  # later, d corrects towards the running mean
        gap = (copy.deepcopy(layer)(x + shift) - layer(x)).abs().max()
        assert (gap < 1e-4) == normconfig.NORMS[norm].cancels_bias


@pytest.mark.parametrize("norm", NORMS)
def test_the_config_knows_whether_it_needs_a_batch(norm):
    """One vector is refused in training by just those norms for which a batch of one is refused in the config."""
    if "mlp" not in configs(norm):
        return
    layer, x = next(layers(norm, "custom"))
    refused = False
    try:
        layer(x[:1])
    except ValueError:
        refused = True
    assert refused == normconfig.NORMS[norm].needs_batch


@pytest.mark.parametrize("norm", NORMS)
def test_it_prints_what_it_is(norm):
    layer, _ = next(layers(norm, "custom"))
    assert re.fullmatch(r"\w+\(.*\d.*\)", repr(layer))


@pytest.mark.parametrize(("norm", "implementation"), WEIGHT_CASES)
@pytest.mark.parametrize("model", SHAPES)
def test_weight_norms_change_the_hidden_layers_only(norm, implementation, model):
    config = configs(norm)[model]
    config = config.model_copy(
        update={"norm": type(config.norm).model_validate({"type": norm, "implementation": implementation})}
    )
    none = config.model_copy(update={"norm": NoNormConfig(type="none")})
    normed, plain = build_model(config), build_model(none)
    x = torch.randn(4, 1, 28, 28)
    if norm == "weight":  # standardization changes the start: each unit's weights get another mean and length
        torch.testing.assert_close(normed(x), plain(x), atol=1e-5, rtol=1e-4)
    parametrized = [nn.utils.parametrize.is_parametrized(layer) for layer in hidden_layers(normed)]
    assert parametrized and all(parametrized)
    assert torch.equal(normed.classifier.weight, plain.classifier.weight)
    extra = sum(p.numel() for p in normed.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == sum(layer.weight.shape[0] for layer in hidden_layers(plain))  # one g a unit
    normed(x).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in normed.parameters())
