"""The outcome of a study: results/studies/NAME/ with study.yaml, runs.csv, verdicts.json and figure.svg. No torch.

The same runs give the same bytes. What differs from repetition to repetition, the seconds, is in cost.json. The hashes
in verdicts.json tell whether the study, the table or a verdict was edited afterwards.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnbench.config.experiment import Config
from bnbench.errors import ConfigError, ResultsError
from bnbench.files import read_bounded, write_atomic
from bnbench.runs.evaluations import lacking
from bnbench.runs.find import find_runs
from bnbench.runs.format import FINISHED, METRICS, Run, read_json, read_run
from bnbench.runs.write import run_folder
from bnbench.studies import words
from bnbench.studies.checks import power_of
from bnbench.studies.measures import Found, of_run
from bnbench.studies.plan import Plan
from bnbench.studies.power import Power
from bnbench.studies.spread import wider_than_declared
from bnbench.studies.verdicts import Result, judge_study, prediction

SCHEMA_VERSION = 1
FILES = ("study.yaml", "runs.csv", "verdicts.json", "figure.svg", "cost.json")
MAX_BYTES = 10_000_000
DIGITS = 9  # of numbers in verdicts.json: the rest is rounding, and differs from machine to machine


def collect_runs(plan: Plan, runs: Path) -> Found:
    """The finished runs of a study: those in its folder, then those in the folders that it uses."""
    asked = {(config.digest(), seed) for config in plan.configs for seed in config.seeds}
    found: dict[tuple[str, int], Run] = {}
    for one in (one for config in plan.configs for one in config.one_per_seed()):
        folder = run_folder(runs, one)
        if (folder / "run.json").exists():
            try:
                run = read_run(folder)
            except ResultsError as error:
                raise ResultsError(f"{error}; remove the folder {folder}, then run the study again") from None
            if run.digest == one.digest() and run.status in FINISHED:
                found[run.digest, run.seed] = run
    for folder in find_runs([Path(path) for path in plan.study.about.uses], []):
        if len(found) == len(asked):
            break
        try:
            about = read_json(folder)
            key = (about.get("digest"), about.get("seed"))
            if key in asked and key not in found and about.get("status") in FINISHED:
                found[key] = read_run(folder)
        except ResultsError:
            continue
    return found


def missing(plan: Plan, found: Found) -> list[Config]:
    """The configs that still have runs to train, with these seeds."""
    out = []
    for config in plan.configs:
        seeds = [seed for seed in config.seeds if _lacks(found.get((config.digest(), seed)), config)]
        if seeds:
            out.append(config.model_copy(update={"seeds": seeds}))
    return out


def too_early(plan: Plan, left: Sequence[Config]) -> str | None:
    """Why the runs decide nothing yet: seeds are missing, and no declared look has all of its own. None: they decide.

    `left`: the configs that still have runs to train, as `missing` gives them.
    """
    seeds = plan.study.about.seeds
    open_seeds = {seed for config in left for seed in config.seeds}
    first = next((place for place, seed in enumerate(seeds) if seed in open_seeds), len(seeds))
    looks = [look for claim in plan.study.about.claims.values() for look in claim.looks or [len(seeds)]]
    if first >= min(looks):
        return None
    return f"{len(seeds) - len(open_seeds)} of {len(seeds)} seeds: too early for a verdict"


def _lacks(run: Run | None, config: Config) -> bool:
    """Whether there is something to do: a run is missing, or a complete one lacks an evaluation."""
    return run is None or (run.status == "complete" and bool(lacking(run.path, config)))


def runs_csv(plan: Plan, found: Found) -> str:
    """A row for each arm, place of the grid and seed: status, the final metrics, and what the claims measure."""
    axes = list(dict.fromkeys(key for point in plan.points for key in point.place))
    measures = {words.measure(claim): claim.measure for claim in plan.study.about.claims.values()}
    measures = {name: measure for name, measure in measures.items() if measure.axis is None}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    tested = any(run.test for run in found.values())
    test = ["test_loss", "test_accuracy"] if tested else []
    table.writerow(["arm", *axes, "seed", "status", "digest", *METRICS, *test, *measures])
    for point in plan.points:
        for seed in point.config.seeds:
            run = found.get((point.config.digest(), seed))
            place = [json.dumps(point.place[key]) if key in point.place else "" for key in axes]
            row = [point.arm, *place, str(seed), run.status if run else "missing", point.config.digest()]
            row += [repr(getattr(run.rows[-1], name)) for name in METRICS] if run else [""] * len(METRICS)
            if tested:
                row += [repr(getattr(run.test, key[5:])) if run and run.test else "" for key in test]
            row += [_cell(of_run(measure, point, run)) if run else "" for measure in measures.values()]
            table.writerow(row)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return repr(_rounded(value.value)) if math.isfinite(value.high) else f">{value.low:g}"


def verdicts(plan: Plan, results: Sequence[Result], table: str) -> dict[str, Any]:
    """The contents of verdicts.json. The last key, `sha256`, is the hash of the rest."""
    about = plan.study.about
    per_seed = sum(config.train.epochs * config.data.batches()[0] for config in plan.configs)
    out: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "study": plan.study.name,
        "question": about.question,
        "study_sha256": plan.study.sha256,
        "runs_sha256": hashlib.sha256(table.encode()).hexdigest(),
        "scope": words.scope(plan),
        "seeds": len(about.seeds),
        "runs": sum(len(config.seeds) for config in plan.configs),
        "steps": per_seed * len(about.seeds),
        "minutes": about.minutes,
        "claims": [_claim(plan, result) for result in results],
    }
    return {**out, "sha256": _hash(out)}


def _claim(plan: Plan, result: Result) -> dict[str, Any]:
    claim, of = result.claim, result.judgement
    expected = prediction(result.effects) if claim.published is not None else None
    return {
        "name": result.name,
        "quote": claim.quote,
        "says": claim.says,
        "source": claim.source or plan.study.about.source,
        "transfer": claim.transfer,
        "exploratory": claim.exploratory,
        "kind": claim.kind,
        "measure": words.measured(claim),
        "unit": "" if claim.kind == "ratio" else claim.measure.unit,
        "rule": words.rule(claim),
        "delta": claim.delta,
        "sd": claim.sd,
        "sd_from": claim.sd_from,
        "power": _power(power_of(plan, claim)),
        "published": claim.published,
        "one_more_run": expected and [_rounded(end) for end in expected],
        "verdict": result.verdict,
        "effect": _finite(of.effect),
        "low": _finite(of.low),
        "high": _finite(of.high),
        "shown": words.effect(of, claim),
        "n": of.n,
        "interval_over": result.over,
        "why": of.why,
        **({"spread": wider} if (wider := wider_than_declared(plan, result)) else {}),
        "best": dict(sorted(result.best.items())),
        "effects": [None if value is None else _finite(value.value) for value in result.effects],
    }


def _finite(value: float) -> float | None:
    return _rounded(value) if math.isfinite(value) else None


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _power(of: Power | None) -> dict[str, float] | None:
    return None if of is None else {key: round(value, 3) for key, value in of._asdict().items()}


def _hash(contents: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in contents.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cost(plan: Plan, found: Found) -> dict[str, Any]:
    """The core-minutes that the runs took, training and validation. It differs from repetition to repetition."""
    seconds = sum(row.train_seconds + row.valid_seconds for run in found.values() for row in run.rows)
    return {"runs": len(found), "core_minutes": round(seconds / 60, 1)}


def write(folder: Path, study: bytes, table: str, judged: Mapping[str, Any], figure: bytes, spent: Any) -> None:
    """Write the outcome. Raises RunError or OSError where it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = (
        study,
        table.encode(),
        (json.dumps(judged, indent=1, ensure_ascii=False) + "\n").encode(),
        figure,
        (json.dumps(spent) + "\n").encode(),
    )
    for name, content in zip(FILES, contents, strict=True):
        write_atomic(folder / name, content)


