"""Lines that GitHub Actions shows beside a job: only there, and on one line each."""

import pytest

from bnbench.report.annotations import annotations


@pytest.mark.parametrize("value", [None, "", "false"])
def test_elsewhere_there_are_none(monkeypatch, value):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_ACTIONS", value)
    assert list(annotations("error", "t", ["a"])) == []


def test_a_message_stays_on_one_line_and_its_percent_signs_stay(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert list(annotations("error", "t", ["97 %: a\r\n::error::b", "c"])) == [
        "::error title=t::97 %25: a%0D%0A::error::b",
        "::error title=t::c",
    ]
