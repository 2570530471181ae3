"""The page docs/garbage-when-served.md is a run: its code runs, and its outputs are shown."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import witnessed

from sft_ref.cli.main import main

HEADING = "## Chat data, with TRL"


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    "with_trl",
    [
        pytest.param(False, id="trainer"),
        pytest.param(True, id="trl", marks=pytest.mark.skipif(not find_spec("trl"), reason="nox -s trl installs TRL")),
    ],
)
def test_the_page_runs_and_shows_what_it_says(
    with_trl: bool,
    pytestconfig: pytest.Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (pytestconfig.rootpath / "docs" / "garbage-when-served.md").read_text(encoding="utf-8")
    first, _, chats = page.partition(HEADING)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert run_page(first, names, capsys) == 10
    if with_trl:
        assert run_page(chats, names, capsys) == 6


def run_page(text: str, names: dict[str, object], capsys: pytest.CaptureFixture[str]) -> int:
    """Runs the blocks of a page; how many lines it says are shown, and were."""
    shown = ""
    checked = 0
    for language, block in re.findall(r"```(python|console|text)\n(.*?)```", text, flags=re.DOTALL):
        if language == "text":
            for line in block.splitlines():
                assert line in shown, (line, shown)
                checked += 1
            shown = ""
            continue
        with witnessed.no_warnings():
            if language == "python":
                exec(compile(block, "garbage-when-served.md", "exec"), names)  # noqa: S102
            else:
                for line in block.splitlines():
                    words = line.removeprefix("$ ")
                    if words.startswith("sft-ref "):
                        assert main(words.split()[1:]) == 1
                    else:
                        subprocess.run(words, shell=True, check=True)  # noqa: S602
        shown += capsys.readouterr().out
    return checked