def read_outcome(folder: Path) -> dict[str, Any]:
    """verdicts.json, after all hashes were compared. Raises ConfigError where a file was edited by hand."""
    path = folder / "verdicts.json"
    again = f"remove {path.name}, then: bnbench study {folder.name} --judge-only"
    try:
        out = json.loads(read_bounded(path, MAX_BYTES))
        study = hashlib.sha256(read_bounded(folder / "study.yaml", MAX_BYTES)).hexdigest()
        table = hashlib.sha256(read_bounded(folder / "runs.csv", MAX_BYTES)).hexdigest()
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: the outcome cannot be read: {error}; {again}") from None
    if not isinstance(out, dict) or out.get("sha256") != _hash(out):
        line = next(_lines(path, '"sha256"'), 1)
        raise ConfigError(f"{path}:{line}: sha256: was edited by hand; {again}")
    for key, name, is_ in (("study_sha256", "study.yaml", study), ("runs_sha256", "runs.csv", table)):
        if out.get(key) != is_:
            line = next(_lines(path, f'"{key}"'), 1)
            raise ConfigError(f"{path}:{line}: {key}: {folder / name} was edited by hand; {again}")
    return out


def _lines(path: Path, text: str) -> Iterator[int]:
    for number, line in enumerate(path.read_text().split("\n"), start=1):
        if line.strip().startswith(text):
            yield number


def refuse_edited(plan: Plan, folder: Path) -> None:
    """Raise ConfigError if the folder has the outcome of another text: an edited study is a new study."""
    if not (folder / "verdicts.json").exists():
        return
    if read_outcome(folder)["study_sha256"] != plan.study.sha256:
        raise ConfigError(
            f"{plan.study.path}:1: {folder} has the outcome of another text of this study, and an edited study is a new"
            f" study; give the file another name, or remove {folder / 'verdicts.json'}"
        )


Draw = Callable[[Plan, Found, Sequence[Result]], bytes]  # figure.svg, from bnbench.report.study_figure


def judge_and_write(plan: Plan, found: Found, folder: Path, draw: Draw) -> dict[str, Any]:
    """Judge the runs, write the outcome, and return the contents of verdicts.json."""
    results = judge_study(plan, found)
    table = runs_csv(plan, found)
    judged = verdicts(plan, results, table)
    write(folder, plan.study.text, table, judged, draw(plan, found, results), cost(plan, found))
    return judged
