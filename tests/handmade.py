"""Run directories written by hand, not by bnbench: what the reading half must be able to read."""

import json

import yaml

from bnbench.config.experiment import Config
from bnbench.runs.format import METRICS, TIMING


def make_run(
    folder,
    name,
    seed,
    accuracies,
    *,
    digest="d",
    status="complete",
    epochs=None,
    smoke=False,
    dataset="mnist",
    config=None,
    test=None,
    mistakes=None,
    **about,
):
    """A run whose validation accuracy after each epoch is given; the other columns follow from it.

    With `config`, a mapping, config.yaml is written and the digest is its own. `test` is an accuracy on
    10,000 test images, of a run with 5,000 training images held out; `mistakes` are the images it gets wrong.
    """
    path = folder / name / f"seed-{seed}"
    path.mkdir(parents=True)
    rows = [f"{i},{1 / i!r},{a - 0.01!r},{2 / i!r},{a!r}" for i, a in enumerate(accuracies, start=1)]
    (path / "metrics.csv").write_text("\n".join([",".join(METRICS), *rows]) + "\n")
    times = [f"{i},{2.0 + i + seed},0.5" for i in range(1, len(accuracies) + 1)]
    (path / "timing.csv").write_text("\n".join([",".join(TIMING), *times]) + "\n")
    if config is not None:
        arm = Config.model_validate({"name": name, "seeds": [seed], **config})
        digest = arm.digest()
        (path / "config.yaml").write_text(yaml.safe_dump(arm.model_dump(mode="json")))
    if mistakes is not None:
        (path / "mistakes.csv").write_text("\n".join(["image,label,predicted", *(f"{i},3,5" for i in mistakes), ""]))
    (path / "run.json").write_text(
        json.dumps(
            {
                "schema_version": 1,
                "status": status,
                "name": name,
                "seed": seed,
                "digest": digest,
                "epochs": epochs or len(accuracies),
                "smoke": smoke,
                "dataset": {"name": dataset, "sha256": "0" * 64},
                "split": {"train_images": 60_000, "valid_images": 10_000, "valid_from": "test", "held_out": 0}
                if test is None
                else {"train_images": 55_000, "valid_images": 5_000, "valid_from": "train", "held_out": 5_000},
                "test": test and {"images": 10_000, "loss": 0.5, "accuracy": test},
                "parameters": 79_510,
                "final": rows and dict(zip(METRICS, [len(rows), *map(float, rows[-1].split(",")[1:])], strict=True)),
                **about,
            }
        )
    )
    return path


def make_config(norm="none", **settings):
    """A config's mapping for `make_run`: an MLP with a norm of that type."""
    optimizer = {"type": "sgd", "lr": settings.pop("lr", 0.1)}
    return {
        "model": {"type": settings.pop("model", "mlp")},
        "norm": {"type": norm, **settings},
        "train": {"epochs": 3, "optimizer": optimizer},
    }


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def edit(path, **changes):
    about = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**about, **changes}))
