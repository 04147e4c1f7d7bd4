"""What a trained network's normalization layers hold: γ, β and running statistics, read from model.pt."""

from pathlib import Path

import torch

from bnbench.errors import ResultsError

MAX_BYTES = 1_000_000_000
MAX_VALUES = 10_000_000  # of one tensor

# Of weight normalization, which is no layer of its own: w = g v / ‖v‖, g first.
WEIGHT_NORM_GAIN = ".parametrizations.weight.original0"


def norm_values(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Every tensor of every norm layer, flattened: {"norm1": {"weight": [...], "running_mean": [...]}}.

    Raises ResultsError where model.pt is missing or is no state_dict. It is read without running code.
    """
    path = folder / "model.pt"
    if not path.exists():
        raise ResultsError(
            f"{path}: is missing, so its norm layers cannot be shown; to train the run again:"
            f" bnbench run {folder / 'config.yaml'} --out elsewhere"
        )
    damaged = ResultsError(f"{path}: is not the weights of a run")
    if not path.is_file() or path.stat().st_size > MAX_BYTES:  # a pipe would never end
        raise damaged
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        layers: dict[str, dict[str, list[float]]] = {}
        for key, tensor in state.items():
            if key.endswith(WEIGHT_NORM_GAIN):
                layer, name = key.removesuffix(WEIGHT_NORM_GAIN), "g"
            else:
                layer, _, name = key.rpartition(".")
                if not layer.startswith("norm"):
                    continue
            if tensor.numel() > MAX_VALUES or tensor.is_complex():  # a few bytes can stand for many values
                raise damaged
            layers.setdefault(layer, {})[name] = tensor.to(torch.float64).flatten().tolist()
    except ResultsError:
        raise
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror or 'it is cut off'}") from None
    except Exception:  # what a damaged or hostile file makes torch.load raise is anything at all
        raise damaged from None
    return layers
