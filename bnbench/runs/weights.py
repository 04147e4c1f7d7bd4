"""Reads the tensors of a trained network's norm layers from model.pt: γ, β and running statistics."""

from pathlib import Path

import torch

from bnbench.errors import ResultsError

MAX_BYTES = 1_000_000_000
MAX_VALUES = 10_000_000  # of one tensor

# Weight normalization, w = g v / ‖v‖, parametrizes a layer. Its first tensor is g.
WEIGHT_NORM_GAIN = ".parametrizations.weight.original0"


def norm_values(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Every tensor of every norm layer, flattened: {"norm1": {"weight": [...], "running_mean": [...]}}.

    Reading model.pt runs no code from it. Raises ResultsError where it is missing or not a valid state_dict.
    """
    path = folder / "model.pt"
    if not path.exists():
        raise ResultsError(
            f"{path}: is missing, so its norm layers cannot be shown; train the run again with:"
            f" bnbench run {folder / 'config.yaml'} --out elsewhere"
        )
    damaged = ResultsError(f"{path}: does not hold the weights of a run")
    if not path.is_file() or path.stat().st_size > MAX_BYTES:  # reading a pipe would never end
        raise damaged
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        layers: dict[str, dict[str, list[float]]] = {}
        for key, tensor in state.items():
            if key.endswith(WEIGHT_NORM_GAIN):
                layer, name = key.removesuffix(WEIGHT_NORM_GAIN).rpartition(".")[2], "g"
            else:
                path_in_model, _, name = key.rpartition(".")
                layer = path_in_model.rpartition(".")[2]  # a residual block has its layers one level down
                if not layer.startswith("norm"):
                    continue
            # a tensor with strides of 0 stores many values in a few bytes
            if tensor.numel() > MAX_VALUES or tensor.is_complex():
                raise damaged
            layers.setdefault(layer, {})[name] = tensor.to(torch.float64).flatten().tolist()
    except ResultsError:
        raise
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror or 'it is cut off'}") from None
    except Exception:  # torch.load may raise any exception on a damaged or hostile file
        raise damaged from None
    return layers
