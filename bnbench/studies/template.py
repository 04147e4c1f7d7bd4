"""`bnbench study new NAME`: a study file to fill in. `--quick` and `--pilot` take it as it is."""

from pathlib import Path

from bnbench.errors import ConfigError, RunError
from bnbench.files import write_atomic
from bnbench.studies.file import FOLDER, NAME

TEMPLATE = """\
# A study: published claims, and the runs that decide whether they hold here. docs/studies.md explains every key.
#   bnbench study {name} --quick      tries it in a minute, without a verdict
#   bnbench study {name} --pilot 10   measures the spread of each effect: sd
#   bnbench study {name}              trains what is missing, and judges
question: Does batch norm make this MLP more accurate after three epochs?
source: who published it, with the year and the title
minutes: 4            # on one core: `bnbench study --list` shows it

# All arms start from this config. `bnbench show FILE` prints the keys of a config that exists.
base:
  data: {{dataset: mnist, train_limit: 4000}}
  model: {{type: mlp, hidden: [100]}}
  train: {{epochs: 3, optimizer: {{type: sgd, lr: 0.1}}}}

# The name of each arm, and the keys that it changes. An arm may have a `grid` of its own.
arms:
  none: {{norm: {{type: none}}}}
  batch: {{norm: {{type: batch}}}}

# grid: {{train.optimizer.lr: [0.03, 0.1, 0.3]}}     # each arm at each value; the base's value must be among them
seeds: 0..9           # all arms share them, because claims compare runs with the same seed

claims:
  more_accurate:
    quote: "The sentence, as it was published."
    measure: {{type: metric, metric: valid_accuracy}}   # after the last epoch
    arms: [batch, none]     # the first minus the second
    kind: superior          # or equivalent, ratio, crossover, exact
    delta: 1.0              # the smallest effect that matters, in points
    sd: 0.8                 # of the effect, from seed to seed
    sd_from: "a guess: replace it by a pilot"     # bnbench study {name} --pilot 10 measures sd
"""
PLACEHOLDERS = (
    "who published it, with the year and the title",
    "The sentence, as it was published.",
    "a guess: replace it by a pilot",
)


def write_template(name: str, folder: Path = FOLDER) -> Path:
    """Write configs/studies/NAME.yaml. Raises ConfigError if it exists, or if the name is not valid."""
    if not NAME.fullmatch(name) or name == "new":
        raise ConfigError(f"{name!r} is not a study's name: use small letters, digits and _, as in my_study")
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ConfigError(f"{path} exists; choose another name, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, TEMPLATE.format(name=name).encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from None
    return path
