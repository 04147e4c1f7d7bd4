"""`bnbench verify` can fail: every mutant of the norms is caught by the check that is meant for it.

A mutant is the source with one text replaced; its functions' code is swapped into the living module, so that
every reference to them runs the mutant.
"""

import importlib
import inspect
import shutil
import types
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

import bnbench
from bnbench import verify
from bnbench.verify import checks, processes

HUNDRED = {"training output", "evaluation output", "running statistics", "gradients"}  # rows of "100 steps"
UPDATE = "move_average(self.running_mean, mean, momentum)"

# What is wrong: the module, its text, the mutant's text, the norm and the check that must fail.
MUTANTS = {
    "biased where unbiased belongs": (
        "batch", "correction = m / (m - 1) if self.unbiased else 1", "correction = 1", "batch", "running statistics"),
    "unbiased where biased belongs": (
        "batch", "deviation.square().mean(over, keepdim=True)",
        "deviation.square().sum(over, keepdim=True) / (x.numel() / x.shape[1] - 1)", "batch", "training output"),
    "momentum swapped": (
        "batch", UPDATE, "move_average(self.running_mean, mean, 1 - momentum)", "batch",
        "running statistics"),
    "cumulative average counts from 0": (
        "batch", "1 / self.num_batches_tracked.item()", "1 / (self.num_batches_tracked.item() + 1)", "batch",
        "running statistics"),
    "eps outside the root": (
        "batch", "deviation / torch.sqrt(var + eps)", "deviation / (torch.sqrt(var) + eps)", "batch",
        "training output"),
    "eps left out": (
        "batch", "deviation / torch.sqrt(var + eps)", "deviation / torch.sqrt(var)", "batch", "constant channels"),
    "eps left out of the evaluation": (
        "batch", "torch.sqrt(per_channel(var, x) + eps)", "torch.sqrt(per_channel(var, x))", "batch",
        "evaluation output"),
    "evaluation mode ignored": (
        "batch", "if not self.training and self.running_mean", "if False and self.running_mean", "batch",
        "one image alone"),
    "evaluation by the batch": (
        "batch", "if not self.training and self.running_mean", "if False and self.running_mean", "batch",
        "evaluation output"),
    "evaluation changes the averages": (
        "batch", "return batch_norm_eval(x", "self.running_mean.mul_(0.9)\n            return batch_norm_eval(x",
        "batch", "one image alone"),
    "no gradient through the variance": (
        "batch", "var = deviation.square()", "var = deviation.detach().square()", "batch", "gradients"),
    "no gradient through the mean": (
        "batch", "deviation = x - mean", "deviation = x - mean.detach()", "batch", "gradcheck"),
    "no gradient through the deviation, by the paper": (
        "batch", "torch.sqrt(var + eps)", "torch.sqrt(var + eps).detach()", "batch", "published gradients"),
    "buffers not saved": (
        "batch", "        self.running_var_init = running_var_init\n",
        "        self.running_var_init = running_var_init\n"
        "        self.register_buffer('running_var', self.running_var, False)\n",
        "batch", "state_dict"),
    "buffers are plain attributes": (
        "batch", "        self.running_var_init = running_var_init\n",
        "        self.running_var_init = running_var_init\n"
        "        mean = self.running_mean; del self.running_mean; self.running_mean = mean\n", "batch",
        "deep copy, .to()"),
    "the averages keep the graph": (
        "batch", "        self.num_batches_tracked += 1\n",
        "        torch.set_grad_enabled(True)\n        self.num_batches_tracked += 1\n", "batch", "deep copy, .to()"),
    "channel axis wrong": ("batch", "if d != 1]", "if d != 0]", "batch", "training output"),
    "E[x²] - E[x]²": (
        "batch", "var = deviation.square().mean(over, keepdim=True)",
        "var = x.square().mean(over, keepdim=True) - mean.square()", "batch", "large mean"),
    "one value accepted": ("batch", 'refuse_single_values(x, "batch norm")', "pass", "batch", "one value refused"),
    "counted before it is refused": (
        "batch", 'refuse_single_values(x, "batch norm")',
        'self.num_batches_tracked += 1; refuse_single_values(x, "batch norm")', "batch", "one value refused"),
    "γ of all channels is the first": (
        "channels", "values.view(1, -1,", "values[:1].expand_as(values).view(1, -1,", "batch", "training output"),
    "β left out": ("channels", "y + per_channel(bias, x_hat)", "y", "batch", "training output"),
    "γ left out": (
        "channels", "y + per_channel(bias, x_hat)", "x_hat + per_channel(bias, x_hat)", "batch", "training output"),
    "computed in float32": (
        "batch", "over = [d for d", "x = x.float().to(x.dtype)\n    over = [d for d", "batch", "training output"),
    "precise statistics do not forget": (
        "batch", "layer.num_batches_tracked.zero_()", "pass", "batch", "precise statistics"),
    "a mean of less than all values": (
        "batch", "mean = x.mean(over, keepdim=True)", "mean = x[:-1].mean(over, keepdim=True)", "batch",
        "note's example"),
    "the mean is not subtracted": ("batch", "deviation = x - mean", "deviation = x - 0 * mean", "batch", "bias before"),
    "layer over the batch too": ("layer", "range(1, x.dim()))\n    mean = x", "range(x.dim()))\n    mean = x", "layer",
                                 "training output"),
    "layer depends on the batch": ("layer", "range(1, x.dim()))\n    mean = x", "range(x.dim()))\n    mean = x",
                                   "layer", "one image alone"),
    "rms subtracts the mean": ("layer", "mean_square = x.square()", "x = x - x.mean(); mean_square = x.square()", "rms",
                               "training output"),
    "groups of the wrong channels": (
        "group", "x.reshape(x.shape[0], num_groups,", "x.roll(1, 1).reshape(x.shape[0], num_groups,", "group",
        "training output"),
    "one group too many": (
        "group", "x.reshape(x.shape[0], num_groups, x.shape[1:].numel() // num_groups)", "x.reshape(x.shape[0], 2, -1)",
        "group", "group(1) is layer"),
    "instance averages the biased variance": (
        "group", "correction=1", "correction=0", "instance", "running statistics"),
    "instance ignores its averages": (
        "group", "if not self.training and self.running_mean", "if False and self.running_mean", "instance",
        "evaluation output"),
    "L1 without its factor": ("lp", "self.factor * deviation", "deviation", "l1_batch", "training output"),
    "L1 around 0": ("lp", "(values - mean).abs()", "values.abs()", "l1_batch", "bias before"),
    "a gradient of NaN at a constant": (
        "lp", "torch.where(average > 0, average, 1).pow(1 / p)", "average.pow(1 / p)", "lp_batch",
        "constant channels"),
    "L∞ is a mean": ("lp", "d.abs().amax(1)", "d.abs().mean(1)", "lp_batch", "p = ∞ reaches 1"),
    "the lower median": ("generalized", "(low + high) / 2\n    return median", "low\n    return median",
                         "generalized_batch", "training output"),
    "the next quantile": (
        "generalized", "math.ceil(alpha * values.shape[1] * (1 - 1e-12))", "math.ceil(alpha * values.shape[1]) + 1",
        "generalized_batch", "α = ½ is median"),
    "a rank that rounding raised": (
        "generalized", "values.shape[1] * (1 - 1e-12)", "values.shape[1]", "generalized_batch", "training output"),
    "D moves with the mean": (
        "generalized", "above.mean(1)).square()", "values.mean(1)).square()", "generalized_batch",
        "x̂(ax + b) = x̂(x)"),
    "noise adds instead of scaling": (
        "noisy", "s * y + m", "y + (s - 1) + m", "noisy_batch", "noise applied"),
    "the same noise in every step": (
        "noisy", "self.seed + int(self.num_batches_tracked)", "self.seed", "noisy_batch", "noise applied"),
    "uniform where normal belongs": (
        "noisy", "torch.randn(y.shape, generator=generator, dtype=y.dtype, device=y.device)",
        "12**0.5 * (uniform(y.shape) - 0.5)", "noisy_batch", "noise as published"),
    "the count is not saved": (
        "channels", 'self.register_buffer("num_batches_tracked", torch.tensor(0))',
        'self.register_buffer("num_batches_tracked", torch.tensor(0), False)', "batch_renorm", "state_dict"),
    "r is not clipped below": (
        "renorm", "clamp((1 / r_max).to(std.dtype), r_max.to(std.dtype))", "clamp(max=r_max.to(std.dtype))",
        "batch_renorm", "Keras's rule"),
    "gradient through r": ("renorm", "(batch_std.detach() / std)", "(batch_std / std)", "batch_renorm",
                           "r, d are constants"),
    "r upside down": ("renorm", "(batch_std.detach() / std)", "(std / batch_std.detach())", "batch_renorm",
                      "unclipped"),
    "the variance is averaged": ("renorm", "return mean.squeeze(1), torch.sqrt(", "return mean.squeeze(1), (",
                                 "batch_renorm", "running statistics"),
    "the schedule starts at once": ("renorm", "(precise - start) / (end - start)", "precise / end", "batch_renorm",
                                    "schedule"),
    "ghosts of the whole": ("ghost", "torch.split(x, size)", "torch.split(x, len(x))", "ghost_batch",
                            "training output"),
    "noise in evaluation": ("noisy", "if not self.training:\n            return y", "pass", "noisy_batch",
                            "evaluates without"),
    "one noise a unit": ("noisy", "r_mu * (2 * uniform(y.shape) - 1)", "r_mu * (2 * uniform(y.shape[1:]) - 1)",
                         "noisy_batch", "noise as published"),
    "the variance around 0": ("halves", "(values - values.mean(1, keepdim=True)).square()", "values.square()",
                              "variance_only_batch", "training output"),
    "the halves are not halves": ("halves", "x - per_channel(mean, x)", "x - 0.5 * per_channel(mean, x)",
                                  "mean_only_batch", "halves make batch"),
    "running mean not moved": (
        "channels", "running.copy_(", "(", "mean_only_batch",
        "running statistics"),
    "no gradient through ‖v‖": ("weight", "g * v / _norms(v)", "g * v / _norms(v).detach()", "weight", "⟨∇v, v⟩ = 0"),
    "‖v‖ of the whole layer": ("weight", "vector_norm(v.flatten(1), dim=1)",
                               "vector_norm(v).expand(len(v))", "weight", "published gradients"),
    "g starts as 1": ("weight", "_norms(at_least_float32(weight)).to(weight.dtype)", "0 * _norms(weight) + 1", "weight",
                      "starts as the layer"),
    "tanh without α": ("dynamic", "torch.tanh(alpha * x)", "torch.tanh(x)", "dyt", "training output"),
    "tanh is shifted": ("dynamic", "torch.tanh(alpha * x)", "torch.tanh(alpha * x + 0.1)", "dyt", "is odd"),
    "no gradient for α": ("dynamic", "torch.tanh(alpha * x)", "torch.tanh(alpha.detach() * x)", "dyt", "gradcheck"),
    "the shift is scaled": (
        "dynamic", "alpha * x + shift", "alpha * (x + shift)", "derf", "training output"),
    "erf of z / √2": ("dynamic", "torch.erf(alpha * x + shift)", "torch.erf((alpha * x + shift) / 2**0.5)", "derf",
                      "is 2Φ(√2 z) - 1"),
    "filter responses around their mean": (
        "filter_response", "mean_square = x.square()",
        "x = x - x.mean((2, 3), keepdim=True); mean_square = x.square()", "filter_response", "training output"),
    "filter responses of all channels": (
        "filter_response", "range(2, x.dim())", "range(1, x.dim())", "filter_response", "ignores a scale"),
    "no gradient for the threshold": (
        "filter_response", "per_channel(tau, y)", "per_channel(tau.detach(), y)", "filter_response", "gradcheck"),
    "the threshold is added": (
        "filter_response", "torch.maximum(y, per_channel(tau, y))", "(y - per_channel(tau, y)).relu()",
        "filter_response", "τ = -∞ is rms"),
    "S0 normalizes what it has activated": (
        "evonorm", "var = (groups - groups.mean(2, keepdim=True))",
        "groups = (x * torch.sigmoid(per_channel(v, x) * x)).reshape(groups.shape); "
        "var = (groups - groups.mean(2, keepdim=True))", "evonorm_s0", "v = 0 is group / 2"),
    "S0 around 0": ("evonorm", "(groups - groups.mean(2, keepdim=True)).square()", "groups.square()", "evonorm_s0",
                    "training output"),
    "S0 without v": ("evonorm", "torch.sigmoid(per_channel(v, x) * x)", "torch.sigmoid(x)", "evonorm_s0",
                     "training output"),
    "B0 adds where it takes the larger": (
        "evonorm", "x / torch.maximum(torch.sqrt(per_channel(var, x) + eps), own)",
        "x / (torch.sqrt(per_channel(var, x) + eps) + own)", "evonorm_b0", "v = 0 is var. only"),
    "B0 averages the biased variance": (
        "evonorm", "update_running_statistics(var * m / (m - 1))", "update_running_statistics(var)", "evonorm_b0",
        "running statistics"),
    "B0 evaluates by the batch": (
        "evonorm", "if not self.training:", "if False:", "evonorm_b0", "one image alone"),
    "B0 of one channel's batch": (
        "evonorm", "one.mean(2, keepdim=True)).square().mean(2)", "one.mean((0, 2), keepdim=True)).square().mean(2)",
        "evonorm_b0", "training output"),
    "all values for some": ("layer", "x.flatten(1)[:, :count]", "x.flatten(1)", "rms", "training output"),
    "the mean of all for the sum of some": (
        "layer", "dim=1) / math.sqrt(count)", "dim=1) / math.sqrt(x[0].numel())", "rms", "evaluation output"),
    "ε inside the root of p": (
        "layer", "[1] * (x.dim() - 1)) + eps)", "[1] * (x.dim() - 1)).square() + eps).sqrt()", "rms",
        "training output"),
    "p = 1 by another root": (
        "layer", "dim=1) / math.sqrt(count)", "dim=1) / math.sqrt(count - 1)", "rms", "p = 1 is rms"),
    "the weights keep their mean": (
        "standardized", "w = deviation / torch.sqrt(", "w = units / torch.sqrt(", "scaled_weight_standardization",
        "mean and length"),
    "weights of the variance 1": (
        "standardized", "torch.sqrt((units.shape[1] * var)", "torch.sqrt((var)", "scaled_weight_standardization",
        "training output"),
    "no gradient through σ of the weights": (
        "standardized", ".clamp(min=eps))", ".clamp(min=eps)).detach()", "scaled_weight_standardization", "gradcheck"),
    "ε is added": (
        "standardized", "(units.shape[1] * var).clamp(min=eps)", "units.shape[1] * var + eps",
        "scaled_weight_standardization", "w(av + b) = w(v)"),
    "no ε": (
        "standardized", ".clamp(min=eps)", "", "scaled_weight_standardization", "constant weights"),
    "E[v²] - E[v]²": (
        "standardized", "deviation.square().mean(1, keepdim=True)",
        "units.square().mean(1, keepdim=True) - units.mean(1, keepdim=True).square()",
        "scaled_weight_standardization", "large mean"),
    "ReLU's gain forgotten": (
        "standardized", "return activation_gain * gain", "return gain", "scaled_weight_standardization",
        "keeps a variance"),
    "g of the first unit": (
        "standardized", "activation_gain * gain *", "activation_gain * gain[:1] *", "scaled_weight_standardization",
        "evaluation output"),
    "folding forgets the mean": ("folding", "layer.bias - mean", "layer.bias", "batch", "folded"),
    "folding forgets a missing bias's mean": (
        "folding", "-mean if layer.bias is None", "0 * mean if layer.bias is None", "batch", "folded"),
    "folding forgets γ in the bias": (
        "folding", "bias = shift * scale", "bias = shift * torch.rsqrt(var + norm.eps)", "batch", "folded"),
    "half precision is not widened": (
        "channels", "values.float() if values.dtype in HALF else values", "values", "rms", "half precision"),
    "nor under autocast": (
        "channels", "values.float() if values.dtype in HALF else values", "values", "group", "under autocast"),
    "g v overflows": ("weight", "weight_norm(at_least_float32(v), at_least_float32(g))", "weight_norm(v, g)", "weight",
                      "half precision"),
    "a count is required of old state": (
        "batch", "        self.running_var_init = running_var_init\n",
        "        self.running_var_init = running_var_init\n        self.track_running_stats = False\n", "batch",
        "old state"),
    "standardized in half precision": (
        "standardized", "standardize(at_least_float32(v), at_least_float32(self.gain),", "standardize(v, self.gain,",
        "scaled_weight_standardization", "half precision"),
    "old names are not taken": ("weight", "if old.keys() <= state.keys():", "if False:", "weight", "old state"),
    "the start forgets the mean": ("weight", "layer.bias.copy_(-t.mean(1) * scale)", "pass", "weight",
                                   "start from data"),
}  # fmt: skip


