"""A report as it is printed: sentences, or JSON."""

import json
from typing import Any

from rich.console import Console

from bnbench.console import JSON_SCHEMA_VERSION, clean

SHOWN = 10  # lines of what the user's code printed


def print_report(report: dict[str, Any], console: Console) -> None:
    def line(text: str) -> None:
        console.print(clean(text), soft_wrap=True)

    line(f"{report['subject']}, against {report['against']} norm: {'right' if report['right'] else 'wrong'}")
    for mistake in report["mistakes"]:
        first, rest = mistake["sentence"][0], mistake["sentence"][1:]
        sentence = (first.upper() if first.isascii() else first) + rest  # ε stays ε
        detail = f" ({mistake['detail']})" if mistake["detail"] else ""
        line(f"  ✗ {sentence}{detail}. [{', '.join(mistake['where'])}]")
        if mistake["repair"]:
            line(f"    {mistake['repair']}")
    for text in report["differs"][:1]:
        line(f"  ✗ Differs, and no known mistake explains it: {text}")
    right = [name for name, good in report["parts"].items() if good]
    if right:
        line(f"  ✓ {'; '.join(right)}")
    for text in report["conventions"]:
        line(f"  convention, no mistake: {text}")
    if report["not_offered"]:
        line(f"  not offered: {'; '.join(report['not_offered'])}")
    for text in report["notes"]:
        line(f"  note: {text}")
    printed = report["printed"].splitlines()
    for text in printed[:SHOWN]:
        line(f"  it prints: {text}")
    if len(printed) > SHOWN:
        line(f"  it prints {len(printed) - SHOWN} more lines")


def print_json(report: dict[str, Any], console: Console) -> None:
    data = {"schema_version": JSON_SCHEMA_VERSION, **report}
    console.print(json.dumps(data, indent=2, ensure_ascii=False), soft_wrap=True)
