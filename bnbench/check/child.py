"""The process in which the user's code runs: `python -m bnbench.check.child FILE NAME NORM SECONDS`.

It writes one JSON object to stdout. What the user's code prints goes into that object.
"""

import io
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from bnbench.signals import TimeIsUp, time_limit

MAX_PRINTED = 10_000  # characters


class _Printed(io.StringIO):
    """Keeps the first characters and drops the rest."""

    def write(self, text: str) -> int:
        room = MAX_PRINTED - self.tell()
        super().write(text[: max(room, 0)])
        return len(text)


def main(arguments: list[str]) -> None:
    path, name, norm, seconds = Path(arguments[0]).resolve(), arguments[1] or None, arguments[2], float(arguments[3])
    sys.dont_write_bytecode = True  # nothing is written beside the user's file
    answer = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    printed = sys.stdout = sys.stderr = _Printed()
    result = _check(path, name, norm, seconds)
    result["printed"] = printed.getvalue()
    with answer:
        json.dump(result, answer)
    answer.close()
    os._exit(0)  # threads that the user's code started do not hold it


def _check(path: Path, name: str | None, norm: str, seconds: float) -> dict[str, Any]:
    import torch

    from bnbench.check.load import CannotLoad, load, place
    from bnbench.check.words import Report

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        with time_limit(seconds):
            found, form = load(path, name)
            report = Report(f"{path.name}:{found.__name__}", norm)
            _observe_and_diagnose(found, form, path, norm, report)
        return report.as_json()
    except CannotLoad as error:
        return {"cannot_load": str(error)}
    except TimeIsUp as error:
        return {"time": place(error, path)}


def _observe_and_diagnose(found: Any, form: Any, path: Path, norm: Any, report: Any) -> None:
    import torch

    from bnbench.check.diagnose import diagnose
    from bnbench.check.load import CannotLoad, place
    from bnbench.check.observe import SHAPES, inputs, observe
    from bnbench.check.subjects import WrongOutput, factory
    from bnbench.plugins.execute import described

    failed: dict[str, str] = {}
    judged: list[str] = []
    for where, shape in SHAPES.items():
        other = {"vectors": "2d", "images": "1d"}[where]  # a name like BatchNorm1d says what it is for
        if other in found.__name__.lower() or (norm == "instance" and where == "vectors"):
            continue
        try:
            make = factory(found, form, shape, inputs(shape, 0), wide=not judged)
            seen = observe(make, shape, path)
            if seen.y.shape != torch.Size(shape):
                raise WrongOutput(f"the output has the shape {tuple(seen.y.shape)} for an input of {shape}")
        except CannotLoad as error:
            raise CannotLoad(f"{path.name}: {report.subject.split(':')[1]}: {error}") from None
        except WrongOutput as error:
            failed[where] = str(error)
            continue
        except Exception as error:  # the user's code may raise anything
            failed[where] = f"{place(error, path)}: {described(error)}"
            continue
        judged.append(where)
        for note in seen.subject.notes:
            report.note(note)
        try:
            diagnose(seen, make, norm, where, report)
        except Exception as error:  # with other numbers or dtypes than before
            report.mistake("raises", where, f"{place(error, path)}: {described(error)}")
    for where, text in failed.items():
        if judged:
            report.absent(f"{where} ({text})")
        else:
            report.mistake("raises" if "Error" in text else "output", where, text)


if __name__ == "__main__":
    main(sys.argv[1:])