def code_of(module):
    """Every function and method of a module, unwrapped, by its qualified name."""
    found = {}
    for owner in [module, *(v for v in vars(module).values() if inspect.isclass(v))]:
        for value in vars(owner).values():
            function = inspect.unwrap(value) if callable(value) else value
            if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
                found[function.__qualname__] = function
    return found


@pytest.fixture
def mutate():
    """mutate("batch", old, new): until the test ends, bnbench.norms.batch runs the mutant's code."""
    before = []

    def mutate(name, old, new):
        module = importlib.import_module(f"bnbench.norms.{name}")
        source = Path(module.__file__).read_text()
        assert old in source, "the source has changed; so must the mutant"
        mutant = types.ModuleType(module.__name__)
        exec(compile(source.replace(old, new), "mutant", "exec"), vars(mutant))
        originals, changed = code_of(module), code_of(mutant)
        assert originals.keys() == changed.keys()
        for qualified, function in originals.items():
            before.append((function, function.__code__))
            function.__code__ = changed[qualified].__code__

    yield mutate
    for function, code in reversed(before):
        function.__code__ = code


def rows(norm, check):
    """The rows called `check` of one norm, and nothing else run."""
    for name, run in verify._checks(norm):
        if name == check or (name == "100 steps" and check in HUNDRED):
            for dtype in verify._dtypes(name):
                yield from (row for row in verify._rows(norm, name, dtype, run) if row.check in (check, name))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_meant_for_it_catches(mutant, mutate, monkeypatch):
    """In 5 steps: then it does so in 100 too."""
    for steps in ("STEPS", "FEW_STEPS"):
        monkeypatch.setattr(checks, steps, 5)
    module, old, new, norm, check = MUTANTS[mutant]
    mutate(module, old, new)
    assert any(not row.passed for row in rows(norm, check))


@pytest.mark.slow
def test_a_wrong_sum_over_processes_is_caught(tmp_path, monkeypatch):
    """The two processes run another copy of the package: there, every process counts alike."""
    shutil.copytree(Path(bnbench.__file__).parent, tmp_path / "bnbench")
    sync = tmp_path / "bnbench" / "norms" / "sync.py"
    source, old = sync.read_text(), "mean = total / M"
    assert old in source
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for new, passes in ((old, True), ("mean = values.mean(1)", False), ("mean = total.detach() / M", False)):
        sync.write_text(source.replace(old, new))
        processes._run.cache_clear()
        errors = processes.two_processes(torch.float64)
        assert (errors.relative <= 1e-10) == passes, errors.case
    processes._run.cache_clear()


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 20
    assert str(len(MUTANTS)) in (REPOSITORY / "docs" / "verify.md").read_text().split()
    assert {norm for *_, norm, _ in MUTANTS.values()} >= set(verify.names()) - {"sync_batch"}
