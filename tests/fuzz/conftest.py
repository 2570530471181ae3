"""Gives each test a search that reports how many inputs it tried, and a folder in which nothing may be left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from .budget import search

Search = Callable[..., int]


@pytest.fixture
def fuzz(record_property: Callable[[str, object], None]) -> Search:
    """`search`, with its count in the summary."""

    def run(*arguments: object, **options: object) -> int:
        tried = search(*arguments, **options)  # type: ignore[arg-type]
        record_property("inputs tried", tried)
        assert tried
        return tried

    return run


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for one input at a time; temporary files of Python lie in it too."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Prints how many inputs each search tried."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "inputs tried" and report.when == "call":
                terminalreporter.write_line(f"{value:>8} inputs tried: {report.nodeid}")
