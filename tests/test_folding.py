"""A batch norm folded into the layer before it: what it refuses, and that it changes neither of the two."""

import pytest
import torch
from torch import nn

from bnbench.norms.batch import BatchNorm
from bnbench.norms.folding import fold_batch_norm


def test_it_gives_a_new_layer_and_leaves_both_as_they_were():
    layer, norm = nn.Conv2d(1, 3, 3, bias=False), BatchNorm(3)
    x = torch.randn(4, 1, 8, 8)
    norm(layer(x))
    before = [value.clone() for value in (*layer.state_dict().values(), *norm.state_dict().values())]
    folded = fold_batch_norm(layer, norm)
    after = [*layer.state_dict().values(), *norm.state_dict().values()]
    assert layer.bias is None and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    torch.testing.assert_close(folded(x), norm.eval()(layer(x)))


@pytest.mark.parametrize(
    ("norm", "problem"),
    [
        (BatchNorm(4), "batch norm of 4 channels cannot be folded into a layer of 3"),
        (BatchNorm(3, track_running_stats=False), "batch norm without running statistics cannot be folded"),
    ],
)
def test_what_cannot_be_folded_is_a_sentence(norm, problem):
    with pytest.raises(ValueError, match=problem):
        fold_batch_norm(nn.Linear(2, 3), norm)


def test_a_layer_in_half_precision_stays_in_it():
    layer, norm = nn.Linear(2, 3).half(), BatchNorm(3).half()
    assert {value.dtype for value in fold_batch_norm(layer, norm).state_dict().values()} == {torch.float16}
