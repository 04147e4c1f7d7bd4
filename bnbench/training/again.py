"""Adds evaluations to complete runs: from their weights, or from a second training beside them."""

import math
import shutil
from contextlib import suppress
from pathlib import Path

import torch

from bnbench.config.experiment import Config
from bnbench.data.splits import load_splits
from bnbench.errors import RunError
from bnbench.runs.evaluations import add, needs_training, read_table, with_lacking
from bnbench.runs.format import read_run
from bnbench.runs.kept import Unusable
from bnbench.training.evaluations import eval_step, evaluations, network_of
from bnbench.training.experiment import Loaded
from bnbench.training.loop import evaluate

SAME = 1e-4  # relative: another machine gives other last digits, other weights give another loss


def add_from_weights(folder: Path, config: Config, data: Loaded) -> None:
    """Add to the complete run in `folder` the evaluations that it lacks, from its model.pt.

    Raises Unusable where they need another training, with the reason, and RunError where the table cannot be written.
    """
    config = with_lacking(folder, config)
    if (reason := needs_training(folder, config)) is not None:
        raise Unusable(reason)
    torch.set_num_threads(config.threads)
    splits = load_splits(data.images, config.data, torch.device(config.device))
    try:
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        model = network_of(config, state, splits.valid.device)
    except Exception:  # torch.load may raise any exception on a damaged file
        raise Unusable("its model.pt is damaged") from None
    last, now = read_run(folder).rows[-1], evaluate(model, splits.valid, eval_step(config))
    if not math.isclose(now.loss, last.valid_loss, rel_tol=SAME):
        raise Unusable("its model.pt does not give its last validation loss")
    add(folder, evaluations(config, state, splits))


def take_over(folder: Path, beside: Path) -> None:
    """Add to the complete run in `folder` the evaluations of its second training in `beside`, which is then removed.

    Raises RunError where the second training gave other metrics.
    """
    try:
        if (folder / "metrics.csv").read_bytes() != (beside / "metrics.csv").read_bytes():
            raise RunError(
                f"{folder} was trained again for its evaluations, and its metrics are not the same here. It keeps its"
                " own results and gets no evaluations. Train it with another --out, or use --force to replace it"
            )
        add(folder, read_table(beside))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        for empty in (beside.parent, beside.parent.parent):
            with suppress(OSError):  # another run is trained again in it
                empty.rmdir()
