"""Slips on the command line: one sentence with the next step, in place of the usage and what a library says."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from bnbench.errors import ConfigError

FRACTIONS = ("--target", "--power")  # other options count in points, of which there are 100


def sentence(error: Any, words: Sequence[str]) -> str | None:
    """What is wrong with an option, and what to write. None for errors about other things.

    `error` is what the parser of the options raises; `words` are the arguments of the command line.
    """
    if hasattr(error, "possibilities"):  # no such option
        option = str(error.option_name)
        return f"{option}: no such option; {_in_its_place(option, error, _value(option, words))}"
    if type(error) is typer.BadParameter and error.param is not None and error.param.opts[0].startswith("-"):
        option = next((name for name in error.param.opts if _value(name, words)), error.param.opts[0])
        value = _value(option, words)
        return f"{option} {value}".strip() + f": {_wrong_value(option, value, error.message)}"
    return None


def _value(option: str, words: Sequence[str]) -> str:
    """What stands after an option; empty where there is nothing."""
    for place, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            return next((after for after in words[place + 1 : place + 2] if not after.startswith("--")), "")
    return ""


def _in_its_place(option: str, error: Any, value: str) -> str:
    """The key of the config that the option may mean, or else a similar option."""
    from bnbench.config import hints
    from bnbench.config.problems import closest

    command = error.ctx.command
    if any("--set" in parameter.opts for parameter in command.params):
        keys = hints.keys_of()
        found = hints.meant(option.lstrip("-"), keys, section="no part")
        if found == ["seeds"]:
            return f"write --seeds {value or '0..9'}"
        if found:
            return f"write {' or '.join(_override(key, value, keys) for key in found)}"
    if close := closest(option, [name for parameter in command.params for name in parameter.opts if name[:2] == "--"]):
        return f"did you mean {close}?"
    return f"{error.ctx.command_path} --help lists them"


def _override(key: str, value: str, keys: dict[str, None]) -> str:
    from bnbench.config.hints import TURNED

    if key.startswith(TURNED):
        key = key.removeprefix(TURNED)
        value = f"{1 - float(value):g}" if re.fullmatch(r"0?\.\d{1,9}", value, flags=re.ASCII) else ""
    key = f"{key}.type" if f"{key}.type" in keys else key
    return f"--set {key}={value or 'VALUE'}"


def _wrong_value(option: str, value: str, message: str) -> str:
    from bnbench.config.problems import closest

    if percent := re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s?%", value, flags=re.ASCII):
        number = float(percent[1])
        return f"write {number / 100 if option in FRACTIONS else number:g}"
    text = message.removeprefix("Value error, ").replace("Input should", "must").rstrip(".")
    if choices := re.search(r"is not one of (.*)$", text):
        names = re.findall(r"'([^']*)'", choices[1])
        close = closest(value, names)
        return f"must be one of {', '.join(names)}" + (f"; did you mean {close}?" if close else "")
    return text


def refuse_seeds_apart(seeds: str | None, configs: Sequence[Path]) -> None:
    """Raise ConfigError for `--seeds 0 1 2`: the numbers after the first are taken as configs."""
    apart = [str(path) for path in configs if str(path).isdecimal() and not path.exists()]
    if seeds is not None and apart:
        together = ",".join([seeds, *apart])
        raise ConfigError(f"--seeds {seeds} {' '.join(apart)}: the seeds are one word; write --seeds {together}")
